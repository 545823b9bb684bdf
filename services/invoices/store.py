"""Loads and saves the world of the invoices service, set-based.

Locks are always taken in one order, so that batches, lanes and the month close never wait for each other in a
circle: months, partners, payments by order id, documents by id, business counters. Whatever is read without a
lock of its own is read after the lock that protects it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from services.invoices.state import (
    Document,
    Explanation,
    MergeRequest,
    Partner,
    Payment,
    Policy,
    Refund,
    Snapshot,
    World,
    is_unissued,
)
from shared.business_number import is_valid, normalise
from shared.kst import month_of
from shared.money import Money
from shared.postgres import Connection, copy_rows, packed, packed_columns
from shared.queries import load
from shared.runtime.decisions import Event

SQL = load(__file__)

PAYMENT_COLUMNS = (
    "order_id", "payment_id", "partner_id", "business_number", "month", "evidence", "paid_at",
    "supply", "vat", "refunded_supply", "refunded_vat", "standing_supply", "standing_vat",
    "serial_units", "issued_units", "returned_units", "other_lines", "open_refunds", "draft_id", "invoice_id",
)  # fmt: skip
SNAPSHOT_COLUMNS = ("order_id", "vat_mode", "lines")
DOCUMENT_COLUMNS = (
    "invoice_id", "kind", "state", "partner_id", "business_number", "month", "supply", "vat", "sequence",
    "late", "payments", "document_key", "written_date", "issued_at", "order_id", "original_id",
    "modification", "refund_id",
)  # fmt: skip

MERGES = ("merge.requested.v1", "merge.undone.v1")
REFUNDS = (
    "refund.accepted.v1",
    "refund.denied.v1",
    "refund.rejected.v1",
    "refund.released.v1",
    "refund.completed.v1",
)
RETURNS = ("refund.completed.v1", "order.cancelled.v1")


class Store:
    """The tables of the invoices service as a `World`, for one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def load(self, connection: Connection, events: Sequence[Event]) -> World:
        """Locks and reads everything that these events may touch. Call it inside a transaction."""
        world = World(self._policy)
        paid = _of_type(events, "order.paid.v1")
        months = [month_of(event.data.paid_at) for event in paid]
        await _share_months(connection, months)
        world.closed = await _closed_months(connection)
        late = [event for event, month in zip(paid, months, strict=True) if month in world.closed]
        changed = _of_type(events, "partner.changed.v1")
        merges = _of_type(events, *MERGES)
        await _lock_partners(connection, [*_partners_of_late(late), *(e.key for e in [*changed, *merges])])
        order_ids = {e.data.order_id for e in events if hasattr(e.data, "order_id")}
        theirs = await _orders_of_partners(connection, merges, changed)
        await _lock_payments(connection, world, order_ids | theirs)
        await _lock_documents(
            connection, world, theirs | {e.data.order_id for e in _of_type(events, *RETURNS)}
        )
        if changed:
            world.closed = await _closed_months(connection)
        await _read_refunds(connection, world, events)
        partner_ids = {event.key for event in changed} | {event.data.partner.partner_id for event in late}
        await _read_partners(connection, world, partner_ids)
        await _read_requests(connection, world, {event.key for event in merges})
        await _lock_counters(connection, world, _numbers_of_events(world, events, late))
        return world

    async def load_month(self, connection: Connection, month: str, partner_ids: Sequence[str]) -> World:
        """Locks and reads what closing `month` needs for these partners. Call it inside a transaction."""
        world = World(self._policy)
        await _lock_partners(connection, partner_ids)
        world.closed = await _closed_months(connection)
        order_ids = await _orders(connection, SQL.orders_of_businesses, [(p, month) for p in partner_ids])
        await _lock_payments(connection, world, order_ids)
        await _lock_documents(connection, world, order_ids)
        await _read_partners(connection, world, partner_ids)
        await _read_requests(connection, world, partner_ids)
        numbers = {d.business_number for d in world.documents.values() if is_unissued(d)}
        await _lock_counters(
            connection, world, numbers | {p.business_number for p in world.partners.values()}
        )
        return world

    async def save(self, connection: Connection, world: World) -> None:
        """Writes what changed, one statement for each table."""
        dirty = world.dirty
        payments = [_payment_row(world.payments[key]) for key in dirty.payments if key not in world.stored]
        await _insert(connection, "payments", PAYMENT_COLUMNS, payments)
        moved = [_moved_row(world.payments[key]) for key in dirty.payments if key in world.stored]
        if moved:
            await connection.execute(SQL.update_payments, *packed_columns(moved, arrays=1))
        lines = [_snapshot_row(snapshot) for snapshot in world.snapshots]
        await _insert(connection, "payment_lines", SNAPSHOT_COLUMNS, lines)
        documents = [
            _document_row(world.documents[key]) for key in dirty.documents if key not in world.stored
        ]
        await _insert(connection, "documents", DOCUMENT_COLUMNS, documents)
        changed = [world.documents[key] for key in dirty.documents if key in world.stored]
        await _write(connection, SQL.update_documents, _changed_row, changed)
        await _write(connection, SQL.save_refunds, _refund_row, [world.refunds[key] for key in dirty.refunds])
        await _write(
            connection, SQL.save_partners, _partner_row, [world.partners[key] for key in dirty.partners]
        )
        await _write(
            connection, SQL.save_requests, _request_row, [world.requests[key] for key in dirty.requests]
        )
        await _write(connection, SQL.save_explanations, _explanation_row, world.explanations.values())
        await _write(
            connection, SQL.save_counters, _counter_row, [(n, world.counters[n]) for n in dirty.counters]
        )


def _of_type(events: Iterable[Event], *types: str) -> list[Event]:
    return [event for event in events if event.type in types]


def _partners_of_late(late: Iterable[Event]) -> list[str]:
    return [e.data.partner.partner_id for e in late if not is_valid(e.data.partner.business_number)]


async def _share_months(connection: Connection, months: Iterable[str]) -> None:
    if ordered := sorted(set(months)):
        await connection.fetchval(SQL.share_months, ordered)


async def _closed_months(connection: Connection) -> dict[str, Any]:
    return {row["month"]: row["closed_at"] for row in await connection.fetch(SQL.closed_months)}


async def _lock_partners(connection: Connection, partner_ids: Iterable[str]) -> None:
    if ordered := sorted(set(partner_ids)):
        await connection.fetchval(SQL.lock_partners, ordered)


async def _orders_of_partners(
    connection: Connection, merges: Sequence[Event], changed: Sequence[Event]
) -> set[str]:
    scopes = {(event.data.partner_id, event.data.month) for event in merges}
    named = {(e.data.partner_id, payment_id) for e in merges for payment_id in e.data.payment_ids or ()}
    found = await _orders(connection, SQL.orders_of_businesses, sorted(scopes))
    found |= await _orders(connection, SQL.orders_of_named_payments, sorted(named))
    if changed:
        rows = await connection.fetch(SQL.orders_of_failed_documents, [event.key for event in changed])
        found |= {row["order_id"] for row in rows}
    return found


async def _orders(connection: Connection, sql: str, pairs: Sequence[tuple[str, str]]) -> set[str]:
    if not pairs:
        return set()
    rows = await connection.fetch(sql, [first for first, _ in pairs], [second for _, second in pairs])
    return {row["order_id"] for row in rows}


async def _lock_payments(connection: Connection, world: World, order_ids: Iterable[str]) -> None:
    if wanted := sorted(order_ids):
        for row in await connection.fetch(SQL.lock_payments, packed(wanted)):
            world.learn_payment(_payment(row))
            world.stored.add(row["order_id"])


async def _lock_documents(connection: Connection, world: World, order_ids: Iterable[str]) -> None:
    """Locks the documents that these payments are in, and their own drafts."""
    held = [world.payments[order_id] for order_id in order_ids if order_id in world.payments]
    if invoice_ids := {
        i for payment in held for i in (payment.invoice_id, payment.draft_id) if i is not None
    }:
        for row in await connection.fetch(SQL.lock_documents, sorted(invoice_ids)):
            world.learn_document(_document(row))
            world.stored.add(row["invoice_id"])


async def _read_refunds(connection: Connection, world: World, events: Sequence[Event]) -> None:
    if refund_ids := {event.data.refund_id for event in _of_type(events, *REFUNDS)}:
        for row in await connection.fetch(SQL.read_refunds, sorted(refund_ids)):
            amount = Money(row["supply"], row["vat"])
            known = Refund(row["refund_id"], row["order_id"], row["state"], amount, row["cancellation"])
            world.refunds[known.refund_id] = known


async def _read_partners(connection: Connection, world: World, partner_ids: Iterable[str]) -> None:
    if wanted := sorted(partner_ids):
        for row in await connection.fetch(SQL.read_partners, wanted):
            world.partners[row["partner_id"]] = Partner(*row)


async def _read_requests(connection: Connection, world: World, partner_ids: Iterable[str]) -> None:
    if wanted := sorted(partner_ids):
        for row in await connection.fetch(SQL.read_requests, wanted):
            request = _request(row)
            world.requests[request.partner_id, request.request_id] = request


async def _lock_counters(connection: Connection, world: World, numbers: Iterable[str]) -> None:
    if wanted := sorted(number for number in numbers if is_valid(number)):
        await connection.execute(SQL.open_counters, wanted)
        for row in await connection.fetch(SQL.lock_counters, wanted):
            world.counters[row["business_number"]] = row["last_number"]


def _numbers_of_events(world: World, events: Sequence[Event], late: Sequence[Event]) -> set[str]:
    """The business numbers under which a batch may issue: late payments, modified invoices, corrections."""
    numbers = {_digits(event.data.partner.business_number) for event in late}
    numbers |= {_digits(event.data.business_number) for event in _of_type(events, "partner.changed.v1")}
    numbers |= {partner.business_number for partner in world.partners.values()}
    for event in _of_type(events, *RETURNS):
        payment = world.payments.get(event.data.order_id)
        document = None if payment is None else world.document_of(payment)
        if document is not None:
            numbers.add(document.business_number)
    return numbers


def _digits(text: str) -> str:
    return normalise(text) or ""


def _payment(row: Mapping[str, Any]) -> Payment:
    return Payment(
        order_id=row["order_id"],
        payment_id=row["payment_id"],
        partner_id=row["partner_id"],
        business_number=row["business_number"],
        month=row["month"],
        evidence=row["evidence"],
        paid_at=row["paid_at"],
        paid=Money(row["supply"], row["vat"]),
        refunded=Money(row["refunded_supply"], row["refunded_vat"]),
        standing=Money(row["standing_supply"], row["standing_vat"]),
        serial_units=row["serial_units"],
        issued_units=row["issued_units"],
        returned_units=row["returned_units"],
        other_lines=tuple(row["other_lines"]),
        open_refunds=row["open_refunds"],
        draft_id=row["draft_id"],
        invoice_id=row["invoice_id"],
    )


def _document(row: Mapping[str, Any]) -> Document:
    fields = dict(row)
    amount = Money(fields.pop("supply"), fields.pop("vat"))
    return Document(amount=amount, **fields)


def _request(row: Mapping[str, Any]) -> MergeRequest:
    fields = dict(row)
    named = fields.pop("payment_ids")
    return MergeRequest(payment_ids=None if named is None else tuple(orjson.loads(named)), **fields)


async def _insert(
    connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]
) -> None:
    if rows:
        await copy_rows(connection, table, columns, rows)


async def _write(
    connection: Connection, sql: str, row_of: Callable[[Any], tuple[Any, ...]], values: Iterable[Any]
) -> None:
    rows = [row_of(value) for value in values]
    if rows:
        await connection.execute(sql, *[list(column) for column in zip(*rows, strict=True)])


def _payment_row(payment: Payment) -> tuple[Any, ...]:
    return (
        payment.order_id,
        payment.payment_id,
        payment.partner_id,
        payment.business_number,
        payment.month,
        payment.evidence,
        payment.paid_at,
        *payment.paid,
        *payment.refunded,
        *payment.standing,
        payment.serial_units,
        payment.issued_units,
        payment.returned_units,
        list(payment.other_lines),
        payment.open_refunds,
        payment.draft_id,
        payment.invoice_id,
    )


def _moved_row(payment: Payment) -> tuple[Any, ...]:
    return (
        payment.order_id,
        *payment.refunded,
        *payment.standing,
        payment.issued_units,
        payment.returned_units,
        payment.open_refunds,
        payment.invoice_id,
    )


def _changed_row(document: Document) -> tuple[Any, ...]:
    return (
        document.invoice_id,
        document.state,
        document.business_number,
        *document.amount,
        document.sequence,
        document.late,
        document.payments,
        document.document_key,
        document.written_date,
        document.issued_at,
    )


def _snapshot_row(snapshot: Snapshot) -> tuple[Any, ...]:
    return snapshot.order_id, snapshot.vat_mode, snapshot.lines


def _document_row(document: Document) -> tuple[Any, ...]:
    return (
        document.invoice_id,
        document.kind,
        document.state,
        document.partner_id,
        document.business_number,
        document.month,
        *document.amount,
        document.sequence,
        document.late,
        document.payments,
        document.document_key,
        document.written_date,
        document.issued_at,
        document.order_id,
        document.original_id,
        document.modification,
        document.refund_id,
    )


def _refund_row(refund: Refund) -> tuple[Any, ...]:
    return refund.refund_id, refund.order_id, refund.state, *refund.amount, refund.cancellation


def _partner_row(partner: Partner) -> tuple[Any, ...]:
    return (
        partner.partner_id,
        partner.business_number,
        partner.name,
        partner.invoice_email,
        partner.always_merge,
        partner.always_merge_since,
        partner.changed_at,
    )


def _request_row(request: MergeRequest) -> tuple[Any, ...]:
    named = None if request.payment_ids is None else orjson.dumps(request.payment_ids).decode()
    return (
        request.partner_id,
        request.request_id,
        request.undo,
        request.business_number,
        request.month,
        named,
        request.requested_at,
        request.standing,
        request.content,
    )


def _explanation_row(explanation: Explanation) -> tuple[Any, ...]:
    return (
        explanation.partner_id,
        explanation.request_id,
        explanation.payment_id,
        explanation.order_id,
        explanation.reason,
    )


def _counter_row(counter: tuple[str, int]) -> tuple[Any, ...]:
    return counter
