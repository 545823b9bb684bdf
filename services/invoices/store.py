"""Loads and saves the world of the invoices service, set-based.

Locks are always taken in one order, so that batches, consumers and the month close never wait for each other
in a circle: sets, months, partners, payments by order id, documents by id, business counters. Whatever is
read without a lock of its own is read after the lock that protects it.

The draft of a payment has no row while it is what its payment says: it is made of that when it is read, and
written once it is something else, or its month is closed. A set merges without a row for each payment; which
ones are in its documents, those say themselves (`members`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from services.invoices.decisions.submitting import issued_at_once
from services.invoices.state import (
    Approval,
    BusinessRegistration,
    Change,
    Correction,
    Document,
    DocumentCounter,
    Explanation,
    MergeRequest,
    OtherPayment,
    Partner,
    PartnerNumber,
    Payment,
    Policy,
    Refund,
    Snapshot,
    Submission,
    Transmission,
    WithdrawnPartner,
    World,
    draft_said_by,
)
from shared.business_number import is_valid, normalise
from shared.clock import now
from shared.kst import month_of
from shared.postgres import Connection, packed
from shared.queries import load
from shared.rows import Table, pairs
from shared.runtime.decisions import Event

SQL = load(__file__)
PAYMENTS = Table(Payment, "payments", key=("order_id",))
SNAPSHOTS = Table(Snapshot, "payment_lines", key=("order_id",))
DOCUMENTS = Table(Document, "documents", key=("invoice_id",))
REFUNDS = Table(Refund, "refunds", key=("refund_id",))
PARTNERS = Table(Partner, "partners", key=("partner_id",))
REQUESTS = Table(MergeRequest, "merge_requests", key=("partner_id", "request_id"))
EXPLANATIONS = Table(Explanation, "merge_explanations", key=("partner_id", "request_id", "payment_id"))
NUMBERS = Table(PartnerNumber, "partner_numbers", key=("partner_id", "since"))
CORRECTIONS = Table(Correction, "corrections", key=("invoice_id",))
COUNTERS = Table(DocumentCounter, "document_counters", key=("business_number",))
APPROVALS = Table(Approval, "approvals", key=("document_key",))
TRANSMISSIONS = Table(Transmission, "transmissions", key=("invoice_id",))
REGISTRATIONS = Table(BusinessRegistration, "business_registrations", key=("partner_id", "business_number"))
SUBMISSIONS = Table(Submission, "submissions", key=("invoice_id",))
WITHDRAWN_PARTNERS = Table(WithdrawnPartner, "withdrawn_partners", key=("partner_id",))
TABLES = (
    PAYMENTS,
    SNAPSHOTS,
    DOCUMENTS,
    REFUNDS,
    PARTNERS,
    NUMBERS,
    CORRECTIONS,
    REQUESTS,
    EXPLANATIONS,
    COUNTERS,
    APPROVALS,
    TRANSMISSIONS,
    SUBMISSIONS,
    REGISTRATIONS,
    WITHDRAWN_PARTNERS,
)

CORRECT_PARTNER = "partner.correct"
"""The command by which an operator changes what is known of a partner, as `partner.changed` does."""
PARTNER_CHANGES = ("partner.changed.v1", CORRECT_PARTNER)
PURGED = "partner.purged.v1"
MERGES = ("merge.requested.v1", "merge.undone.v1")
REFUND_EVENTS = (
    "refund.accepted.v1",
    "refund.denied.v1",
    "refund.rejected.v1",
    "refund.released.v1",
    "refund.completed.v1",
)
RETURNS = ("refund.completed.v1", "order.cancelled.v1")

K = TypeVar("K")
T = TypeVar("T")


class Rows(NamedTuple):
    """The statements that read payments and documents."""

    payments: str
    documents: str


LOCKING = Rows(SQL.lock_payments, SQL.lock_documents)
LOOKING = Rows(SQL.read_payments, SQL.read_documents)


class Store:
    """The tables of the invoices service as a `World`, for one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    @property
    def policy(self) -> Policy:
        """What the operator has chosen."""
        return self._policy

    async def wants_draft_rows(self, pool: asyncpg.Pool) -> bool:
        """Whether every draft has a row by now, since a service of release 0.2.0 may run beside this one."""
        return self._policy.draft_rows or bool(await pool.fetchval(SQL.wants_draft_rows))

    async def _share_sets(self, connection: Connection, world: World, months: Iterable[str] = ()) -> None:
        row: Any = await connection.fetchrow(SQL.share_sets, sorted(set(months)))
        world.draft_rows = self._policy.draft_rows or row["draft_rows"]

    async def load(self, connection: Connection, events: Sequence[Event[Any]]) -> World:
        """Locks and reads everything that these events may touch. Call it inside a transaction."""
        world = World(self._policy)
        if not events:
            return world
        paid = _of_type(events, "order.paid.v1")
        months = [month_of(event.data.paid_at) for event in paid]
        await self._share_sets(connection, world, months)
        changed = _of_type(events, *PARTNER_CHANGES)
        merges = _of_type(events, *MERGES)
        purged = {event.key for event in _of_type(events, PURGED)}
        numbers = {_digits(event.data.partner.business_number) for event in paid}
        numbers |= {normalise(e.data.business_number) or e.data.business_number for e in merges}
        await _read_closed(connection, world, numbers)
        late = [
            event
            for event, month in zip(paid, months, strict=True)
            if world.closed_at(month, _digits(event.data.partner.business_number)) is not None
        ]
        await _lock_partners(
            connection, [*_partners_of_late(late), *(e.key for e in [*changed, *merges]), *purged]
        )
        order_ids = {e.data.order_id for e in events if hasattr(e.data, "order_id")}
        theirs = await _orders_of_partners(connection, merges, changed)
        await _lock_payments(connection, world, order_ids | theirs)
        await _lock_documents(
            connection, world, theirs | {e.data.order_id for e in _of_type(events, *RETURNS)}
        )
        if changed:
            await _read_closed(connection, world, _numbers_in(world))
            await _read_corrections(connection, world)
        await _read_submissions(connection, world)
        await _read_refunds(connection, world, events)
        partner_ids = {event.key for event in changed} | set(_partners_of_late(late)) | purged
        await _read_purged(connection, world, {event.data.partner.partner_id for event in paid})
        await _read_partners(connection, world, partner_ids)
        await _read_numbers(connection, world, partner_ids)
        await _read_registrations(connection, world, {event.key for event in changed})
        await _read_requests(connection, world, {event.key for event in [*merges, *changed]})
        await _read_others(connection, world, merges)
        await _lock_counters(connection, world, _numbers_of_events(world, events, late))
        world.mark_stored()
        return world

    async def load_month(self, connection: Connection, month: str, partner_ids: Sequence[str]) -> World:
        """Locks and reads what closing `month` needs for these partners. Call it inside a transaction."""
        world = World(self._policy)
        await self._share_sets(connection, world)
        await _lock_partners(connection, partner_ids)
        await _read_month(connection, world, month, partner_ids, LOCKING)
        await _lock_counters(connection, world, _numbers_to_issue(world))
        world.mark_stored()
        return world

    async def look_at_month(self, connection: Connection, month: str, partner_ids: Sequence[str]) -> World:
        """The same world without a lock, for a close that is only tried out. Call it inside a snapshot.

        Its document numbers begin at 1: which ones a close gives is not known before it.
        """
        world = World(self._policy)
        await _read_month(connection, world, month, partner_ids, LOOKING)
        counters = (DocumentCounter(number) for number in _numbers_to_issue(world) if is_valid(number))
        world.put(Change(counters=tuple(counters)))
        return world

    async def look_at_partner(
        self, connection: Connection, month: str, partner_id: str
    ) -> tuple[World, dict[str, Snapshot]]:
        """A partner's month without a lock, with the lines of payments that have a refund in progress.

        Call it inside a snapshot. Nothing of it is to be saved.
        """
        world = World(self._policy)
        await _read_month(connection, world, month, [partner_id], LOOKING)
        refunded = sorted(p.order_id for p in world.payments.values() if p.open_refunds)
        rows = await connection.fetch(SQL.refunds_of_payments, refunded) if refunded else []
        world.put(Change(refunds=tuple(map(REFUNDS.read, rows))))
        sold = await connection.fetch(SQL.snapshots_of_orders, refunded) if refunded else []
        return world, {row["order_id"]: SNAPSHOTS.read(row) for row in sold}

    async def load_business(self, connection: Connection, month: str, number: str) -> World:
        """Locks and reads the payments of a business number in a month, with what they are merged with."""
        world = World(self._policy)
        await self._share_sets(connection, world)
        rows = await connection.fetch(SQL.orders_of_business, number, month)
        await _lock_partners(connection, (row["partner_id"] for row in rows))
        await _read_closed(connection, world, {number})
        rows = await connection.fetch(SQL.orders_of_business, number, month)
        scopes = sorted({(row["partner_id"], month) for row in rows})
        order_ids = await _orders(connection, SQL.orders_of_businesses, scopes)
        await _lock_payments(connection, world, order_ids)
        await _lock_documents(connection, world, order_ids)
        await _read_submissions(connection, world)
        world.mark_stored()
        return world

    async def load_document(
        self, connection: Connection, month: str, name: str, number: str | None
    ) -> tuple[World, Document | None]:
        """Locks and reads a document of a month, by key or id, with all that its correction needs."""
        world = World(self._policy)
        await self._share_sets(connection, world)
        row = await connection.fetchrow(SQL.find_document, month, name, id_in(name))
        if row is None:
            return world, None
        document = DOCUMENTS.read(row)
        await _lock_partners(connection, document.partners)
        rows = await connection.fetch(SQL.orders_of_document, document.invoice_id)
        order_ids = [row["order_id"] for row in rows]
        await _lock_payments(connection, world, order_ids)
        await _lock_documents(connection, world, order_ids)
        rows = await connection.fetch(SQL.read_modifications, document.invoice_id)
        world.put(Change(documents=(document, *map(DOCUMENTS.read, rows))))
        await _read_corrections(connection, world)
        await _read_registrations(connection, world, document.partners)
        numbers = {document.business_number, _digits(number or "")}
        numbers |= {each.business_number for each in world.corrections.values()}
        await _lock_counters(connection, world, numbers)
        world.mark_stored()
        return world, document

    async def load_transmissions(
        self, connection: Connection, month: str, keys: Sequence[str], approval_numbers: Sequence[str]
    ) -> World:
        """Holds the partners of documents with these keys, and reads what is told of their transmission.

        Of documents about which the tax agent's answer is doubted it reads what `load_submissions` does.
        """
        world = World(self._policy)
        await self._share_sets(connection, world)
        documents = [DOCUMENTS.read(r) for r in await connection.fetch(SQL.documents_of_keys, month, keys)]
        await _lock_partners(connection, {p for document in documents for p in document.partners})
        ids = [document.invoice_id for document in documents]
        rows = await connection.fetch(SQL.read_submissions, ids)
        given = tuple(map(SUBMISSIONS.read, rows))
        doubted = {each.invoice_id for each in given if each.doubt}
        if owners := {each.partner_id for each in documents if each.invoice_id in doubted}:
            await _read_month(connection, world, month, sorted(owners), LOCKING)
        rows = await connection.fetch(SQL.documents_of_keys, month, keys)
        world.put(Change(documents=tuple(map(DOCUMENTS.read, rows)), submissions=given))
        await _read_corrections(connection, world)
        rows = await connection.fetch(SQL.read_transmissions, ids, approval_numbers)
        world.put(Change(transmissions=tuple(map(TRANSMISSIONS.read, rows))))
        world.mark_stored()
        return world

    async def load_failed(
        self, connection: Connection, month: str, numbers: Sequence[str] | None, most: int
    ) -> World:
        """Locks and reads some issued documents of a month that the tax agent has not transmitted."""
        world = World(self._policy)
        rows = await connection.fetch(SQL.failed_submissions, month, numbers, most)
        documents = [DOCUMENTS.read(row) for row in rows]
        await _lock_partners(connection, {p for document in documents for p in document.partners})
        rows = await connection.fetch(SQL.read_submissions, [each.invoice_id for each in documents])
        world.put(Change(documents=tuple(documents), submissions=tuple(map(SUBMISSIONS.read, rows))))
        await _lock_counters(connection, world, _numbers_in(world))
        world.mark_stored()
        return world

    async def load_submissions(
        self, connection: Connection, month: str, invoice_ids: Sequence[UUID], approval_numbers: Sequence[str]
    ) -> World:
        """Locks and reads documents that are with the tax agent, with all that its answer needs."""
        world = World(self._policy)
        await self._share_sets(connection, world)
        rows = await connection.fetch(SQL.documents_of_ids, invoice_ids)
        documents = [DOCUMENTS.read(row) for row in rows]
        partner_ids = {each.partner_id for each in documents}
        await _lock_partners(connection, partner_ids | {p for each in documents for p in each.also})
        await _read_month(connection, world, month, sorted(partner_ids), LOCKING)
        rows = await connection.fetch(SQL.documents_of_ids, invoice_ids)
        world.put(Change(documents=tuple(map(DOCUMENTS.read, rows))))
        await _read_corrections(connection, world)
        rows = await connection.fetch(SQL.read_transmissions, invoice_ids, approval_numbers)
        world.put(Change(transmissions=tuple(map(TRANSMISSIONS.read, rows))))
        rows = await connection.fetch(SQL.read_submissions, invoice_ids)
        world.put(Change(submissions=tuple(map(SUBMISSIONS.read, rows))))
        world.mark_stored()
        return world

    async def save(self, connection: Connection, world: World) -> None:
        """Writes what changed, one statement for each table. With a tax agent what was issued goes to it."""
        before = world.stored
        purged = [
            partner.partner_id for partner in _changed(world.partners, before.partners) if partner.purged_at
        ]
        if self._policy.tax_agent:
            world.put(Change(submissions=tuple(issued_at_once(world))))
        await PAYMENTS.save(connection, pairs(world.payments, before.payments))
        await SNAPSHOTS.save(connection, ((snapshot, None) for snapshot in world.snapshots))
        documents = list(self._documents_to_write(world))
        if anew := [
            document.invoice_id for document, stored in documents if _is_approved_anew(document, stored)
        ]:
            await connection.execute(SQL.reopen_documents, anew)
        await DOCUMENTS.save(connection, documents)
        await REFUNDS.put(connection, _changed(world.refunds, before.refunds))
        if purged:  # while it still stands there who they were
            await connection.execute(SQL.name_buyers, purged)
            await connection.execute(SQL.erase_buyers, purged)
            await connection.execute(SQL.erase_registrations, purged)
        await PARTNERS.put(connection, _changed(world.partners, before.partners))
        await NUMBERS.put(connection, _changed(world.numbers, before.numbers))
        await CORRECTIONS.put(connection, _changed(world.corrections, before.corrections))
        await REQUESTS.put(connection, _changed(world.requests, before.requests))
        await EXPLANATIONS.put(connection, world.explanations.values())
        await COUNTERS.save(connection, pairs(world.counters, before.counters))
        await APPROVALS.put(connection, _changed(world.approvals, before.approvals))
        await TRANSMISSIONS.put(connection, _changed(world.transmissions, before.transmissions))
        await SUBMISSIONS.put(connection, _changed(world.submissions, before.submissions))
        if told := list(_changed(world.registrations, before.registrations)):
            await REGISTRATIONS.put(connection, told)
            partner_ids, numbers = [r.partner_id for r in told], [r.business_number for r in told]
            await connection.execute(SQL.incomplete_again, partner_ids, numbers, now())
        await WITHDRAWN_PARTNERS.put(connection, world.withdrawn)

    def _documents_to_write(self, world: World) -> Iterator[tuple[Document, Document | None]]:
        """Documents beside what is stored of them, but drafts that are what their payments say.

        In a closed month a draft has a row: then nobody has to look for it among all payments.
        """
        own = {p.draft_id: p for p in world.payments.values() if p.draft_id is not None}
        for document, before in pairs(world.documents, world.stored.documents):
            if before is not None and document.invoice_id not in world.unwritten:
                yield document, before
                continue
            payment = own.get(document.invoice_id)
            is_left = document.state == "draft" and document.month in world.closed
            if payment is None or world.draft_rows or is_left or document != draft_said_by(payment):
                yield document, None


def _is_approved_anew(document: Document, stored: Document | None) -> bool:
    """Whether one decision has changed what was approved and approved or issued it again.

    A payment has joined a merge, for one. The database lets nothing change that is approved, so it has to see
    the draft that this was in between.
    """
    if stored is None or stored.state != "approved" or document.state not in ("approved", "issued"):
        return False
    return _frozen(document) != _frozen(stored)


def _frozen(document: Document) -> tuple[Any, ...]:
    """What may not change of an approved document (the trigger `approved_documents_stay`)."""
    return document.amount, document.business_number, document.document_key, document.written_date


def _of_type(events: Iterable[Event[Any]], *types: str) -> list[Event[Any]]:
    return [event for event in events if event.type in types]


def _partners_of_late(late: Iterable[Event[Any]]) -> list[str]:
    return [event.data.partner.partner_id for event in late]


async def _read_closed(connection: Connection, world: World, numbers: Iterable[str]) -> None:
    """The closed months, and those that are issued for one of these businesses."""
    rows = await connection.fetch(SQL.closed_months, sorted(set(numbers)))
    of_business = [row for row in rows if row["business_number"] is not None]
    world.closed = {row["month"]: row["closed_at"] for row in rows if row["business_number"] is None}
    world.closed_businesses.update(
        ((row["month"], row["business_number"]), row["closed_at"]) for row in of_business
    )


async def _lock_partners(connection: Connection, partner_ids: Iterable[str]) -> None:
    if ordered := sorted(set(partner_ids)):
        await connection.fetchval(SQL.lock_partners, ordered)


async def _orders_of_partners(
    connection: Connection, merges: Sequence[Event[Any]], changed: Sequence[Event[Any]]
) -> set[str]:
    scopes = {(event.data.partner_id, event.data.month) for event in merges}
    named = {(e.data.partner_id, payment_id) for e in merges for payment_id in e.data.payment_ids or ()}
    found = await _orders(connection, SQL.orders_of_businesses, sorted(scopes))
    found |= await _orders(connection, SQL.orders_of_named_payments, sorted(named))
    if changed:
        rows = await connection.fetch(SQL.orders_of_failed_documents, [event.key for event in changed])
        found |= {row["order_id"] for row in rows}
        found |= await _orders(connection, SQL.orders_of_other_numbers, await _told(connection, changed))
    return found


async def _told(connection: Connection, changed: Sequence[Event[Any]]) -> list[tuple[str, str]]:
    """The partner and the number of each change. One that names no number leaves the partner its own."""
    silent = [event.key for event in changed if event.data.business_number is None]
    rows = await connection.fetch(SQL.read_partners, silent) if silent else []
    own = {row["partner_id"]: row["business_number"] for row in rows}
    told = ((event.key, event.data.business_number or own.get(event.key)) for event in changed)
    return [(partner_id, normalise(number) or number) for partner_id, number in told if number]


async def _orders(connection: Connection, sql: str, pairs: Sequence[tuple[str, str]]) -> set[str]:
    if not pairs:
        return set()
    rows = await connection.fetch(sql, [first for first, _ in pairs], [second for _, second in pairs])
    return {row["order_id"] for row in rows}


async def _read_month(
    connection: Connection, world: World, month: str, partner_ids: Sequence[str], rows: Rows
) -> None:
    """What closing a month needs for these partners, but for the numbers of documents."""
    order_ids = await _orders(connection, SQL.orders_of_businesses, [(p, month) for p in partner_ids])
    await _lock_payments(connection, world, order_ids, rows)
    await _lock_documents(connection, world, order_ids, rows)
    await _read_closed(connection, world, _numbers_in(world))
    await _read_approvals(connection, world)
    await _read_submissions(connection, world)
    await _read_partners(connection, world, partner_ids)
    await _read_numbers(connection, world, partner_ids)
    await _read_requests(connection, world, partner_ids)


async def _lock_payments(
    connection: Connection, world: World, order_ids: Iterable[str], by: Rows = LOCKING
) -> None:
    if wanted := sorted(order_ids):
        rows = await connection.fetch(by.payments, packed(wanted))
        world.put(Change(payments=tuple(map(PAYMENTS.read, rows))))


async def _lock_documents(
    connection: Connection, world: World, order_ids: Iterable[str], by: Rows = LOCKING
) -> None:
    """Locks the documents that these payments are in, and their own drafts.

    What has no row is protected by the lock of its payment.
    """
    held = [world.payments[order_id] for order_id in order_ids if order_id in world.payments]
    found = {i for payment in held for i in (payment.invoice_id, payment.draft_id) if i is not None}
    if not found:
        return
    own = [p for p in held if p.draft_id is not None and p.invoice_id == p.draft_id]
    scopes = sorted({(payment.partner_id, payment.month) for payment in own})
    drafts = [payment.draft_id for payment in own]
    partners, months = [partner for partner, _ in scopes], [month for _, month in scopes]
    rows = await connection.fetch(by.documents, sorted(found), drafts, partners, months)
    world.put(Change(documents=tuple(map(DOCUMENTS.read, rows)), payments=tuple(_placed(own, rows))))
    drafted = [
        draft_said_by(world.payments[payment.order_id])
        for payment in held
        if payment.draft_id is not None and payment.draft_id not in world.documents
    ]
    world.put(Change(documents=tuple(drafted)))
    world.unwritten.update(draft.invoice_id for draft in drafted)


def _placed(payments: Iterable[Payment], documents: Iterable[Mapping[str, Any]]) -> Iterator[Payment]:
    """Those of these payments that a set has merged, in the document that says so."""
    inside = {
        member: document["invoice_id"]
        for document in documents
        if document["members"] is not None and document["state"] != "undone"
        for member in document["members"]
    }
    return (replace(p, invoice_id=inside[p.draft_id]) for p in payments if p.draft_id in inside)


async def _read_refunds(connection: Connection, world: World, events: Sequence[Event[Any]]) -> None:
    if refund_ids := {event.data.refund_id for event in _of_type(events, *REFUND_EVENTS)}:
        rows = await connection.fetch(SQL.read_refunds, sorted(refund_ids))
        world.put(Change(refunds=tuple(map(REFUNDS.read, rows))))


async def _read_partners(connection: Connection, world: World, partner_ids: Iterable[str]) -> None:
    if wanted := sorted(partner_ids):
        rows = await connection.fetch(SQL.read_partners, wanted)
        world.put(Change(partners=tuple(map(PARTNERS.read, rows))))


async def _read_purged(connection: Connection, world: World, partner_ids: Iterable[str]) -> None:
    if wanted := sorted(partner_ids):
        rows = await connection.fetch(SQL.purged_partners, wanted)
        world.put(Change(partners=tuple(map(PARTNERS.read, rows))))


async def _read_numbers(connection: Connection, world: World, partner_ids: Iterable[str]) -> None:
    if wanted := sorted(partner_ids):
        rows = await connection.fetch(SQL.read_numbers, wanted)
        world.put(Change(numbers=tuple(map(NUMBERS.read, rows))))


async def _read_corrections(connection: Connection, world: World) -> None:
    if issued := sorted(d.invoice_id for d in world.documents.values() if d.state == "issued"):
        rows = await connection.fetch(SQL.read_corrections, issued)
        world.put(Change(corrections=tuple(map(CORRECTIONS.read, rows))))


async def _read_approvals(connection: Connection, world: World) -> None:
    if unissued := sorted(d.invoice_id for d in world.documents.values() if d.is_unissued):
        rows = await connection.fetch(SQL.read_approvals, unissued)
        world.put(Change(approvals=tuple(map(APPROVALS.read, rows))))


async def _read_submissions(connection: Connection, world: World) -> None:
    """What of the approved documents is with the tax agent; the locks of the documents protect it."""
    if approved := sorted(d.invoice_id for d in world.documents.values() if d.state == "approved"):
        rows = await connection.fetch(SQL.read_submissions, approved)
        world.put(Change(submissions=tuple(map(SUBMISSIONS.read, rows))))


async def _read_others(connection: Connection, world: World, merges: Sequence[Event[Any]]) -> None:
    if not merges:
        return
    numbers = sorted({normalise(e.data.business_number) or e.data.business_number for e in merges})
    months = sorted({event.data.month for event in merges})
    named = sorted({payment_id for event in merges for payment_id in event.data.payment_ids or ()})
    rows = await connection.fetch(SQL.payments_of_others, numbers, months, named)
    world.others = [OtherPayment(**row) for row in rows]


async def _read_registrations(connection: Connection, world: World, partner_ids: Iterable[str]) -> None:
    if wanted := sorted(partner_ids):
        rows = await connection.fetch(SQL.read_registrations, wanted)
        world.put(Change(registrations=tuple(map(REGISTRATIONS.read, rows))))


async def _read_requests(connection: Connection, world: World, partner_ids: Iterable[str]) -> None:
    if wanted := sorted(partner_ids):
        rows = await connection.fetch(SQL.read_requests, wanted)
        world.put(Change(requests=tuple(map(REQUESTS.read, rows))))


async def _lock_counters(connection: Connection, world: World, numbers: Iterable[str]) -> None:
    if wanted := sorted(number for number in numbers if is_valid(number)):
        await connection.execute(SQL.open_counters, wanted)
        rows = await connection.fetch(SQL.lock_counters, wanted)
        world.put(Change(counters=tuple(map(COUNTERS.read, rows))))


def _changed(now: Mapping[K, T], before: Mapping[K, T]) -> Iterator[T]:
    return (value for key, value in now.items() if value is not before.get(key))


def _numbers_in(world: World) -> set[str]:
    return {document.business_number for document in world.documents.values()}


def _numbers_to_issue(world: World) -> set[str]:
    """The business numbers under which a close may issue: those of documents, and those that were told."""
    numbers = {d.business_number for d in world.documents.values() if d.is_unissued}
    return numbers | {each.business_number for each in world.numbers.values()}


def _numbers_of_events(world: World, events: Sequence[Event[Any]], late: Sequence[Event[Any]]) -> set[str]:
    """The business numbers under which a batch may issue: late payments, modified invoices, corrections."""
    numbers = {_digits(event.data.partner.business_number) for event in late}
    numbers |= {_digits(event.data.business_number or "") for event in _of_type(events, *PARTNER_CHANGES)}
    numbers |= {each.business_number for each in world.numbers.values()}
    for event in _of_type(events, *RETURNS):
        payment = world.payments.get(event.data.order_id)
        document = None if payment is None else world.document_of(payment)
        if document is not None:
            numbers.add(document.business_number)
    return numbers


def id_in(name: str) -> UUID | None:
    """The id that a name is; None where it is a key."""
    with suppress(ValueError):
        return UUID(name)
    return None


def _digits(text: str) -> str:
    return normalise(text) or ""
