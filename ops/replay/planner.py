"""Turns source lines into a deterministic history: which event comes when, and where other lines ended.

Pure: the same lines give the same history, ids included, so that a second replay repeats the first word for
word and the services know every event already.

An order document is an order of its customer, paid at the document's time and asked to be issued five days of
history time later. A cancellation line asks to refund that many units of the same product from the customer's
most recent earlier orders. Months close at their cut-off: the 5th of the next month, after 18:00 KST
(domain.md section 5).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from ops.replay.documents import (
    WON_PER_POUND,
    always_merges,
    merge_preference,
    order_line,
    payment,
    refund_request,
)
from ops.replay.outcomes import Surprise
from ops.replay.plan import Bought, Cancelled, Close, Fate, Plan, Planned, Step, StepKind
from ops.replay.purchases import Lot, Purchases
from ops.replay.reader import Line, Unreadable
from shared import kst
from shared.money import payment_money

ISSUE_AFTER = timedelta(days=5)
CUT_OFF = time(18, 0, 1)
CUT_OFF_DAY = 5
MOST_LINES = 1000
MOST_UNITS = 1_000_000
HIGHEST_PRICE = 10**9


def plan_history(lines: Iterable[Line | Unreadable], close_months: bool = True) -> Plan:
    """The whole history of a file."""
    return _Planner().plan(lines, close_months)


def cut_off(month: str) -> datetime:
    """The instant at which the replay closes a month: the 5th of the next one, 18:00:01 KST."""
    first = kst.parse_month(kst.next_month(month))
    return datetime.combine(first.replace(day=CUT_OFF_DAY), CUT_OFF, kst.KST)


class _Planner:
    """Walks the documents in history order, keeping what each customer bought."""

    def __init__(self) -> None:
        self.made = Plan()
        self.steps: list[tuple[datetime, StepKind, int, Step]] = []
        self.purchases: defaultdict[tuple[str, str], Purchases] = defaultdict(Purchases)
        self.introduced: set[str] = set()

    def plan(self, lines: Iterable[Line | Unreadable], close_months: bool) -> Plan:
        for document in self._documents(lines):
            if document[0].cancels:
                self._cancel(document)
            else:
                self._order(document)
        steps = [step for *_, step in sorted(self.steps, key=lambda ranked: ranked[:3])]
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
        sold = [order_line(str(place), line) for place, line in enumerate(lines, start=1)]
        money = payment_money("exclusive", sum(line["unit_price"] * line["quantity"] for line in sold))
        if money.total == 0:
            self.made.fates.update((line.number, Surprise.WORTHLESS) for line in lines)
            return
        self._introduce(first.customer, first)
        completed = payment(order_id, money.total, first, sold)
        self._add(
            StepKind.DOCUMENT, "payment.completed.v1", f"{order_id}:payment", order_id, first, completed
        )
        self._keep(order_id, first, lines, sold)

    def _keep(
        self, order_id: str, first: Line, lines: Sequence[Line], sold: Sequence[dict[str, Any]]
    ) -> None:
        for line, kept in zip(lines, sold, strict=True):
            self.made.fates[line.number] = Bought(order_id, kept["line_id"])
            self.purchases[first.customer, line.product].put(order_id, Lot(kept["line_id"], line.quantity))
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
            self._add(
                StepKind.ISSUANCE, "issuance.requested.v1", f"{order_id}:issuance", order_id, first, asked
            )

    def _introduce(self, customer: str, first: Line) -> None:
        """Adds the standing preference of a merging partner before its first payment."""
        if customer in self.introduced or not always_merges(customer):
            return
        self.introduced.add(customer)
        changed = merge_preference(customer, first.at)
        key = changed["partner_id"]
        self._add(StepKind.PARTNER, "partner.changed.v1", f"{key}:partner", key, first, changed)

    def _cancel(self, document: Sequence[Line]) -> None:
        for place, line in enumerate(document, start=1):
            self.made.fates[line.number] = self._refund(place, line, document[0])

    def _refund(self, place: int, line: Line, first: Line) -> Fate:
        surprise = _cancel_surprise(line, first.customer)
        if surprise is not None:
            return surprise
        purchases = self.purchases.get((line.customer, line.product))
        if purchases is None:
            return Surprise.NEVER_BOUGHT
        if purchases.left < -line.quantity:
            return Surprise.TOO_MANY
        request_id = f"{line.document}-{place}"
        requests = []
        for order_id, lots in purchases.take(-line.quantity):
            asked = refund_request(order_id, request_id, line, lots)
            self._add(
                StepKind.REFUND, "refund.requested.v1", f"{order_id}:{request_id}", order_id, first, asked
            )
            requests.append((order_id, request_id))
        return Cancelled(tuple(requests))

    def _add(self, kind: StepKind, type_: str, id_: str, key: str, cause: Line, data: dict[str, Any]) -> None:
        at = cause.at + ISSUE_AFTER if kind is StepKind.ISSUANCE else cause.at
        step = Step(kind=kind, id=id_, type=type_, key=key, time=at, data=data)
        # Documents of one instant keep the order of the file; what the calendar asks for comes after them.
        rank = StepKind.ISSUANCE if kind is StepKind.ISSUANCE else StepKind.PARTNER
        self.steps.append((at, rank, len(self.steps), step))


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


def _with_closes(steps: Sequence[Step], orders: Iterable[Planned]) -> Iterator[Step | Close]:
    """Puts the close of every month with a payment between the steps before and after its cut-off."""
    closes = [Close(month, cut_off(month)) for month in sorted({order.month for order in orders})]
    for step in steps:
        while closes and closes[0].at < step.time:
            yield closes.pop(0)
        yield step
    yield from closes
