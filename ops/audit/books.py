"""What each service holds about one order, and reading all orders of the four services side by side.

Rows come in the order of their ids from server-side cursors, a few thousand at a time, so memory does not
grow with the number of orders. Units are counted by line, won are integers.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from ops.shell.databases import Connections
from shared.queries import load

SQL = load("ops.audit")
AT_ONCE = 2000

PAID_OUT = frozenset({"completed", "bounced", "repaying"})
"""States of a refund whose money went out; also when it came back and is owed again."""
CLAIMED = frozenset({"granted", "paying_out", "unknown", "failed", *PAID_OUT})
"""States in which a refund holds units of its order."""


class Units(NamedTuple):
    """The counters of an order line in orders."""

    paid: int
    issuing: int
    issued: int
    refunding: int
    refunded: int


class RefundUnits(NamedTuple):
    """The counters of an order line in refunds. `taken_back`: by a cancelled payment."""

    paid: int
    granted: int
    refunding: int
    refunded: int
    taken_back: int


@dataclass(slots=True)
class Grant:
    """A grant to issue, as orders claims it or as serials issues it (`issued` units so far)."""

    line_id: str
    quantity: int
    state: str
    issued: int = 0


@dataclass(slots=True)
class RefundClaim:
    """A refund as orders claims it or as refunds knows it."""

    state: str
    supply: int
    vat: int
    fee: int = 0
    units: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.supply + self.vat


@dataclass(slots=True)
class OrdersBook:
    """An order in orders. `remaining` won are neither refunded nor claimed for a refund; `unfit` won
    were paid and are in quarantine; `quarantined` also counts what is missing (negative). `went_back` are won
    that upstream took back, less those of them that are not missing any more. `paid_twice` went out twice.
    """

    state: str
    payment_id: str | None
    supply: int
    vat: int
    remaining: int
    lines: dict[str, Units]
    grants: dict[str, Grant]
    refunds: dict[str, RefundClaim]
    quarantined: int
    unfit: int
    went_back: int = 0
    paid_twice: int = 0

    @property
    def amount(self) -> int:
        return self.supply + self.vat

    @property
    def taken_back(self) -> int:
        """Won of open units that a cancelled payment took back."""
        claimed = sum(claim.total for claim in self.refunds.values() if claim.state != "void")
        return self.amount - self.remaining - claimed


@dataclass(slots=True)
class SerialsBook:
    """The grants of an order in serials."""

    grants: dict[str, Grant]


@dataclass(slots=True)
class RefundsBook:
    """An order in refunds. `paid_twice` won left that nobody was owed."""

    payment_id: str | None
    supply: int
    vat: int
    lines: dict[str, RefundUnits]
    refunds: dict[str, RefundClaim]
    paid_twice: int = 0


@dataclass(slots=True)
class InvoicesBook:
    """A payment in invoices. `modified` won (negative) stand on modified invoices, `refunds` are completed
    ones by id, `cancelled` won came back with a cancelled payment.
    """

    payment_id: str
    supply: int
    vat: int
    evidence: str
    issued_units: int
    standing: int
    document: str | None
    modified: int
    refunds: dict[str, tuple[int, int]]
    cancelled: int


@dataclass(slots=True)
class Books:
    """One order in all four services; None where a service does not know it."""

    order_id: str
    orders: OrdersBook | None = None
    serials: SerialsBook | None = None
    refunds: RefundsBook | None = None
    invoices: InvoicesBook | None = None


def orders_book(row: Mapping[str, Any]) -> OrdersBook:
    return OrdersBook(
        row["state"],
        row["payment_id"],
        row["supply"],
        row["vat"],
        row["remaining"],
        {line_id: Units(*counts) for line_id, *counts in _list(row["lines"])},
        {grant: Grant(line, quantity, state) for grant, line, quantity, state in _list(row["grants"])},
        _claims(_list(row["refunds"])),
        row["quarantined"],
        row["unfit"],
        row["went_back"],
        row["paid_twice"],
    )


def _claims(rows: Sequence[Sequence[Any]]) -> dict[str, RefundClaim]:
    claims: dict[str, RefundClaim] = {}
    for claim_id, line_id, quantity, state, supply, vat in rows:
        claims.setdefault(claim_id, RefundClaim(state, supply, vat)).units[line_id] = quantity
    return claims


def serials_book(row: Mapping[str, Any]) -> SerialsBook:
    grants = {
        grant_id: Grant(line_id, quantity, state, issued)
        for grant_id, line_id, quantity, issued, state in _list(row["grants"])
    }
    return SerialsBook(grants)


def refunds_book(row: Mapping[str, Any]) -> RefundsBook:
    return RefundsBook(
        row["payment_id"],
        row["supply"],
        row["vat"],
        {line_id: RefundUnits(*counts) for line_id, *counts in _list(row["lines"])},
        {
            refund_id: RefundClaim(state, supply or 0, vat or 0, fee, units or {})
            for refund_id, state, supply, vat, fee, units in _list(row["refunds"])
        },
        row["paid_twice"],
    )


def invoices_book(row: Mapping[str, Any]) -> InvoicesBook:
    completed = _list(row["refunds"])
    return InvoicesBook(
        row["payment_id"],
        row["supply"],
        row["vat"],
        row["evidence"],
        row["issued_units"],
        row["standing"],
        row["document"],
        row["modified"],
        {refund_id: (supply, vat) for refund_id, supply, vat, cancellation in completed if not cancellation},
        sum(supply + vat for _, supply, vat, cancellation in completed if cancellation),
    )


def _list(text: str | None) -> list[Any]:
    return orjson.loads(text) if text else []


BOOKS = {
    "orders": (SQL.orders_books, orders_book),
    "serials": (SQL.serials_books, serials_book),
    "refunds": (SQL.refunds_books, refunds_book),
    "invoices": (SQL.invoices_books, invoices_book),
}


class BookCursor:
    """The rows of one service in the order of their ids, fetched as they are needed."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._rows: list[Any] = []
        self.row: Any = None

    async def advance(self) -> None:
        """Moves to the next row; `row` is None after the last one."""
        if not self._rows:
            self._rows = (await self._cursor.fetch(AT_ONCE))[::-1]
        self.row = self._rows.pop() if self._rows else None


async def read_books(connections: Connections, only: Sequence[str] | None = None) -> AsyncIterator[Books]:
    """The books of every order (or of `only` these) that some service knows, by order id.

    Each connection must be in a transaction.
    """
    cursors: dict[str, BookCursor] = {}
    for service, (query, _) in BOOKS.items():
        prepared = await connections[service].prepare(query)
        cursors[service] = BookCursor(await prepared.cursor(only))
        await cursors[service].advance()
    while True:
        heads = [cursor.row["order_id"] for cursor in cursors.values() if cursor.row is not None]
        if not heads:
            return
        books = Books(min(heads))
        for service, cursor in cursors.items():
            if cursor.row is not None and cursor.row["order_id"] == books.order_id:
                setattr(books, service, BOOKS[service][1](cursor.row))
                await cursor.advance()
        yield books
