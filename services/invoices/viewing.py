"""What an operator sees of a month: its sums, the corrections that are proposed, a document line by line."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from services.invoices.decisions.lines import (
    PrintedLine,
    folded,
    grouped,
    lines_of_payment,
    lines_of_refund,
    opposite,
    sum_of,
)
from services.invoices.state import Document, Refund, Snapshot
from services.invoices.store import DOCUMENTS, PAYMENTS, REFUNDS, SNAPSHOTS, SQL
from shared.documents import as_json, json_value
from shared.kst import wire_time

SHOWN = (
    "invoice_id",
    "kind",
    "state",
    "partner_id",
    "business_number",
    "month",
    "supply",
    "vat",
    "total",
    "document_key",
    "written_date",
    "issued_at",
    "late",
    "modification",
    "refund_id",
)
"""The columns of a document that are shown."""


class NoSuchDocument(Exception):
    """No document of that month has this key or id."""


class NoSuchRequest(Exception):
    """The partner has asked for no merge, and for no undo, under this id."""


async def look_at_answer(
    pool: asyncpg.Pool, partner_id: str, request_id: str, *, behind: str, most: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A request to merge, or to undo a merge, and the next payments of its answer. Raises NoSuchRequest.

    The payments have ids after `behind`, in their order, `most` at most. What the close of the month found
    later has taken the place of what the answer said then.
    """
    async with pool.acquire() as connection:
        row = await connection.fetchrow(SQL.answered_request, partner_id, request_id)
        if row is None:
            raise NoSuchRequest(f"partner {partner_id} has sent no request {request_id} to merge or to undo")
        rows = await connection.fetch(SQL.answered_payments, partner_id, request_id, behind, most)
    return dict(row), [dict(each) for each in rows]


async def look_at_month(pool: asyncpg.Pool, month: str) -> dict[str, Any]:
    """What is issued of a month and what is proposed to be corrected."""
    async with pool.acquire() as connection:
        row = await connection.fetchrow(SQL.summarise_month, month)
        closed_at = (await _closed(connection)).get(month)
        corrections = await corrections_of(connection, month)
    closed = None if closed_at is None else wire_time(closed_at)
    return {"month": month, "closed_at": closed, **row, "corrections": corrections}


async def corrections_of(connection: Any, month: str) -> list[dict[str, Any]]:
    """The corrections of a month that are proposed or made, by document key."""
    rows = await connection.fetch(SQL.corrections_of_month, month)
    return [as_json(row) for row in rows]


async def _closed(connection: Any) -> dict[str, datetime]:
    return {row["month"]: row["closed_at"] for row in await connection.fetch(SQL.closed_months)}


async def look_at_document(pool: asyncpg.Pool, month: str, name: str) -> dict[str, Any]:
    """A document by key or id, its payments, and the lines that it is printed with. Raises NoSuchDocument."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(SQL.find_document, month, name)
        if row is None:
            raise NoSuchDocument(f"{month} has no document {name}")
        document = DOCUMENTS.read(row)
        lines = await _lines_of(connection, document)
        payments = await connection.fetch(SQL.payments_of_document, document.invoice_id)
    # Lines that do not come to the document are not shown: units that went back long ago were not kept.
    whole = sum_of(lines) == document.amount
    return {
        **{column: json_value(row[column]) for column in SHOWN},
        "on_it": [{name: each[name] for name in ("payment_id", "order_id")} for each in payments],
        "lines": [
            {
                "product_id": line.product_id,
                "name": line.name,
                "unit_price": line.unit_price,
                "quantity": line.quantity,
                "supply": line.amount.supply,
                "vat": line.amount.vat,
            }
            for line in lines
        ]
        if whole
        else None,
    }


async def _lines_of(connection: Any, document: Document) -> list[PrintedLine]:
    """What stands on a document, line by line; what takes another one back says the opposite of it."""
    if document.kind == "modified" and document.refund_id is None:
        original = DOCUMENTS.read(await connection.fetchrow(SQL.document_by_id, document.original_id))
        return [opposite(line) for line in await _lines_of(connection, original)]
    if document.kind == "modified":
        return await _lines_of_modified(connection, document)
    payments = [
        PAYMENTS.read(row) for row in await connection.fetch(SQL.payments_of_document, document.invoice_id)
    ]
    sold, refunds = await _sold_and_refunded(connection, [payment.order_id for payment in payments])
    rows = await connection.fetch(SQL.refunds_after_issue, document.invoice_id)
    later = {row["refund_id"] for row in rows}
    lines: list[PrintedLine] = []
    for payment in payments:
        netted = [r for r in refunds if r.order_id == payment.order_id and r.refund_id not in later]
        lines += lines_of_payment(payment.paid, sold[payment.order_id], netted)
    return folded(grouped(lines))


async def _lines_of_modified(connection: Any, document: Document) -> list[PrintedLine]:
    sold, refunds = await _sold_and_refunded(connection, [str(document.order_id)])
    (refund,) = (each for each in refunds if each.refund_id == document.refund_id)
    lines = folded(grouped(lines_of_refund(sold[refund.order_id], refund)))
    return lines if document.amount.total < 0 else [opposite(line) for line in lines]


async def _sold_and_refunded(
    connection: Any, order_ids: Sequence[str]
) -> tuple[dict[str, Snapshot], list[Refund]]:
    sold = await connection.fetch(SQL.snapshots_of_orders, order_ids)
    refunds = await connection.fetch(SQL.refunds_of_orders, order_ids)
    return {row["order_id"]: SNAPSHOTS.read(row) for row in sold}, [REFUNDS.read(row) for row in refunds]
