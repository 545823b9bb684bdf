"""Whatever waits is listed with a command, which shows what would follow, then does it; then it is gone.

The commands run as a person runs them: against services behind sockets, with a token, on a real database.
"""

import shlex
from typing import NamedTuple

import pytest

from ops.shell.problem import Exit
from tests.integration.watch.test_todo import (
    OPERATOR,
    Happening,
    bounced,
    early,
    failed,
    held,
    in_review,
    paid_twice,
    say,
    unissuable,
)
from tests.support.tabletop import buy, refund_id_of
from tests.support.terminal import Terminal

WHY = ["--yes", "--reason", "looked at"]


class Wait(NamedTuple):
    """Something that waits, its code in the list, and what more the command needs to end it."""

    cause: Happening
    code: str
    more: tuple[str, ...] = ()
    shows: str = ""


WAITS = [
    Wait(held, "refund_held", (), "held (holder_mismatch) → in review (holder_mismatch)"),
    Wait(in_review, "refund_in_review", (), "then refund accepted x40 of line 1"),
    Wait(failed, "refund_failed", (), "then refund payout requested ₩70,400"),
    Wait(bounced, "refund_bounced", (), "bounced (account_closed) → repaying"),
    Wait(early, "event_waiting", (), "issuance denied"),
    Wait(
        unissuable,
        "document_not_issued",
        ("--business-number", "116-82-00276"),
        "issues 2026-10-1168200276-000001 ₩176,000",
    ),
]


@pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.code)
async def test_the_listed_command_shows_what_would_follow_and_ends_it_with_yes(
    wait: Wait, terminal: Terminal
) -> None:
    await wait.cause(terminal.table)
    command = await terminal.command_of(wait.code)
    assert command is not None
    words = [*shlex.split(command)[1:], *wait.more]

    shown = await terminal.run(*words)
    still = await terminal.command_of(wait.code)
    without_reason = await terminal.run(*words, "--yes")
    done = await terminal.run(*words, *WHY)
    await terminal.table.drain()

    assert shown.code == Exit.OK, shown.text
    assert wait.shows in " ".join(shown.text.split())
    assert "nothing was done. Do it with --yes --reason WHY" in shown.text
    assert still == command
    assert without_reason.code == Exit.USAGE
    assert (done.code, "nothing was done" in done.text) == (Exit.OK, False), done.text
    assert await terminal.command_of(wait.code) is None


async def test_money_in_quarantine_is_listed_looked_at_and_decided(terminal: Terminal) -> None:
    await paid_twice(terminal.table)
    command = await terminal.command_of("quarantine")
    assert command == "pawl quarantine show pay-again"

    listed = await terminal.run("quarantine", "ls", "--reason", "second_payment", "--older-than", "1m")
    looked_at = await terminal.run(*shlex.split(command)[1:])
    of_order = await terminal.run_json("quarantine", "show", "A-1")
    shown = await terminal.run("quarantine", "decide", "pay-again", "returned")
    done = await terminal.run("quarantine", "decide", "pay-again", "returned", *WHY)
    nothing = await terminal.run("quarantine", "ls")
    again = await terminal.run("quarantine", "decide", "pay-again", "kept", *WHY)
    ended = await terminal.run("quarantine", "show", "pay-again")

    assert "second payment" in listed.text
    assert "give ₩176,000 back to the bank account" in listed.text
    assert "pawl quarantine decide pay-again returned" in looked_at.text
    assert of_order["cases"][0]["decisions"] == ["returned", "kept"]
    assert "then      quarantine settled  ₩176,000  second_payment" in shown.text
    assert "nothing was done" in shown.text
    assert done.code == Exit.OK
    assert nothing.code == Exit.NOTHING_MATCHED
    assert (again.code, "possible now: nothing" in again.text) == (Exit.FAILED, True)
    assert "ended     returned" in ended.text


@pytest.mark.parametrize(
    "words", [["--reason", "late_deposit"], ["--partner", "P-99"], ["--older-than", "9000w"]], ids=" ".join
)
async def test_a_filter_that_nothing_fits_ends_with_its_code(terminal: Terminal, words: list[str]) -> None:
    await paid_twice(terminal.table)

    assert (await terminal.run("quarantine", "ls", *words)).code == Exit.NOTHING_MATCHED
    assert (await terminal.run("quarantine", "ls", *words, "--json")).code == Exit.NOTHING_MATCHED


async def test_a_refund_is_named_by_its_request_and_names_what_its_state_takes(terminal: Terminal) -> None:
    await failed(terminal.table)
    refund_id = await refund_id_of(terminal.table, "A-1")

    shown = await terminal.run("refund", "rr-77")
    wrong = await terminal.run("refund", "approve", "rr-77", *WHY)
    released = await terminal.run_json("refund", "release", "rr-77", *WHY)
    nobody = await terminal.run("refund", "retry", "rr-99")

    assert f"decide    pawl refund retry {refund_id}" in shown.text
    assert f"pawl refund release {refund_id}" in shown.text
    assert (wrong.code, "possible now: retry, release" in wrong.text) == (Exit.FAILED, True)
    assert f"pawl refund show {refund_id}" in wrong.text
    assert (released["applied"], released["after"]["state"]) == (True, "released")
    assert nobody.code == Exit.NOTHING_MATCHED


async def test_a_request_that_two_orders_have_has_to_be_told_apart(terminal: Terminal) -> None:
    for order_id in ("A-1", "A-2"):
        await buy(terminal.table, order_id)
        terminal.table.say("refund.requested.v1", order_id)
    await terminal.table.drain()
    refund_id = await refund_id_of(terminal.table, "A-2")

    unclear = await terminal.run("refund", "retry", "rr-77")
    clear = await terminal.run("refund", "retry", refund_id)

    assert (unclear.code, f"{refund_id} of order A-2" in unclear.text) == (Exit.USAGE, True)
    assert clear.code == Exit.OK


async def test_a_refund_that_is_held_is_withdrawn_by_its_request(terminal: Terminal) -> None:
    await held(terminal.table)

    shown = await terminal.run("order", "cancel-request", "A-1", "rr-77")
    done = await terminal.run_json("order", "cancel-request", "A-1", "rr-77", *WHY)

    assert "held (holder_mismatch) → rejected (requester_withdrew)" in shown.text
    assert done["after"]["why"] == "requester_withdrew"
    assert await terminal.command_of("refund_held") is None


async def test_a_refund_request_that_waits_is_cancelled_and_money_is_not(terminal: Terminal) -> None:
    table = terminal.table
    await say(table, "refund.requested.v1", "B-1")
    await say(table, "payment.cancelled.v1", "B-1", payment_id="pay-B-1")

    done = await terminal.run_json("order", "cancel-request", "B-1", "rr-77", *WHY)
    money = await terminal.run("order", "cancel-request", "B-1", "pay-B-1", *WHY)
    nothing = await terminal.run("order", "cancel-request", "B-1", "rr-77", *WHY)

    assert [event["data"]["reason"] for event in done["events"]] == ["cancelled_by_operator"]
    assert (money.code, "tells what happened" in money.text) == (Exit.FAILED, True)
    assert (nothing.code, "pawl order B-1" in nothing.text) == (Exit.NOTHING_MATCHED, True)


async def test_a_word_about_a_refund_that_nobody_knows_is_cancelled_by_its_event(terminal: Terminal) -> None:
    await buy(terminal.table, "A-1")
    await say(terminal.table, "refund.reviewed.v1", "A-1", refund_id="nobody", **OPERATOR)
    command = await terminal.command_of("event_waiting")
    assert command is not None

    done = await terminal.run(*shlex.split(command)[1:], *WHY)

    assert done.code == Exit.OK, done.text
    assert await terminal.command_of("event_waiting") is None


async def test_what_a_person_did_stands_in_the_story_of_the_order_and_in_the_audit_log(
    terminal: Terminal,
) -> None:
    await in_review(terminal.table)
    refund_id = await refund_id_of(terminal.table, "A-1")
    await terminal.run("refund", "approve", refund_id, "--yes", "--reason", "the account is the buyer's")
    await terminal.table.drain()

    story = await terminal.run("order", "A-1")
    audited = await terminal.run("audit", "--target", refund_id)
    document = await terminal.run_json("order", "A-1")

    lines = [line.split("  ", 3)[-1] for line in story.text.splitlines()]
    (approved,) = [n for n, line in enumerate(lines) if "refund approve by kim: the account" in line]
    (accepted,) = [n for n, line in enumerate(lines) if "refund accepted" in line]
    (attached,) = [n for n, line in enumerate(lines) if "refund proof attached" in line]
    (proof,) = [n for n, line in enumerate(lines) if "refund proof by" in line]
    assert attached < proof < approved < accepted
    assert "refund.approve" in audited.text
    assert [change["action"] for change in document["changes"]] == ["refund.proof", "refund.approve"]


async def test_a_partner_is_corrected_with_what_its_orders_say_of_it(terminal: Terminal) -> None:
    await unissuable(terminal.table)

    nobody = await terminal.run("partner", "correct", "P-99", "--name", "x", *WHY)
    done = await terminal.run_json("partner", "correct", "P-17", "--business-number", "1168200276", *WHY)
    shown = await terminal.run("partner", "P-17")

    assert nobody.code == Exit.NOTHING_MATCHED
    assert done["after"]["name"] == "가나다 주식회사"
    assert "1168200276" in shown.text
