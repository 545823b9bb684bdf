"""`pawl serials` as a person runs it: find, reissue, revoke. Nothing that it prints is a serial."""

from typing import NamedTuple

import orjson
import pytest

from ops.setup.provision import Database
from ops.shell.problem import Exit
from ops.watch.order import read_order
from services.serials.codes import grouped
from services.serials.vault import SerialKeys, Vault
from shared.clock import now
from shared.kst import wire_time
from tests.support.keys import LOOKUP, TEXT
from tests.support.serving import operator_on
from tests.support.tabletop import Tabletop, buy
from tests.support.terminal import Terminal

WHY = ["--yes", "--reason", "lost in the mail"]


class Issued(NamedTuple):
    """A serial of order A-1: its id, and what only its partner may read."""

    serial_id: str
    text: str


@pytest.fixture
async def issued(table: Tabletop) -> list[Issued]:
    """Three serials of order A-1, issued just now."""
    await buy(table, "A-1")
    units = [{"line_id": "1", "quantity": 3}]
    table.say("issuance.requested.v1", "A-1", request_id="iss-1", lines=units, at=wire_time(now()))
    await table.drain()
    vault = Vault(SerialKeys("1", LOOKUP, TEXT))
    rows = await table.pools["serials"].fetch("SELECT * FROM serials ORDER BY serial_id")
    return [
        Issued(str(row["serial_id"]), grouped(vault.open(row["key_id"], row["text"], row["lookup_tag"])))
        for row in rows
    ]


async def test_a_serial_is_found_by_what_is_typed_unseen_and_who_looked_is_kept(
    terminal: Terminal, issued: list[Issued]
) -> None:
    mine = issued[1]

    found = await terminal.run("serials", "find", "--reason", "a customer called", typed=f"{mine.text}\n")

    assert found.code == Exit.OK
    assert f"serial {mine.serial_id}  ...{mine.text[-4:]}  active  order A-1" in found.text
    assert f"pawl serials reissue {mine.serial_id}" in found.text
    assert mine.text not in found.text
    rows = await terminal.table.pools["serials"].fetch("SELECT actor, form, reason, first_unit FROM custody")
    assert [tuple(row) for row in rows] == [("kim", "search", "a customer called", 2)]


async def test_a_serial_is_found_by_its_end_where_nobody_knows_the_rest(
    terminal: Terminal, issued: list[Issued]
) -> None:
    mine = issued[0]

    found = await terminal.run_json(
        "serials", "find", "--last-four", mine.text[-4:].lower(), "--order", "A-1"
    )

    assert mine.serial_id in [each["serial_id"] for each in found["serials"]]


@pytest.mark.parametrize(
    ("words", "typed", "code"),
    [
        (["--reason", "why"], "0123-4567-89AB-CDE4\n", Exit.NOTHING_MATCHED),
        ([], None, Exit.USAGE),
        (["--last-four", "ABCD"], None, Exit.USAGE),
        (["--last-four", "ABC", "--order", "A-1"], None, Exit.USAGE),
        (["--last-four", "IIII", "--order", "A-1"], None, Exit.NOTHING_MATCHED),
    ],
)
async def test_what_cannot_be_found_says_what_to_do(
    terminal: Terminal, issued: list[Issued], words: list[str], typed: str | None, code: Exit
) -> None:
    said = await terminal.run("serials", "find", *words, typed=typed)

    assert said.code == code
    assert "pawl " in said.text or "--reason" in said.text
    assert "0123-4567-89AB-CDE4" not in said.text


@pytest.mark.parametrize("how", ["reissue", "revoke"])
async def test_what_is_done_is_shown_first_and_then_done_and_stands_in_the_story(
    terminal: Terminal, issued: list[Issued], database: Database, how: str
) -> None:
    mine = issued[0]

    shown = await terminal.run("serials", how, mine.serial_id)
    before = await terminal.table.pools["serials"].fetchval("SELECT sum(revoked) FROM grants")
    done = await terminal.run("serials", how, mine.serial_id, *WHY)

    assert "active → revoked" in shown.text
    assert "nothing was done. Do it with --yes" in shown.text
    assert before == 0
    assert ("unit 4" in done.text) == (how == "reissue")
    assert "serial revoked" in done.text
    story = await read_order(database.ops_url, "A-1")
    assert story is not None
    (change,) = story.changes
    assert (change.action, change.actor, change.reason) == (f"serial.{how}", "kim", "lost in the mail")
    document = story.to_document()
    assert document["serials"] == {
        "issued": 3, "registered": 0, "revoked": 1, "reissued": int(how == "reissue")
    }  # fmt: skip


async def test_what_is_already_dead_or_no_serial_is_refused(terminal: Terminal, issued: list[Issued]) -> None:
    await terminal.run("serials", "revoke", issued[0].serial_id, *WHY)

    again = await terminal.run("serials", "revoke", issued[0].serial_id, *WHY)
    unknown = await terminal.run("serials", "revoke", "0199f0c1-2222-7c11-9a51-2f6f3f000003", *WHY)
    typed = await terminal.run("serials", "revoke", issued[1].text, *WHY)
    unsaid = await terminal.run("serials", "revoke", issued[1].serial_id, "--yes")

    assert [each.code for each in (again, unknown, typed, unsaid)] == [
        Exit.FAILED, Exit.NOTHING_MATCHED, Exit.USAGE, Exit.USAGE
    ]  # fmt: skip
    assert "revoked on" in again.text
    assert issued[1].text not in typed.text


async def test_registrations_are_counted_in_the_story_and_not_told_one_by_one(
    terminal: Terminal, issued: list[Issued], database: Database
) -> None:
    table = terminal.table
    async with operator_on(table, "serials") as customer:
        body = {"serial": issued[0].text, "account": "user-5"}
        assert (await customer.post("/v1/registrations", json=body)).status_code == 200
    await table.drain()

    story = await read_order(database.ops_url, "A-1")

    assert story is not None
    assert story.serials["registered"] == 1
    assert "serial.registered.v1" not in [event.type for event in story.events]
    assert "user-5" not in orjson.dumps(story.to_document()).decode()
