"""The keys of serials are rotated in a running system, whose service is killed in the middle, twice."""

import asyncio

import asyncpg
import orjson
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.problem import Exit
from services.serials.rotating import WINDOW
from shared.clock import now
from shared.crash_points import CrashPoint
from shared.kst import KST
from tests.reliability.conftest import Alone
from tests.support.instances import until, until_healthy
from tests.support.keys import text_of
from tests.support.readable import ask_serials
from tests.support.stories import Story

UNITS = 10 * WINDOW


async def restarted(alone: Alone, crash_at: str = "") -> None:
    """Serials ends, and starts with the settings that it has by now; first of all it dies at this point."""
    services = alone.system.services
    await services.stop("serials")
    services.start("serials", {"PAWL_CRASH_AT": crash_at} if crash_at else {})
    await until_healthy(alone.system, "serials")


async def killed(alone: Alone, deaths: int) -> None:
    async def is_dead() -> bool:
        return len(alone.system.services.deaths("serials")) >= deaths

    await until(is_dead, "serials dies at its points")
    assert set(alone.system.services.deaths("serials")) == {-9}


async def test_a_rotation_goes_on_after_each_death_and_ends_with_the_old_key_of_no_use(alone: Alone) -> None:
    story = Story(alone.checkout, begins=now().astimezone(KST))
    await story.is_paid(quantity=UNITS)
    await story.asks_to_issue(UNITS)
    await story.until("serials.issued.v2")
    await alone.checkout.drain()
    keys = alone.system.folder.service_keys()
    old = keys["SERIAL_KEY_ID"]
    earlier = ":".join((old, keys["SERIAL_LOOKUP_KEY"], keys["SERIAL_TEXT_KEY"]))
    settings = alone.system.services.launch("serials").environment
    assert isinstance(settings, dict)
    settings |= {
        "SERIAL_KEY_ID": "2027",
        "SERIAL_LOOKUP_KEY": text_of(3),
        "SERIAL_TEXT_KEY": text_of(5),
        "SERIAL_EARLIER_KEYS": earlier,
        "PAWL_CRASH_AT": f"{CrashPoint.AFTER_REKEY_COMMIT}:2",
    }

    await restarted(alone, f"{CrashPoint.BEFORE_REKEY_COMMIT}:3")
    begun = await ask_serials(
        alone.system,
        "serials/rotation",
        "serials:manage",
        {"key_id": "2027", "reason": "a test", "apply": True},
        "k-1",
    )
    await killed(alone, 2)
    del settings["PAWL_CRASH_AT"]
    await until_healthy(alone.system, "serials")
    words = [
        "serials",
        "rotate",
        "--dir",
        str(alone.system.folder.path),
        "--reason",
        "a test",
        "--yes",
        "--json",
    ]
    rotated = await asyncio.to_thread(CliRunner().invoke, app, words)

    assert begun.status == 200
    assert rotated.exit_code == Exit.OK, rotated.output
    (line,) = [line for line in rotated.output.splitlines() if line.startswith("{")]
    assert orjson.loads(line)["can_be_removed"] == [old]
    settings["SERIAL_EARLIER_KEYS"] = ""
    await restarted(alone)
    connection = await asyncpg.connect(alone.system.database.admin_url)
    try:
        rows = await connection.fetch("SELECT key_id, count(*) FROM serials.serials GROUP BY key_id")
        rekeyed = await connection.fetchval("SELECT rekeyed FROM serials.serial_keys WHERE key_id = $1", old)
    finally:
        await connection.close()
    assert [tuple(row) for row in rows] == [("2027", UNITS)]
    assert rekeyed == UNITS
    unknown = await ask_serials(
        alone.system,
        "registrations",
        "serials:register",
        {"serial": "0123-4567-89AB-CDE4", "account": "acct-1"},
    )
    assert unknown.status == 404, "no key is missing without the old one"
