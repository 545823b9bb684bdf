"""Bugs on purpose in the close of months: in approvals, issues and transmissions, and at the tax agent."""

from collections.abc import Sequence
from dataclasses import replace as replace_fields
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

import services.invoices.approving as approving
import services.invoices.decisions.closing as closing
import services.invoices.decisions.issuing as issuing
import services.invoices.decisions.payments as payments
import services.invoices.decisions.submitting as deciding
import services.invoices.decisions.transmitting as transmitting
import services.invoices.recalling as recalling
import services.invoices.store as store
import services.invoices.submitting as submitting
from services.invoices.decisions.submitting import Answer
from services.invoices.posting import NoAnswer, RateLimited
from services.invoices.state import By, Change, Document, Payment, Submission, World
from services.invoices.tax_agent import DUPLICATE
from shared.money import Money
from shared.runtime.decisions import Decided
from tests.simulation.bug import Bug

# Approvals


def _stays_approved(document: Document) -> Document:
    return document


_net = payments._net


def _won_leave_what_is_approved(payment: Payment, document: Document | None, amount: Money) -> Change:
    """The won leave the payment and not the document that was approved with them."""
    change = _net(payment, document, amount)
    if document is None or document.state != "approved":
        return change
    return replace(change, documents=(document,))


_approve = issuing.approve_at_close


def _other_won_are_approved(world: World, document: Document, by: By, **more: Any) -> Decided[Change]:
    decided = _approve(world, document, by, **more)
    if not decided.state.approvals:
        return decided
    (frozen,) = decided.state.documents
    frozen = replace(frozen, amount=frozen.amount.plus(Money(10, 1)))
    return decided._replace(state=replace(decided.state, documents=(frozen,)))


_to_issue = closing._to_issue


def _own_ones_too(world: World, month: str, by: By, partner_ids: Any, numbers: Any) -> Any:
    return _to_issue(world, month, By("", by.at, by.reason), partner_ids, numbers)


# Refunds that land in the middle

_return_money = payments.return_money


def _modified_and_netted(world: World, back: Any, issued_at: datetime, new_id: Any) -> Any:
    """A refund of what is issued is told as a modified document, and leaves the payment too."""
    payment = world.payments.get(back.order_id)
    document = None if payment is None else world.document_of(payment)
    decided = _return_money(world, back, issued_at, new_id)
    if (
        document is None
        or document.state != "issued"
        or not isinstance(decided, Decided)
        or not decided.events
    ):
        return decided
    assert payment is not None
    (payment,) = decided.state.payments
    lowered = replace(payment, standing=payment.standing.minus(back.amount))
    return decided._replace(state=replace(decided.state, payments=(lowered,)))


def _no_wait_for_the_agent(world: World, document: Document) -> bool:
    return False


# Transmissions

_transmit = transmitting.transmit


def _number_of_another(world: World, document: Any, result: Any, by: By) -> Decided[Change]:
    """What is told of other documents is not looked at."""
    own = None if document is None else world.transmissions.get(document.invoice_id)
    alone = {} if own is None else {own.invoice_id: own}
    return _transmit(replace_fields(world, transmissions=alone), document, result, by)


def _told_again(world: World, document: Any, result: Any, by: By) -> Decided[Change]:
    """The last number that is told counts, also of what was taken before."""
    before = None if document is None else world.transmissions.get(document.invoice_id)
    if before is None:
        return _transmit(world, document, result, by)
    told = {**world.transmissions, document.invoice_id: replace(before, state="transmission_failed")}
    return _transmit(replace_fields(world, transmissions=told), document, result, by)


# The tax agent

_submit = submitting._submit


async def _sent_again_without_asking(
    surroundings: Any, agent: Any, given: Any, documents: Any, at: datetime
) -> list[Answer]:
    """Silence counts as if nothing was taken."""
    answers = await _submit(surroundings, agent, given, documents, at)
    answered = {answer.document_key for answer in answers}
    ids = [given[each.document_key].invoice_id for each in documents if each.document_key not in answered]
    await surroundings.pool.execute(store.SQL.submissions_back, ids, at + timedelta(minutes=1))
    return answers


async def _no_question_about_duplicates(agent: Any, keys: Sequence[str]) -> list[Answer]:
    return [Answer(key, "refused", reason=DUPLICATE) for key in keys]


_take_answer = deciding.take_answer


def _working_is_unknown(world: World, given: Submission, answer: Answer, now: datetime) -> Any:
    if answer.standing == "working":
        answer = answer._replace(standing="unknown")
    return _take_answer(world, given, answer, now)


def _refusal_beside_it(world: World, given: Submission, answer: Answer, now: datetime) -> Any:
    """A refusal changes nothing: the document stays approved, and nobody hears of it."""
    decided = _take_answer(world, given, answer, now)
    if answer.standing != "refused" or not decided.state.documents:
        return decided
    return decided._replace(state=replace(decided.state, documents=()))


def _nothing_of_ours(world: World) -> Any:
    return iter(())


async def _recalled_without_a_word(agent: Any, key: str, *, is_taken: bool) -> None:
    return None


async def _recalled_in_silence(agent: Any, key: str, *, is_taken: bool) -> None:
    """No answer counts as a yes."""
    try:
        await agent.cancel(key)
    except (NoAnswer, RateLimited):
        return


OF_CLOSING: Sequence[Bug] = (
    Bug("a refund leaves the approval standing", Document, "reopened", property(_stays_approved)),
    Bug("a refund is not netted from what is approved", payments, "_net", _won_leave_what_is_approved),
    Bug("other won are approved than stand on it", closing, "approve_at_close", _other_won_are_approved),
    Bug("somebody issues what he approved", closing, "_to_issue", _own_ones_too),
    Bug("a refund after the issue counts twice", payments, "return_money", _modified_and_netted),
    Bug("a refund does not wait for the agent", World, "is_with_agent", _no_wait_for_the_agent),
    Bug("two documents have one approval number", approving, "transmit", _number_of_another),
    Bug("a document has another approval number later", approving, "transmit", _told_again),
    Bug("silence of the agent is no question", submitting, "_submit", _sent_again_without_asking),
    Bug("a refused key is never ours", submitting, "_duplicates", _no_question_about_duplicates),
    Bug("what the agent is working at is sent again", submitting, "take_answer", _working_is_unknown),
    Bug("a refusal of the agent is kept beside its document", submitting, "take_answer", _refusal_beside_it),
    Bug("what is issued at once is not given to the agent", store, "issued_at_once", _nothing_of_ours),
    Bug("a document is recalled without a word to the agent", recalling, "_cancel", _recalled_without_a_word),
    Bug("no answer to a recall is a yes", recalling, "_cancel", _recalled_in_silence),
)
