"""What an operator does to a month beside closing it: merging a business, correcting a document.

Each loads, decides and saves what it needs in a transaction of its own; whoever opens that keeps the answer
and publishes the events, or takes it all back for a dry run.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from services.invoices.decisions.businesses import BusinessMerge, merge_business, undo_business_merge
from services.invoices.decisions.corrections import CannotCorrect, Order, correct_document
from services.invoices.state import Verdict
from services.invoices.store import Store
from shared import business_number
from shared.events.fields import NO_NUL, Id, Text
from shared.ids import uuid7
from shared.postgres import Connection
from shared.runtime.commands import Command, CommandOutcome, Done, Refused
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
    """Correct a document under the proposed number or this one, or as a duplicate (`twice`)."""

    document: Id
    reason: Text
    business_number: ValidNumber | None = None
    twice: bool = False
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
    order = Order(said.business_number, said.twice, said.reason, command.actor, command.time)
    try:
        made = correct_document(world, document, order, uuid7)
    except CannotCorrect as refused:
        return Refused(Problem(CANNOT_CORRECT, reason=str(refused)))
    world.put(made.state)
    await store.save(connection, world)
    answer = {
        "month": month,
        "document": document.document_key,
        "applied": said.apply,
        "documents": [event.data for event in made.events],
    }
    keys = [event.data.get("document_key") for event in made.events]
    return Done(answer, made.events, after={"document_keys": keys})


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
