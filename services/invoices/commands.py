"""What an operator does to a month beside closing it: merging a business, correcting a document.

Each command is one transaction. A dry run decides in the same way and writes nothing.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.invoices.decisions.businesses import BusinessMerge, merge_business, undo_business_merge
from services.invoices.decisions.corrections import Order, correct_document
from services.invoices.state import Verdict
from services.invoices.store import Store
from services.invoices.viewing import NoSuchDocument
from shared.ids import uuid7
from shared.runtime.audit_log import AuditEntry, write_audit
from shared.runtime.decisions import NewEvent
from shared.runtime.outgoing import Cause
from shared.runtime.surroundings import Surroundings


class BusinessCommand(NamedTuple):
    """Merge the payments of a business number in a month, or take such a merge apart (`undo`)."""

    month: str
    business_number: str
    undo: bool
    apply: bool
    at: datetime
    actor: str
    reason: str = ""


class CorrectCommand(NamedTuple):
    """Correct a document of a month, by key or id; see `corrections.Order`."""

    month: str
    document: str
    order: Order
    apply: bool


class _DryRun(Exception):
    """Takes a transaction back."""


async def merge_month_of_business(
    surroundings: Surroundings, store: Store, command: BusinessCommand
) -> dict[str, Any]:
    """Merges, or undoes, over all partners of a business number; answers with what became of each payment."""
    command_id = uuid7()
    answer: dict[str, Any] = {}
    try:
        async with surroundings.outbox.transaction(surroundings.pool) as (connection, events):
            world = await store.load_business(connection, command.month, command.business_number)
            if command.undo:
                made = undo_business_merge(world, command.business_number, command.month)
            else:
                made = merge_business(
                    world, command.business_number, command.month, f"operator:{command_id}", uuid7
                )
            answer = _merge_answer(command, made)
            if not command.apply:
                raise _DryRun
            await store.save(connection, world)
            for event in made.events:
                events.add(event, _cause(command_id, event, command.at))
            action = "business.unmerge" if command.undo else "business.merge"
            target = f"{command.month} {command.business_number}"
            kept = {name: answer[name] for name in ("invoice_id", "partners", "total")}
            await write_audit(
                connection,
                [AuditEntry(command_id, command.actor, action, target, command.reason, after=kept)],
            )
    except _DryRun:
        pass
    return answer


async def correct(surroundings: Surroundings, store: Store, command: CorrectCommand) -> dict[str, Any]:
    """Corrects an issued document, all of it or nothing; answers with the documents that this makes.

    Raises NoSuchDocument, and CannotCorrect with the reason.
    """
    command_id = uuid7()
    answer: dict[str, Any] = {}
    try:
        async with surroundings.outbox.transaction(surroundings.pool) as (connection, events):
            world, document = await store.load_document(
                connection, command.month, command.document, command.order.number
            )
            if document is None:
                raise NoSuchDocument(f"{command.month} has no document {command.document}")
            made = correct_document(world, document, command.order, uuid7)
            world.put(made.state)
            answer = {
                "month": command.month,
                "document": document.document_key,
                "applied": command.apply,
                "documents": [event.data for event in made.events],
            }
            if not command.apply:
                raise _DryRun
            await store.save(connection, world)
            for event in made.events:
                events.add(event, _cause(command_id, event, command.order.at))
            order = command.order
            after = {"document_keys": [event.data.get("document_key") for event in made.events]}
            await write_audit(
                connection,
                [
                    AuditEntry(
                        command_id,
                        order.actor,
                        "document.correct",
                        document.document_key or command.document,
                        order.reason,
                        after=after,
                    )
                ],
            )
    except _DryRun:
        pass
    return answer


def _merge_answer(command: BusinessCommand, made: BusinessMerge) -> dict[str, Any]:
    document = made.document
    amount = None if document is None else document.amount
    return {
        "month": command.month,
        "business_number": command.business_number,
        "applied": command.apply,
        "undone": command.undo,
        "invoice_id": None if document is None else str(document.invoice_id),
        "partners": [] if document is None else list(document.partners),
        "total": 0 if amount is None or command.undo else amount.total,
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


def _cause(command_id: UUID, event: NewEvent, at: datetime) -> Cause:
    key = event.key or ""
    return Cause(str(command_id), key, at, key)
