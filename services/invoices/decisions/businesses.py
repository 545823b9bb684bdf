"""Merging a month over several partners of one business number: an operator's command, never a partner's own.

The document belongs to the partner whose payment came first; `also` names the others.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from services.invoices.decisions.eligibility import reason_of_own, verdict_of
from services.invoices.decisions.merging import merge_payments, unmerge
from services.invoices.state import (
    Change,
    Document,
    Explanation,
    NewId,
    Payment,
    Reason,
    Verdict,
    World,
    paid_order,
)
from shared.money import NOTHING
from shared.runtime.decisions import NewEvent


class BusinessMerge(NamedTuple):
    """What the command made: a verdict for each payment of the business, and the document, if any."""

    verdicts: Sequence[Verdict]
    document: Document | None
    events: Sequence[NewEvent]


def merge_business(world: World, number: str, month: str, command_id: str, new_id: NewId) -> BusinessMerge:
    """Merges the payments of a business number in a month, whoever of its partners paid them.

    Merges that partners have asked for go into it. The cut-off binds partners; an operator may merge until
    the month is closed. Keeps what it decides in the world.
    """
    ours = sorted((p for p in world.payments.values() if _is_of(p, number, month)), key=paid_order)
    verdicts = _judge(world, ours, month)
    fit = [v.payment for v in verdicts if v.reason == "merged" and v.payment is not None]
    world.put(Change(explanations=tuple(_explanations(verdicts, command_id))))
    if not fit:
        return BusinessMerge(verdicts, None, ())
    target = _target(world, fit, number, month, new_id)
    events = _take_apart(world, fit, target)
    fit = [world.payments[payment.order_id] for payment in fit]
    also = sorted({p.partner_id for p in fit} | set(target.partners) - {target.partner_id})
    target = replace(target, also=tuple(each for each in also if each != target.partner_id))
    merged = merge_payments(
        world, target, fit, {v.payment_id: v.reason for v in verdicts if v.reason != "merged"}
    )
    world.put(merged.state)
    return BusinessMerge(verdicts, world.documents.get(target.invoice_id), [*events, *merged.events])


def undo_business_merge(world: World, number: str, month: str) -> BusinessMerge:
    """Takes apart what an operator merged and what is not issued yet. Keeps what it decides in the world."""
    for document in list(world.documents.values()):
        if (
            document.also
            and document.is_unissued
            and not world.is_with_agent(document)
            and (document.business_number, document.month) == (number, month)
        ):
            members = world.payments_in(document)
            undone = unmerge(world, document)
            world.put(undone.state)
            return BusinessMerge([verdict_of(p, "undone") for p in members], document, undone.events)
    return BusinessMerge((), None, ())


def _is_of(payment: Payment, number: str, month: str) -> bool:
    return (payment.business_number, payment.month) == (number, month)


def _judge(world: World, payments: Sequence[Payment], month: str) -> list[Verdict]:
    verdicts = [verdict_of(payment, _reason(world, payment, month)) for payment in payments]
    if sum(verdict.reason == "merged" for verdict in verdicts) > 1:
        return verdicts
    return [v._replace(reason="only_one_payment") if v.reason == "merged" else v for v in verdicts]


def _reason(world: World, payment: Payment, month: str) -> Reason:
    document = world.document_of(payment)
    reason = reason_of_own(payment, document)
    if document is not None and document.is_unissued and document.kind == "merged" and payment.standing.total:
        reason = "merged"
    is_closed = world.closed_at(month, payment.business_number) is not None
    return "month_closed" if reason == "merged" and is_closed else reason


def _target(world: World, fit: Sequence[Payment], number: str, month: str, new_id: NewId) -> Document:
    """The document that an operator has merged before, else the first payer's own merge, else a new one."""
    held = [document for document in map(world.document_of, fit) if document is not None]
    earlier = next((document for document in held if document.also), None)
    partner_id = fit[0].partner_id
    own = world.open_merge(partner_id, number, month)
    return earlier or own or Document(new_id(), "merged", "draft", partner_id, number, month, NOTHING, 0)


def _take_apart(world: World, fit: Sequence[Payment], target: Document) -> list[NewEvent]:
    """Undoes the partners' own merges that go into the target."""
    events: list[NewEvent] = []
    for payment in fit:
        document = world.document_of(world.payments[payment.order_id])
        if document is not None and document.kind == "merged" and document.invoice_id != target.invoice_id:
            undone = unmerge(world, document)
            world.put(undone.state)
            events += undone.events
    return events


def _explanations(verdicts: Sequence[Verdict], command_id: str) -> list[Explanation]:
    return [
        Explanation(v.payment.partner_id, command_id, v.payment_id, v.order_id, v.reason)
        for v in verdicts
        if v.payment is not None
    ]
