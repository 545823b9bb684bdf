"""`pawl serials rotate`: shown first, watched to its end, and what to do where it cannot go on."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from ops.shell.problem import Exit
from ops.watch.serials import rotating
from services.serials.rotating import Rotator
from services.serials.vault import SerialKeys, Vault
from shared.clock import now
from shared.kst import wire_time
from shared.runtime.surroundings import Surroundings
from tests.support import web
from tests.support.keys import KEY_SETTINGS, LOOKUP, TEXT, key_of, text_of
from tests.support.tabletop import Tabletop, buy
from tests.support.terminal import Terminal

WHY = ["--reason", "a new year", "--yes"]
OLD, NEW = SerialKeys("1", LOOKUP, TEXT), SerialKeys("2", key_of(50), key_of(60))
NEW_SETTINGS = {
    "serial_key_id": "2",
    "serial_lookup_key": text_of(50),
    "serial_text_key": text_of(60),
    "serial_earlier_keys": f"1:{KEY_SETTINGS['SERIAL_LOOKUP_KEY']}:{KEY_SETTINGS['SERIAL_TEXT_KEY']}",
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What serials is started with by whoever asks for the terminal: the second key, and the first one."""
    changed = dict(web.OF_A_SERVICE) | NEW_SETTINGS
    monkeypatch.setattr(web, "OF_A_SERVICE", changed)
    return changed


@pytest.fixture
async def rotated(settings: dict[str, str], table: Tabletop, terminal: Terminal) -> Terminal:
    """A hundred serials under the first key, and a service with the second one."""
    at = wire_time(now())
    await buy(table, "A-1", issue_policy="automatic", paid_at=at, at=at)
    return terminal


@pytest.fixture
async def working(rotated: Terminal) -> AsyncIterator[None]:
    """The worker of that service."""
    rotator = Rotator(
        Surroundings(rotated.table.pools["serials"], rotated.table.outboxes["serials"]), Vault(NEW, [OLD]), 30
    )
    running = asyncio.create_task(rotator.run())
    yield
    running.cancel()
    await asyncio.wait([running])


async def under(terminal: Terminal) -> dict[str, int]:
    rows = await terminal.table.pools["serials"].fetch("SELECT key_id, count(*) FROM serials GROUP BY 1")
    return dict(map(tuple, rows))


async def test_it_only_shows_what_is_under_which_key_until_it_is_told_to_do_it(rotated: Terminal) -> None:
    shown = await rotated.run("serials", "rotate")
    unreasoned = await rotated.run("serials", "rotate", "--yes")

    assert shown.code == Exit.SOMETHING_WAITS
    assert "key       1: 100 serials, to be put under key 2" in shown.text
    assert "about 1 s" in shown.text
    assert "nothing was done" in shown.text
    assert (unreasoned.code, "needs a reason" in unreasoned.text) == (Exit.USAGE, True)
    assert await under(rotated) == {"1": 100}


@pytest.mark.usefixtures("working")
async def test_it_is_watched_to_its_end_and_says_what_to_take_away(rotated: Terminal) -> None:
    done = await rotated.run("serials", "rotate", *WHY)
    again = await rotated.run("serials", "rotate")
    document = await rotated.run_json("serials", "rotate", *WHY)

    assert done.code == Exit.OK, done.text
    assert await under(rotated) == {"2": 100}
    for said in (done, again):
        assert "key 1 can be taken away: no serial is under it" in said.text
        assert "every process of serials uses key 2" in said.text
        assert "take 1:... out of SERIAL_EARLIER_KEYS" in said.text
    assert again.code == Exit.OK
    assert (document["can_be_removed"], document["before"]) == (["1"], {})
    row = await rotated.table.pools["serials"].fetchrow("SELECT actor, action, reason FROM audit_log")
    assert tuple(row) == ("kim", "serial_keys.rotate", "a new year")


async def test_it_is_listed_until_it_has_come_to_its_end(rotated: Terminal) -> None:
    assert await rotated.command_of("key_not_retired") is None

    await rotated.table.pools["serials"].execute(
        "INSERT INTO serial_keys VALUES ('2', now() + interval '1 ms')"
    )

    assert await rotated.command_of("key_not_retired") == "pawl serials rotate"


@pytest.mark.usefixtures("working")
async def test_a_serial_that_somebody_has_changed_is_named(rotated: Terminal) -> None:
    owner = await asyncpg.connect(rotated.database.admin_url)
    wrong = await owner.fetchval("SELECT serial_id FROM serials.serials ORDER BY 1 OFFSET 70 LIMIT 1")
    await owner.execute("UPDATE serials.serials SET text = $2 WHERE serial_id = $1", wrong, b"x" * 16)
    await owner.close()

    stands = await rotated.run("serials", "rotate", *WHY)

    assert stands.code == Exit.FAILED
    assert f"Serial {wrong} under key 1 cannot be opened" in stands.text
    assert await under(rotated) == {"1": 40, "2": 60}


async def test_nobody_who_works_on_it_is_noticed(rotated: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotating, "STILL_SECONDS", 0.1)

    stands = await rotated.run("serials", "rotate", *WHY)

    assert stands.code == Exit.FAILED
    assert "Does a process of serials run with SERIAL_KEY_ID=2?" in stands.text


@pytest.fixture
def without_the_old_key(settings: dict[str, str]) -> None:
    settings["serial_earlier_keys"] = ""


async def test_a_key_that_serials_are_under_is_missed(
    without_the_old_key: None, terminal: Terminal, table: Tabletop
) -> None:
    at = wire_time(now())
    await buy(table, "A-1", issue_policy="automatic", paid_at=at, at=at)

    missed = await terminal.run("serials", "rotate")

    assert missed.code == Exit.FAILED
    assert "Serials are under key 1, which the service does not have" in missed.text
    assert "Add 1:LOOKUP:TEXT to SERIAL_EARLIER_KEYS" in missed.text
