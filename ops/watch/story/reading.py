"""Reads the story of one order, service by service; each of them could live in a database of its own."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from ops.shell.databases import Connections
from ops.watch.story.model import (
    CHECKOUT,
    OPERATOR,
    Case,
    Change,
    Dead,
    Event,
    Grant,
    Invoice,
    Line,
    Parked,
    Refund,
    Story,
)
from shared.events.catalogue import EDITED, FEEDBACK
from shared.queries import load

SQL = load("ops.watch.story")


async def read_story(connections: Connections, order_id: str) -> Story | None:
    """The story of an order; None when no service has anything about it."""
    story = Story(order_id)
    await asyncio.gather(
        _read_orders(connections["orders"], story),
        _read_serials(connections["serials"], story),
        _read_refunds(connections["refunds"], story),
        _read_invoices(connections["invoices"], story),
    )
    for service, connection in connections.items():
        await _read_runtime(connection, service, story)
    await _read_partner_events(connections["invoices"], story)
    story.events.sort(key=lambda event: (event.recorded_at, event.place))
    story.changes.sort(key=lambda change: change.recorded_at)
    known = story.state != "unknown" or story.events or story.parked or story.dead or story.know_payment
    return story if known else None


async def _read_orders(connection: Any, story: Story) -> None:
    row = await connection.fetchrow(SQL.order_of, story.order_id)
    if row is None:
        return
    story.partner_id, story.state, story.issue_policy = row["partner_id"], row["state"], row["issue_policy"]
    story.payment_id, story.amount = row["payment_id"], row["amount"]
    story.deposit_deadline, story.events_since = row["deposit_deadline"], row["events_since"]
    story.lines = [Line(**line) for line in await connection.fetch(SQL.lines_of, story.order_id)]
    story.cases = [Case(**case) for case in await connection.fetch(SQL.cases_of, story.order_id)]


async def _read_serials(connection: Any, story: Story) -> None:
    for row in await connection.fetch(SQL.grants_of, story.order_id):
        story.grants.append(Grant(**{**row, "grant_id": str(row["grant_id"])}))
    for row in await connection.fetch(SQL.taken_of, story.order_id):
        story.changes.append(Change("serials", **row))


async def _read_refunds(connection: Any, story: Story) -> None:
    row = await connection.fetchrow(SQL.refund_order_of, story.order_id)
    if row is not None and row["payment_id"] is not None:
        story.know_payment.add("refunds")
    for refund in await connection.fetch(SQL.refunds_of, story.order_id):
        story.refunds.append(Refund(**{**refund, "refund_id": str(refund["refund_id"])}))


async def _read_invoices(connection: Any, story: Story) -> None:
    row = await connection.fetchrow(SQL.payment_of, story.order_id)
    if row is None:
        return
    story.know_payment.add("invoices")
    story.evidence, story.standing = row["evidence"], row["standing"]
    story.invoice_id = row["invoice_id"] and str(row["invoice_id"])
    for document in await connection.fetch(SQL.documents_of, story.order_id):
        story.invoices.append(Invoice(**{**document, "invoice_id": str(document["invoice_id"])}))


async def _read_runtime(connection: Any, service: str, story: Story) -> None:
    rows = await connection.fetch(SQL.events_of, story.order_id)
    if rows:
        published = await connection.fetchval(SQL.published_up_to)
        story.events += events_of(service, rows, published)
    for row in await connection.fetch(SQL.audited_of, story.order_id):
        story.changes.append(Change(service, **row))
    for row in await connection.fetch(SQL.parked_of, story.order_id):
        story.parked.append(
            Parked(
                service,
                row["id"],
                row["kind"],
                row["reason"],
                row["type"],
                row["event_id"],
                row["parked_at"],
                row["overdue"],
            )
        )
    for row in await connection.fetch(SQL.dead_of, story.order_id):
        story.dead.append(
            Dead(
                service,
                row["id"],
                row["code"],
                row["pointer"],
                row["detail"],
                row["topic"],
                row["type"] or "unreadable",
                row["event_id"] or "",
                row["state"],
                row["dead_at"],
                row["closed_at"],
                row["closed_by"],
                row["close_reason"],
                row["edited_as"] and str(row["edited_as"]),
            )
        )


async def _read_partner_events(connection: Any, story: Story) -> None:
    """Events of documents have the partner's key; the id of the payment, or of its document, finds them."""
    if story.partner_id is None or story.payment_id is None:
        return
    quoted = orjson.dumps(story.payment_id).decode()
    documents = [invoice.invoice_id for invoice in story.invoices]
    rows = await connection.fetch(SQL.partner_events_of, story.partner_id, quoted, documents)
    if rows:
        known = {event.id for event in story.events}
        published = await connection.fetchval(SQL.published_up_to)
        new = events_of("invoices", rows, published)
        story.events += [event for event in new if event.id not in known]


def events_of(service: str, rows: Iterable[Mapping[str, Any]], published: int) -> list[Event]:
    """Rows of an outbox as events. Each answer to checkout also stands for the event that it answers."""
    events: list[Event] = []
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row["causation"], row["id"])
        data = orjson.loads(row["data"])
        if row["topic"] == FEEDBACK:
            events.append(_answered(row, data, first[row["causation"]]))
        events.append(
            Event(
                row["time"],
                service,
                row["topic"],
                row["type"],
                str(row["event_id"]),
                row["recorded_at"],
                (row["id"], 1),
                data,
                _refusal(data),
                row["id"] <= published,
                row["causation"] or "",
            )
        )
    return events


def _answered(row: Mapping[str, Any], data: Mapping[str, Any], before: int) -> Event:
    position, event = data["position"], data.get("event", {})
    place = f"{position['topic']}/{position['partition']}/{position['offset']}"
    return Event(
        row["time"],
        OPERATOR if event.get("source") in EDITED else CHECKOUT,
        position["topic"],
        event.get("type", "unreadable"),
        event.get("id", place),
        row["recorded_at"],
        (before, 0),
    )


def _refusal(data: Mapping[str, Any]) -> str:
    if data.get("outcome") != "rejected":
        return ""
    return f"{data['code']} {data['pointer']}: {data['detail']}"
