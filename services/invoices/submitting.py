"""Gives documents to the tax agent and asks it what became of them, later each time that there is no news.

Nothing is asked inside of a transaction. Before a call its documents are noted as `sending`, and that is
committed: after a time-out or a crash nobody knows whether they were taken, so the agent is asked before they
are sent again. Its answer is then decided under the locks of the documents, like an event.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final, NamedTuple

import structlog

from services.invoices.approving import finish_given
from services.invoices.business_registry import BusinessRegistry
from services.invoices.closes import MonthClose
from services.invoices.decisions.submitting import NOT_SENT, Answer, take_answer
from services.invoices.documents.tax_document import CannotShow, Party, TaxDocument
from services.invoices.posting import NoAnswer, RateLimited
from services.invoices.showing import document_to_send
from services.invoices.state import Submission
from services.invoices.store import SQL, SUBMISSIONS, Store
from services.invoices.tax_agent import DUPLICATE, MOST, TaxAgent
from shared.clock import now
from shared.ids import uuid7
from shared.runtime.outgoing import Cause
from shared.runtime.retry import TRANSIENT, note_fault
from shared.runtime.surroundings import Surroundings

LOOK_SECONDS: Final = 2.0
LOST_AFTER: Final = timedelta(minutes=2)
"""So long after a call began, without a word of how it ended, the agent is asked about its documents."""
PART: Final = "giving documents to the tax agent"

log = structlog.get_logger("pawl.invoices.submitting")


class Outside(NamedTuple):
    """Who is asked, and as whose documents."""

    agent: TaxAgent
    registry: BusinessRegistry
    supplier: Party


async def submit_documents(surroundings: Surroundings, store: Store, outside: Outside) -> None:
    """Sends what is to be sent, and asks about what was, again and again."""
    while True:
        try:
            while MOST in (
                await send_some(surroundings, store, outside, now()),
                await ask_some(surroundings, store, outside, now()),
            ):
                pass
            surroundings.troubles.over(PART)
        except TRANSIENT as trouble:
            more = note_fault(surroundings.troubles, PART, trouble)
            log.info(
                "the tax agent is tried again", trouble=f"{type(trouble).__name__}: {trouble}"[:200], **more
            )
        await asyncio.sleep(LOOK_SECONDS)


async def send_some(surroundings: Surroundings, store: Store, outside: Outside, at: datetime) -> int:
    """Sends the next documents in one call; returns how many were due.

    Of a buyer whose business is closed, suspended or not registered nothing is sent. A refusal of the key
    itself is asked about at once: the document of that key may be ours.
    """
    rows = await surroundings.pool.fetch(SQL.submissions_to_send, at, at + LOST_AFTER, MOST)
    given = {each.document_key: each for each in map(SUBMISSIONS.read, rows)}
    documents = [await _document(surroundings, each, outside.supplier, at) for each in given.values()]
    shown = [document for document in documents if document is not None]
    refused = await _of_no_business(outside.registry, shown)
    sent = [document for document in shown if document.document_key not in refused]
    answers = [Answer(key, "refused", reason=reason) for key, reason in refused.items()]
    if sent:
        answers += await _submit(surroundings, outside.agent, given, sent, at)
    await _take(surroundings, store, given, answers, at)
    return len(rows)


async def ask_some(surroundings: Surroundings, store: Store, outside: Outside, at: datetime) -> int:
    """Asks about the next documents in one call; returns how many were due."""
    rows = await surroundings.pool.fetch(SQL.submissions_to_ask, at, at + LOST_AFTER, MOST)
    given = {each.document_key: each for each in map(SUBMISSIONS.read, rows)}
    if not given:
        return 0
    try:
        answers = await outside.agent.status(list(given))
    except (NoAnswer, RateLimited) as silent:
        log.warning("the tax agent does not answer", why=str(silent), documents=len(given))
        return 0
    await _take(surroundings, store, given, answers, at)
    return len(rows)


async def _document(
    surroundings: Surroundings, given: Submission, supplier: Party, at: datetime
) -> TaxDocument | None:
    try:
        return await document_to_send(surroundings.pool, given, supplier, at)
    except CannotShow as problem:
        log.warning("a document cannot be sent", document_key=given.document_key, why=str(problem))
        return None


async def _of_no_business(registry: BusinessRegistry, documents: Sequence[TaxDocument]) -> dict[str, str]:
    """The documents whose buyer has no active business, with the reason."""
    numbers = sorted({document.buyer.business_number for document in documents})
    states = await registry.look_up(numbers) if numbers else {}
    found: dict[str, str] = {}
    for document in documents:
        reason = NOT_SENT.get(states.get(document.buyer.business_number, "unavailable"))
        if reason is not None:
            found[document.document_key] = reason
    return found


async def _submit(
    surroundings: Surroundings,
    agent: TaxAgent,
    given: Mapping[str, Submission],
    documents: Sequence[TaxDocument],
    at: datetime,
) -> list[Answer]:
    try:
        taken = await agent.submit(documents)
    except RateLimited as limited:
        ids = [given[document.document_key].invoice_id for document in documents]
        await surroundings.pool.execute(SQL.submissions_back, ids, at + timedelta(seconds=limited.seconds))
        log.info("the tax agent asks for a pause", seconds=limited.seconds)
        return []
    except NoAnswer as silent:
        log.warning("the tax agent does not answer", why=str(silent), documents=len(documents))
        return []
    answers = [
        Answer(each.document_key, "working")
        if each.refused is None
        else Answer(each.document_key, "refused", reason=each.refused)
        for each in taken
        if each.refused != DUPLICATE
    ]
    return answers + await _duplicates(agent, [e.document_key for e in taken if e.refused == DUPLICATE])


async def _duplicates(agent: TaxAgent, keys: Sequence[str]) -> list[Answer]:
    """What the agent has under these keys; where that is nothing, the key is refused."""
    try:
        found = await agent.status(keys) if keys else ()
    except (NoAnswer, RateLimited):
        return []
    return [
        Answer(each.document_key, "refused", reason=DUPLICATE) if each.standing == "unknown" else each
        for each in found
    ]


async def _take(
    surroundings: Surroundings,
    store: Store,
    given: Mapping[str, Submission],
    answers: Iterable[Answer],
    at: datetime,
) -> None:
    """Keeps the answers, month by month. A month that was sent whole is closed with its last answer."""
    known = [answer for answer in answers if answer.document_key in given]
    for month, some in groupby(sorted(known, key=_month_of(given)), key=_month_of(given)):
        told = list(some)
        await _take_of_month(surroundings, store, month, given, told, at)
        if any(answer.standing not in ("unknown", "working") for answer in told):
            first = given[told[0].document_key]
            await finish_given(surroundings, MonthClose(month, at, uuid7(), first.actor, first.reason))


def _month_of(given: Mapping[str, Submission]) -> Any:
    return lambda answer: given[answer.document_key].month


async def _take_of_month(
    surroundings: Surroundings,
    store: Store,
    month: str,
    given: Mapping[str, Submission],
    answers: Sequence[Answer],
    at: datetime,
) -> None:
    async with surroundings.outbox.transaction(surroundings.pool) as (connection, events):
        ids = sorted(given[answer.document_key].invoice_id for answer in answers)
        numbers = [answer.approval_number for answer in answers if answer.approval_number]
        world = await store.load_submissions(connection, month, ids, numbers)
        is_told = False
        for answer in answers:
            submission = world.submissions[given[answer.document_key].invoice_id]
            decided = take_answer(world, submission, answer, at)
            world.put(decided.state)
            if doubt := world.submissions[submission.invoice_id].doubt:
                log.warning("an answer is not believed", document_key=answer.document_key, why=doubt)
            is_told = is_told or any(
                event.type in ("invoice.issued.v1", "invoice.issue_failed.v1") for event in decided.events
            )
            # No event leads to this: the document stands in the place of one.
            key = world.documents[submission.invoice_id].partner_id
            events.add_all(decided.events, Cause(str(submission.invoice_id), key, at, key))
        await store.save(connection, world)
        if is_told:
            await connection.execute(SQL.note_unreported, month)
