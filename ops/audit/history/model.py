"""The business in small: an order as a bag of units and won, and what each request may lead to.

Written from the rules (domain.md sections 2, 4 and 5), not from the services: it shares no line with them.
States are values; `decide` names every outcome that a request may have in a state, and the state after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

UNKNOWN, UNPAID, PENDING, PAID, EXPIRED, CANCELLED = (
    "unknown",
    "unpaid",
    "pending",
    "paid",
    "expired",
    "cancelled",
)
WAITS_FOR_MONEY = (UNKNOWN, UNPAID, PENDING)

Outcome: TypeAlias = tuple[tuple[Any, ...], ...]
Shares: TypeAlias = tuple[tuple[str, int], ...]


class Won(NamedTuple):
    """Supply value and VAT."""

    supply: int = 0
    vat: int = 0

    @property
    def total(self) -> int:
        return self.supply + self.vat


NO_WON = Won()


class Bag(NamedTuple):
    """The units of a line: `open` are neither issued nor refunded nor claimed for either."""

    kind: str
    price: int
    quantity: int
    open: int = 0


@dataclass(slots=True, frozen=True)
class Order:
    """One order. `left` won are neither refunded nor claimed; `claims` are refunds that hold units."""

    status: str = UNKNOWN
    bags: tuple[tuple[str, Bag], ...] = ()
    vat_mode: str = "exclusive"
    automatic: bool = False
    expected: int = 0
    deadline: datetime | None = None
    payment_id: str | None = None
    amount: int = 0
    left: Won = NO_WON
    cases: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    requests: frozenset[str] = frozenset()
    claims: tuple[tuple[str, Shares, Won], ...] = ()

    def bag(self, line_id: str) -> Bag | None:
        return dict(self.bags).get(line_id)

    def open(self, line_id: str) -> int:
        bag = self.bag(line_id)
        return bag.open if bag else 0

    def taking(self, shares: Shares) -> "Order":
        """With these units taken out of their bags (put back where negative)."""
        taken = dict(shares)
        bags = tuple((name, bag._replace(open=bag.open - taken.get(name, 0))) for name, bag in self.bags)
        return replace(self, bags=bags)

    def worth(self, shares: Shares) -> int:
        return sum(bag.price * dict(shares).get(name, 0) for name, bag in self.bags)


class Deed(NamedTuple):
    """Something that was asked of an order. `id` is the event that asks."""

    kind: str
    id: str
    data: Mapping[str, Any]


def price_of_all(data: Mapping[str, Any]) -> int:
    return sum(line["unit_price"] * line["quantity"] for line in data["lines"])


def paid_won(vat_mode: str, price: int) -> Won:
    """What units at this price are, by the VAT mode of the order."""
    if vat_mode == "inclusive":
        return Won(price - price // 11, price // 11)
    return Won(price, price // 10)


def refund_won(vat_mode: str, left: Won, price: int) -> Won:
    """What units at this price give back: the VAT of what is left before less that of what stays.

    Released refunds can leave the VAT a won beside that rule, so it is held between nothing and what is left.
    """
    if vat_mode == "inclusive":
        vat = max(left.vat - (left.total - price) // 11, 0, price - left.supply)
        vat = min(vat, price, left.vat)
        return Won(price - vat, vat)
    return Won(price, min(max(left.vat - (left.supply - price) // 10, 0), left.vat))


def decide(order: Order, deed: Deed) -> Iterator[tuple[Order, Outcome]]:
    """Every outcome that the deed may have now, with the order after it; none where it has to wait."""
    return DEEDS[deed.kind](order, deed.data)


def _register(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[Order, Outcome]]:
    if order.status not in (UNKNOWN, UNPAID):
        yield order, ()
        return
    deadline = datetime.fromisoformat(data["deposit_deadline"])
    yield replace(_known(order, data), status=PENDING, deadline=deadline), (("order.registered",),)


def _known(order: Order, data: Mapping[str, Any]) -> Order:
    bags = tuple(
        (line["line_id"], Bag(line["kind"], line["unit_price"], line["quantity"])) for line in data["lines"]
    )
    mode = data["vat_mode"]
    expected = paid_won(mode, price_of_all(data)).total
    automatic = data["issue_policy"] == "automatic"
    return replace(
        order, status=UNPAID, bags=bags, vat_mode=mode, automatic=automatic, expected=expected, deadline=None
    )


def _pay(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[Order, Outcome]]:
    payment, amount = data["payment_id"], data["amount"]
    if payment == order.payment_id or payment in order.gone or payment in order.cases:
        yield order, ()
        return
    if order.status in (UNKNOWN, UNPAID):
        order = _known(order, data)
    in_case = replace(order, cases=order.cases | {payment})
    for reason, before, status in _misfits(order, data):
        yield replace(in_case, status=status), (*before, ("payment.quarantined", amount, reason))
    if _fits(order, data):
        yield _paid(order, payment)


def _fits(order: Order, data: Mapping[str, Any]) -> bool:
    return order.status in (UNPAID, PENDING) and not _late(order, data) and data["amount"] == order.expected


def _late(order: Order, data: Mapping[str, Any]) -> bool:
    return order.deadline is not None and datetime.fromisoformat(data["paid_at"]) > order.deadline


def _misfits(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[str, Outcome, str]]:
    """Reasons for quarantine, what is told before, and the status after."""
    match order.status:
        case "paid":
            yield "second_payment", (), PAID
            if not any(bag.open for _, bag in order.bags):  # maybe refunded as a whole
                yield "order_closed", (), PAID
        case "cancelled":
            yield "order_closed", (), CANCELLED
        case "expired":
            yield "late_deposit", (), EXPIRED
        case _:
            if data.get("withdrawn"):
                yield "order_closed", (), order.status
            if _late(order, data):
                pending = order.status == PENDING
                yield "late_deposit", (("order.expired",),) if pending else (), EXPIRED if pending else UNPAID
            elif data["amount"] != order.expected:
                yield "wrong_amount", (), order.status


def _paid(order: Order, payment: str) -> tuple[Order, Outcome]:
    bags = tuple((name, bag._replace(open=bag.quantity)) for name, bag in order.bags)
    won = paid_won(order.vat_mode, sum(bag.price * bag.quantity for _, bag in bags))
    order = replace(order, status=PAID, bags=bags, payment_id=payment, amount=won.total, left=won)
    outcome: Outcome = (("order.paid", won.supply, won.vat, won.total),)
    if order.automatic:
        everything = tuple((name, bag.open) for name, bag in bags if bag.kind == "serials")
        order, granted = _issue_each(order, everything)
        outcome += granted
    return order, outcome


def _issue_each(order: Order, asked: Shares) -> tuple[Order, Outcome]:
    """All or nothing for each line."""
    outcome: list[tuple[Any, ...]] = []
    for line_id, quantity in asked:
        bag = order.bag(line_id)
        left = bag.open if bag is not None and bag.kind == "serials" else 0
        if 0 < quantity <= left:
            order = order.taking(((line_id, quantity),))
            outcome.append(("issuance.granted", line_id, quantity))
        else:
            outcome.append(("issuance.denied", line_id, quantity, left))
    return order, tuple(outcome)


def _issue(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[Order, Outcome]]:
    if order.status in WAITS_FOR_MONEY:
        return
    if data["request_id"] in order.requests:
        yield order, ()
        return
    order = replace(order, requests=order.requests | {data["request_id"]})
    asked = shares_of(data) if data.get("lines") else _all_serials(order)
    if any(order.bag(line_id) is None for line_id, _ in asked):
        yield order, tuple(("issuance.denied", name, units, _issuable(order, name)) for name, units in asked)
    else:
        yield _issue_each(order, asked)


def _issuable(order: Order, line_id: str) -> int:
    bag = order.bag(line_id)
    return bag.open if bag is not None and bag.kind == "serials" else 0


def _all_serials(order: Order) -> Shares:
    serials = [(name, bag.open) for name, bag in order.bags if bag.kind == "serials"]
    names = [name for name, _ in serials] or [name for name, _ in order.bags]
    return tuple(share for share in serials if share[1]) or tuple((name, 0) for name in names)


def _claim(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[Order, Outcome]]:
    """All or nothing for the request, with its won; of everything refundable what is left."""
    if order.status in WAITS_FOR_MONEY:
        return
    asked = shares_of(data)
    left_of_it = tuple((name, min(units, order.open(name))) for name, units in asked if order.open(name))
    if data.get("everything") and order.worth(left_of_it):
        asked = left_of_it
    if any(order.open(line_id) < units for line_id, units in asked):
        left = tuple((line_id, units, order.open(line_id)) for line_id, units in asked)
        yield order, (("refund.denied", left),)
        return
    won = refund_won(order.vat_mode, order.left, order.worth(asked))
    after = replace(
        order.taking(asked),
        left=Won(order.left.supply - won.supply, order.left.vat - won.vat),
        claims=(*order.claims, (data["refund_id"], asked, won)),
    )
    yield after, (("refund.granted", asked, won.supply, won.vat),)


def _release(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[Order, Outcome]]:
    """A claim is given up: its units are open again, or follow a payment that was taken back."""
    claim = next((c for c in order.claims if c[0] == data["refund_id"]), None)
    if claim is None:
        return
    _, shares, won = claim
    order = replace(order, claims=tuple(c for c in order.claims if c is not claim))
    order = replace(
        order.taking(tuple((line_id, -units) for line_id, units in shares)),
        left=Won(order.left.supply + won.supply, order.left.vat + won.vat),
    )
    if order.status != CANCELLED:
        yield order, ()
        return
    order, back, told = _take_back(order, shares)
    yield (
        order,
        (told, ("payment.quarantined", back.total, "cancelled_after_issue")) if back.total else (told,),
    )


def _cancel(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[Order, Outcome]]:
    payment = data["payment_id"]
    if order.status == UNKNOWN:
        return
    if payment in order.gone:
        yield order, ()
        return
    gone = replace(order, gone=order.gone | {payment})
    if payment in order.cases:
        yield gone, ()
    elif order.status in (UNPAID, PENDING):
        yield replace(gone, status=CANCELLED), (("order.cancelled", (), 0, 0, 0),)
    elif order.payment_id is None:
        yield gone, ()
    elif order.payment_id == payment:
        yield _take_back_all(gone)


def _take_back_all(order: Order) -> tuple[Order, Outcome]:
    shares = tuple((name, bag.open) for name, bag in order.bags if bag.open)
    order, back, told = _take_back(replace(order, status=CANCELLED), shares)
    missing = order.amount - back.total
    if not missing:
        return order, (told,)
    return order, (told, ("payment.quarantined", -missing, "cancelled_after_issue"))


def _take_back(order: Order, shares: Shares) -> tuple[Order, Won, tuple[Any, ...]]:
    back = refund_won(order.vat_mode, order.left, order.worth(shares))
    left = Won(order.left.supply - back.supply, order.left.vat - back.vat)
    told = ("order.cancelled", shares, back.supply, back.vat, back.total)
    return replace(order.taking(shares), left=left), back, told


def _expire(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[Order, Outcome]]:
    if order.status == PENDING:
        yield replace(order, status=EXPIRED), (("order.expired",),)


OF_THE_PAYMENT = {"order_expired": EXPIRED, "order_cancelled": CANCELLED}
NOT_OF_UNITS = frozenset(
    [
        "app_store",
        "operator_only",
        "nothing_to_pay",
        "destination_missing",
        "review_rejected",
        "not_supported",
        "unknown_line",
        "duplicate_request",
    ]
)
"""Reasons to reject a refund that no count of units can contradict."""


def _reject(order: Order, data: Mapping[str, Any]) -> Iterator[tuple[Order, Outcome]]:
    """A refund request may be refused at once where its units are surely lost, or for a reason of its own."""
    reason = data["rejected"]
    if reason in OF_THE_PAYMENT:
        right = order.status == OF_THE_PAYMENT[reason]
    elif reason in NOT_OF_UNITS:
        right = order.status not in (UNKNOWN, PENDING)
    elif data.get("lines"):
        right = any(order.open(line_id) < units for line_id, units in shares_of(data))
    else:
        asked = data["asked"]
        right = all(bag.open <= asked.get(name, 0) for name, bag in order.bags if bag.kind == "serials")
    if right:
        yield order, (("refund.rejected", reason),)


def shares_of(data: Mapping[str, Any]) -> Shares:
    return tuple((line["line_id"], line["quantity"]) for line in data.get("lines") or ())


def outcome_of(facts: Sequence[tuple[str, Mapping[str, Any]]]) -> Outcome:
    """What these facts (type and data, in their order) say, as `decide` says it."""
    return tuple(_told(type_name.removesuffix(".v1"), data) for type_name, data in facts)


def _told(type_name: str, data: Mapping[str, Any]) -> tuple[Any, ...]:
    match type_name:
        case "order.paid":
            return type_name, data["supply"], data["vat"], data["amount"]
        case "issuance.granted":
            return type_name, data["line_id"], data["quantity"]
        case "issuance.denied":
            return type_name, data["line_id"], data["quantity"], data["left"]
        case "refund.granted":
            return type_name, shares_of(data), data["supply"], data["vat"]
        case "refund.denied":
            return type_name, tuple((one["line_id"], one["quantity"], one["left"]) for one in data["lines"])
        case "payment.quarantined":
            return type_name, data["amount"], data["reason"]
        case "order.cancelled":
            shares = shares_of(data)
            return type_name, shares, data["supply"], data["vat"], data["amount"]
        case "refund.rejected":
            return type_name, data["reason"]
        case _:
            return (type_name,)


DEEDS = {
    "payment.pending.v1": _register,
    "payment.completed.v1": _pay,
    "payment.cancelled.v1": _cancel,
    "issuance.requested.v1": _issue,
    "refund.accepted.v1": _claim,
    "refund.released.v1": _release,
    "refund.rejected.v1": _reject,
    "order.expired.v1": _expire,
}
