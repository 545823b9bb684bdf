"""Orders in Postgres: one statement a table, rows locked in key order, only what changed is written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import orjson
from asyncpg import Record

from services.orders.partners import Blocker, Partner
from services.orders.state import Asked, Case, Claim, ClaimState, Line, Order, OrderState, Purpose
from shared.events.checkout import Snapshot
from shared.postgres import Connection, copy_rows, packed, packed_columns
from shared.queries import load as load_queries
from shared.runtime.decisions import Event

SQL = load_queries(__file__)
SEPARATOR = "\x1f"
ORDER_COLUMNS = (
    "order_id", "partner_id", "state", "payment_method", "evidence", "issue_policy", "vat_mode", "partner",
    "expected", "registered_by", "registered_at", "deposit_deadline", "payment_id", "paid_at", "closed_at",
    "amount", "supply", "vat", "remaining_supply", "remaining_vat", "sequence", "cancelled_payments",
)  # fmt: skip
_OWN_COLUMNS = attrgetter(*ORDER_COLUMNS)
LINE_COLUMNS = (
    "order_id", "line_id", "position", "kind", "product_id", "product_name", "unit_price", "usage_days",
    "quantity", "paid", "issuing", "issued", "refunding", "refunded", "issue_claimed_at", "refund_claimed_at",
)  # fmt: skip
CLAIM_COLUMNS = (
    "claim_id", "line_id", "order_id", "position", "purpose", "quantity", "state", "request_id", "supply",
    "vat", "claimed_at", "settled_at",
)  # fmt: skip
REQUEST_COLUMNS = ("order_id", "request_id", "content")
WITHDRAWAL = "partner.withdrawal_requested.v1"
INVOICED = "invoice.issued.v1"


@dataclass(slots=True)
class World:
    """What one batch works on. `stored` keeps the orders as they were read, to see what changed."""

    orders: dict[str, Order] = field(default_factory=dict)
    stored: dict[str, Order] = field(default_factory=dict)
    partners: dict[str, Partner] = field(default_factory=dict)
    changed_partners: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    blockers: dict[str, list[Blocker]] = field(default_factory=dict)
    invoiced: list[str] = field(default_factory=list)

    def put(self, order: Order) -> None:
        """Keeps the new state of an order."""
        self.orders[order.order_id] = order

    def put_partner(self, partner: Partner) -> None:
        """Keeps the new state of a partner."""
        self.partners[partner.partner_id] = partner
        self.changed_partners.add(partner.partner_id)


class Store:
    """Reads and writes for one service."""

    async def load(self, connection: Connection, events: Sequence[Event[Any]]) -> World:
        """Locks and reads everything that these events are about."""
        return await load(connection, events)

    async def save(self, connection: Connection, world: World) -> None:
        """Writes what changed: orders, lines, claims, requests, cases, partners."""
        await save(connection, world)


async def load(connection: Connection, events: Sequence[Event[Any]]) -> World:
    """Locks and reads everything that these events are about."""
    world = World()
    leaving = sorted({event.key for event in events if event.type == WITHDRAWAL})
    if leaving:
        await connection.execute(SQL.stop_orders)
    keys = sorted({e.key for e in events if e.type not in (WITHDRAWAL, INVOICED)})
    await load_orders(connection, world, keys)
    if leaving:
        await _load_partners(connection, world, leaving)
    buyers = {event.data.partner.partner_id for event in events if isinstance(event.data, Snapshot)}
    if buyers:
        rows = await connection.fetch(SQL.withdrawn_partners, list(buyers))
        world.withdrawn = {row["partner_id"] for row in rows}
    return world


async def load_orders(connection: Connection, world: World, keys: Sequence[str]) -> None:
    """Locks these orders and reads their lines, claims, requests and cases."""
    if not keys:
        return
    orders = {row["order_id"]: _order(row) for row in await connection.fetch(SQL.lock_orders, packed(keys))}
    if orders:
        known = packed(orders)
        for row in await connection.fetch(SQL.lines_of_orders, known):
            orders[row["order_id"]].lines[row["line_id"]] = Line(*tuple(row)[1:])
        for claim_row in await connection.fetch(SQL.claims_of_orders, known):
            _add_claim(orders[claim_row["order_id"]], claim_row)
        for row in await connection.fetch(SQL.requests_and_cases_of_orders, known):
            order_id, number, request_id, content, *case = tuple(row)
            if number is None:
                orders[order_id].requests[request_id] = content
            else:
                orders[order_id].cases.append(Case(*case))
    world.orders = orders
    world.stored = dict(orders)


async def save(connection: Connection, world: World) -> None:
    """Writes what changed: orders, lines, claims, requests, cases, partners."""
    changed = [order for key, order in world.orders.items() if order is not world.stored.get(key)]
    new = [order for order in changed if order.order_id not in world.stored]
    old = [order for order in changed if order.order_id in world.stored]
    await _insert(connection, "orders", ORDER_COLUMNS, [_order_row(order) for order in new])
    moved = [order for order in old if _OWN_COLUMNS(order) != _OWN_COLUMNS(world.stored[order.order_id])]
    await _execute(connection, SQL.update_orders, [_update_row(order) for order in moved])
    replaced = [order for order in old if world.stored[order.order_id].state is OrderState.UNPAID]
    if replaced:
        await connection.execute(SQL.drop_lines, packed(order.order_id for order in replaced))
    lines = [_line_row(order, line) for order in [*new, *replaced] for line in order.lines.values()]
    await _insert(connection, "order_lines", LINE_COLUMNS, lines)
    await _update_lines(connection, list(_changed_lines(world, old)))
    await _insert(connection, "claims", CLAIM_COLUMNS, list(_new_claims(world, changed)))
    await _execute(connection, SQL.settle_claims, _settled_claims(world, old))
    await _insert(connection, "issue_requests", REQUEST_COLUMNS, list(_new_requests(world, changed)))
    await _execute(connection, SQL.put_cases, _cases(world, changed))
    await _save_partners(connection, world)
    if world.invoiced:
        await connection.execute(SQL.note_invoiced, world.invoiced)


async def _load_partners(connection: Connection, world: World, partner_ids: Sequence[str]) -> None:
    for row in await connection.fetch(SQL.lock_partners, partner_ids):
        world.partners[row["partner_id"]] = Partner(row["partner_id"], row["withdrawn_at"], row["sequence"])
    for row in await connection.fetch(SQL.requests_of_partners, partner_ids):
        world.partners[row["partner_id"]].requests[row["request_id"]] = row["content"]
    for row in await connection.fetch(SQL.blockers_of_partners, partner_ids):
        blocker = {name: value for name, value in row.items() if name != "partner_id" and value is not None}
        world.blockers.setdefault(row["partner_id"], []).append(blocker)


async def _save_partners(connection: Connection, world: World) -> None:
    changed = [world.partners[partner_id] for partner_id in sorted(world.changed_partners)]
    await _execute(
        connection, SQL.put_partners, ((p.partner_id, p.withdrawn_at, p.sequence) for p in changed)
    )
    requests = (
        (p.partner_id, request_id, content) for p in changed for request_id, content in p.requests.items()
    )
    await _execute(connection, SQL.insert_withdrawal_requests, requests)


async def _insert(
    connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]
) -> None:
    if rows:
        await copy_rows(connection, table, columns, rows)


async def _update_lines(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        await connection.execute(SQL.update_lines, *packed_columns(rows, arrays=2))


async def _execute(connection: Connection, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        await connection.execute(query, *columns)


def _order(row: Record) -> Order:
    values = dict(row)
    values["state"] = OrderState(values["state"])
    values["partner"] = orjson.loads(values["partner"])
    values["cancelled_payments"] = frozenset(values["cancelled_payments"])
    return Order(**values)


def _add_claim(order: Order, row: Record) -> None:
    asked = Asked(row["line_id"], row["quantity"])
    known = order.claims.get(row["claim_id"])
    lines = (asked,) if known is None else (*known.lines, asked)
    order.claims[row["claim_id"]] = Claim(
        row["claim_id"],
        Purpose(row["purpose"]),
        lines,
        ClaimState(row["state"]),
        row["request_id"],
        row["supply"],
        row["vat"],
        row["claimed_at"],
        row["settled_at"],
    )


def _order_row(order: Order) -> tuple[Any, ...]:
    return (
        order.order_id,
        order.partner_id,
        order.state,
        order.payment_method,
        order.evidence,
        order.issue_policy,
        order.vat_mode,
        orjson.dumps(order.partner).decode(),
        order.expected,
        order.registered_by,
        order.registered_at,
        order.deposit_deadline,
        order.payment_id,
        order.paid_at,
        order.closed_at,
        order.amount,
        order.supply,
        order.vat,
        order.remaining_supply,
        order.remaining_vat,
        order.sequence,
        sorted(order.cancelled_payments),
    )


def _update_row(order: Order) -> tuple[Any, ...]:
    *values, cancelled_payments = _order_row(order)
    return (*values, SEPARATOR.join(cancelled_payments))


def _line_row(order: Order, line: Line) -> tuple[Any, ...]:
    return (
        order.order_id,
        line.line_id,
        line.position,
        line.kind,
        line.product_id,
        line.product_name,
        line.unit_price,
        line.usage_days,
        line.quantity,
        line.paid,
        line.issuing,
        line.issued,
        line.refunding,
        line.refunded,
        line.issue_claimed_at,
        line.refund_claimed_at,
    )


def _changed_lines(world: World, orders: Iterable[Order]) -> Iterator[tuple[Any, ...]]:
    for order in orders:
        before = world.stored[order.order_id]
        if before.state is OrderState.UNPAID:
            continue
        for line in order.lines.values():
            if line is not before.lines.get(line.line_id):
                row = _line_row(order, line)
                yield (*row[:2], *row[9:])


def _new_claims(world: World, orders: Iterable[Order]) -> Iterator[tuple[Any, ...]]:
    for order in orders:
        before = world.stored[order.order_id].claims if order.order_id in world.stored else {}
        for claim in order.claims.values():
            if claim.claim_id not in before:
                for position, asked in enumerate(claim.lines):
                    yield (
                        claim.claim_id,
                        asked.line_id,
                        order.order_id,
                        position,
                        claim.purpose,
                        asked.quantity,
                        claim.state,
                        claim.request_id,
                        claim.supply,
                        claim.vat,
                        claim.claimed_at,
                        claim.settled_at,
                    )


def _settled_claims(world: World, orders: Iterable[Order]) -> Iterator[tuple[Any, ...]]:
    for order in orders:
        before = world.stored[order.order_id].claims
        for claim in order.claims.values():
            known = before.get(claim.claim_id)
            if known is not None and known is not claim:
                yield claim.claim_id, claim.state, claim.settled_at


def _new_requests(world: World, orders: Iterable[Order]) -> Iterator[tuple[Any, ...]]:
    for order in orders:
        before = world.stored[order.order_id].requests if order.order_id in world.stored else {}
        for request_id, content in order.requests.items():
            if request_id not in before:
                yield order.order_id, request_id, content


def _cases(world: World, orders: Iterable[Order]) -> Iterator[tuple[Any, ...]]:
    for order in orders:
        before = world.stored[order.order_id].cases if order.order_id in world.stored else []
        for number, case in enumerate(order.cases):
            if number >= len(before) or before[number] is not case:
                yield (
                    order.order_id,
                    number,
                    case.payment_id,
                    case.reason,
                    case.amount,
                    case.opened_at,
                    case.taken_back,
                )
