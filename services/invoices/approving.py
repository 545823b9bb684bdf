"""The month close in steps: businesses are approved, issued by somebody else, and transmitted.

Each step works through the partners of the month in chunks, one transaction each, so it can be interrupted
anywhere and repeated at any time; what is done stays done, and a repeat without anything new changes and
publishes nothing. An event that arrives before a document is issued makes it a draft again: that business
alone is approved anew (docs/decisions/0036-a-month-is-approved-before-it-is-issued.md).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol

from services.invoices.calendar import ends_at
from services.invoices.closes import MonthClose, Sizes
from services.invoices.closing import SIZES, MonthNotOver, add_events, report
from services.invoices.decisions.closing import approve_month, issue_approved, submit_approved
from services.invoices.decisions.submitting import send_again, take_result
from services.invoices.decisions.transmitting import CannotTransmit, Result
from services.invoices.documents.hometax import Awaited, match
from services.invoices.sets import approve_sets, issue_sets
from services.invoices.state import By, NewId, World
from services.invoices.store import SQL, Store
from shared.crash_points import CrashPoint
from shared.hometax_list import ListedDocument
from shared.ids import uuid7
from shared.runtime.audit_log import AuditEntry, write_audit
from shared.runtime.batch_size import by_halves
from shared.runtime.decisions import NewEvent
from shared.runtime.surroundings import Surroundings

NAMED = 20
"""So many businesses of each reason are named."""


class FourEyes(Exception):
    """Whoever is to issue has approved; `businesses` are left for somebody else."""

    def __init__(self, businesses: Sequence[str]) -> None:
        super().__init__(f"{len(businesses)} businesses wait for somebody else")
        self.businesses = businesses


class Step(NamedTuple):
    """One step of a close, for these business numbers (None: all of the month)."""

    close: MonthClose
    numbers: Sequence[str] | None

    @property
    def by(self) -> By:
        """Who takes it, when, and why."""
        return By(self.close.actor, self.close.at, self.close.reason)


class Issuer(Protocol):
    """How approved documents become issued ones: the seam for a tax agent."""

    async def issue_some(self, step: Step, after: str) -> str | None:
        """Issues for the next partners behind `after`; returns the last of them, None when none is left.

        What it leaves approved is begun again by the next issue of the month.
        """

    async def begin(self, step: Step) -> None:
        """What an issue does before its first partner, also where none has anything to be issued."""


class WithoutAgent:
    """Documents are issued at once: they are then entered with the authority by hand, or by bulk sheet."""

    def __init__(self, surroundings: Surroundings, store: Store, sizes: Sizes = SIZES) -> None:
        self._surroundings, self._store, self._sizes = surroundings, store, sizes

    async def begin(self, step: Step) -> None:
        """Nothing."""

    async def issue_some(self, step: Step, after: str) -> str | None:
        """Issues for the next partners, in one transaction; what is plain of all of them first, by sets."""
        if not after and self._sizes.in_a_set:
            policy, in_a_set = self._store.policy, self._sizes.in_a_set
            await issue_sets(self._surroundings, policy, step.close, step.numbers, in_a_set)
        decide = partial(
            issue_approved,
            month=step.close.month,
            by=step.by,
            numbers=step.numbers,
            despite_open_refunds=step.close.despite_open_refunds,
        )
        following, chunk = SQL.partners_to_issue, self._sizes.chunk
        return await _decide_some(self._surroundings, self._store, step, after, chunk, following, decide)


class WithAgent:
    """Documents are given to a tax agent, which issues them in its own time (`submitting`)."""

    def __init__(self, surroundings: Surroundings, store: Store, sizes: Sizes = SIZES) -> None:
        self._surroundings, self._store, self._sizes = surroundings, store, sizes

    async def begin(self, step: Step) -> None:
        """Has the agent given again what is issued here and what it has not transmitted, some at a time."""
        while await self._give_again(step):
            pass

    async def _give_again(self, step: Step) -> bool:
        async with self._surroundings.pool.acquire() as connection, connection.transaction():
            asked = (step.close.month, step.numbers, self._sizes.chunk)
            world = await self._store.load_failed(connection, *asked)
            for given in [each for each in world.submissions.values() if each.state == "failed"]:
                world.put(send_again(world, given, step.by))
            await self._store.save(connection, world)
            await write_audit(connection, _new_keys(step.close, world))
        return bool(world.submissions)

    async def issue_some(self, step: Step, after: str) -> str | None:
        """Gives the documents of the next partners to the agent, in one transaction; it is called later."""
        decide = partial(
            submit_approved,
            month=step.close.month,
            by=step.by,
            numbers=step.numbers,
            despite_open_refunds=step.close.despite_open_refunds,
        )
        following, chunk = SQL.partners_to_issue, self._sizes.chunk
        return await _decide_some(self._surroundings, self._store, step, after, chunk, following, decide)


async def approve(
    surroundings: Surroundings,
    store: Store,
    step: Step,
    *,
    sizes: Sizes = SIZES,
    new_id: NewId = uuid7,
) -> dict[str, Any]:
    """Merges and freezes what can be of a month. Answers with how many documents are, and what is left.

    What is plain of a whole month is approved by sets, all else by decisions. A business of which something
    is approved is approved as a whole, by whom it is now. Raises MonthNotOver.
    """
    close = step.close
    refused = close.at < ends_at(close.month)
    async with surroundings.pool.acquire() as connection:
        await write_audit(connection, close.noted("month_not_over" if refused else "begun"))
    if refused:
        raise MonthNotOver(close.month, ends_at(close.month))
    decide = partial(
        approve_month,
        month=close.month,
        by=step.by,
        new_id=new_id,
        numbers=step.numbers,
        despite_open_refunds=close.despite_open_refunds,
    )

    async def decide_all(partner_ids: Sequence[str]) -> None:
        for start in range(0, len(partner_ids), sizes.chunk):
            some = partner_ids[start : start + sizes.chunk]
            await by_halves(partial(_decide, surroundings, store, step, decide), some)

    if sizes.in_a_set and step.numbers is None and not await store.wants_draft_rows(surroundings.pool):
        await approve_sets(surroundings, store.policy, close, sizes.in_a_set, decide_all)
    else:
        last: str | None = ""
        while last is not None:
            last = await _decide_some(
                surroundings, store, step, last, sizes.chunk, SQL.partners_to_approve, decide
            )
    await surroundings.pool.execute(SQL.approve_whole, close.month, step.numbers, *_who(close))
    left = await _left(surroundings, store, step)
    return await _told(surroundings, step, [each for each in left if each["is_draft"]])


async def issue(surroundings: Surroundings, store: Store, step: Step, issuer: Issuer) -> dict[str, Any]:
    """Issues the businesses of a month all of whose documents are as they were approved.

    Answers with what is issued of the month, and what is left, and why. The month is closed when nothing is
    left of all of it. Raises FourEyes where nothing can be issued because the same person has approved it.
    """
    close = step.close
    async with surroundings.pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL.claim_month, close.month)
        four_eyes, numbers = store.policy.four_eyes, step.numbers
        asked = (close.month, numbers, close.at, close.actor, close.reason, four_eyes)
        await connection.execute(SQL.begin_issue, *asked, close.despite_open_refunds)
        ready = await connection.fetch(SQL.partners_to_issue, close.month, "", 1, numbers)
        left = await connection.fetch(SQL.left_of_month, close.month, numbers, close.actor, four_eyes)
        own = [row["business_number"] for row in left if row["reason"] == "four_eyes"]
        is_refused = bool(own) and len(own) == len(left)
        await write_audit(connection, close.noted("four_eyes" if is_refused else "begun"))
    if is_refused:
        raise FourEyes(own)
    await issuer.begin(step)
    last: str | None = "" if ready else None
    while last is not None:
        last = await issuer.issue_some(step, last)
    if step.numbers is None:
        await finish(surroundings, close)
    return await _told(surroundings, step, await _left(surroundings, store, step))


async def transmitted(
    surroundings: Surroundings, store: Store, close: MonthClose, results: Sequence[Result]
) -> dict[str, Any]:
    """Keeps what the tax authority made of issued documents; each result stands for itself.

    One that is still to be issued is told of where the tax agent's answer about it is doubted; the last
    answer closes the month. Answers with how many results were told for the first time, and those that
    cannot be, with their codes.
    """
    refused: list[dict[str, str]] = []
    told = 0
    is_told_of_issue = False
    async with surroundings.outbox.transaction(surroundings.pool) as (connection, events):
        keys = [result.document_key for result in results]
        approvals = [result.approval_number for result in results if result.approval_number]
        world = await store.load_transmissions(connection, close.month, keys, approvals)
        documents = {document.document_key: document for document in world.documents.values()}
        for given in world.submissions.values():
            documents.setdefault(given.document_key, world.documents[given.invoice_id])
        for result in results:
            try:
                decided = take_result(
                    world,
                    documents.get(result.document_key),
                    result,
                    By(close.actor, close.at, close.reason),
                )
            except CannotTransmit as problem:
                refused.append({"document_key": result.document_key, "code": str(problem)})
                continue
            world.put(decided.state)
            told += bool(decided.events)
            is_told_of_issue = is_told_of_issue or _tell_of_issue(decided.events)
            add_events(events, close, decided.events)
        await store.save(connection, world)
        if is_told_of_issue:
            await connection.execute(SQL.note_unreported, close.month)
        await write_audit(connection, close.noted("done"))
    if is_told_of_issue:
        await finish_given(surroundings, close)
    return {"month": close.month, "told": told, "refused": refused}


async def heard_from_hometax(
    surroundings: Surroundings, store: Store, close: MonthClose, lines: Sequence[ListedDocument]
) -> dict[str, Any]:
    """Keeps the approval numbers of Hometax's list, of each line that fits one document of the month alone.

    Answers as `transmitted` does, with the lines that a person has to look at, how many were told before, and
    how many documents still wait for a number. Lines alike (day, buyer, won) have to come at once.
    """
    numbers = sorted({line.buyer_number for line in lines})
    rows = await surroundings.pool.fetch(SQL.documents_awaited, close.month, numbers)
    matched = match(lines, (Awaited(**row) for row in rows))
    results = [Result(key, line.approval_number, None) for key, line in matched.approved.items()]
    told = await transmitted(surroundings, store, close, results)
    waiting = await surroundings.pool.fetchval(SQL.count_waiting, close.month)
    return {
        **told,
        "known": len(matched.known),
        "ambiguous": [line._asdict() for line in matched.ambiguous],
        "unknown": [line._asdict() for line in matched.unknown],
        "waiting": waiting,
    }


async def _decide_some(
    surroundings: Surroundings,
    store: Store,
    step: Step,
    after: str,
    chunk: int,
    following: str,
    decide: Callable[..., Sequence[NewEvent]],
) -> str | None:
    """Decides for the next partners, as the statement `following` reads them.

    Returns the last of them, or None when there are no more.
    """
    rows = await surroundings.pool.fetch(following, step.close.month, after, chunk, step.numbers)
    if not rows:
        return None
    partner_ids = [row["partner_id"] for row in rows]
    await by_halves(partial(_decide, surroundings, store, step, decide), partner_ids)
    return str(partner_ids[-1])


async def _decide(
    surroundings: Surroundings,
    store: Store,
    step: Step,
    decide: Callable[..., Sequence[NewEvent]],
    partner_ids: Sequence[str],
) -> None:
    """Decides for these partners in one transaction."""
    close = step.close
    async with surroundings.outbox.transaction(
        surroundings.pool, CrashPoint.BEFORE_CLOSE_COMMIT, CrashPoint.AFTER_CLOSE_COMMIT
    ) as (connection, events):
        world = await store.load_month(connection, close.month, partner_ids)
        new_events = decide(world, partner_ids=partner_ids)
        await store.save(connection, world)
        await write_audit(connection, _new_keys(close, world))
        if _tell_of_issue(new_events):
            await connection.execute(SQL.note_unreported, close.month)
        approved = {e.data["business_number"] for e in new_events if e.type == "invoice.approved.v1"}
        if approved:
            await connection.execute(SQL.approve_whole, close.month, sorted(approved), *_who(close))
        add_events(events, close, new_events)


def _new_keys(close: MonthClose, world: World) -> list[AuditEntry]:
    """What the audit log keeps of documents that go to the tax agent under another key from now on."""
    entries = []
    for invoice_id, given in world.submissions.items():
        before = world.stored.submissions.get(invoice_id)
        if close.actor and before is not None and before.document_key != given.document_key:
            target = f"{close.month} {world.documents[invoice_id].document_key}"
            was, now = {"document_key": before.document_key}, {"document_key": given.document_key}
            why = given.given_up[-1].reason if given.given_up else close.reason
            action = "document.new_key_at_agent"
            entries.append(AuditEntry(uuid7(), close.actor, action, target, why, was, now, result="done"))
    return entries


def _tell_of_issue(events: Sequence[NewEvent]) -> bool:
    return any(event.type in ("invoice.issued.v1", "invoice.issue_failed.v1") for event in events)


async def finish_given(surroundings: Surroundings, close: MonthClose) -> None:
    """Closes a month all of which was given to the tax agent, when it has answered about the last of it."""
    left = await surroundings.pool.fetchrow(SQL.submissions_open_of_month, close.month)
    if left["is_of_all"] and not left["is_open"]:
        await finish(surroundings, close)


def _who(close: MonthClose) -> tuple[str, str, datetime]:
    return close.actor, close.reason, close.at


async def finish(surroundings: Surroundings, close: MonthClose) -> None:
    """Closes the month where nothing is left to be issued: a payment is drafted before that, or is late.

    Nothing is closed, and nothing told, while something is left.
    """
    async with surroundings.pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL.claim_month, close.month)
        await connection.execute(SQL.finish_month, close.month, close.at)
    await report(surroundings, close, 0)


async def _left(surroundings: Surroundings, store: Store, step: Step) -> Sequence[Mapping[str, Any]]:
    asked = (step.close.month, step.numbers, step.close.actor, store.policy.four_eyes)
    rows: Sequence[Mapping[str, Any]] = await surroundings.pool.fetch(SQL.left_of_month, *asked)
    return rows


async def _told(
    surroundings: Surroundings, step: Step, left: Collection[Mapping[str, Any]]
) -> dict[str, Any]:
    async with surroundings.pool.acquire() as connection:
        stands = await connection.fetchrow(SQL.stand_of_month, step.close.month, step.numbers)
        closed = await connection.fetchrow(SQL.state_of_month, step.close.month)
    reasons: dict[str, list[Mapping[str, Any]]] = {}
    for each in left:
        reasons.setdefault(each["reason"], []).append(each)
    return {
        "month": step.close.month,
        "is_closed": closed is not None and not closed["unreported"],
        **stands,
        "left": [
            {
                "reason": reason,
                "count": len(rows),
                "won": sum(row["won"] for row in rows),
                "businesses": [row["business_number"] for row in rows[:NAMED]],
            }
            for reason, rows in sorted(reasons.items())
        ],
    }
