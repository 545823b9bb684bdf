"""The business number of an invoice: the one as of payment, until the partner says that it was wrong.

A number that the partner itself had told before the payment is right, whatever it tells later: the business
has moved on. A number that nobody had confirmed is replaced by the first valid one that the partner tells
after the payment; so is one with a wrong check digit. A draft takes the right number at once; for an issued
document a correction is proposed, and an operator decides (docs/domain.md section 5).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from services.invoices.decisions.merging import unmerge
from services.invoices.events import invoice_drafted, invoice_merged, parts_of
from services.invoices.state import Change, Correction, Document, PartnerNumber, Payment, World
from shared import business_number
from shared.runtime.decisions import Decided, NewEvent

Told = Sequence[PartnerNumber]


def right_number(payment: Payment, told: Told) -> str:
    """The number that a payment is invoiced under, of what its partner has told (oldest first)."""
    before = [each for each in told if each.since <= payment.paid_at]
    own = payment.business_number
    if before and before[-1].business_number == own and business_number.is_valid(own):
        return own
    later = (each.business_number for each in told if each.since > payment.paid_at)
    return next(filter(business_number.is_valid, later), own)


def correction_for(told: Told, payments: Iterable[Payment]) -> str | None:
    """The valid number that replaces a wrong one on a document, where it is right for each payment on it."""
    numbers = {right_number(payment, told) for payment in payments}
    number = numbers.pop() if len(numbers) == 1 else None
    return number if number is not None and business_number.is_valid(number) else None


def tell_number(told: Told, new: PartnerNumber) -> Told:
    """What a partner has told with one more number; the same as before when it was that already."""
    before = [each for each in told if each.since <= new.since]
    if before and before[-1].business_number == new.business_number:
        return told
    others = (each for each in told if each.since != new.since)
    return sorted([*others, new], key=lambda each: each.since)


def renumber_drafts(world: World, partner_id: str, told: Told) -> Decided[Change]:
    """Gives the drafts of a partner the right numbers. A wrong check digit waits for the issue, as ever.

    A merged draft moves as a whole; where only some of its payments move, it is undone first. What an
    operator merged over several partners stays.
    """
    moved = {
        payment.order_id: right_number(payment, told)
        for payment in world.payments_of(partner_id)
        if business_number.is_valid(payment.business_number)
    }
    change, events = Change(), list[NewEvent]()
    for document in _drafts(world, partner_id):
        members = world.payments_in(document)
        numbers = {moved.get(payment.order_id, payment.business_number) for payment in members}
        if numbers != {document.business_number} and business_number.is_valid(document.business_number):
            moving = _move(world, document.reopened, members, numbers, moved)
            change, events = change.plus(moving.state), [*events, *moving.events]
    return Decided(change, events)


def move_failed(world: World, document: Document, number: str) -> Decided[Change]:
    """Makes a document under a wrong number, failed or not yet, a draft under the right one."""
    members = world.payments_in(document)
    moved = {payment.order_id: number for payment in members}
    return _move(world, replace(document, state="draft"), members, {number}, moved)


def propose_corrections(world: World, partner_id: str, told: Told, at: datetime) -> Change:
    """Proposes a correction for each issued document that names another business than it should.

    A proposal that turns out to be none is withdrawn. What an operator has corrected is left alone.
    """
    corrections = []
    for document in world.documents.values():
        if document.partner_id != partner_id or not _can_be_proposed(document):
            continue
        number = correction_for(told, world.payments_in(document))
        before = world.corrections.get(document.invoice_id)
        if number is not None and number != document.business_number:
            new = Correction(document.invoice_id, partner_id, document.month, number, "proposed", at)
            if before is None or before.state == "withdrawn" or before.business_number != number:
                corrections.append(new)
        elif before is not None and before.state == "proposed" and number == document.business_number:
            corrections.append(replace(before, state="withdrawn"))
    return Change(corrections=tuple(corrections))


def _can_be_proposed(document: Document) -> bool:
    return document.state == "issued" and document.modification is None and not document.also


def _drafts(world: World, partner_id: str) -> list[Document]:
    drafts = (
        document
        for document in world.documents.values()
        if document.partner_id == partner_id
        and document.state in ("draft", "approved")
        and not document.also
        and not world.is_with_agent(document)
    )
    return sorted(drafts, key=lambda document: (document.month, document.invoice_id))


def _move(
    world: World, document: Document, members: Sequence[Payment], numbers: set[str], moved: dict[str, str]
) -> Decided[Change]:
    if document.kind == "merged":
        (number, *more) = numbers
        if not more and world.open_merge(document.partner_id, number, document.month) is None:
            return _move_merge(world, document, members, number)
        apart = unmerge(world, document)
        drafts = {draft.invoice_id: draft for draft in apart.state.documents}
        change, events = apart.state, list(apart.events)
        for payment in apart.state.payments:
            number = moved.get(payment.order_id, payment.business_number)
            assert payment.invoice_id is not None
            moving = _move_payment(payment, drafts[payment.invoice_id], number)
            change, events = change.plus(moving.state), [*events, *moving.events]
        return Decided(change, events)
    (payment,) = members
    return _move_payment(payment, document, moved[payment.order_id])


def _move_payment(payment: Payment, draft: Document, number: str) -> Decided[Change]:
    if number == draft.business_number:
        return Decided(Change())
    payment = replace(payment, business_number=number)
    draft = replace(draft, business_number=number, sequence=draft.sequence + 1)
    return Decided(Change(payments=(payment,), documents=(draft,)), (invoice_drafted(payment, draft),))


def _move_merge(world: World, merge: Document, members: Sequence[Payment], number: str) -> Decided[Change]:
    """The merged document with its payments, their own drafts, and the wishes that made it."""
    payments = tuple(replace(payment, business_number=number) for payment in members)
    own = [world.documents[payment.draft_id] for payment in members if payment.draft_id is not None]
    sequence = merge.sequence + parts_of(len(payments))
    merge_now = replace(merge, business_number=number, sequence=sequence)
    wishes = world.standing_requests(merge.partner_id, merge.business_number, merge.month)
    change = Change(
        payments=payments,
        documents=(*(replace(draft, business_number=number) for draft in own), merge_now),
        requests=tuple(replace(wish, business_number=number) for wish in wishes),
    )
    return Decided(change, invoice_merged(merge_now, payments, {}))
