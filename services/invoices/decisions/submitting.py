"""What a tax agent is given, and what becomes of a document by its answers. Pure.

An approved document is issued by the agent's approval number, as of the agent's instant. What our books issue
at once (late documents, modified ones, corrections) goes to the agent after that, and its refusal is a failed
transmission. Whatever is told is told once: the same answer again changes nothing.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from services.invoices.decisions.issuing import issue, refuse
from services.invoices.decisions.numbers import propose_corrections
from services.invoices.decisions.transmitting import NEXT, CannotTransmit, Result, fits, transmit
from services.invoices.state import WITH_AGENT, By, Change, Document, Submission, World
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
"""Why a document is not issued whose key the agent has given to another one, of other won."""
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


def submit(document: Document, by: By, *, is_of_all: bool = False) -> Decided[Change]:
    """Has a document with a key sent to the agent; `is_of_all` with its whole month."""
    assert document.document_key is not None, "what is sent has its key"
    given = Submission(
        document.invoice_id,
        document.document_key,
        document.month,
        "to_send",
        by.actor,
        by.reason,
        is_of_all,
        by.at,
    )
    return Decided(Change(submissions=(given,)))


def issued_at_once(world: World) -> Iterator[Submission]:
    """What this batch has issued without the agent, to be sent to it: it has a place there from now on."""
    for document in world.documents.values():
        before = world.stored.documents.get(document.invoice_id)
        is_new = document.state == "issued" and (before is None or before.state != "issued")
        if is_new and document.invoice_id not in world.submissions and document.issued_at is not None:
            yield from submit(document, By(AGENT, document.issued_at, "")).state.submissions


def pause_after(tries: int) -> timedelta:
    """How long to wait before the agent is asked again: twice as long each time, at most LONGEST."""
    return min(FIRST * (1 << min(tries, 20)), LONGEST)


def next_of(reason: str) -> str:
    """What mends a refusal."""
    return NEXT.get(reason, "send_again")


def take_answer(world: World, given: Submission, answer: Answer, now: datetime) -> Decided[Change]:
    """Keeps what the agent says of a document, at the instant `now`.

    Without news it is looked at again later. A key that the agent does not know was never taken: the document
    is sent (again). Raises CannotTransmit for an approval number that cannot be of this document, and changes
    nothing then.
    """
    document = world.documents[given.invoice_id]
    if given.state not in OPEN or document.document_key != given.document_key:
        return Decided(Change())
    if answer.total is not None and answer.total != document.amount.total:
        return _refused(world, document, given, Answer(given.document_key, "refused", reason=OTHER), now)
    match answer.standing:
        case "unknown":
            return _later(replace(given, state="to_send"), now)
        case "working":
            return _later(given if given.state == "issued" else replace(given, state="sent"), now)
        case "issued" | "transmitted" | "not_transmitted":
            return _taken(world, document, given, answer, now)
        case "refused" | "cancelled":
            return _refused(world, document, given, answer, now)


def recall(given: Submission) -> Change:
    """Takes an approved document back from the agent: the next issue may give it again."""
    return Change(submissions=(replace(given, state="failed", detail=RECALLED),))


def _later(given: Submission, now: datetime) -> Decided[Change]:
    later = replace(given, next_at=now + pause_after(given.tries), tries=given.tries + 1)
    return Decided(Change(submissions=(later,)))


def _taken(
    world: World, document: Document, given: Submission, answer: Answer, now: datetime
) -> Decided[Change]:
    """The agent has issued it: so do we, as of then; then it is transmitted, or not."""
    number, at = answer.approval_number, answer.at or now
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
        waits = replace(given, state="issued", approval_number=number)
        if given.state == "issued":
            return Decided(_later(waits, now).state)
        fresh = replace(waits, tries=0, next_at=now + FIRST)
        return Decided(change.plus(Change(submissions=(fresh,))), events)
    result = _result(document, answer)
    sent = transmit(world, document, result, By(AGENT, at, ""))
    ended = replace(
        given,
        state="failed" if result.failed else "transmitted",
        next_at=now,
        approval_number=number,
        detail=result.failed or "",
    )
    return Decided(change.plus(sent.state).plus(Change(submissions=(ended,))), [*events, *sent.events])


def _refused(
    world: World, document: Document, given: Submission, answer: Answer, now: datetime
) -> Decided[Change]:
    reason = answer.reason or answer.standing
    ended = Change(submissions=(replace(given, state="failed", next_at=now, detail=reason),))
    if document.state == "approved":
        failed = refuse(document, reason, next_of(reason))
        return Decided(failed.state.plus(ended), failed.events)
    sent = transmit(world, document, Result(given.document_key, None, reason), By(AGENT, now, ""))
    return Decided(sent.state.plus(ended), sent.events)


def _result(document: Document, answer: Answer) -> Result:
    assert document.document_key is not None, "an issued document has its key"
    if answer.standing == "transmitted":
        return Result(document.document_key, answer.approval_number, None)
    return Result(document.document_key, None, answer.reason or "not_transmitted")
