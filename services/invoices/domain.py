"""The decisions of the invoices service (domain.md section 5): pure, each answering with a `Change`.

Payments minus refunds always equal what stands on issued, modified and un-issued documents, card slips and
cash receipts, to the won: every decision moves the same won on the payment and on its document.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.invoices.calendar import due_on, written_date
from services.invoices.merging import (
    Reason,
    Scope,
    Verdict,
    Wish,
    judge,
    refusal_of_time,
    scope_of,
    wish_at_close,
)
from services.invoices.state import (
    NOTHING,
    UNISSUED,
    Change,
    Contradiction,
    Document,
    Evidence,
    Explanation,
    MergeRequest,
    Modification,
    Partner,
    Payment,
    Policy,
    Refund,
    RefundState,
    World,
    minus,
    plus,
)
from shared import business_number
from shared.kst import kst_date, month_of, wire_time
from shared.money import Money
from shared.runtime.decisions import Emit

NewId = Callable[[], UUID]


@dataclass(slots=True, frozen=True)
class Return:
    """Won and units of a payment that went back: a completed refund, or a cancellation.

    `units` counts units of kind `serials`. `at` is the instant it happened; its KST day is the written date
    of the modified invoice, if there is one.
    """

    refund_id: str
    amount: Money
    units: int
    at: datetime
    cancellation: bool = False


# -- payments ----------------------------------------------------------------------------------------------


def evidence_of(asked: Evidence, payment_method: str, policy: Policy) -> Evidence:
    """The one evidence of a payment. A card payment has its card slip already.

    부가가치세법 제33조 제2항; a policy here.
    """
    return "card_slip" if payment_method == "card" and policy.card_is_slip else asked


def record_payment(world: World, payment: Payment, at: datetime, new_id: NewId) -> Change:
    """Records a paid order with the draft of its tax invoice, issued at once when the month is closed."""
    change = Change()
    if payment.evidence != "tax_invoice":
        change.payments.append(payment)
        return change
    draft = Document(
        new_id(),
        "payment",
        "draft",
        payment.partner_id,
        payment.business_number,
        payment.month,
        payment.paid,
        1,
    )
    drafted = replace(payment, draft_id=draft.invoice_id, invoice_id=draft.invoice_id)
    change.payments.append(drafted)
    change.emits.append(_drafted(drafted, draft))
    closed_at = world.closed.get(payment.month)
    if closed_at is None:
        change.documents.append(draft)
    else:
        correction = correction_for(world.partners.get(payment.partner_id), [drafted])
        issue(world, change, draft, [drafted], max(at, closed_at), late=True, correction=correction)
    return change


def _drafted(payment: Payment, draft: Document) -> Emit:
    data = {
        "order_id": payment.order_id,
        "invoice_id": str(draft.invoice_id),
        "payment_id": payment.payment_id,
        "partner_id": draft.partner_id,
        "business_number": draft.business_number,
        "month": draft.month,
        **_won(draft.amount),
    }
    return Emit("invoice.drafted.v1", str(draft.invoice_id), draft.sequence, data, key=payment.order_id)


def record_issued_units(payment: Payment, units: int) -> Change:
    """Counts serials that were issued for a payment. Raises Contradiction when they exceed what was paid."""
    return Change(payments=[_checked(replace(payment, issued_units=payment.issued_units + units))])


def _checked(payment: Payment) -> Payment:
    if payment.issued_units + payment.returned_units > payment.serial_units:
        raise Contradiction(
            f"order {payment.order_id}: {payment.issued_units} issued and {payment.returned_units} returned "
            f"units exceed the {payment.serial_units} that were paid"
        )
    return payment


# -- refunds -----------------------------------------------------------------------------------------------


def open_refund(world: World, payment: Payment, refund_id: str) -> Change:
    """Notes a refund in progress. One that already ended (its end came on another topic) stays ended."""
    if refund_id in world.refunds:
        return Change()
    return Change(
        payments=[replace(payment, open_refunds=payment.open_refunds + 1)],
        refunds=[Refund(refund_id, payment.order_id, "open")],
    )


def end_refund(world: World, payment: Payment, refund_id: str, state: RefundState) -> Change:
    """Notes that a refund ended without money going back. An ended refund stays as it is."""
    known = world.refunds.get(refund_id)
    if known is not None and known.state != "open":
        return Change()
    change = Change(refunds=[Refund(refund_id, payment.order_id, state)])
    if known is not None:
        change.payments.append(replace(payment, open_refunds=payment.open_refunds - 1))
    return change


def return_money(world: World, payment: Payment, back: Return, issued_at: datetime, new_id: NewId) -> Change:
    """Takes refunded won off the payment and off its evidence.

    Before the document is issued they are netted; afterwards the document is never touched again, and a
    modified invoice says the difference (부가가치세법 시행령 제70조). A repeated refund changes nothing.
    Raises Contradiction when more goes back than was paid.
    """
    known = world.refunds.get(back.refund_id)
    if known is not None and known.state == "completed":
        return Change()
    change = Change(
        refunds=[Refund(back.refund_id, payment.order_id, "completed", back.amount, back.cancellation)]
    )
    was_open = int(known is not None and known.state == "open")
    after = _checked(
        replace(
            payment,
            refunded=plus(payment.refunded, back.amount),
            returned_units=payment.returned_units + back.units,
            open_refunds=payment.open_refunds - was_open,
        )
    )
    minus(payment.paid, after.refunded)
    document = world.document_of(payment)
    if document is None or document.state != "issued":
        _net(change, after, document, back.amount)
    else:
        change.payments.append(after)
        if back.amount.total:
            _modify(world, change, after, document, back, issued_at, new_id)
    return change


def _net(change: Change, payment: Payment, document: Document | None, amount: Money) -> None:
    change.payments.append(replace(payment, standing=minus(payment.standing, amount)))
    if document is not None:
        left = minus(document.amount, amount)
        state = document.state if left.total else "void"
        change.documents.append(replace(document, amount=left, state=state))


def _modify(
    world: World,
    change: Change,
    payment: Payment,
    original: Document,
    back: Return,
    issued_at: datetime,
    new_id: NewId,
) -> None:
    written = kst_date(back.at)
    number = _next_number(world, change, original.business_number)
    modified = Document(
        invoice_id=new_id(),
        kind="modified",
        state="issued",
        partner_id=original.partner_id,
        business_number=original.business_number,
        month=month_of(back.at),
        amount=Money(-back.amount.supply, -back.amount.vat),
        sequence=1,
        document_key=_document_key(month_of(back.at), original.business_number, number),
        written_date=written,
        issued_at=issued_at,
        order_id=payment.order_id,
        original_id=original.invoice_id,
        modification=modification_of(original, back.amount),
        refund_id=back.refund_id,
    )
    change.documents.append(modified)
    change.emits.append(_modified(modified, original, payment, back))


def modification_of(original: Document, amount: Money) -> Modification:
    """Why an issued document is modified: the whole of it in one go is 계약의 해제, a part is 공급가액 변동.

    Only a document that stands on one payment can equal a single refund, so a payment of a merged document is
    always a change of its supply value.
    """
    return "contract_cancelled" if amount == original.amount else "supply_value_changed"


def _modified(modified: Document, original: Document, payment: Payment, back: Return) -> Emit:
    data = {
        "invoice_id": str(modified.invoice_id),
        "partner_id": modified.partner_id,
        "business_number": modified.business_number,
        "document_key": modified.document_key,
        "original_document_key": original.document_key,
        "modification": modified.modification,
        "payment_id": payment.payment_id,
        "refund_id": back.refund_id,
        **_won(modified.amount),
        "written_date": str(modified.written_date),
        "cause": "cancellation" if back.cancellation else "refund",
        "order_id": payment.order_id,
    }
    return Emit("invoice.modified.v1", str(modified.invoice_id), 1, data, key=modified.partner_id)


# -- merges ------------------------------------------------------------------------------------------------


def request_merge(world: World, request: MergeRequest, new_id: NewId) -> Change:
    """Answers a merge request: the fit payments are merged, every payment gets its explanation.

    A request that came in time stands as a wish until the close; it replaces an earlier undo.
    """
    scope = scope_of(request)
    refusal = refusal_of_time(scope, request.requested_at, world)
    change = Change(requests=[replace(request, standing=refusal is None)])
    if refusal is None:
        earlier = world.standing_requests(*scope)
        change.requests += [replace(wish, standing=False) for wish in earlier if wish.undo]
    wanted = None if request.payment_ids is None else frozenset(request.payment_ids)
    verdicts = judge(world, scope, wanted, refusal)
    change.explanations = list(_explanations(scope, request.request_id, verdicts))
    _merge(world, change, scope, verdicts, new_id)
    return change


def _explanations(scope: Scope, request_id: str, verdicts: Iterable[Verdict]) -> Iterable[Explanation]:
    for verdict in verdicts:
        order_id = None if verdict.payment is None else verdict.payment.order_id
        yield Explanation(scope.partner_id, request_id, verdict.payment_id, order_id, verdict.reason)


def _merge(world: World, change: Change, scope: Scope, verdicts: Sequence[Verdict], new_id: NewId) -> None:
    """Puts the fit payments on the merged document of `scope`; those that are on it already stay there."""
    merge = world.open_merge(*scope)
    fit = [
        verdict.payment for verdict in verdicts if verdict.reason == "merged" and verdict.payment is not None
    ]
    joining = [payment for payment in fit if merge is None or payment.invoice_id != merge.invoice_id]
    if not joining:
        return
    before = [] if merge is None else world.payments_in(merge)
    target = merge or Document(new_id(), "merged", "draft", *scope, amount=NOTHING, sequence=0)
    amount = target.amount
    for payment in joining:
        amount = plus(amount, payment.standing)
        own = world.documents[_own_draft(payment)]
        change.payments.append(replace(payment, invoice_id=target.invoice_id))
        change.documents.append(replace(own, state="in_merge"))
    target = replace(target, amount=amount, sequence=target.sequence + 1)
    change.documents.append(target)
    members = sorted([*before, *joining], key=lambda payment: (payment.paid_at, payment.order_id))
    change.emits.append(_merged(target, members, verdicts))


def _own_draft(payment: Payment) -> UUID:
    if payment.draft_id is None:
        raise Contradiction(f"order {payment.order_id} has no draft: its evidence is a {payment.evidence}")
    return payment.draft_id


def _merged(merge: Document, members: Sequence[Payment], verdicts: Sequence[Verdict]) -> Emit:
    data = {
        **_scope_data(merge),
        "payment_ids": [payment.payment_id for payment in members],
        **_won(merge.amount),
        "written_date": str(written_date(merge.month)),
        "due_on": str(due_on(merge.month)),
        "excluded": [
            {"payment_id": verdict.payment_id, "reason": verdict.reason}
            for verdict in verdicts
            if verdict.reason != "merged"
        ],
    }
    return Emit("invoice.merged.v1", str(merge.invoice_id), merge.sequence, data, key=merge.partner_id)


def undo_merge(world: World, request: MergeRequest) -> Change:
    """Gives the payments of an un-issued merge their own drafts back. An issued merge stays.

    The undo is the last word about this month: it replaces earlier requests and beats a standing preference,
    until a new request.
    """
    scope = scope_of(request)
    change = Change(requests=[replace(request, standing=True)])
    change.requests += [replace(wish, standing=False) for wish in world.standing_requests(*scope)]
    merge = world.open_merge(*scope)
    if merge is None:
        return change
    members = world.payments_in(merge)
    for payment in members:
        own = world.documents[_own_draft(payment)]
        state = merge.state if payment.standing.total else "void"
        change.payments.append(replace(payment, invoice_id=own.invoice_id))
        change.documents.append(replace(own, state=state, amount=payment.standing))
    undone = replace(merge, state="undone", amount=NOTHING, sequence=merge.sequence + 1)
    change.documents.append(undone)
    data = {**_scope_data(undone), "payment_ids": [payment.payment_id for payment in members]}
    emit = Emit("invoice.unmerged.v1", str(undone.invoice_id), undone.sequence, data, key=undone.partner_id)
    change.emits.append(emit)
    return change


def merge_at_close(world: World, scope: Scope, new_id: NewId) -> Change:
    """What the month close merges for a business, by its standing preference or requests."""
    wish = wish_at_close(
        scope, world.partners.get(scope.partner_id), world.standing_requests(*scope), world.policy
    )
    change = Change()
    if wish is not None:
        verdicts = judge(world, scope, wish.payment_ids, None)
        change.explanations = list(_close_explanations(scope, wish, verdicts))
        _merge(world, change, scope, verdicts, new_id)
    return change


def _close_explanations(scope: Scope, wish: Wish, verdicts: Sequence[Verdict]) -> Iterable[Explanation]:
    request_id = f"{wish.request_id}:{scope.month}" if wish.request_id == "always_merge" else wish.request_id
    told_elsewhere: tuple[Reason, ...] = ("other_business", "already_issued")
    yield from _explanations(scope, request_id, (v for v in verdicts if v.reason not in told_elsewhere))


# -- issuing -----------------------------------------------------------------------------------------------


def issue(
    world: World,
    change: Change,
    document: Document,
    payments: Sequence[Payment],
    at: datetime,
    *,
    late: bool = False,
    correction: str | None = None,
) -> None:
    """Issues a document with money on it, or says why it cannot be, once.

    The number is the one as of payment; only when that is wrong it is `correction`. With neither, the
    document waits as `issue_failed` for the partner to be corrected.
    """
    if document.amount.total == 0:
        raise Contradiction(f"document {document.invoice_id} has no won on it to be issued")
    number = document.business_number if business_number.is_valid(document.business_number) else correction
    if number is None:
        _fail(change, document, late)
        return
    counted = _next_number(world, change, number)
    issued = replace(
        document,
        state="issued",
        sequence=document.sequence + 1,
        business_number=number,
        late=late or document.late,
        document_key=_document_key(document.month, number, counted),
        written_date=written_date(document.month),
        issued_at=at,
        payments=sum(payment.standing.total > 0 for payment in payments),
    )
    change.documents.append(issued)
    change.emits.append(_issued(issued, payments, at))


def _fail(change: Change, document: Document, late: bool) -> None:
    if document.state == "issue_failed":
        return
    failed = replace(
        document, state="issue_failed", sequence=document.sequence + 1, late=late or document.late
    )
    change.documents.append(failed)
    data = {**_scope_data(failed), "reason": "business_number_invalid", "next": "correct_partner"}
    emit = Emit(
        "invoice.issue_failed.v1", str(failed.invoice_id), failed.sequence, data, key=failed.partner_id
    )
    change.emits.append(emit)


def _issued(issued: Document, payments: Sequence[Payment], at: datetime) -> Emit:
    data: dict[str, Any] = {
        **_scope_data(issued),
        "document_key": issued.document_key,
        "payment_ids": [payment.payment_id for payment in payments if payment.standing.total],
        **_won(issued.amount),
        "written_date": str(issued.written_date),
        "issued_at": wire_time(at),
        "late": issued.late,
    }
    if issued.late:
        data["estimated_penalty"] = estimated_penalty(issued.amount)
    subject = str(issued.invoice_id)
    return Emit("invoice.issued.v1", subject, issued.sequence, data, key=issued.partner_id, time=at)


def estimated_penalty(amount: Money) -> int:
    """The penalty to expect for a late invoice, in won: 1 % of its supply value, floor.

    부가가치세법 제60조 제2항 제1호 (지연발급). Never issuing it would be 2 %.
    """
    return amount.supply // 100


def correction_for(partner: Partner | None, payments: Iterable[Payment]) -> str | None:
    """The number that replaces a wrong one: the partner's, when it is right and newer than the payments."""
    if partner is None or not business_number.is_valid(partner.business_number):
        return None
    newest = max(payment.paid_at for payment in payments)
    return partner.business_number if partner.changed_at > newest else None


def issue_at_close(world: World, document: Document, at: datetime) -> Change:
    """Issues one un-issued document of a closed month, or says once why it cannot be."""
    change = Change()
    payments = world.payments_in(document)
    correction = correction_for(world.partners.get(document.partner_id), payments)
    issue(world, change, document, payments, at, correction=correction)
    return change


def change_partner(world: World, partner: Partner, at: datetime) -> Change:
    """Takes over a partner's data, and issues what waited in closed months for a right business number.

    A change older than the one known is overtaken and changes nothing.
    """
    known = world.partners.get(partner.partner_id)
    if known is not None and partner.changed_at < known.changed_at:
        return Change()
    if known is not None and known.always_merge == partner.always_merge:
        partner = replace(partner, always_merge_since=known.always_merge_since)
    change = Change(partners=[partner])
    if business_number.is_valid(partner.business_number):
        _issue_failed_ones(world, change, partner, at)
    return change


def _issue_failed_ones(world: World, change: Change, partner: Partner, at: datetime) -> None:
    waiting = [d for d in world.documents.values() if d.partner_id == partner.partner_id and is_failed(d)]
    for document in sorted(waiting, key=lambda d: (d.month, d.invoice_id)):
        issued_at = max(at, world.closed[document.month])
        payments = world.payments_in(document)
        issue(world, change, document, payments, issued_at, correction=partner.business_number)


def is_failed(document: Document) -> bool:
    """Whether the document waits for its partner to be corrected."""
    return document.state == "issue_failed"


def is_unissued(document: Document) -> bool:
    """Whether the document is still to be issued."""
    return document.state in UNISSUED


def _next_number(world: World, change: Change, number: str) -> int:
    counted = change.counters.get(number, world.counters[number]) + 1
    change.counters[number] = counted
    return counted


def _document_key(month: str, number: str, counted: int) -> str:
    """Our own key of a document. The counter of a business number goes on over months: keys never repeat."""
    return f"{month}-{number}-{counted:06d}"


def _scope_data(document: Document) -> dict[str, Any]:
    return {
        "invoice_id": str(document.invoice_id),
        "partner_id": document.partner_id,
        "business_number": document.business_number,
        "month": document.month,
    }


def _won(amount: Money) -> dict[str, int]:
    return {"supply": amount.supply, "vat": amount.vat, "total": amount.total}
