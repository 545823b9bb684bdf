"""Who is fit for a monthly merge (병합 발행), with the reason for each payment that is not.

Never across months or businesses; every remaining unit issued, no open refund, not yet issued, asked for
before the cut-off.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from services.invoices.calendar import cut_off
from services.invoices.state import Document, MergeRequest, Payment, Reason, Verdict, World


class Scope(NamedTuple):
    """What a merge can cover: one business of one partner in one KST month."""

    partner_id: str
    business_number: str
    month: str


def scope_of(thing: Document | Payment | MergeRequest) -> Scope:
    """The merge scope of a document, a payment or a request."""
    return Scope(thing.partner_id, thing.business_number, thing.month)


def judge(world: World, scope: Scope, wanted: frozenset[str] | None, refusal: Reason | None) -> list[Verdict]:
    """One verdict for each payment that is wanted (None: all of the partner's month), in the order paid.

    A payment that is fit is refused with `refusal`, when there is one, and with `only_one_payment` when
    there would be nobody to be merged with. What is merged already stays so: a merge is never judged again.
    """
    merge = world.open_merge(*scope)
    verdicts = []
    for payment in candidates(world, scope, wanted):
        reason = reason_for(payment, world.document_of(payment), scope)
        inside = merge is not None and payment.invoice_id == merge.invoice_id
        verdicts.append(verdict_of(payment, reason if inside else _soften(reason, refusal)))
    return [*_not_alone(verdicts, merge), *strangers(world, scope, wanted, verdicts)]


def strangers(
    world: World, scope: Scope, wanted: frozenset[str] | None, known: Iterable[Verdict]
) -> list[Verdict]:
    """What is wanted and not the partner's own: payments of other partners of the business, unknown ids."""
    found = {verdict.payment_id for verdict in known}
    verdicts: dict[str, Verdict] = {}
    for other in world.others:
        is_wanted = other.month == scope.month if wanted is None else other.payment_id in wanted
        is_ours = other.business_number == scope.business_number and other.partner_id != scope.partner_id
        if is_wanted and is_ours and other.payment_id not in found:
            verdicts[other.payment_id] = Verdict(other.payment_id, None, "other_partner", other.order_id)
    missing = sorted((wanted or frozenset()) - found - verdicts.keys())
    return [*verdicts.values(), *(Verdict(each, None, "unknown_payment", None) for each in missing)]


def verdict_of(payment: Payment, reason: Reason) -> Verdict:
    """The verdict about a partner's own payment."""
    return Verdict(payment.payment_id, payment, reason, payment.order_id)


def refusal_of_time(scope: Scope, at: datetime, world: World) -> Reason | None:
    """Why nobody can be merged any more at the instant `at`; None when it is early enough."""
    if world.closed_at(scope.month, scope.business_number) is not None:
        return "month_closed"
    if at >= cut_off(scope.month, world.policy.cut_off_day, world.policy.cut_off_hour):
        return "after_cut_off"
    return None


def reason_for(payment: Payment, document: Document | None, scope: Scope) -> Reason:
    """`merged` when the payment itself is fit for a merge of `scope`, else the first reason why it is not."""
    if payment.month != scope.month:
        return "other_month"
    if payment.business_number != scope.business_number:
        return "other_business"
    if document is not None and document.kind == "merged" and document.is_unissued and payment.standing.total:
        return "merged" if scope_of(document) == scope else "merged_by_operator"
    return reason_of_own(payment, document)


def reason_of_own(payment: Payment, document: Document | None) -> Reason:
    """`merged` when a payment of the right business and month is fit, else the first reason why it is not."""
    if document is None:  # one that cost nothing has none either
        return "nothing_left" if payment.evidence == "tax_invoice" else "not_a_tax_invoice"
    if document.state == "issued":
        return "already_issued"
    return _reason_of_units(payment)


def _reason_of_units(payment: Payment) -> Reason:
    if payment.standing.total == 0:
        return "nothing_left"
    if payment.open_refunds:
        return "open_refund"
    if payment.issued_units + payment.returned_units < payment.serial_units:
        return "units_not_issued"
    return "merged"


def candidates(world: World, scope: Scope, wanted: frozenset[str] | None) -> Iterable[Payment]:
    """The partner's own payments that are wanted, or (None) all of its month."""
    mine = world.payments_of(scope.partner_id)
    if wanted is None:
        return [payment for payment in mine if payment.month == scope.month]
    return [payment for payment in mine if payment.payment_id in wanted]


def _soften(reason: Reason, refusal: Reason | None) -> Reason:
    return refusal if reason == "merged" and refusal is not None else reason


def _not_alone(verdicts: list[Verdict], merge: Document | None) -> list[Verdict]:
    fit = sum(verdict.reason == "merged" for verdict in verdicts)
    if fit != 1 or merge is not None:
        return verdicts
    return [v._replace(reason="only_one_payment") if v.reason == "merged" else v for v in verdicts]
