"""Orders and partners in Postgres: rows are locked in key order, and only what changed is written."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from services.orders.decisions.partners import WITHDRAW
from services.orders.decisions.payments import payment_content
from services.orders.decisions.ranking import is_sold, sales_of
from services.orders.state import (
    Blocker,
    Case,
    Claim,
    IssueRequest,
    Line,
    Order,
    Partner,
    Payment,
    Sale,
    WithdrawalRequest,
    World,
)
from shared.events.catalogue import TYPES, UPSTREAM
from shared.events.checkout import PaymentCompleted, Snapshot
from shared.postgres import Connection, packed
from shared.queries import load as load_queries
from shared.rows import Table
from shared.runtime.decisions import Event
from shared.runtime.retry import Conflict

SQL = load_queries(__file__)
ORDERS = Table(Order, "orders", key=("order_id",))
LINES = Table(Line, "order_lines", key=("order_id", "line_id"))
CLAIMS = Table(Claim, "claims", key=("claim_id", "line_id"))
ISSUE_REQUESTS = Table(IssueRequest, "issue_requests", key=("order_id", "request_id"))
CASES = Table(Case, "quarantine", key=("order_id", "number"))
PAYMENTS = Table(Payment, "payments", key=("payment_id",))
SALES = Table(Sale, "sales", key=("order_id", "product_id"))
PARTNERS = Table(Partner, "partners", key=("partner_id",))
WITHDRAWAL_REQUESTS = Table(WithdrawalRequest, "withdrawal_requests", key=("partner_id", "request_id"))
TABLES = (ORDERS, LINES, CLAIMS, ISSUE_REQUESTS, CASES, PAYMENTS, SALES, PARTNERS, WITHDRAWAL_REQUESTS)

WITHDRAWALS = frozenset({"partner.withdrawal_requested.v1", WITHDRAW})
INVOICED = "invoice.issued.v1"
ABOUT_PARTNERS = WITHDRAWALS.union(
    kind.name for kind in TYPES.values() if kind.topic == UPSTREAM and kind.key_field == "partner_id"
)
"""The requests that are about a partner, and not about one of its orders."""

ChangedOrder = tuple[Order, Order | None]
"""An order as it is now, and as it was read; None where it is new."""


class Store:
    """Reads and writes for one service. `card_is_slip`: a card payment gets no tax invoice (policy)."""

    def __init__(self, card_is_slip: bool = True) -> None:
        self._cards_are_invoiced = not card_is_slip

    async def blockers_of(
        self, connection: Connection, partner_ids: Sequence[str]
    ) -> dict[str, list[Blocker]]:
        """What keeps each of these partners from leaving, as it is committed; nobody waits for the look."""
        blockers: dict[str, list[Blocker]] = {}
        rows = await connection.fetch(SQL.blockers_of_partners, partner_ids, self._cards_are_invoiced)
        for partner_id, *blocker in rows:
            blockers.setdefault(partner_id, []).append(Blocker(*blocker))
        return blockers

    async def load(self, connection: Connection, events: Sequence[Event[Any]]) -> World:
        """Locks and reads everything that these events are about.

        Every batch locks in this order: the table where a partner leaves, orders, payments, partners; each
        kind in the order of its keys. So no two batches wait for each other.
        """
        leaving = sorted({event.key for event in events if event.type in WITHDRAWALS})
        if leaving:
            await connection.execute(SQL.stop_orders)
        keys = sorted({event.key for event in events if event.type not in (*ABOUT_PARTNERS, INVOICED)})
        world = await self.load_orders(connection, keys)
        await _claim_payments(connection, world, events)
        partner_ids = sorted({event.key for event in events if event.type in ABOUT_PARTNERS})
        if partner_ids:
            await _load_partners(connection, world, partner_ids)
        if leaving:
            world.blockers = await self.blockers_of(connection, leaving)
        return world

    async def load_orders(self, connection: Connection, keys: Sequence[str]) -> World:
        """Locks these orders and reads them with their lines, claims, requests and cases."""
        rows = await connection.fetch(SQL.lock_orders, packed(keys)) if keys else []
        orders = {row["order_id"]: ORDERS.read(row) for row in rows}
        if orders:
            await _load_children(connection, orders)
        return World(orders=orders, stored_orders=dict(orders))

    async def save(self, connection: Connection, world: World) -> None:
        """Writes what changed: orders, lines, claims, requests, cases, sales, payments, partners."""
        before = world.stored_orders
        changed = [
            (order, before.get(key)) for key, order in world.orders.items() if order is not before.get(key)
        ]
        await ORDERS.save(connection, changed)
        await _save_lines(connection, changed)
        await CLAIMS.save(connection, _claims(changed))
        await ISSUE_REQUESTS.save(connection, _issue_requests(changed))
        await CASES.save(connection, _cases(changed))
        await _save_sales(connection, changed)
        await _save_payments(connection, world)
        await _save_partners(connection, world)
        if world.invoiced:
            payment_ids, order_ids = zip(*sorted(set(world.invoiced), key=_by_payment), strict=True)
            await connection.execute(SQL.note_invoiced, payment_ids, order_ids)

    async def count_again(
        self, connection: Connection, order_ids: Sequence[str], orders: Iterable[Order]
    ) -> None:
        """Writes the sales of these orders anew; of an id without an order nothing stays."""
        await connection.execute(SQL.drop_sales, packed(order_ids))
        await SALES.put(connection, (sale for order in orders for sale in sales_of(order)))


async def _load_children(connection: Connection, orders: dict[str, Order]) -> None:
    """Fills in what orders that were just read have in other tables."""
    parts: Any = await connection.fetchrow(SQL.parts_of_orders, packed(orders))
    for line in map(LINES.read, parts["lines"]):
        orders[line.order_id].lines[line.line_id] = line
    for claim in map(CLAIMS.read, parts["claims"]):
        claims = orders[claim.order_id].claims
        claims[claim.claim_id] = (*claims.get(claim.claim_id, ()), claim)
    for request in map(ISSUE_REQUESTS.read, parts["requests"]):
        orders[request.order_id].requests[request.request_id] = request
    for case in map(CASES.read, parts["cases"]):
        orders[case.order_id].cases[case.number] = case


async def _claim_payments(connection: Connection, world: World, events: Sequence[Event[Any]]) -> None:
    """Claims the payments that these events name, each for the first order; reads those known before.

    It also learns which of the buyers have left. A batch that names what another batch has just claimed waits
    for that batch, and then sees whose it is.
    """
    named: dict[str, Payment] = {}
    for event in events:
        data = event.data
        if isinstance(data, PaymentCompleted):
            content = world.contents.setdefault((event.source, event.id), payment_content(data))
            payment = Payment(data.payment_id, data.order_id, data.amount, content)
            named.setdefault(data.payment_id, payment)
    buyers = {event.data.partner.partner_id for event in events if isinstance(event.data, Snapshot)}
    if not named and not buyers:
        return
    ids = sorted(named)
    claims = [named[payment_id] for payment_id in ids]
    rows = await connection.fetch(
        SQL.claim_payments,
        packed(ids),
        packed(claim.order_id for claim in claims),
        packed(str(claim.amount) for claim in claims),
        b"".join(claim.content or b"" for claim in claims),
        packed(buyers),
    )
    world.withdrawn = {row["partner_id"] for row in rows if row["payment_id"] is None}
    new = [row["payment_id"] for row in rows if row["payment_id"] is not None]
    world.claimed = {payment_id: named[payment_id] for payment_id in new}
    known = [payment_id for payment_id in ids if payment_id not in world.claimed]
    if known:
        rows = await connection.fetch(SQL.known_payments, packed(known))
        world.payments = {row["payment_id"]: PAYMENTS.read(row) for row in rows}
        if len(world.payments) < len(known):
            raise Conflict("a payment was given up between two statements; it is new again")
        world.stored_payments = dict(world.payments)


async def _load_partners(connection: Connection, world: World, partner_ids: Sequence[str]) -> None:
    for row in await connection.fetch(SQL.lock_partners, partner_ids):
        world.partners[row["partner_id"]] = PARTNERS.read(row)
    for row in await connection.fetch(SQL.requests_of_partners, partner_ids):
        request = WITHDRAWAL_REQUESTS.read(row)
        world.partners[request.partner_id].requests[request.request_id] = request
    world.stored_partners = dict(world.partners)


async def _save_payments(connection: Connection, world: World) -> None:
    """A claim that no order took is given up: its event was refused, or was known before."""
    unused = [payment_id for payment_id in world.claimed if payment_id not in world.payments]
    if unused:
        await connection.execute(SQL.give_up_payments, packed(unused))
    before = {**world.claimed, **world.stored_payments}
    await PAYMENTS.save(
        connection, ((payment, before[payment_id]) for payment_id, payment in world.payments.items())
    )


async def _save_lines(connection: Connection, changed: Sequence[ChangedOrder]) -> None:
    """Lines of an order without money are written anew where another snapshot has come."""
    replaced = [order.order_id for order, before in changed if before and _has_other_lines(order, before)]
    if replaced:
        await connection.execute(SQL.drop_lines, packed(replaced))
    await LINES.save(connection, _lines(changed))


async def _save_sales(connection: Connection, changed: Sequence[ChangedOrder]) -> None:
    """An order counts from its payment on, until its money is back."""
    over = [order.order_id for order, before in changed if before and is_sold(before) and not is_sold(order)]
    if over:
        await connection.execute(SQL.drop_sales, packed(over))
    new = [order for order, before in changed if not (before and is_sold(before))]
    await SALES.put(connection, (sale for order in new for sale in sales_of(order)))


def _has_other_lines(order: Order, before: Order) -> bool:
    """Whether the order was without money and has goods now that it had not."""
    return before.needs_money and LINES.has_others(order.lines, before.lines)


def _by_payment(invoiced: tuple[str, str | None]) -> tuple[str, str]:
    return invoiced[0], invoiced[1] or ""


def _lines(changed: Sequence[ChangedOrder]) -> Iterator[tuple[Line, Line | None]]:
    for order, before in changed:
        known = {} if before is None or _has_other_lines(order, before) else before.lines
        for line_id, line in order.lines.items():
            yield line, known.get(line_id)


def _claims(changed: Sequence[ChangedOrder]) -> Iterator[tuple[Claim, Claim | None]]:
    for order, before in changed:
        known = {} if before is None else before.claims
        for claim_id, claims in order.claims.items():
            yield from zip_longest(claims, known.get(claim_id, ()))


def _issue_requests(changed: Sequence[ChangedOrder]) -> Iterator[tuple[IssueRequest, IssueRequest | None]]:
    for order, before in changed:
        known = {} if before is None else before.requests
        for request_id, request in order.requests.items():
            yield request, known.get(request_id)


def _cases(changed: Sequence[ChangedOrder]) -> Iterator[tuple[Case, Case | None]]:
    for order, before in changed:
        known = {} if before is None else before.cases
        for number, case in order.cases.items():
            yield case, known.get(number)


async def _save_partners(connection: Connection, world: World) -> None:
    before = world.stored_partners
    changed = [partner for key, partner in sorted(world.partners.items()) if partner is not before.get(key)]
    await PARTNERS.put(connection, changed)
    await WITHDRAWAL_REQUESTS.put(
        connection, [request for partner in changed for request in partner.requests.values()]
    )
