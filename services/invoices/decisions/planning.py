"""What becomes of the payments of a partner's month: which merge, which do not and why, what would change it.

It is the close, thought through on a copy of the world: the same renumbering, the same wishes, the same
judge. What may still arrive (serials that are issued, refunds that end) is tried out in the same way, so that
a plan never promises what the close does not do. Pure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from services.invoices.calendar import cut_off
from services.invoices.decisions.eligibility import Scope, judge, refusal_of_time
from services.invoices.decisions.merging import wish_at_close
from services.invoices.decisions.numbers import renumber_drafts
from services.invoices.state import Change, Document, Payment, Reason, Refund, Snapshot, SoldLine, World
from shared.money import NOTHING, Money, units_money

PlanReason = Reason | Literal["not_asked_for"]
What = Literal[
    "issue_units",
    "refund_ends",
    "another_payment",
    "ask_to_merge",
    "merge_business",
    "undo_business_merge",
    "undo",
]
Pending = tuple[tuple[str, Money], ...]
"""Refunds in progress of a payment, and what each would take back."""
OUTCOMES: Final = ("now", "issued", "refunded", "released", "issued_and_refunded")


class Unlock(NamedTuple):
    """What would take a payment into the merge, or out of it (`undo`): what has to happen, and to what.

    `until` is the last instant before which it can be asked for, where there is one.
    """

    what: What
    units: int | None = None
    refund_ids: tuple[str, ...] = ()
    until: datetime | None = None


class PlannedPayment(NamedTuple):
    """A payment in the plan. `merges` says whether it stands on the merged document of its business."""

    payment: Payment
    reason: PlanReason
    unlocks: tuple[Unlock, ...]
    pending: Pending

    @property
    def merges(self) -> bool:
        """Whether it stands on the merged document of its business."""
        return self.reason == "merged"


class Totals(NamedTuple):
    """Won on the merged document of a business, and on those of single payments that are to be issued."""

    merged: Money
    single: Money


class BusinessPlan(NamedTuple):
    """The plan of one business number of a partner. `document` is the merged draft, where it exists already.

    `totals` are what its documents come to now, and if what is pending arrives: `issued`, `refunded` (open
    refunds are paid out), `released` (they end without money), `issued_and_refunded`.
    """

    scope: Scope
    document: Document | None
    payments: tuple[PlannedPayment, ...]
    totals: Mapping[str, Totals]


class PartnerPlan(NamedTuple):
    """The plans of a partner's month, one for each business number: numbers never share a document.

    `prefers` is its standing preference as of the `cut_off`.
    """

    partner_id: str
    month: str
    cut_off: datetime
    prefers: bool
    businesses: tuple[BusinessPlan, ...]


def plan_month(
    world: World, partner_id: str, month: str, at: datetime, sold: Mapping[str, Snapshot]
) -> PartnerPlan:
    """What a close would make of a partner's month as it stands at the instant `at`.

    `sold` are the lines of payments with a refund in progress, by order. The world stays as it is.
    """
    world = world.copied()
    world.put(renumber_drafts(world, partner_id, world.numbers_of(partner_id)).state)
    own = [payment for payment in world.payments_of(partner_id) if payment.month == month]
    scopes = sorted({Scope(partner_id, payment.business_number, month) for payment in own})
    partner = world.partners.get(partner_id)
    last_moment = cut_off(month, world.policy.cut_off_day, world.policy.cut_off_hour)
    return PartnerPlan(
        partner_id,
        month,
        last_moment,
        partner is not None and partner.preferred_merging(last_moment),
        tuple(_plan(world, scope, at, last_moment, sold) for scope in scopes),
    )


def _plan(
    world: World, scope: Scope, at: datetime, last_moment: datetime, sold: Mapping[str, Snapshot]
) -> BusinessPlan:
    reasons = _reasons(world, scope, at)
    own = [p for p in world.payments_of(scope.partner_id) if _scope_of(p) == scope]
    pending = {payment.order_id: _pending(world, payment, sold) for payment in own}
    planned = tuple(
        PlannedPayment(
            payment,
            reasons[payment.payment_id],
            tuple(_unlocks(world, payment, reasons[payment.payment_id], pending, at, last_moment)),
            pending[payment.order_id],
        )
        for payment in own
    )
    totals = {name: _totals(world, scope, at, own, pending, name) for name in OUTCOMES}
    return BusinessPlan(scope, world.open_merge(*scope), planned, totals)


def _reasons(world: World, scope: Scope, at: datetime) -> dict[str, PlanReason]:
    """Why each payment of a scope is, or is not, on its merged document after the close."""
    refusal = refusal_of_time(scope, at, world)
    is_closed = refusal == "month_closed"
    wishes = world.standing_requests(*scope)
    partner = world.partners.get(scope.partner_id)
    wish = None if is_closed else wish_at_close(scope, partner, wishes, world.policy)
    verdicts = judge(world, scope, None, refusal if wish is None else None)
    merge = world.open_merge(*scope)
    reasons: dict[str, PlanReason] = {}
    for verdict in verdicts:
        payment = verdict.payment
        if payment is None or _scope_of(payment) != scope:
            continue
        is_inside = merge is not None and payment.invoice_id == merge.invoice_id
        is_wished = wish is not None and (wish.payment_ids is None or payment.payment_id in wish.payment_ids)
        reason: PlanReason = verdict.reason
        if reason in ("merged", "only_one_payment") and not is_inside and not is_wished:
            reason = "not_asked_for"
        reasons[payment.payment_id] = reason
    return _alone(reasons, merge)


def _alone(reasons: dict[str, PlanReason], merge: Document | None) -> dict[str, PlanReason]:
    """One payment alone is not merged, also where others are fit and nobody has asked for them."""
    fit = [name for name, reason in reasons.items() if reason == "merged"]
    if len(fit) == 1 and merge is None:
        reasons[fit[0]] = "only_one_payment"
    return reasons


def _unlocks(
    world: World,
    payment: Payment,
    reason: PlanReason,
    pending: Mapping[str, Pending],
    at: datetime,
    last_moment: datetime,
) -> Iterator[Unlock]:
    """What would change what becomes of a payment."""
    asking = Unlock("ask_to_merge", until=last_moment) if at < last_moment else Unlock("merge_business")
    match reason:
        case "merged":
            yield Unlock("undo")
        case "units_not_issued":
            missing = payment.serial_units - payment.issued_units - payment.returned_units
            yield Unlock("issue_units", units=missing)
        case "open_refund":
            yield Unlock("refund_ends", refund_ids=tuple(name for name, _ in pending[payment.order_id]))
            missing = payment.serial_units - payment.issued_units - payment.returned_units
            if missing:
                yield Unlock("issue_units", units=missing)
        case "only_one_payment":
            yield Unlock("another_payment")
        case "not_asked_for" | "after_cut_off":
            yield asking
        case "merged_by_operator":
            yield Unlock("undo_business_merge")
        case _:
            return


def _pending(world: World, payment: Payment, sold: Mapping[str, Snapshot]) -> Pending:
    """The refunds in progress of a payment, and what each would take back, one after the other."""
    refunds = [refund for refund in world.refunds.values() if refund.order_id == payment.order_id]
    ended = [refund for refund in refunds if refund.state == "completed"]
    remaining = payment.paid.minus(payment.refunded)
    snapshot = sold.get(payment.order_id)
    told: list[tuple[str, Money]] = []
    for refund in sorted((r for r in refunds if r.state == "open"), key=lambda r: r.refund_id):
        money = NOTHING
        if snapshot is not None and refund.lines:
            lines = {line.line_id: _left(line, ended) for line in snapshot.lines}
            units = [(name, min(units, lines[name].left)) for name, units in refund.lines]
            money = units_money(snapshot.vat_mode, remaining, lines, units, sum(refund.consumed.values()))
        remaining = remaining.minus(money)
        ended.append(refund)
        told.append((refund.refund_id, money))
    return tuple(told)


class _Line(NamedTuple):
    """A line of which some units are refunded: `left` are not, `consumed` won of the others stay paid."""

    unit_price: int
    quantity: int
    discount: int
    left: int
    consumed: int


def _left(line: SoldLine, ended: Sequence[Refund]) -> _Line:
    gone = sum(units for refund in ended for line_id, units in refund.lines or () if line_id == line.line_id)
    consumed = sum(refund.consumed.get(line.line_id, 0) for refund in ended)
    return _Line(line.unit_price, line.quantity, line.discount, line.quantity - gone, consumed)


def _totals(
    world: World,
    scope: Scope,
    at: datetime,
    own: Sequence[Payment],
    pending: Mapping[str, Pending],
    outcome: str,
) -> Totals:
    """What the documents of a scope come to when this has arrived."""
    then = world.copied()
    then.put(Change(payments=tuple(_AFTER[outcome](payment, pending[payment.order_id]) for payment in own)))
    reasons = _reasons(then, scope, at)
    merged = single = NOTHING
    for payment in (then.payments[each.order_id] for each in own):
        document = then.document_of(payment)
        if document is None or not (document.is_unissued or document.state == "in_merge"):
            continue
        if reasons[payment.payment_id] == "merged":
            merged = merged.plus(payment.standing)
        elif document.kind == "payment":
            single = single.plus(payment.standing)
    return Totals(merged, single)


def _as_it_is(payment: Payment, pending: Pending) -> Payment:
    return payment


def _issued(payment: Payment, pending: Pending) -> Payment:
    return replace(payment, issued_units=payment.serial_units - payment.returned_units)


def _released(payment: Payment, pending: Pending) -> Payment:
    return replace(payment, open_refunds=0)


def _refunded(payment: Payment, pending: Pending) -> Payment:
    standing = payment.standing
    for _, money in pending:
        standing = standing.minus(money)
    return replace(payment, standing=standing, open_refunds=0)


def _both(payment: Payment, pending: Pending) -> Payment:
    return _issued(_refunded(payment, pending), pending)


_AFTER: Final[Mapping[str, Callable[[Payment, Pending], Payment]]] = {
    "now": _as_it_is,
    "issued": _issued,
    "refunded": _refunded,
    "released": _released,
    "issued_and_refunded": _both,
}


def _scope_of(payment: Payment) -> Scope:
    return Scope(payment.partner_id, payment.business_number, payment.month)
