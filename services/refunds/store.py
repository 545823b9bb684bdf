"""Orders and their refunds in Postgres: read under a lock for a batch, written back set-based."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from services.refunds.domain import Details
from services.refunds.policies import Units
from services.refunds.refund_order import Destination, Line, Payment, Refund, RefundOrder, Share
from shared.money import Money
from shared.postgres import Connection, copy_rows, packed, packed_columns
from shared.queries import load
from shared.runtime.decisions import Event
from shared.sealing import Sealer

SQL = load(__file__)

Rows = list[tuple[Any, ...]]
ORDER_COLUMNS = (
    "order_id", "state", "payment_method", "vat_mode", "partner_id", "partner_name", "payment_id",
    "paid_supply", "paid_vat", "remaining_supply", "remaining_vat", "paid_at", "ended_at",
)  # fmt: skip
LINE_COLUMNS = (
    "order_id", "line_id", "position", "kind", "unit_price", "paid", "granted", "refunding", "refunded",
    "taken_back", "locked", "locks", "last_granted_at",
)  # fmt: skip


@dataclass(slots=True)
class World:
    """What a batch decides over. Aggregates are immutable, so a changed one is another object."""

    orders: dict[str, RefundOrder] = field(default_factory=dict)
    loaded: Mapping[str, RefundOrder] = field(default_factory=dict)
    details: list[Details] = field(default_factory=list)

    def put(self, order: RefundOrder) -> None:
        """Take the order as it is now."""
        self.orders[order.order_id] = order

    def known(self, order_id: str) -> RefundOrder:
        """The order that a fact presupposes. Raises LookupError: facts of orders never come too early."""
        order = self.orders.get(order_id)
        if order is None:
            raise LookupError(f"a fact about order {order_id} came before the order")
        return order


class Store:
    """Reads and writes for one service. The sealer keeps bank accounts and free texts unreadable at rest."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def load(self, connection: Connection, events: Sequence[Event]) -> World:
        """Lock the orders that these events are about, in key order, and read everything about them."""
        return await read_world(connection, sorted({event.key for event in events}))

    async def save(self, connection: Connection, world: World) -> None:
        """Write what changed, one statement for each table that has changes."""
        changes = _Changes(world)
        if changes.new_orders:
            await copy_rows(connection, "orders", ORDER_COLUMNS, changes.new_orders)
        if changes.new_lines:
            await copy_rows(connection, "order_lines", LINE_COLUMNS, changes.new_lines)
        if changes.lines:
            await connection.execute(SQL.update_lines, *packed_columns(changes.lines, arrays=1))
        for sql, rows in changes.statements():
            await _execute(connection, sql, rows)
        await _execute(connection, SQL.add_details, [self._sealed(details) for details in world.details])

    async def open_details(self, connection: Connection, reference: UUID) -> Mapping[str, Any]:
        """The bank account and free text under a reference. Raises LookupError, BrokenSealError."""
        row = await connection.fetchrow(SQL.read_details, reference)
        if row is None:
            raise LookupError(f"no details under reference {reference}")
        details: Mapping[str, Any] = orjson.loads(self._sealer.open(row["sealed"], reference.bytes))
        return details

    def _sealed(self, details: Details) -> tuple[Any, ...]:
        account = details.account._asdict() if details.account else None
        plain = orjson.dumps({"account": account, "message": details.message})
        sealed = self._sealer.seal(plain, details.reference.bytes)
        return details.reference, details.refund_id, details.order_id, sealed


async def read_world(connection: Connection, order_ids: Sequence[str]) -> World:
    """The orders with these ids, locked until the transaction ends."""
    payments = await connection.fetch(SQL.lock_orders, packed(order_ids)) if order_ids else []
    if not payments:
        return World()
    known = packed(row["order_id"] for row in payments)
    lines: dict[str, dict[str, Line]] = defaultdict(dict)
    for row in await connection.fetch(SQL.read_lines, known):
        lines[row["order_id"]][row["line_id"]] = _line(row)
    refunds: dict[str, dict[UUID, Refund]] = defaultdict(dict)
    for row in await connection.fetch(SQL.read_refunds, known):
        refunds[row["order_id"]][row["refund_id"]] = _refund(row)
    orders = {
        row["order_id"]: RefundOrder(
            row["order_id"], _payment(row), lines[row["order_id"]], refunds[row["order_id"]]
        )
        for row in payments
    }
    return World(dict(orders), orders)


class _Changes:
    """The rows of a world that differ from what was loaded, found by identity."""

    def __init__(self, world: World) -> None:
        self.new_orders: Rows = []
        self.new_lines: Rows = []
        self.orders: Rows = []
        self.lines: Rows = []
        self.refunds: Rows = []
        self.refund_lines: Rows = []
        self.payouts: Rows = []
        self.history: Rows = []
        for order_id, order in sorted(world.orders.items()):
            before = world.loaded.get(order_id)
            if order is not before:
                self._compare(order, before)

    def statements(self) -> Iterator[tuple[str, Rows]]:
        """Statements with their rows, referenced tables first."""
        yield SQL.update_orders, self.orders
        yield SQL.save_refunds, self.refunds
        yield SQL.save_refund_lines, self.refund_lines
        yield SQL.add_payouts, self.payouts
        yield SQL.add_history, self.history

    def _compare(self, order: RefundOrder, before: RefundOrder | None) -> None:
        if before is None:
            self.new_orders.append(_payment_row(order))
            before = replace(order, lines={}, refunds={})
        elif order.payment is not before.payment:
            self.orders.append(_payment_row(order))
        for line_id, line in order.lines.items():
            known = before.lines.get(line_id)
            if line is not known:
                rows = self.lines if known else self.new_lines
                rows.append(_line_row(order.order_id, line))
        for refund_id, refund in order.refunds.items():
            if refund is not before.refunds.get(refund_id):
                self._keep(order.order_id, refund, before.refunds.get(refund_id))

    def _keep(self, order_id: str, refund: Refund, before: Refund | None) -> None:
        self.refunds.append(_refund_row(order_id, refund))
        asked = before.lines if before else ()
        if refund.lines != asked:
            kept = {share.line_id for share in refund.lines}
            dropped = [share._replace(quantity=0) for share in asked if share.line_id not in kept]
            self.refund_lines.extend(
                (refund.refund_id, share.line_id, order_id, position, share.quantity)
                for position, share in enumerate([*refund.lines, *dropped])
            )
        old = len(before.payouts) if before else 0
        self.payouts.extend(
            (refund.refund_id, payout_id, old + index) for index, payout_id in enumerate(refund.payouts[old:])
        )
        self.history.extend((refund.refund_id, *change) for change in refund.changes)


async def _execute(connection: Connection, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        await connection.execute(sql, *columns)


def _payment(row: asyncpg.Record) -> Payment:
    return Payment(
        row["state"],
        row["payment_method"],
        row["vat_mode"],
        row["partner_id"],
        row["partner_name"],
        row["payment_id"],
        Money(row["paid_supply"], row["paid_vat"]),
        Money(row["remaining_supply"], row["remaining_vat"]),
        row["paid_at"],
        row["ended_at"],
    )


def _payment_row(order: RefundOrder) -> tuple[Any, ...]:
    p = order.payment
    return (
        *(order.order_id, p.state, p.method, p.vat_mode, p.partner_id, p.partner_name, p.payment_id),
        *(*p.paid, *p.remaining, p.paid_at, p.ended_at),
    )


def _line(row: asyncpg.Record) -> Line:
    units = Units(
        row["paid"],
        row["granted"],
        row["refunding"],
        row["refunded"],
        row["taken_back"],
        row["last_granted_at"],
    )
    return Line(
        row["line_id"], row["position"], row["kind"], row["unit_price"], units, row["locked"], row["locks"]
    )


def _line_row(order_id: str, line: Line) -> tuple[Any, ...]:
    u = line.units
    return (
        *(order_id, line.line_id, line.position, line.kind, line.unit_price),
        *(u.paid, u.granted, u.refunding, u.refunded, u.taken_back),
        *(line.locked, line.locks, u.last_granted_at),
    )


def _refund(row: asyncpg.Record) -> Refund:
    destination = Destination(
        row["destination_kind"], row["destination_reference"], row["destination_masked"]
    )
    return Refund(
        row["refund_id"],
        row["refund_request_id"],
        row["content"],
        row["state"],
        row["requested_by"],
        row["role"],
        row["reason"],
        row["everything"],
        tuple(map(Share, row["line_ids"], row["quantities"])),
        row["requested_at"],
        destination,
        row["why"],
        row["why_at"],
        Money(row["supply"], row["vat"]) if row["supply"] is not None else None,
        row["fee"],
        row["expected_on"],
        tuple(row["payouts"]),
        row["completed_at"],
        row["sequence"],
        row["steps"],
    )


def _refund_row(order_id: str, r: Refund) -> tuple[Any, ...]:
    supply, vat = r.money or (None, None)
    return (
        *(r.refund_id, order_id, r.request_id, r.content, r.state, r.requested_by, r.role, r.reason),
        *(r.everything, r.requested_at, r.destination.kind, r.destination.reference, r.destination.masked),
        *(r.why, r.why_at, supply, vat, r.fee, r.expected_on, r.completed_at, r.sequence, r.steps),
    )
