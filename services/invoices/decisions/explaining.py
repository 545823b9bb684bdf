"""Why a document comes to its won, and where those of a payment stand: by line and by refund. Pure.

An explanation is made of what was sold and what went back, never of the sum that it has to come to. So where
both differ it says which won are missing, and why as far as that is known: what is explained and what is
missing are together the document, to the won (docs/domain.md section 5).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from services.invoices.decisions.lines import line_amounts
from services.invoices.state import Document, Payment, Refund, Snapshot, SoldLine
from shared.money import NOTHING, Money

What = Literal["sold", "refunded"]
Cause = Literal["lines_differ", "refund_not_kept", "after_taken_back", "on_another_document", "not_explained"]
"""Why won are missing. `not_explained`: nobody knows, and a rule is broken."""


class SaidEvent(NamedTuple):
    """An event of invoices: `key` is the order or the partner, `cause` the id of what it followed from.

    `time` is RFC 3339, as it was said.
    """

    event_id: UUID
    type: str
    key: str
    subject: str
    time: str
    cause: str


class Sources(NamedTuple):
    """What a document is explained by.

    `payments` were issued on it, or on the one that it takes back. `refunds` are the completed ones of their
    orders; those in `later` modified a document, all others were netted before. `is_duplicate`: the payments
    stand on another document, since this one was issued twice. `related` are the documents that modify,
    replace or take back this one, and the one that it is about. `events` are those of the document, and of
    payments that are shown. Events from before `horizon` may be forgotten.
    """

    document: Document
    payments: Sequence[Payment] = ()
    snapshots: Mapping[str, Snapshot] = {}
    refunds: Sequence[Refund] = ()
    later: frozenset[str] = frozenset()
    is_duplicate: bool = False
    related: Sequence[Document] = ()
    events: Sequence[SaidEvent] = ()
    horizon: datetime | None = None


class PaymentSources(NamedTuple):
    """What a payment is explained by; `documents` are all that its won stand on, or stood on."""

    payment: Payment
    snapshot: Snapshot | None = None
    refunds: Sequence[Refund] = ()
    documents: Sequence[Document] = ()
    events: Sequence[SaidEvent] = ()
    horizon: datetime | None = None


class Part(NamedTuple):
    """Won of one line: sold, or gone back with a refund; signed as they stand on the document.

    `line` and `units` are None where they were not kept. `stays` won of the units were used up: they stay.
    """

    what: What
    amount: Money
    line: SoldLine | None = None
    units: int | None = None
    refund: Refund | None = None
    stays: int = 0

    @property
    def turned(self) -> "Part":
        """The part on a document that takes back the one that it stands on."""
        return self._replace(amount=NOTHING.minus(self.amount))


class Contribution(NamedTuple):
    """What of a payment stands on a document, and the events that are kept of it."""

    payment: Payment
    parts: Sequence[Part]
    events: Sequence[SaidEvent] = ()

    @property
    def amount(self) -> Money:
        """What its parts come to."""
        return _sum(part.amount for part in self.parts)


class Missing(NamedTuple):
    """Won that the parts lack (negative: have too many), and the payments or refunds it is about."""

    cause: Cause
    amount: Money
    names: tuple[str, ...] = ()


class Standing(NamedTuple):
    """Won of a payment on one of its documents; on its card slip or cash receipt where that is None.

    `amount` is None where nobody kept it: on a merged document that was issued twice, and on what takes it
    back, when units went back later. Both cancel each other out.
    """

    document: Document | None
    amount: Money | None


class Explanation(NamedTuple):
    """Why a document comes to `amount`: `explained`, and what is `missing`.

    A document whose payment is in a merge stands for nothing. `others` are payments that the caller may not
    see, how many and over how many won.
    """

    document: Document
    amount: Money
    contributions: Sequence[Contribution]
    others: tuple[int, Money]
    missing: Sequence[Missing]
    related: Sequence[Document]
    events: Sequence[SaidEvent]
    forgotten_before: datetime | None

    @property
    def explained(self) -> Money:
        """What the contributions of all payments come to."""
        return _sum((*(contribution.amount for contribution in self.contributions), self.others[1]))


class PaymentExplanation(NamedTuple):
    """Why what is left of a payment is `amount`, and where those won stand."""

    amount: Money
    contribution: Contribution
    stands: Sequence[Standing]
    missing: Sequence[Missing]
    forgotten_before: datetime | None

    @property
    def explained(self) -> Money:
        """What was sold less what went back."""
        return self.contribution.amount


def explain_document(told: Sources, may_see: Callable[[str], bool] = lambda _: True) -> Explanation:
    """The explanation of a document; payments of partners that `may_see` denies are only added up."""
    document = told.document
    amount = NOTHING if document.state == "in_merge" else document.amount
    contributions, missing = _contributions(told)
    explained = _sum(each.amount for each in contributions)
    rest = amount.minus(explained).minus(_sum(each.amount for each in missing))
    if rest != NOTHING:
        missing.append(_rest_of_document(told, rest))
    seen = [each for each in contributions if may_see(each.payment.partner_id)]
    hidden = [each.amount for each in contributions if not may_see(each.payment.partner_id)]
    if hidden:
        missing = [each._replace(names=()) for each in missing]
    subject, of_payments = str(document.invoice_id), {each.payment.order_id for each in contributions}
    return Explanation(
        document,
        amount,
        seen,
        (len(hidden), _sum(hidden)),
        missing,
        told.related,
        [event for event in told.events if event.subject == subject and event.key not in of_payments],
        _forgotten(told.horizon, (each.payment for each in contributions)),
    )


def explain_payment(told: PaymentSources) -> PaymentExplanation:
    """The explanation of a payment: its lines, what went back, and the documents its won stand on."""
    payment = told.payment
    kept = payment.paid.minus(payment.refunded)
    parts, missing = _parts_sold(payment, told.snapshot)
    for refund in told.refunds:
        parts += _parts_back(told.snapshot, refund)
    explained = _sum(part.amount for part in parts)
    rest = kept.minus(explained).minus(_sum(each.amount for each in missing))
    if rest != NOTHING:
        missing.append(Missing("not_explained", rest, (payment.payment_id,)))
    stands = _stands(told)
    elsewhere = kept.minus(_sum(each.amount for each in stands if each.amount is not None))
    if elsewhere != NOTHING:
        cause: Cause = "on_another_document" if _is_duplicate(told) else "not_explained"
        missing.append(Missing(cause, elsewhere, (payment.payment_id,)))
    events = [event for event in told.events if event.key == payment.order_id]
    contribution = Contribution(payment, parts, events)
    return PaymentExplanation(kept, contribution, stands, missing, _forgotten(told.horizon, [payment]))


def _contributions(told: Sources) -> tuple[list[Contribution], list[Missing]]:
    document = told.document
    if document.state == "in_merge":
        return [], []
    if document.refund_id is not None:
        return _contributions_of_refund(told)
    contributions: list[Contribution] = []
    missing: list[Missing] = []
    netted: dict[str, list[Refund]] = {}
    for refund in told.refunds:
        if refund.refund_id not in told.later:
            netted.setdefault(refund.order_id, []).append(refund)
    takes_back, events = document.kind == "modified", _events_by_key(told)
    for payment in told.payments:
        snapshot = told.snapshots.get(payment.order_id)
        parts, lacking = _parts_sold(payment, snapshot)
        for refund in netted.get(payment.order_id, ()):
            parts += _parts_back(snapshot, refund)
        if takes_back:
            parts = [part.turned for part in parts]
            lacking = [each._replace(amount=NOTHING.minus(each.amount)) for each in lacking]
        contributions.append(Contribution(payment, parts, events.get(payment.order_id, ())))
        missing += lacking
    return contributions, missing


def _contributions_of_refund(told: Sources) -> tuple[list[Contribution], list[Missing]]:
    """Of a document that a refund caused, or that takes back or replaces such a one."""
    document = told.document
    refund = next((each for each in told.refunds if each.refund_id == document.refund_id), None)
    if refund is None:
        return [], [Missing("refund_not_kept", document.amount, (str(document.refund_id),))]
    contributions = []
    for payment in told.payments:
        if payment.order_id == refund.order_id:
            parts = _parts_back(told.snapshots.get(payment.order_id), refund)
            if document.amount.total > 0:
                parts = [part.turned for part in parts]
            events = _events_by_key(told).get(payment.order_id, ())
            contributions.append(Contribution(payment, parts, events))
    return contributions, []


def _events_by_key(told: Sources) -> Mapping[str, Sequence[SaidEvent]]:
    events: defaultdict[str, list[SaidEvent]] = defaultdict(list)
    for event in told.events:
        events[event.key].append(event)
    return events


def _parts_sold(payment: Payment, snapshot: Snapshot | None) -> tuple[list[Part], list[Missing]]:
    if snapshot is None or not snapshot.lines:
        return [Part("sold", payment.paid)], []
    amounts = line_amounts(snapshot.vat_mode, [(line, line.quantity, 0) for line in snapshot.lines])
    parts = [
        Part("sold", amount, line, line.quantity)
        for line, amount in zip(snapshot.lines, amounts, strict=True)
    ]
    rest = payment.paid.minus(_sum(amounts))
    return parts, [] if rest == NOTHING else [Missing("lines_differ", rest, (payment.payment_id,))]


def _parts_back(snapshot: Snapshot | None, refund: Refund) -> list[Part]:
    """What a refund took off, line by line; in one part where its units, or the lines, are not known."""
    sold = {line.line_id: line for line in snapshot.lines} if snapshot is not None else {}
    units = refund.lines or ()
    if snapshot is None or not units or any(line_id not in sold for line_id, _ in units):
        return [Part("refunded", NOTHING.minus(refund.amount), refund=refund)]
    used = [refund.consumed.get(line_id, 0) for line_id, _ in units]
    back = [(sold[line_id], quantity, -stays) for (line_id, quantity), stays in zip(units, used, strict=True)]
    amounts = line_amounts(snapshot.vat_mode, back, refund.amount)
    return [
        Part("refunded", NOTHING.minus(amount), line, quantity, refund, -stays)
        for (line, quantity, stays), amount in zip(back, amounts, strict=True)
    ]


def _rest_of_document(told: Sources, rest: Money) -> Missing:
    """Refunds after a duplicate was taken back are on no document, and nobody kept which ones those were."""
    names = tuple(each.refund_id for each in told.refunds if each.refund_id not in told.later)
    return Missing("after_taken_back", rest, names) if told.is_duplicate else Missing("not_explained", rest)


def _stands(told: PaymentSources) -> list[Standing]:
    payment = told.payment
    if payment.evidence != "tax_invoice":
        return [Standing(None, payment.standing)]
    modified = {document.refund_id for document in told.documents}
    netted = [refund.amount for refund in told.refunds if refund.refund_id not in modified]
    issued = None if netted and _is_duplicate(told) else payment.paid.minus(_sum(netted))
    return [Standing(document, _won_on(document, told, issued)) for document in told.documents]


def _won_on(document: Document, told: PaymentSources, issued: Money | None) -> Money | None:
    """`issued` is what of the payment stood on its document when that was issued."""
    of = (document.invoice_id, document.original_id)
    is_alone = any(each.kind == "payment" and each.invoice_id in of for each in told.documents)
    if document.refund_id is not None or is_alone:
        return document.amount
    if issued is None:
        return None
    return NOTHING.minus(issued) if document.kind == "modified" else issued


def _is_duplicate(told: PaymentSources) -> bool:
    return any(document.modification == "issued_twice" for document in told.documents)


def _forgotten(horizon: datetime | None, payments: Iterable[Payment]) -> datetime | None:
    """The horizon, where events of these payments may be older."""
    oldest = min((payment.paid_at for payment in payments), default=None)
    return horizon if horizon is not None and oldest is not None and oldest < horizon else None


def _sum(amounts: Iterable[Money]) -> Money:
    supply = vat = 0
    for amount in amounts:
        supply += amount.supply
        vat += amount.vat
    return Money(supply, vat)
