"""A person's day: what waits is listed, looked at and ended at the terminal, and a month is closed."""

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.local.running import RunningSystem
from ops.shell.problem import Exit
from shared.kst import next_month
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE
from tests.support.stories import Buyer, Story, first_day, fresh_month

WHY = ("--reason", "looked at", "--yes")


@dataclass(slots=True, frozen=True)
class Terminal:
    """Somebody at a terminal of the machine on which the system runs."""

    directory: Path
    actor: str

    async def run(self, *words: str, ends: tuple[Exit, ...] = (Exit.OK,)) -> Any:
        """What a command answers with `--json`; it ends with one of these codes."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops.pawl", *words, "--dir", str(self.directory), "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            said, told = await process.communicate()
        assert process.returncode in ends, f"{words}: {process.returncode}\n{told.decode()}{said.decode()}"
        return json.loads(said) if said else None

    async def decides(self, *words: str) -> Any:
        """Shows what a decision would change, then takes it."""
        looked = await self.run(*words, "--actor", self.actor, "--reason", "looked at")
        assert not looked["applied"]
        done = await self.run(*words, "--actor", self.actor, *WHY)
        assert done["applied"]
        return done

    async def waits(self, *names: str) -> set[str]:
        """The causes for which one of these needs somebody.

        A group names its twenty oldest. Where it has more, as after other stories, all cases are looked at.
        """
        listed = await self.run("todo", ends=(Exit.OK, Exit.SOMETHING_WAITS))
        found = {
            group["code"]
            for group in listed["groups"]
            if any(name in member for name in names for member in group["members"])
        }
        long = {group["code"] for group in listed["groups"] if group["count"] > len(group["members"])}
        if "quarantine" in long - found:
            said = await self.run("quarantine", "ls")
            found |= {"quarantine" for case in said["cases"] if case["payment_id"] in names}
        return found


@pytest.fixture
def terminal(system: RunningSystem) -> Terminal:
    return Terminal(system.folder.path, "op-kim")


async def test_everything_that_waits_is_ended_and_the_month_is_closed(
    checkout: Checkout, terminal: Terminal
) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    begins = first_day(month)

    # Given: money that fits no order, a refund that waits for a proof and one for its end, a wrong document.
    paid_twice = await Story(checkout, buyer, begins).is_issued(quantity=10)
    await paid_twice.pays(payment_id=f"again-{paid_twice.order_id}")
    await paid_twice.until("payment.quarantined.v1")
    held = await Story(checkout, buyer, begins + timedelta(days=1)).is_paid(quantity=10)
    await held.asks_refund(4, holder="홍길동")
    refund_id = (await held.until("refund.held.v1")).data["refund_id"]
    mistyped = await Story(checkout, buyer, begins + timedelta(days=2)).is_paid(quantity=10)
    refused = await mistyped.asks_to_issue(-10)
    await checkout.drain()
    (letter,) = await letters_of(terminal, mistyped.order_id)
    case = f"again-{paid_twice.order_id}"
    assert await terminal.waits(refund_id, case, letter) == {"quarantine", "refund_held", "dead_letter"}

    # When: each is shown what would follow, and then decided.
    await terminal.decides("quarantine", "decide", case, "returned")
    await terminal.decides("refund", "proof", refund_id)
    await terminal.decides("refund", "approve", refund_id)
    await terminal.decides("dead", "edit", letter, "--set", "/lines/0/quantity=10")

    # Then: what follows from it follows, and none of it waits any more.
    settled = await paid_twice.until("quarantine.settled.v1")
    assert settled.data["decision"] == "returned"
    await mistyped.until("serials.issued.v2")
    assert (await mistyped.answer_to(refused)).type == "event.rejected.v1"
    await held.until("refund.payout_requested.v1")
    await checkout.drain()
    assert await terminal.waits(refund_id, case, letter) == set()

    # A refund in progress stands against the close of its month, until its money went out.
    after = ("--at", f"{next_month(month)}-05T18:00:00+09:00")
    shown = await terminal.run("month", month, *after, ends=(Exit.SOMETHING_WAITS,))
    assert [each["code"] for each in shown["blockers"]] == ["open_refund"]
    await terminal.run("close", month, *after, *WHY, ends=(Exit.FAILED,))
    await held.is_paid_out(refund_id)
    await held.until("refund.completed.v1")
    await checkout.drain()
    ready = await terminal.run("month", month, *after)
    assert ready["blockers"] == []
    closed = await terminal.run("close", month, *after, "--actor", "finance-lee", *WHY)
    assert (closed["documents"], closed["total"]) == (ready["to_be"]["documents"], ready["to_be"]["total"])

    # Who did what, and why, is known of each.
    done = await terminal.run("audit", "--actor", "op-kim")
    actions = {entry["action"] for entry in done["entries"] if entry["reason"] == "looked at"}
    assert {"quarantine.decide", "refund.proof", "refund.approve", "dead.edit"} <= actions
    by_finance = await terminal.run("audit", "--target", month)
    assert [(entry["actor"], entry["result"]) for entry in by_finance["entries"]][:1] == [
        ("finance-lee", "begun")
    ]


async def letters_of(terminal: Terminal, order_id: str) -> list[str]:
    """The dead letters of an order, by name."""
    listed = await terminal.run("dead", "ls", "--key", order_id, "--members")
    return [member["name"] for group in listed["groups"] for member in group["members"]]
