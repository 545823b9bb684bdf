"""What a tax agent is given, and what becomes of a document by its answers. Pure.

An approved document is issued by the agent's approval number, as of the agent's instant. What our books issue
at once (late documents, modified ones, corrections) goes to the agent after that, and its refusal is a failed
transmission. Whatever is told is told once: the same answer again changes nothing.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from services.invoices.decisions.issuing import document_key, issue, refuse
from services.invoices.decisions.numbers import propose_corrections
from services.invoices.decisions.transmitting import NEXT, CannotTransmit, Result, fits, transmit
from services.invoices.state import (
    WITH_AGENT,
    By,
    Change,
    Document,
    DocumentCounter,
    GivenUpKey,
    Submission,
    SubmissionState,
    World,
)
from shared.runtime.decisions import Decided, NewEvent

Standing = Literal["unknown", "working", "issued", "transmitted", "refused", "not_transmitted", "cancelled"]
"""Where a document is at the agent; `unknown`: it has none under this key."""
AGENT: Final = "tax_agent"
"""Who sends what our books have issued at once, and says what became of it."""
FIRST: Final = timedelta(seconds=5)
LONGEST: Final = timedelta(minutes=30)
"""The pauses between two looks without news: the first, and the longest."""
NOT_SENT: Final[Mapping[str, str]] = {
    "closed": "business_closed",
    "suspended": "business_suspended",
    "unregistered": "wrong_number",
}
"""Why a document is not sent, by the state of its buyer's business registration."""
OTHER: Final = "duplicate_key"
"""Why a document is not issued whose key the agent has given to another one, of other won. It goes under
another key from then on, so whatever mends a person's knowledge of the first one mends nothing here.
"""
RECALLED: Final = "recalled"
"""Why a document is not with the agent any more that a person has taken back."""
OPEN: Final = (*WITH_AGENT, "issued")


class Answer(NamedTuple):
    """What an agent says of a document: its approval number and instant, or why it was refused.

    `total` are the won of the document that it has under the key, where it says so.
    """

    document_key: str
    standing: Standing
    approval_number: str | None = None
    at: datetime | None = None
    reason: str = ""
    total: int | None = None


class AtAgent(NamedTuple):
    """The key under which a document goes to the agent, those given up, and the counter of a new one."""

    document_key: str
    given_up: tuple[GivenUpKey, ...] = ()
    counters: tuple[DocumentCounter, ...] = ()


def submit(world: World, document: Document, by: By, *, is_of_all: bool = False) -> Decided[Change]:
    """Has a document with a key sent to the agent; `is_of_all` with its whole month."""
    at_agent = _at_agent(world, document, by.at)
    given = Submission(
        document.invoice_id,
        at_agent.document_key,
        document.month,
        "to_send",
        by.actor,
        by.reason,
        is_of_all,
        by.at,
        given_up=at_agent.given_up,
    )
    return Decided(Change(submissions=(given,), counters=at_agent.counters))


def send_again(world: World, given: Submission, by: By) -> Change:
    """Has the agent given an issued document again that it has not transmitted."""
    at_agent = _at_agent(world, world.documents[given.invoice_id], by.at)
    again = replace(
        given,
        document_key=at_agent.document_key,
        state="to_send",
        next_at=by.at,
        tries=0,
        detail="",
        approval_number=None,
        given_up=at_agent.given_up,
    )
    return Change(submissions=(again,), counters=at_agent.counters)


def _at_agent(world: World, document: Document, at: datetime) -> AtAgent:
    """Under its own key, as long as the agent has made nothing of that which stays in its way.

    An agent makes one document of a key. What it has issued and could not transmit, and what it has of
    somebody else, stay there: the document is issued anew under a new key (golden case D9).
    """
    own, before = document.document_key, world.submissions.get(document.invoice_id)
    assert own is not None, "what is sent has its key"
    if before is None:
        return AtAgent(own)
    given_up = before.given_up
    is_failed = before.state == "failed"
    if is_failed and (before.detail == OTHER or before.approval_number is not None):
        given_up = (*given_up, GivenUpKey(before.document_key, before.detail, at))
    gone = {each.document_key for each in given_up}
    for key in (own, before.document_key):
        if key not in gone and key.rpartition("-")[0] == own.rpartition("-")[0]:
            return AtAgent(key, given_up)
    counter = world.counters[document.business_number].next()
    return AtAgent(document_key(document.month, counter), given_up, (counter,))


def issued_at_once(world: World) -> Iterator[Submission]:
    """What this batch has issued without the agent, to be sent to it: it has a place there from now on."""
    for document in world.documents.values():
        before = world.stored.documents.get(document.invoice_id)
        is_new = document.state == "issued" and (before is None or before.state != "issued")
        if is_new and document.invoice_id not in world.submissions and document.issued_at is not None:
            yield from submit(world, document, By(AGENT, document.issued_at, "")).state.submissions


def pause_after(tries: int) -> timedelta:
    """How long to wait before the agent is asked again: twice as long each time, at most LONGEST."""
    return min(FIRST * (1 << min(tries, 20)), LONGEST)


def next_of(reason: str) -> str:
    """What mends a refusal of the agent. Another document's key is given up when it is sent again."""
    return "send_again" if reason == OTHER else NEXT.get(reason, "send_again")


def take_answer(world: World, given: Submission, answer: Answer, now: datetime) -> Decided[Change]:
    """Keeps what the agent says of a document, at the instant `now`.

    Without news it is looked at again later. A key that the agent does not know was never taken: the document
    is sent (again). An approval number that cannot be of this document is not believed: nothing is told, what
    is doubted is noted, and the agent is asked again, until it says another or a person does (`take_result`).
    """
    try:
        return _kept(world, given, answer, now)
    except CannotTransmit as problem:
        return _doubted(given, answer, str(problem), now)


def take_result(world: World, document: Document | None, result: Result, by: By) -> Decided[Change]:
    """Keeps what a person tells of a document, as `transmit` does; it ends what the agent has still to say.

    A document that is not issued yet is told of only where the agent's answer is doubted: its right approval
    number issues it, as of when the agent says that it did, and a failure refuses it. Raises CannotTransmit.
    """
    given = None if document is None else world.submissions.get(document.invoice_id)
    if document is None or given is None or given.state not in OPEN:
        return transmit(world, document, result, by)
    answer = Answer(given.document_key, "transmitted", result.approval_number, given.doubted_at)
    if document.state == "approved" and given.doubt and result.failed is None:
        return _taken(world, document, given, answer, by)
    if document.state == "approved" and given.doubt:
        spent = GivenUpKey(given.document_key, given.doubt, by.at)  # the agent has something under it
        given = replace(given, given_up=(*given.given_up, spent))
        return _refused(world, document, given, answer._replace(reason=result.failed or ""), by)
    told = transmit(world, document, result, by)
    if result.failed is not None and not given.doubt:
        return told
    return Decided(told.state.plus(_ended(given, result, by.at)), told.events)


def _kept(world: World, given: Submission, answer: Answer, now: datetime) -> Decided[Change]:
    document = world.documents[given.invoice_id]
    if given.state not in OPEN or answer.document_key != given.document_key:
        return Decided(Change())
    if answer.total is not None and answer.total != document.amount.total:
        other = Answer(given.document_key, "refused", reason=OTHER)
        return _refused(world, document, given, other, By(AGENT, now, ""))
    match answer.standing:
        case "unknown":
            return _later(_believed(replace(given, state="to_send")), now)
        case "working":
            return _later(given if given.state == "issued" else replace(given, state="sent"), now)
        case "issued" | "transmitted" | "not_transmitted":
            return _taken(world, document, given, answer, By(AGENT, now, ""))
        case "refused" | "cancelled":
            return _refused(world, document, given, answer, By(AGENT, now, ""))


def recall(given: Submission) -> Change:
    """Takes an approved document back from the agent: the next issue may give it again."""
    return Change(submissions=(_believed(replace(given, state="failed", detail=RECALLED)),))


def _doubted(given: Submission, answer: Answer, why: str, now: datetime) -> Decided[Change]:
    """The agent has it, and says of it what cannot be: asked again later, and known to be doubted."""
    since = given.doubted_at or min(answer.at or now, now)
    state: SubmissionState = given.state if given.state == "issued" else "sent"
    return _later(replace(given, state=state, doubt=why, doubted_at=since), now)


def _believed(given: Submission) -> Submission:
    return replace(given, doubt="", doubted_at=None)


def _ended(given: Submission, result: Result, at: datetime) -> Change:
    """Nothing more is asked about a document whose transmission is known."""
    state: SubmissionState = "transmitted" if result.failed is None else "failed"
    ended = replace(
        _believed(given),
        state=state,
        next_at=at,
        approval_number=result.approval_number or given.approval_number,
        detail=result.failed or "",
    )
    return Change(submissions=(ended,))


def _later(given: Submission, now: datetime) -> Decided[Change]:
    later = replace(given, next_at=now + pause_after(given.tries), tries=given.tries + 1)
    return Decided(Change(submissions=(later,)))


def _taken(world: World, document: Document, given: Submission, answer: Answer, by: By) -> Decided[Change]:
    """The agent has issued it: so do we, as of then; then it is transmitted, or not, as `by` says."""
    number, at = answer.approval_number, answer.at or by.at
    if number is None or not fits(document, number):
        raise CannotTransmit("wrong_approval_number")
    others = (each for each in world.transmissions.values() if each.invoice_id != document.invoice_id)
    if number in {each.approval_number for each in others}:
        raise CannotTransmit("approval_number_used")
    change, events = Change(), list[NewEvent]()
    if document.state == "approved":
        payments = world.payments_in(document)
        known = world.approval_of(document, document.business_number)
        done = issue(document, payments, world.counters, at, known=known)
        change, events = done.state, [*done.events]
        document = done.state.documents[0]
        world.put(done.state)
        told = world.numbers_of(document.partner_id)
        change = change.plus(propose_corrections(world, document.partner_id, told, at))
    if answer.standing == "issued":
        waits = replace(_believed(given), state="issued", approval_number=number)
        if given.state == "issued":
            return Decided(_later(waits, by.at).state)
        fresh = replace(waits, tries=0, next_at=by.at + FIRST)
        return Decided(change.plus(Change(submissions=(fresh,))), events)
    result = _result(document, answer)
    sent = transmit(world, document, result, By(AGENT, at, "") if by.actor == AGENT else by)
    ended = _ended(given, result._replace(approval_number=number), by.at)
    return Decided(change.plus(sent.state).plus(ended), [*events, *sent.events])


def _refused(world: World, document: Document, given: Submission, answer: Answer, by: By) -> Decided[Change]:
    reason = answer.reason or answer.standing
    ended = _ended(given, Result(given.document_key, None, reason), by.at)
    if document.state == "approved":
        failed = refuse(document, reason, next_of(reason))
        return Decided(failed.state.plus(ended), failed.events)
    result = Result(given.document_key, None, reason)
    sent = transmit(world, document, result, by, then=next_of(reason))
    return Decided(sent.state.plus(ended), sent.events)


def _result(document: Document, answer: Answer) -> Result:
    assert document.document_key is not None, "an issued document has its key"
    if answer.standing == "transmitted":
        return Result(document.document_key, answer.approval_number, None)
    return Result(document.document_key, None, answer.reason or "not_transmitted")
