"""What an operator does beside closing a month: merging a business, correcting a document or a partner.

The first two load, decide and save what they need in a transaction of their own; whoever opens that keeps the
answer and publishes the events, or takes it all back for a dry run. A partner is corrected as
`partner.changed` changes it, and folded with its events.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from services.invoices.decisions.businesses import BusinessMerge, merge_business, undo_business_merge
from services.invoices.decisions.corrections import CannotCorrect, Order, correct_document
from services.invoices.decisions.partners import change_partner
from services.invoices.documents.tax_document import Party, way_to_tell
from services.invoices.showing import buyer_named
from services.invoices.state import (
    REGISTERED,
    BusinessRegistration,
    Change,
    Document,
    Partner,
    RightBuyer,
    Verdict,
    World,
)
from services.invoices.store import CORRECT_PARTNER, Store
from shared import business_number
from shared.events.fields import NO_NUL, Id, Name, Text
from shared.ids import uuid7
from shared.postgres import Connection
from shared.runtime.commands import Command, CommandOutcome, CommandRoute, Done, Refused, told
from shared.runtime.decisions import Context
from shared.web.fields import Body
from shared.web.problems import NOT_FOUND, Kind, Problem

CANNOT_CORRECT = Kind(
    "cannot_correct",
    409,
    "The document is not corrected",
    "{reason}; nothing was changed",
    "문서를 정정할 수 없습니다",
    "변경된 것은 없습니다 ({reason})",
)


BUYER_INCOMPLETE = Kind(
    "buyer_incomplete",
    409,
    "Too little is known of the buyer",
    "the tax agent would refuse a document of the correction ({lacks}), so none was issued; first {ways}",
    "공급받는 자에 대해 알려진 것이 부족합니다",
    "발행 대행이 정정 문서를 거절하게 되므로 아무것도 발행하지 않았습니다 ({lacks}). 먼저 {ways}",
)


PARTNER_INCOMPLETE = Kind(
    "partner_incomplete",
    409,
    "Too little is known of the partner",
    "nobody has told invoices of {partner} yet: send {missing} too; nothing was changed",
    "거래처에 대해 알려진 것이 부족합니다",
    "변경된 것은 없습니다. {partner}에 대해 {missing}도 함께 보내십시오",
)


PARTNER_PURGED = Kind(
    "partner_purged",
    409,
    "The partner is named no more",
    "{partner} left years ago and was purged; nothing was changed: correct a document of it by its key, with "
    "pawl close MONTH correct DOCUMENT",
    "거래처 정보가 파기되었습니다",
    "변경된 것은 없습니다. {partner}의 정보는 탈퇴 후 보존 기간이 지나 파기되었습니다. "
    "문서는 문서 키로 정정하십시오: pawl close MONTH correct DOCUMENT",
)


def _valid_number(text: str) -> str:
    digits = business_number.normalise(text)
    if digits is None or not business_number.is_valid(digits):
        raise ValueError("no valid business number")
    return digits


ValidNumber = Annotated[
    str,
    AfterValidator(_valid_number),
    WithJsonSchema(
        {
            "type": "string",
            "format": "business-number",
            "description": "a business number of ten digits with its check digit",
        }
    ),
]
OptionalText = Annotated[str, StringConstraints(max_length=2_000, pattern=NO_NUL)]


class MergeBody(Body):
    """Merge the payments of a business number in a month, or undo that; only shown unless `apply`."""

    business_number: ValidNumber
    undo: bool = False
    apply: bool = False
    reason: OptionalText = ""


class CorrectBody(Body):
    """Correct a document: its number, as proposed or as said, and other data of its buyer; or a duplicate.

    `representative` is kept for all documents of its partner under the right number.
    """

    document: Id
    reason: Text
    business_number: ValidNumber | None = None
    name: Name | None = None
    representative: Name | None = None
    address: Name | None = None
    twice: bool = False
    apply: bool = False


class PartnerBody(Body):
    """Correct what is known of a partner, as far as it is named; only shown unless `apply`.

    What is registered of a business (`representative` to `branch_number`) is that of `of_number`, or of the
    partner's own number.
    """

    reason: Text
    business_number: ValidNumber | None = None
    name: Name | None = None
    invoice_email: Name | None = None
    always_merge: bool | None = None
    representative: Name | None = None
    address: Name | None = None
    business_type: Name | None = None
    business_item: Name | None = None
    branch_number: Id | None = None
    of_number: ValidNumber | None = None
    apply: bool = False


async def merge_month_of_business(
    store: Store, month: str, connection: Connection, command: Command[MergeBody]
) -> Done:
    """Merges, or undoes, over all partners of a business number; answers with what became of each payment."""
    said = command.data
    world = await store.load_business(connection, month, said.business_number)
    if said.undo:
        made = undo_business_merge(world, said.business_number, month)
    else:
        made = merge_business(world, said.business_number, month, f"operator:{command.id}", uuid7)
    answer = _merge_answer(month, said, made)
    await store.save(connection, world)
    kept = {name: answer[name] for name in ("invoice_id", "partners", "total")}
    return Done(answer, made.events, after=kept)


async def correct(
    store: Store, month: str, connection: Connection, command: Command[CorrectBody]
) -> CommandOutcome:
    """Corrects an issued document, all of it or nothing; answers with the documents that this makes."""
    said = command.data
    world, document = await store.load_document(connection, month, said.document, said.business_number)
    if document is None:
        return Refused(Problem(NOT_FOUND, what=f"{month} has no document {said.document}"))
    buyer = RightBuyer(said.name, said.representative, said.address)
    order = Order(said.business_number, said.twice, said.reason, command.actor, command.time, buyer)
    try:
        made = correct_document(world, document, order, uuid7)
    except CannotCorrect as refused:
        return Refused(Problem(CANNOT_CORRECT, reason=str(refused)))
    registration = _told_with(said, command.time, world, document, made.state)
    incomplete = await _incomplete(connection, world, document, made.state, registration)
    if incomplete and store.policy.tax_agent:
        lacks = "; ".join(f"{number} has no {' and no '.join(b.missing)}" for number, b in incomplete.items())
        ways = "; ".join(way_to_tell(document.partner_id, buyer) for buyer in incomplete.values())
        return Refused(Problem(BUYER_INCOMPLETE, lacks=lacks, ways=ways))
    world.put(made.state)
    world.put(Change(registrations=() if registration is None else (registration,)))
    await store.save(connection, world)
    answer = {
        "month": month,
        "document": document.document_key,
        "applied": said.apply,
        "documents": [event.data for event in made.events],
        "incomplete": [
            {
                "business_number": number,
                "missing": list(buyer.missing),
                "command": way_to_tell(document.partner_id, buyer),
            }
            for number, buyer in incomplete.items()
        ],
    }
    keys = [event.data.get("document_key") for event in made.events]
    return Done(answer, made.events, after={"document_keys": keys})


def _told_with(
    said: CorrectBody, time: datetime, world: World, document: Document, made: Change
) -> BusinessRegistration | None:
    """What is told of the right number of a correction, beside what is known of it."""
    if said.representative is None:
        return None
    (decided,) = made.corrections
    number = decided.business_number
    told = BusinessRegistration(document.partner_id, number, time, representative=said.representative)
    return told.after(world.registrations.get((document.partner_id, number)))


async def _incomplete(
    connection: Connection,
    world: World,
    corrected: Document,
    made: Change,
    told: BusinessRegistration | None,
) -> dict[str, Party]:
    """The buyers of the documents of a correction that lack what the authority wants, by their numbers."""
    of_payments = [payment.order_id for payment in world.payments_in(corrected)]
    found: dict[str, Party] = {}
    for document in made.documents:
        order_ids = [*of_payments, *([document.order_id] if document.order_id else [])]
        buyer = await buyer_named(connection, document, order_ids, told, made.corrections)
        if buyer.missing:
            found[buyer.business_number] = buyer
    return found


def correct_partner(world: World, command: Command[PartnerBody], context: Context) -> CommandOutcome:
    """Changes what is known of a partner; answers with what becomes of its documents.

    What nobody names stays. A partner that nobody has told of yet needs a number, a name and an address.
    """
    said, recorded = command.data, world.partners.get(command.key)
    if recorded is not None and recorded.purged_at is not None:
        return Refused(Problem(PARTNER_PURGED, partner=command.key))
    before = None if recorded is None else _shown_partner(recorded)
    named = {name: value for name in TOLD if (value := getattr(said, name)) is not None}
    after = {"always_merge": False, **(before or {}), **named}
    missing = [name for name in TOLD if name not in after]
    if missing:
        return Refused(Problem(PARTNER_INCOMPLETE, partner=command.key, missing=", ".join(missing)))
    changed_at = command.time if recorded is None else max(command.time, recorded.changed_at)
    partner = Partner(command.key, **after, always_merge_since=changed_at, changed_at=changed_at)
    of = said.of_number or after["business_number"]
    registered = {name: value for name in REGISTERED if (value := getattr(said, name)) is not None}
    registration = BusinessRegistration(command.key, of, command.time, **registered) if registered else None
    decided = change_partner(world, partner, command.time, registration)
    if before is not None:
        before |= _registered(world, command.key, said.of_number or before["business_number"])
    after |= _registered(world, command.key, of) | registered
    answer = {
        "partner_id": command.key,
        "applied": said.apply,
        "before": before,
        "after": after,
        **_consequences(world, decided.state),
        "events": told(decided.events),
    }
    world.put(decided.state)
    return Done(answer, decided.events, before, after)


TOLD = ("business_number", "name", "invoice_email", "always_merge")
"""What a partner tells of itself."""


def _registered(world: World, partner_id: str, number: str) -> dict[str, str]:
    known = world.registrations.get((partner_id, number))
    return {name: getattr(known, name, "") for name in REGISTERED}


def _shown_partner(partner: Partner) -> dict[str, Any]:
    return {name: getattr(partner, name) for name in TOLD}


def _consequences(world: World, change: Change) -> dict[str, Any]:
    """Documents that are issued now, drafts under another number, corrections proposed and withdrawn."""
    documents = {document.invoice_id: document for document in change.documents}
    drafts = [document for document in documents.values() if document.state == "draft"]
    return {
        "issued": [_shown_document(each) for each in documents.values() if each.state == "issued"],
        "renumbered": [
            _shown_document(draft)
            for draft in drafts
            if draft.business_number != world.documents[draft.invoice_id].business_number
        ],
        "corrections": [
            {
                "document_key": world.documents[each.invoice_id].document_key,
                "month": each.month,
                "right_number": each.business_number,
                "state": each.state,
            }
            for each in change.corrections
        ],
    }


def _shown_document(document: Document) -> dict[str, Any]:
    return {
        "invoice_id": str(document.invoice_id),
        "document_key": document.document_key,
        "month": document.month,
        "business_number": document.business_number,
        "total": document.amount.total,
    }


def _merge_answer(month: str, said: MergeBody, made: BusinessMerge) -> dict[str, Any]:
    document = made.document
    amount = None if document is None else document.amount
    return {
        "month": month,
        "business_number": said.business_number,
        "applied": said.apply,
        "undone": said.undo,
        "invoice_id": None if document is None else str(document.invoice_id),
        "partners": [] if document is None else list(document.partners),
        "total": 0 if amount is None or said.undo else amount.total,
        "merged": [_named(v) for v in made.verdicts if v.reason == "merged"],
        "excluded": [_named(v) | {"reason": v.reason} for v in made.verdicts if v.reason != "merged"],
    }


def _named(verdict: Verdict) -> dict[str, Any]:
    payment = verdict.payment
    assert payment is not None
    return {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "partner_id": payment.partner_id,
        "total": payment.standing.total,
    }


COMMANDS = {CORRECT_PARTNER: CommandRoute(correct_partner)}
"""The commands of invoices that are folded like events, by their names."""
