"""The story of one order as it is read from a real database."""

from io import StringIO

import pytest
from rich.console import Console

from ops.setup.provision import Database
from ops.shell.problem import Exit, Problem
from ops.watch.order import read_order, show_order
from tests.integration.watch.test_todo import answered
from tests.support.tabletop import Tabletop, buy, refund_and_issue


async def shown(database: Database, order_id: str) -> str:
    console = Console(file=StringIO(), width=200)
    await show_order(database.ops_url, order_id, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_an_order_that_nobody_knows_is_none_and_exit_code_4(
    table: Tabletop, database: Database
) -> None:
    assert await read_order(database.ops_url, "nobody") is None
    assert await read_order(database.ops_url, "no\0body") is None
    with pytest.raises(Problem) as unknown:
        await shown(database, "nobody")
    assert unknown.value.exit_code is Exit.NOTHING_MATCHED


async def test_the_document_of_an_order_has_everything_the_contract_names(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1")
    await refund_and_issue(table, "A-1")

    story = await read_order(database.ops_url, "A-1")

    assert story is not None
    document = story.to_document()
    assert list(document) == [
        "order_id",
        "partner_id",
        "state",
        "lines",
        "serials",
        "won",
        "refunds",
        "invoices",
        "events",
        "changes",
        "waits_for",
    ]
    assert (document["order_id"], document["partner_id"], document["state"]) == ("A-1", "P-17", "paid")
    counts = {"paid": 100, "issuing": 0, "issued": 60, "refunding": 0, "refunded": 40, "open": 0}
    assert document["lines"] == [{"line_id": "1", **counts}]
    assert document["won"] == {"paid": 176_000, "refunded": 70_400, "invoiced": 0}
    (refund,) = document["refunds"]
    assert (refund["refund_request_id"], refund["state"], refund["amount"]) == ("rr-77", "completed", 70_400)
    (invoice,) = document["invoices"]
    assert (invoice["month"], invoice["state"], invoice["total"]) == ("2026-10", "draft", 105_600)
    assert document["waits_for"] == ["the close of 2026-10, from 2026-11-01 on; pawl month 2026-10"]


async def test_events_are_told_in_the_order_in_which_one_led_to_the_other(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1")
    await refund_and_issue(table, "A-1")

    story = await read_order(database.ops_url, "A-1")

    assert story is not None
    told = [event.type for event in story.events if event.topic != "checkout.feedback"]
    assert told[:3] == ["payment.completed.v1", "order.paid.v1", "invoice.drafted.v1"]
    for earlier, later in (
        ("refund.requested.v1", "refund.accepted.v1"),
        ("refund.accepted.v1", "refund.granted.v1"),
        ("refund.granted.v1", "refund.payout_requested.v1"),
        ("refund.paid_out.v1", "refund.completed.v1"),
        ("issuance.requested.v1", "issuance.granted.v2"),
        ("issuance.granted.v2", "serials.issued.v2"),
    ):
        assert told.index(earlier) < told.index(later)
    assert len({event.id for event in story.events}) == len(story.events)
    assert {event.service for event in story.events} == {
        "checkout",
        "orders",
        "serials",
        "refunds",
        "invoices",
    }


async def test_documents_told_with_the_partners_key_belong_to_the_story(
    history: Tabletop, database: Database
) -> None:
    story = await read_order(database.ops_url, "A-6")

    assert story is not None
    assert {"invoice.issued.v1", "invoice.modified.v1"} <= {event.type for event in story.events}
    assert [(i.kind, i.state, i.total) for i in story.invoices] == [
        ("payment", "issued", 176_000),
        ("modified", "issued", -70_400),
    ]
    assert story.to_document()["won"] == {"paid": 176_000, "refunded": 70_400, "invoiced": 105_600}
    assert story.waits_for == []
    other = await read_order(database.ops_url, "A-3")
    assert other is not None
    assert not any(event.type.startswith("invoice") for event in other.events)


async def test_an_invoice_that_a_tax_agent_refused_says_so_and_why(
    table: Tabletop, database: Database
) -> None:
    await answered("refused", "business_closed")(table)

    story = await read_order(database.ops_url, "A-1")

    assert story is not None
    assert "invoice.issue_failed.v1" in {event.type for event in story.events}
    assert [(i.state, i.refused) for i in story.invoices] == [("issue_failed", "business_closed")]
    assert any("the tax agent refused: business closed" in sentence for sentence in story.waits_for)


async def test_an_order_known_only_by_what_waits_for_it(table: Tabletop, database: Database) -> None:
    table.say("issuance.requested.v1", "B-1")
    await table.drain()

    story = await read_order(database.ops_url, "B-1")

    assert story is not None
    assert story.state == "unknown"
    assert [event.type for event in story.events] == ["issuance.requested.v1", "event.accepted.v1"]
    assert story.waits_for[0].startswith("order B-1 to be paid: issuance.requested.v1")
    assert "waits for order B-1 to be paid" in await shown(database, "B-1")


async def test_a_rejection_shows_why_and_the_command_to_look_closer(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1")
    table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": -5}])
    await table.drain()

    text = await shown(database, "A-1")

    assert "✖ out_of_range /lines/0/quantity" in text
    assert "→ pawl dead show orders:" in text


async def test_the_story_is_told_line_by_line(history: Tabletop, database: Database) -> None:
    text = await shown(database, "A-1")

    assert text.startswith("order A-1  paid  ₩176,000  P-17")
    assert "100 paid  60 issued  40 refunded" in text
    assert "serials issued  x60 of line 1  ..." in text
    assert "refund completed  x40 of line 1  ₩70,400" in text


async def test_a_refund_of_everything_shows_the_most_that_was_asked_and_what_was_granted(
    table: Tabletop, database: Database
) -> None:
    """Refunds is asked before it hears that orders granted 60 units to issue."""
    await buy(table, "A-1")
    table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": 60}])
    table.say("refund.requested.v1", "A-1", lines=None)
    await table.drain(["refunds"])
    await table.drain()

    text = await shown(database, "A-1")

    assert "refund accepted  up to x100 of line 1" in text
    assert "refund granted  x40 of line 1  ₩70,400" in text


async def test_money_in_quarantine_is_waited_for(history: Tabletop, database: Database) -> None:
    story = await read_order(database.ops_url, "A-5")
    assert story is not None
    assert any("176,000 won in quarantine: second_payment" in sentence for sentence in story.waits_for)
