"""Tax documents are read and shown: one as a value, those of a month page by page or as a workbook."""

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from services.invoices.decisions.transmitting import NEXT
from services.invoices.documents.hometax import MOST_DOCUMENTS, BulkSheets, LeftOut
from services.invoices.documents.month_sheet import MonthRow, MonthSheet, Sum
from services.invoices.documents.tax_document import (
    CannotShow,
    Original,
    Party,
    TaxDocument,
    buyer_of,
    corrected,
    plain,
    tax_document,
)
from services.invoices.penalties import Issue, penalty_of
from services.invoices.state import BusinessRegistration, Correction, Document, Submission
from services.invoices.store import CORRECTIONS, DOCUMENTS, PARTNERS, REGISTRATIONS, SNAPSHOTS, SQL
from services.invoices.viewing import NoSuchDocument, lines_of
from shared.documents import json_value
from shared.kst import kst_date
from shared.money import Money
from shared.postgres import Connection
from shared.web.callers import Caller
from shared.web.files import in_thread, parts_of
from shared.web.streaming import Parts

T = TypeVar("T")
BLOCK: Final = 2_000
"""So many rows of a workbook are in memory at a time."""
AT_ONCE: Final = 2
"""So many workbooks are made in one process at the same time; others wait for their turn."""
LISTED: Final = (
    "invoice_id",
    "document_key",
    "kind",
    "state",
    "partner_id",
    "business_number",
    "month",
    "supply",
    "vat",
    "total",
    "written_date",
    "issued_at",
    "late",
    "modification",
    "original_key",
)
"""What a list says of a document."""


async def show_document(pool: asyncpg.Pool, key: str, supplier: Party, caller: Caller) -> TaxDocument:
    """The document of a key. Raises NoSuchDocument, also for another partner's, and CannotShow."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(SQL.document_of_key, key)
        document = None if row is None else DOCUMENTS.read(row)
        if document is None or not any(map(caller.may_see, document.partners)):
            raise NoSuchDocument(f"there is no document {key}; GET /v1/documents lists them")
        return await _shown(connection, document, supplier, row)


async def document_to_send(
    pool: asyncpg.Pool, given: Submission, supplier: Party, at: datetime
) -> TaxDocument:
    """An approved or issued document as the tax agent is given it; one that is not issued yet says `at`.

    It goes under the key that it has there, and names its original by the one that that has there.

    Raises CannotShow.
    """
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(SQL.document_to_send, given.invoice_id)
        if row is None:
            raise CannotShow(f"document {given.invoice_id} is neither approved nor issued")
        document = DOCUMENTS.read(row)
        lines = await lines_of(connection, document)
        buyer = await _buyer_of(connection, document)
    stamped = replace(document, issued_at=document.issued_at or at)
    sent = tax_document(stamped, lines, supplier, buyer, _original_of(row))
    return replace(sent, document_key=given.document_key)


async def page_of_documents(
    pool: asyncpg.Pool,
    month: str,
    after: Sequence[Any],
    limit: int,
    *,
    business_number: str | None,
    state: str | None,
    partner_id: str | None,
) -> list[dict[str, Any]]:
    """Documents of a month behind those that were shown, one more than `limit` where there are more."""
    asked = (month, *after, state, limit + 1)
    if business_number is not None:
        rows = await pool.fetch(SQL.page_of_business, *asked, business_number, partner_id)
    elif partner_id is not None:
        rows = await pool.fetch(SQL.page_of_partner, *asked, partner_id)
    else:
        rows = await pool.fetch(SQL.page_of_documents, *asked)
    return [_listed(row) for row in rows]


class Workbooks:
    """Makes workbooks of months, and their sheets for Hometax, a few at a time."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool, self._places = pool, asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def of_month(self, month: str, partner_id: str | None, at: datetime) -> AsyncIterator[Parts]:
        """The documents of a month and what they come to, of one partner where it is given.

        It is made on disk, and sent when it is whole. Raises OverflowError for more than a sheet holds.
        """
        with tempfile.TemporaryDirectory(prefix="pawl-month-") as folder:
            path = Path(folder) / "month.xlsx"
            async with self._places:
                await self._make(path, month, partner_id, at)
            headers = {
                "Content-Disposition": f'attachment; filename="invoices-{month}.xlsx"',
                "Content-Length": str(path.stat().st_size),
            }
            yield Parts(headers, parts_of(path))

    @asynccontextmanager
    async def for_hometax(self, month: str, supplier: Party) -> AsyncIterator[Parts]:
        """The issued documents of a month that the tax authority has not taken, as bulk sheets in a ZIP file.

        All are of one instant, and sent when they are whole.
        """
        with tempfile.TemporaryDirectory(prefix="pawl-hometax-") as folder:
            path = Path(folder) / "hometax.zip"
            async with self._places:
                counts = await self._make_sheets(path, month, supplier)
            headers = {
                "Content-Disposition": f'attachment; filename="hometax-{month}.zip"',
                "Content-Length": str(path.stat().st_size),
                **{f"X-{name.replace('_', '-').title()}": str(count) for name, count in counts.items()},
            }
            yield Parts(headers, parts_of(path))

    async def _make_sheets(self, path: Path, month: str, supplier: Party) -> Mapping[str, int]:
        with path.open("wb") as file:
            sheets = BulkSheets(file, month)
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                cursor = await connection.cursor(SQL.documents_to_send, month)
                while rows := await cursor.fetch(MOST_DOCUMENTS):
                    # What was refused for good is not sent again: something else mends it first.
                    for row in (row for row in rows if row["detail"] in NEXT):
                        sheets.leave_out(LeftOut(row["document_key"], row["detail"]))
                    shown = [
                        await _shown(connection, DOCUMENTS.read(row), supplier, row)
                        for row in rows
                        if row["detail"] not in NEXT
                    ]
                    await in_thread(sheets.add, shown)
            await in_thread(sheets.finish)
        return sheets.counts

    async def _make(self, path: Path, month: str, partner_id: str | None, at: datetime) -> None:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            sheet = MonthSheet(path, month, at)
            try:
                cursor = await connection.cursor(SQL.rows_of_month, month, partner_id)
                while rows := await cursor.fetch(BLOCK):
                    documents = list(map(DOCUMENTS.read, rows))
                    names = await _names_on(connection, documents)
                    shown = map(_month_row, rows, documents, names)
                    await in_thread(sheet.add, list(shown))
                evidence = await connection.fetch(SQL.month_by_evidence, month, partner_id)
                sheet.finish([_sum(row) for row in evidence])
            finally:
                await in_thread(sheet.close)


async def _shown(
    connection: Connection, document: Document, supplier: Party, row: Mapping[str, Any]
) -> TaxDocument:
    """A document as a value; its `row` has what stands on its original, and both approval numbers."""
    lines = await lines_of(connection, document)
    buyer = await _buyer_of(connection, document)
    return tax_document(document, lines, supplier, buyer, _original_of(row), row["approval_number"])


async def _buyer_of(connection: Connection, document: Document) -> Party:
    rows = await connection.fetch(SQL.payments_of_document, _written_for(document))
    order_ids = [row["order_id"] for row in rows]
    if document.order_id is not None:  # whom a refund is about comes first, then whom its original names
        order_ids.append(document.order_id)
    return await buyer_named(connection, document, order_ids)


async def _names_on(connection: Connection, documents: Sequence[Document]) -> list[str]:
    """The name of the buyer on each of these documents, as `_buyer_of` has it; a few questions for all."""
    rows = await connection.fetch(SQL.latest_orders, list({_written_for(each) for each in documents}))
    latest = {row["of_document"]: row["order_id"] for row in rows}
    orders = [each.order_id or latest.get(_written_for(each)) for each in documents]
    rows = await connection.fetch(SQL.snapshots_of_orders, list({*orders} - {None}))
    sold = {row["order_id"]: SNAPSHOTS.read(row) for row in rows}
    rows = await connection.fetch(SQL.read_partners, list({each.partner_id for each in documents}))
    partners = {row["partner_id"]: PARTNERS.read(row) for row in rows}
    made = [each.invoice_id for each in documents if each.original_id is not None]
    corrections: dict[UUID, list[Correction]] = defaultdict(list)
    for row in await connection.fetch(SQL.corrections_behind, made):
        corrections[row["of_document"]].append(CORRECTIONS.read(row))
    names = []
    for document, order_id in zip(documents, orders, strict=True):
        snapshot = sold.get(order_id or "")
        is_named = snapshot is not None and snapshot.buyer is not None and snapshot.buyer.name != ""
        if is_named or document.kind == "payment":
            of_order = () if snapshot is None else (snapshot,)
            party = buyer_of(document, of_order, partners.get(document.partner_id))
            party = corrected(party, corrections[document.invoice_id])
        else:  # another payment of it may have a name
            party = await _buyer_of(connection, document)
        names.append(plain(party.name))
    return names


def _written_for(document: Document) -> UUID:
    """The document of whose payments one tells its buyer."""
    of_original = document.original_id if document.kind == "modified" else None
    return of_original or document.invoice_id


async def buyer_named(
    connection: Connection,
    document: Document,
    order_ids: Sequence[str],
    told: BusinessRegistration | None = None,
    decided: Iterable[Correction] = (),
) -> Party:
    """Who a document of the payments of these orders is for.

    `told` is what is just told of a business, `decided` what is just corrected of the document.
    """
    sold = await connection.fetch(SQL.snapshots_of_orders, order_ids)
    kept = {row["order_id"]: SNAPSHOTS.read(row) for row in sold}
    partners = await connection.fetch(SQL.read_partners, [document.partner_id])
    partner = PARTNERS.read(partners[0]) if partners else None
    rows = await connection.fetch(SQL.read_registrations, [document.partner_id])
    registered = {each.business_number: each for each in map(REGISTRATIONS.read, rows)}
    if told is not None:
        registered[told.business_number] = told.after(registered.get(told.business_number))
    of_orders = [kept[order_id] for order_id in order_ids if order_id in kept]
    party = buyer_of(document, of_orders, partner, registered.get(document.business_number))
    if document.original_id is None:
        return party
    before = await connection.fetch(SQL.corrections_behind, [document.invoice_id])
    return corrected(party, [*decided, *map(CORRECTIONS.read, before)])


def _original_of(row: Mapping[str, Any]) -> Original | None:
    if row["original_key"] is None:
        return None
    return Original(row["original_key"], row["original_written"], row["original_approval"])


def _listed(row: Mapping[str, Any]) -> dict[str, Any]:
    key = row["document_key"]
    files = {name: f"/v1/documents/{key}.{name}" if key else None for name in ("pdf", "xml")}
    return {**{column: json_value(row[column]) for column in LISTED}, **files}


def _month_row(row: Mapping[str, Any], document: Document, name: str) -> MonthRow:
    return MonthRow(
        document_key=document.document_key,
        approval_number=row["approval_number"],
        kind=document.kind,
        state=document.state,
        modification=document.modification,
        original_key=row["original_key"],
        partner_id=document.partner_id,
        business_number=document.business_number,
        name=name,
        written_date=document.written_date,
        issued_at=document.issued_at,
        amount=document.amount,
        payments=document.payments,
        late=document.late,
        penalty=_penalty(document),
    )


def _penalty(document: Document) -> int | None:
    if document.issued_at is None or not document.late:
        return None
    day = kst_date(document.issued_at)
    issue = Issue(document.month, document.amount.supply, day, day, document.modification)
    penalty = penalty_of(issue, day)
    return None if penalty is None else penalty.won


def _sum(row: Mapping[str, Any]) -> Sum:
    return Sum(row["evidence"], row["documents"], Money(row["supply"], row["vat"]))
