"""Bugs on purpose for histories in which months are closed in steps: by persons, and by a tax agent."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from msgspec import structs

import services.invoices.decisions.closing as closing
import services.invoices.decisions.issuing as issuing
import services.invoices.decisions.payments as payments
import services.invoices.store as store
import services.invoices.submitting as submitting
from services.invoices import approving
from services.invoices.decisions.submitting import Answer, take_answer, take_result
from services.invoices.decisions.transmitting import Result
from services.invoices.posting import NoAnswer
from services.invoices.state import By, Change, Document, Submission, World
from services.invoices.store import SQL
from services.invoices.tax_agent import TaxAgent
from shared.runtime.decisions import Decided
from shared.runtime.surroundings import Surroundings
from tests.simulation.bug import Bug

# Approvals


def _netted_under_its_approval(payment: Any, document: Document | None, amount: Any) -> Change:
    """A refund lowers what is approved, and nobody has to approve it anew."""
    change = _net(payment, document, amount)
    if document is None or document.state != "approved":
        return change
    kept = {"document_key": document.document_key, "written_date": document.written_date}
    lowered = tuple(
        structs.replace(each, state="approved", **kept) if each.amount.total else each
        for each in change.documents
    )
    return structs.replace(change, documents=lowered)


_net = payments._net


def _new_key_each_time(document: Document, number: str, counters: Any, known: Any) -> Any:
    return _key_of(document, number, counters, None)


_key_of = issuing._key_of


_to_issue = closing._to_issue


def _by_nobody(
    document: Document, on_it: Any, counters: Any, by: By, *, known: Any = None
) -> Decided[Change]:
    """An approval forgets who gave it, so that anybody may issue."""
    return _approve(document, on_it, counters, by._replace(actor=""), known=known)


_approve = issuing.approve


def _no_refund_is_open(payment: Any) -> bool:
    return False


# Transmissions


def _number_of_another(world: World, document: Document | None, result: Result, by: By) -> Decided[Change]:
    """Whose number it is nobody looks."""
    others = dict(world.transmissions)
    for invoice_id, told in others.items():
        if document is None or invoice_id != document.invoice_id:
            world.transmissions[invoice_id] = structs.replace(told, approval_number=None)
    try:
        return _take_result(world, document, result, by)
    finally:
        world.transmissions.update(others)


def _the_last_word_counts(world: World, document: Document | None, result: Result, by: By) -> Decided[Change]:
    """What is told of a document that was transmitted replaces what was told before."""
    before = None if document is None else world.transmissions.get(document.invoice_id)
    if before is None or before.state != "transmitted":
        return _take_result(world, document, result, by)
    world.transmissions[before.invoice_id] = structs.replace(before, state="transmission_failed")
    try:
        return _take_result(world, document, result, by)
    finally:
        world.transmissions[before.invoice_id] = before


_take_result = take_result

# The agent


def _what_is_there_goes_again(
    world: World, month: str, by: By, partner_ids: Collection[str], numbers: Collection[str] | None
) -> Iterator[Document]:
    """An issue that is repeated gives the agent what it has already."""
    given = dict(world.submissions)
    world.submissions.clear()
    chosen = list(_to_issue(world, month, by, partner_ids, numbers))
    world.submissions.update(given)
    yield from chosen


class _Answered:
    """An agent whose silence is heard by the one who asks."""

    def __init__(self, agent: TaxAgent) -> None:
        self._agent, self.was_silent = agent, False

    async def submit(self, documents: Sequence[Any]) -> Any:
        try:
            return await self._agent.submit(documents)
        except NoAnswer:
            self.was_silent = True
            raise

    async def status(self, keys: Sequence[str]) -> Any:
        return await self._agent.status(keys)


async def _sent_again_after_silence(
    surroundings: Surroundings, agent: Any, given: Mapping[str, Submission], documents: Any, at: datetime
) -> list[Answer]:
    """After a time-out the documents are sent again, and nobody is asked."""
    heard: Any = _Answered(agent)
    answers = await _submit(surroundings, heard, given, documents, at)
    if heard.was_silent:
        ids = [given[document.document_key].invoice_id for document in documents]
        await surroundings.pool.execute(SQL.submissions_back, ids, at)
    return answers


_submit = submitting._submit


def _unknown_is_refused(world: World, given: Submission, answer: Answer, now: datetime) -> Decided[Change]:
    """What the agent does not have counts as what it does not want."""
    if answer.standing == "unknown":
        answer = answer._replace(standing="refused", reason="authority_unavailable")
    return _take_answer(world, given, answer, now)


def _at_our_own_time(world: World, given: Submission, answer: Answer, now: datetime) -> Decided[Change]:
    return _take_answer(world, given, answer._replace(at=None), now)


def _a_refusal_is_silent(world: World, given: Submission, answer: Answer, now: datetime) -> Decided[Change]:
    """The document stays approved, and nobody is told why it is not issued."""
    took = _take_answer(world, given, answer, now)
    if answer.standing in ("refused", "cancelled") and world.documents[given.invoice_id].state == "approved":
        return Decided(structs.replace(took.state, documents=()))
    return took


def _whose_number_it_is(world: World, given: Submission, answer: Answer, now: datetime) -> Decided[Change]:
    """A number that another document has is taken for this one's."""
    others = {name: told for name, told in world.transmissions.items() if name != given.invoice_id}
    for name in others:
        del world.transmissions[name]
    try:
        return _take_answer(world, given, answer, now)
    finally:
        world.transmissions.update(others)


_take_answer = take_answer


def _not_with_agent(world: World, document: Document) -> bool:
    """Nobody waits for the agent: what it has is changed like any other document."""
    return False


def _only_what_waited(world: World) -> Iterator[Submission]:
    """What our books issue at once never goes to the agent."""
    return iter(())


PLANTS = (
    Bug("a refund lowers what is approved", payments, "_net", _netted_under_its_approval),
    Bug("a key is given anew each time", issuing, "_key_of", _new_key_each_time),
    Bug("an approval forgets who gave it", issuing, "approve", _by_nobody),
    Bug("a refund in progress stops nothing", issuing, "has_open_refund", _no_refund_is_open),
    Bug("a number of another document is entered", approving, "take_result", _number_of_another),
    Bug("what was transmitted is told anew", approving, "take_result", _the_last_word_counts),
    Bug("the agent is given what it has", closing, "_to_issue", _what_is_there_goes_again),
    Bug("silence is taken for a no", submitting, "_submit", _sent_again_after_silence),
    Bug("an unknown key is a refusal", submitting, "take_answer", _unknown_is_refused),
    Bug("the agent's instant is ours", submitting, "take_answer", _at_our_own_time),
    Bug("a refusal of the agent is silent", submitting, "take_answer", _a_refusal_is_silent),
    Bug("the agent's number is another document's", submitting, "take_answer", _whose_number_it_is),
    Bug("what the agent has is changed", World, "is_with_agent", _not_with_agent),
    Bug("what is issued at once stays here", store, "issued_at_once", _only_what_waited),
)
OF_CLOSING = tuple(replace(bug, is_in_steps=True) for bug in PLANTS)
