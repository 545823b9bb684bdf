"""Orders and their refunds in Postgres: rows are locked in key order, and only what changed is written."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.refunds.details import DATA_KEYS, DETAILS, DetailsStore
from services.refunds.state import (
    USED_KINDS,
    Bonus,
    Change,
    Failure,
    Line,
    Order,
    Payout,
    Policy,
    Reading,
    Refund,
    WithdrawnPartner,
    World,
)
from shared.columns import Fixed
from shared.money import Money
from shared.postgres import Connection, packed
from shared.queries import load as load_queries
from shared.rows import Table, pairs
from shared.runtime.decisions import Event
from shared.sealing import Sealer
from shared.tax_documents import IssuedInvoice
from shared.units import LineUnits


class RefundLine(Struct, frozen=True, gc=False):
    """Units of a refund as a row; 0 where a line was asked for and not granted."""

    refund_id: Fixed[UUID]
    line_id: Fixed[str]
    order_id: Fixed[str]
    position: int
    quantity: int


SQL = load_queries(__file__)
ORDERS = Table(Order, "orders", key=("order_id",))
LINES = Table(Line, "order_lines", key=("order_id", "line_id"))
READINGS = Table(Reading, "usage_readings", key=("order_id", "line_id", "recorded_at"))
BONUSES = Table(Bonus, "bonuses", key=("order_id", "line_id", "position"))
REFUNDS = Table(Refund, "refunds", key=("refund_id",))
REFUND_LINES = Table(RefundLine, "refund_lines", key=("refund_id", "line_id"))
FIRST_ASKED = 2
"""How many events a refund has once its payout was asked for: that it was accepted, and that."""
PAYOUTS = Table(Payout, "refund_payouts", key=("refund_id", "payout_id"))
FAILURES = Table(Failure, "payout_failures", key=("refund_id", "payout_id"))
HISTORY = Table(Change, "refund_history", key=("refund_id", "position"))
WITHDRAWN_PARTNERS = Table(WithdrawnPartner, "withdrawn_partners", key=("partner_id",))
TABLES = (
    ORDERS,
    LINES,
    READINGS,
    BONUSES,
    REFUNDS,
    REFUND_LINES,
    PAYOUTS,
    FAILURES,
    HISTORY,
    DATA_KEYS,
    DETAILS,
    WITHDRAWN_PARTNERS,
)

PURGED = "partner.purged.v1"
"""A partner is to be named no more, as orders says."""
NO_CHOICE = Policy()
"""The policies where an operator has set none."""

ChangedOrder = tuple[Order, Order | None]
ChangedRefund = tuple[Refund, Refund | None]
"""An order or a refund as it is now, and as it was read; None where it is new."""


class Store:
    """Reads and writes for one service. The sealer keeps bank accounts and free texts unreadable at rest.

    `details` has them. What it loads is decided by `policy`.
    """

    def __init__(self, sealer: Sealer, policy: Policy = NO_CHOICE) -> None:
        self.details = DetailsStore(sealer)
        self._policy = policy

    async def load(self, connection: Connection, events: Sequence[Event[Any]]) -> World:
        """Locks the orders that these events are about, in key order, and reads everything about them.

        All orders of a partner that is purged are locked with them, so that no two batches can deadlock.
        """
        keys = sorted({event.key for event in events})
        purged = [event.key for event in events if event.type == PURGED]
        if purged:
            await connection.execute(SQL.lock_orders_of_partners, purged, packed(keys))
        return await self.load_orders(connection, keys)

    async def look_at_order(self, connection: Connection, order_id: str) -> Order | None:
        """An order with its lines and refunds, without a lock; None where it is not known.

        For a look that changes nothing, in a transaction that sees one snapshot.
        """
        row = await connection.fetchrow(SQL.read_order, order_id)
        if row is None:
            return None
        orders = {order_id: ORDERS.read(row)}
        await _load_children(connection, orders)
        return orders[order_id]

    async def issued_invoice(self, connection: Connection, order: Order) -> IssuedInvoice | None:
        """The issued tax invoice that the payment of an order stands on, as far as invoices has told."""
        row = await connection.fetchrow(SQL.tax_invoice_of_payment, order.payment_id)
        if row is None:
            return None
        amount = Money(row["supply"], row["vat"])
        return IssuedInvoice(row["document_key"], amount, row["written_date"], row["is_duplicate"])

    async def load_orders(self, connection: Connection, keys: Sequence[str]) -> World:
        """Locks these orders and reads them with their lines and refunds."""
        rows = await connection.fetch(SQL.lock_orders, packed(keys)) if keys else []
        orders = {row["order_id"]: ORDERS.read(row) for row in rows}
        if orders:
            await _load_children(connection, orders)
        return World(orders=orders, stored=dict(orders), policy=self._policy)

    async def save(self, connection: Connection, world: World) -> None:
        """Writes what changed, referenced tables first."""
        before = world.stored
        changed = [
            (order, before.get(key))
            for key, order in sorted(world.orders.items())
            if order is not before.get(key)
        ]
        await ORDERS.save(connection, changed)
        replaced = [order.order_id for order, known in changed if known and _has_other_lines(order, known)]
        if replaced:
            await connection.execute(SQL.drop_lines, packed(replaced))
        await LINES.save(connection, _lines(changed))
        await READINGS.put(connection, _readings(changed))
        await BONUSES.save(connection, ((bonus, None) for bonus in _bonuses(changed)))
        refunds = list(_refunds(changed))
        if refunds:
            await self._save_refunds(connection, refunds)
            await self.details.save(
                connection, [(world.orders[r.order_id].partner_id, r) for r, _ in refunds if r.details]
            )
        await WITHDRAWN_PARTNERS.put(connection, world.withdrawn)
        await _note_invoices(connection, world)
        for partner_id, purged_at in world.purged:
            await self._erase_partner(connection, partner_id, purged_at)

    async def open_details(self, connection: Connection, reference: UUID) -> Mapping[str, Any]:
        """The account and the text under a reference. Raises LookupError, Forgotten, BrokenSealError."""
        return await self.details.open(connection, reference)

    async def _erase_partner(self, connection: Connection, partner_id: str, at: datetime) -> None:
        """Erases who a partner was, and forgets its accounts and texts.

        Where a refund needs an account after all, as when its payout came back meanwhile, the accounts stay
        sealed until somebody has the partner forgotten.
        """
        await connection.execute(SQL.erase_partner, partner_id)
        needed = await connection.fetch(SQL.accounts_needed, partner_id, 1)
        waiting = await connection.fetch(SQL.requests_that_wait, partner_id, 1)
        if not needed and not waiting:
            await self.details.forget(connection, partner_id, at)

    async def _save_refunds(self, connection: Connection, refunds: Sequence[ChangedRefund]) -> None:
        await REFUNDS.save(connection, refunds)
        await REFUND_LINES.put(connection, (row for pair in refunds for row in _refund_lines(*pair)))
        await PAYOUTS.put(connection, (row for pair in refunds for row in _payouts(*pair)))
        await FAILURES.put(connection, (row for pair in refunds for row in _failures(*pair)))
        await HISTORY.save(connection, ((change, None) for refund, _ in refunds for change in refund.changes))


async def _note_invoices(connection: Connection, world: World) -> None:
    """A payment is invoiced before its invoice is corrected, so the former is written first."""
    if world.invoiced:
        rows = sorted({each.payment_id: each for each in reversed(world.invoiced)}.values())
        await connection.execute(SQL.note_invoiced, *map(list, zip(*rows, strict=True)))
    for replaced in world.replaced:
        await connection.execute(SQL.note_replaced, *replaced)


async def _load_children(connection: Connection, orders: dict[str, Order]) -> None:
    """Fills in what orders that were just read have in other tables."""
    known, has_usage = packed(orders), False
    parts: Any = await connection.fetchrow(SQL.parts_of_orders, known)
    for line in map(LINES.read, parts["lines"]):
        orders[line.order_id].lines[line.line_id] = line
        has_usage = has_usage or line.kind in USED_KINDS
    if has_usage:
        await _load_usage(connection, orders, known)
    has_payouts = has_failures = False
    units: dict[UUID, list[LineUnits]] = {}
    for each in map(REFUND_LINES.read, parts["units"]):
        units.setdefault(each.refund_id, []).append(LineUnits(each.line_id, each.quantity))
    for row in parts["refunds"]:
        refund = replace(REFUNDS.read(row), lines=tuple(units.get(row["refund_id"], ())))
        orders[refund.order_id].refunds[refund.refund_id] = refund
        has_payouts = has_payouts or refund.completed_at is not None or refund.state == "released"
        has_failures = has_failures or refund.sequence > FIRST_ASKED
    if has_payouts:
        await _load_payouts(connection, orders, known)
    if has_failures:
        await _load_failures(connection, orders, known)


async def _load_usage(connection: Connection, orders: Mapping[str, Order], known: str) -> None:
    for row in await connection.fetch(SQL.readings_of_orders, known):
        reading = READINGS.read(row)
        lines = orders[reading.order_id].lines
        line = lines[reading.line_id]
        lines[reading.line_id] = replace(line, readings=(*line.readings, reading))
    for row in await connection.fetch(SQL.bonuses_of_orders, known):
        bonus = BONUSES.read(row)
        lines = orders[bonus.order_id].lines
        line = lines[bonus.line_id]
        lines[bonus.line_id] = replace(line, bonuses=(*line.bonuses, bonus))


async def _load_payouts(connection: Connection, orders: Mapping[str, Order], known: str) -> None:
    for row in await connection.fetch(SQL.payouts_of_orders, known):
        refunds, payout = orders[row["order_id"]].refunds, PAYOUTS.read(row)
        refund = refunds[payout.refund_id]
        refunds[payout.refund_id] = replace(refund, payouts=(*refund.payouts, payout))


async def _load_failures(connection: Connection, orders: Mapping[str, Order], known: str) -> None:
    for row in await connection.fetch(SQL.failures_of_orders, known):
        refunds, failure = orders[row["order_id"]].refunds, FAILURES.read(row)
        refund = refunds[failure.refund_id]
        refunds[failure.refund_id] = replace(refund, failures=(*refund.failures, failure))


def _has_other_lines(order: Order, before: Order) -> bool:
    """Whether the order was registered with other goods than it was paid with."""
    return before.state == "registered" and LINES.has_others(order.lines, before.lines)


def _lines(changed: Sequence[ChangedOrder]) -> Iterator[tuple[Line, Line | None]]:
    for order, before in changed:
        known = {} if before is None or _has_other_lines(order, before) else before.lines
        yield from pairs(order.lines, known)


def _readings(changed: Sequence[ChangedOrder]) -> Iterator[Reading]:
    for line, known in _lines(changed):
        if line.readings and (known is None or line.readings is not known.readings):
            before = set(known.readings) if known else set()
            yield from (reading for reading in line.readings if reading not in before)


def _bonuses(changed: Sequence[ChangedOrder]) -> Iterator[Bonus]:
    for line, known in _lines(changed):
        yield from line.bonuses[len(known.bonuses) if known else 0 :]


def _refunds(changed: Sequence[ChangedOrder]) -> Iterator[ChangedRefund]:
    for order, before in changed:
        for refund, known in pairs(order.refunds, before.refunds if before else {}):
            if refund is not known:
                yield refund, known


def _refund_lines(refund: Refund, before: Refund | None) -> Iterator[RefundLine]:
    """All lines anew where they changed. One that is no part of the refund any more stays, with 0 units."""
    asked = before.lines if before else ()
    if refund.lines == asked:
        return
    kept = {each.line_id for each in refund.lines}
    dropped = (each._replace(quantity=0) for each in asked if each.line_id not in kept)
    for position, (line_id, quantity) in enumerate((*refund.lines, *dropped)):
        yield RefundLine(refund.refund_id, line_id, refund.order_id, position, quantity)


def _payouts(refund: Refund, before: Refund | None) -> Iterator[Payout]:
    known = set(before.payouts) if before else set()
    return (payout for payout in refund.payouts if payout not in known)


def _failures(refund: Refund, before: Refund | None) -> Iterator[Failure]:
    known = set(before.failures) if before else set()
    return (failure for failure in refund.failures if failure not in known)
