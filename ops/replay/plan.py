"""Turns source lines into a deterministic history: which event is said when, and where the other lines ended.

Pure: the same lines give the same history, ids included, so that a second replay repeats the first word for
word and the services know every event already.

An order document is an order of its customer, paid at the document's time and asked to be issued five days of
history time later. A cancellation line asks to refund that many units of the same product from the customer's
most recent earlier orders. Months close at their cut-off: the 5th of the next month, after 18:00 KST
(domain.md section 5).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import IntEnum
from hashlib import blake2b
from typing import Any, NamedTuple

from ops.replay.outcomes import Surprise
from ops.replay.reader import Line, Unreadable
from shared import business_number, kst
from shared.money import payment_money

SOURCE = "https://replay.pawl.example/online-retail"
WON_PER_POUND = 1600
ISSUE_AFTER = timedelta(days=5)
CUT_OFF = time(18, 0, 1)
CUT_OFF_DAY = 5
USAGE_DAYS = 30
MOST_LINES = 1000
MOST_UNITS = 1_000_000
HIGHEST_PRICE = 10**9
ITEM = re.compile(r"\d{5}")


class StepKind(IntEnum):
    """What a step says, in the order in which steps of the same instant are said."""

    PARTNER = 0
    DOCUMENT = 1
    REFUND = 2
    ISSUANCE = 3


@dataclass(slots=True, frozen=True)
class Step:
    """One event of the upstream checkout. `key` is the record key, `id` the ce_id, `time` the ce_time."""

    kind: StepKind
    id: str
    type: str
    key: str
    time: datetime
    data: dict[str, Any]


@dataclass(slots=True, frozen=True)
class Close:
    """The close of one KST month, due at the instant `at`."""

    month: str
    at: datetime


class Bought(NamedTuple):
    """A source line that became a line of an order."""

    order_id: str
    line_id: str


class Cancelled(NamedTuple):
    """A source line that became refund requests: (order id, refund_request_id), most recent order first."""

    requests: tuple[tuple[str, str], ...]


Fate = Surprise | Bought | Cancelled


@dataclass(slots=True)
class Planned:
    """An order as it will be paid: its units by line, `serials` the lines that can be issued."""

    order_id: str
    payment_id: str
    month: str
    units: dict[str, int]
    serials: frozenset[str]


@dataclass(slots=True)
class Plan:
    """The history in order, the orders in it, and the fate of each source line by its number."""

    history: list[Step | Close] = field(default_factory=list)
    orders: dict[str, Planned] = field(default_factory=dict)
    fates: dict[int, Fate] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many events the history holds, payouts not counted."""
        return sum(isinstance(entry, Step) for entry in self.history)


def plan_history(lines: Iterable[Line | Unreadable], close_months: bool = True) -> Plan:
    """The whole history of a file."""
    return _Planner().plan(lines, close_months)


def unit_price(pounds: Decimal) -> int:
    """Won a unit, rounded half up; 1 pound is 1,600 won."""
    return int((pounds * WON_PER_POUND).quantize(Decimal(1), ROUND_HALF_UP))


def cut_off(month: str) -> datetime:
    """The instant at which the replay closes a month: the 5th of the next one, 18:00:01 KST."""
    first = kst.parse_month(kst.next_month(month))
    return datetime.combine(first.replace(day=CUT_OFF_DAY), CUT_OFF, kst.KST)


def partner_snapshot(customer: str) -> dict[str, Any]:
    """The partner behind a customer id: a valid business number derived from it, the same on every replay."""
    return {
        "partner_id": f"C{customer}",
        "business_number": business_number.from_seed(_seed(customer)),
        "name": f"Customer {customer}",
        "invoice_email": f"tax@c{_seed(customer)}.example",
    }


def always_merges(customer: str) -> bool:
    """Whether the partner prefers one invoice a month: every second one does, by its number."""
    return _seed(customer) % 2 == 1


def _seed(customer: str) -> int:
    if customer.isascii() and customer.isdigit() and len(customer) <= 9:
        return int(customer)
    return int.from_bytes(blake2b(customer.encode(), digest_size=4).digest(), "big")


class Lot(NamedTuple):
    """Units of one line of an order that no cancellation has asked for yet."""

    line_id: str
    quantity: int


@dataclass(slots=True)
class Shelf:
    """What one customer bought of one product, oldest first; each unit is cancelled at most once."""

    lots: list[tuple[str, list[Lot]]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Units that are still there to be cancelled."""
        return sum(lot.quantity for _, lots in self.lots for lot in lots)

    def put(self, order_id: str, lot: Lot) -> None:
        """Adds units of an order."""
        if not self.lots or self.lots[-1][0] != order_id:
            self.lots.append((order_id, []))
        self.lots[-1][1].append(lot)

    def take(self, quantity: int) -> list[tuple[str, list[Lot]]]:
        """Takes units from the most recent orders; the caller has made sure that there are enough."""
        taken: list[tuple[str, list[Lot]]] = []
        while quantity:
            order_id, lots = self.lots[-1]
            parts: list[Lot] = []
            while quantity and lots:
                line_id, there = lots.pop(0)
                part = min(there, quantity)
                quantity -= part
                parts.append(Lot(line_id, part))
                if part < there:
                    lots.insert(0, Lot(line_id, there - part))
            if not lots:
                self.lots.pop()
            taken.append((order_id, parts))
        return taken


class _Planner:
    """Walks the documents in history order, keeping what each customer bought."""

    def __init__(self) -> None:
        self.made = Plan()
        self.said: list[tuple[datetime, StepKind, int, Step]] = []
        self.shelves: defaultdict[tuple[str, str], Shelf] = defaultdict(Shelf)
        self.known: set[str] = set()

    def plan(self, lines: Iterable[Line | Unreadable], close_months: bool) -> Plan:
        for document in self._documents(lines):
            if document[0].cancels:
                self._cancel(document)
            else:
                self._order(document)
        steps = [step for *_, step in sorted(self.said, key=lambda said: said[:3])]
        self.made.history = list(_with_closes(steps, self.made.orders.values()) if close_months else steps)
        return self.made

    def _documents(self, lines: Iterable[Line | Unreadable]) -> list[list[Line]]:
        """Documents by time, then by place in the file. The first line of a document gives its time."""
        documents: defaultdict[str, list[Line]] = defaultdict(list)
        for line in lines:
            if isinstance(line, Unreadable):
                blank = line.why == "an empty line"
                self.made.fates[line.number] = Surprise.BLANK if blank else Surprise.UNREADABLE
            elif not line.customer:
                self.made.fates[line.number] = Surprise.NO_CUSTOMER
            else:
                documents[line.document].append(line)
        return sorted(documents.values(), key=lambda document: (document[0].at, document[0].number))

    def _order(self, document: Sequence[Line]) -> None:
        customer = document[0].customer
        wanted = [line for line in document if self._orderable(line, customer)]
        for place, start in enumerate(range(0, len(wanted), MOST_LINES)):
            suffix = f".{place + 1}" if place else ""
            self._pay(f"{document[0].document}{suffix}", document[0], wanted[start : start + MOST_LINES])

    def _orderable(self, line: Line, customer: str) -> bool:
        surprise = _order_surprise(line, customer)
        if surprise is not None:
            self.made.fates[line.number] = surprise
        return surprise is None

    def _pay(self, order_id: str, first: Line, lines: Sequence[Line]) -> None:
        sold = [_sold(str(place), line) for place, line in enumerate(lines, start=1)]
        money = payment_money("exclusive", sum(line["unit_price"] * line["quantity"] for line in sold))
        if money.total == 0:
            self.made.fates.update((line.number, Surprise.WORTHLESS) for line in lines)
            return
        self._introduce(first.customer, first)
        snapshot = {
            "order_id": order_id,
            "payment_id": f"pay-{order_id}",
            "amount": money.total,
            "paid_at": _wire(first.at),
            "partner": partner_snapshot(first.customer),
            "payment_method": "bank_transfer",
            "evidence": "tax_invoice",
            "issue_policy": "on_request",
            "vat_mode": "exclusive",
            "lines": sold,
        }
        self._say(StepKind.DOCUMENT, "payment.completed.v1", f"{order_id}:payment", order_id, first, snapshot)
        self._keep(order_id, first, lines, sold)

    def _keep(
        self, order_id: str, first: Line, lines: Sequence[Line], sold: Sequence[dict[str, Any]]
    ) -> None:
        for line, kept in zip(lines, sold, strict=True):
            self.made.fates[line.number] = Bought(order_id, kept["line_id"])
            self.shelves[first.customer, line.product].put(order_id, Lot(kept["line_id"], line.quantity))
        serials = frozenset(line["line_id"] for line in sold if line["kind"] == "serials")
        self.made.orders[order_id] = Planned(
            order_id=order_id,
            payment_id=f"pay-{order_id}",
            month=kst.month_of(first.at),
            units={line["line_id"]: line["quantity"] for line in sold},
            serials=serials,
        )
        if serials:
            asked = {"order_id": order_id, "request_id": "all"}
            self._say(
                StepKind.ISSUANCE, "issuance.requested.v1", f"{order_id}:issuance", order_id, first, asked
            )

    def _introduce(self, customer: str, first: Line) -> None:
        """Says the standing preference of a merging partner before its first payment."""
        if customer in self.known or not always_merges(customer):
            return
        self.known.add(customer)
        partner = partner_snapshot(customer)
        changed = partner | {"always_merge": True, "changed_at": _wire(first.at)}
        key = partner["partner_id"]
        self._say(StepKind.PARTNER, "partner.changed.v1", f"{key}:partner", key, first, changed)

    def _cancel(self, document: Sequence[Line]) -> None:
        for place, line in enumerate(document, start=1):
            self.made.fates[line.number] = self._refund(place, line, document[0])

    def _refund(self, place: int, line: Line, first: Line) -> Fate:
        surprise = _cancel_surprise(line, first.customer)
        if surprise is not None:
            return surprise
        shelf = self.shelves.get((line.customer, line.product))
        if shelf is None:
            return Surprise.NEVER_BOUGHT
        if shelf.left < -line.quantity:
            return Surprise.TOO_MANY
        request_id = f"{line.document}-{place}"
        requests = []
        for order_id, lots in shelf.take(-line.quantity):
            asked = _refund_request(order_id, request_id, line, lots)
            self._say(
                StepKind.REFUND, "refund.requested.v1", f"{order_id}:{request_id}", order_id, first, asked
            )
            requests.append((order_id, request_id))
        return Cancelled(tuple(requests))

    def _say(self, kind: StepKind, type_: str, id_: str, key: str, cause: Line, data: dict[str, Any]) -> None:
        at = cause.at + ISSUE_AFTER if kind is StepKind.ISSUANCE else cause.at
        step = Step(kind=kind, id=id_, type=type_, key=key, time=at, data=data)
        # Documents of one instant keep the order of the file; what the calendar asks for comes after them.
        rank = StepKind.ISSUANCE if kind is StepKind.ISSUANCE else StepKind.PARTNER
        self.said.append((at, rank, len(self.said), step))


def _order_surprise(line: Line, customer: str) -> Surprise | None:
    if line.customer != customer:
        return Surprise.OTHER_CUSTOMER
    if line.quantity <= 0:
        return Surprise.NOT_POSITIVE
    if line.quantity > MOST_UNITS:
        return Surprise.QUANTITY_LIMIT
    if line.price < 0:
        return Surprise.PRICE_NEGATIVE
    if line.price > HIGHEST_PRICE // WON_PER_POUND:
        return Surprise.PRICE_LIMIT
    return None


def _cancel_surprise(line: Line, customer: str) -> Surprise | None:
    if line.customer != customer:
        return Surprise.OTHER_CUSTOMER
    if line.quantity >= 0:
        return Surprise.NOT_NEGATIVE
    return None


def _sold(line_id: str, line: Line) -> dict[str, Any]:
    """A line of the snapshot. Postage, carriage, manual entries and discounts are `goods`, never issued."""
    return {
        "line_id": line_id,
        "kind": "serials" if ITEM.match(line.product) else "goods",
        "product_id": line.product,
        "product_name": line.name,
        "unit_price": unit_price(line.price),
        "quantity": line.quantity,
        "usage_days": USAGE_DAYS,
    }


def _refund_request(order_id: str, request_id: str, line: Line, lots: Sequence[Lot]) -> dict[str, Any]:
    partner = partner_snapshot(line.customer)
    return {
        "order_id": order_id,
        "refund_request_id": request_id,
        "requested_by": partner["partner_id"],
        "role": "partner",
        "lines": [{"line_id": lot.line_id, "quantity": lot.quantity} for lot in lots],
        "reason": "dissatisfied",
        "message": f"{line.document}: {line.name}",
        "destination": {
            "method": "bank_account",
            "bank_code": "088",
            "account_number": f"{_seed(line.customer):012d}",  # plainly made up: it begins with zeros
            "holder": partner["name"],
        },
    }


def _with_closes(steps: Sequence[Step], orders: Iterable[Planned]) -> Iterator[Step | Close]:
    """Puts the close of every month with a payment between the steps before and after its cut-off."""
    closes = [Close(month, cut_off(month)) for month in sorted({order.month for order in orders})]
    for step in steps:
        while closes and closes[0].at < step.time:
            yield closes.pop(0)
        yield step
    yield from closes


def _wire(instant: datetime) -> str:
    return kst.wire_time(instant)
