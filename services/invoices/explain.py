"""Reads what explains a document or a payment, in one snapshot; pure functions explain it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg

from services.invoices.decisions.explaining import (
    PaymentSources,
    SaidEvent,
    Sources,
    explain_document,
    explain_payment,
)
from services.invoices.explained import told_document, told_payment
from services.invoices.state import Document, Payment
from services.invoices.store import DOCUMENTS, PAYMENTS, REFUNDS, SNAPSHOTS, SQL, SUBMISSIONS, id_in
from services.invoices.viewing import NoSuchDocument
from shared.postgres import Connection
from shared.web.callers import Caller
from shared.web.paging import page_of


class NoSuchPayment(Exception):
    """The order has no payment that invoices knows, or it is another partner's."""


async def explanation_of_document(
    pool: asyncpg.Pool, name: str, caller: Caller, *, behind: str, limit: int
) -> dict[str, Any]:
    """Why a document, by key or id, comes to its won, as JSON.

    It names at most `limit` payments, those of orders after `behind`; sums are over all. A token that is
    limited to a partner sees that partner's payments, and what the others come to. Raises NoSuchDocument.
    """
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(SQL.document_named, name, id_in(name))
        document = None if row is None else DOCUMENTS.read(row)
        if document is None or not any(map(caller.may_see, document.partners)):
            raise NoSuchDocument(f"there is no document {name}; GET /v1/documents lists them")
        told = await _read_sources(connection, document)
        seen = sorted(p.order_id for p in told.payments if caller.may_see(p.partner_id))
        given = await connection.fetch(SQL.read_submissions, [document.invoice_id])
        page = page_of(
            [order_id for order_id in seen if order_id > behind], limit, lambda order_id: (order_id,)
        )
        shown = page["items"]
        told = told._replace(
            events=await _events_of(connection, document.partner_id, [document], shown),
            horizon=await connection.fetchval(SQL.horizon_of_events),
        )
    explanation = await asyncio.to_thread(explain_document, told, caller.may_see)
    of_page = set(shown)
    contributions = sorted(
        (
            contribution
            for contribution in explanation.contributions
            if contribution.payment.order_id in of_page
        ),
        key=lambda contribution: contribution.payment.order_id,
    )
    at_agent = SUBMISSIONS.read(given[0]) if given else None
    return told_document(explanation, contributions, page["next"], at_agent)


async def explanation_of_payment(pool: asyncpg.Pool, order_id: str, caller: Caller) -> dict[str, Any]:
    """Why what is left of an order's payment is so many won, and where they stand. Raises NoSuchPayment."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(SQL.payment_of_order, order_id)
        payment = None if row is None else PAYMENTS.read(row)
        if payment is None or not caller.may_see(payment.partner_id):
            raise NoSuchPayment(f"there is no payment of an order {order_id}; pawl find WORD looks for one")
        sold = await connection.fetchrow(SQL.snapshots_of_orders, [order_id])
        documents = await connection.fetch(SQL.documents_of_order, order_id)
        told = PaymentSources(
            payment,
            None if sold is None else SNAPSHOTS.read(sold),
            [REFUNDS.read(each) for each in await connection.fetch(SQL.refunds_of_orders, [order_id])],
            [DOCUMENTS.read(each) for each in documents],
            await _events_of(connection, payment.partner_id, (), [order_id]),
            await connection.fetchval(SQL.horizon_of_events),
        )
    return told_payment(explain_payment(told))


async def _read_sources(connection: Connection, document: Document) -> Sources:
    """All but the events. What takes a document back is explained by the payments of that one."""
    related = [
        DOCUMENTS.read(row)
        for row in await connection.fetch(
            SQL.related_documents, document.invoice_id, document.original_id, document.state == "in_merge"
        )
    ]
    if document.state == "in_merge":
        return Sources(document, related=related)
    rows: Sequence[Any]
    later: Sequence[Any] = ()
    if document.order_id is not None:
        rows = [await connection.fetchrow(SQL.payment_of_order, document.order_id)]
    else:
        of = document.original_id if document.kind == "modified" else document.invoice_id
        rows = await connection.fetch(SQL.payments_of_document, of)
        later = await connection.fetch(SQL.refunds_after_issue, of)
    payments = [PAYMENTS.read(row) for row in rows if row is not None]
    order_ids = [payment.order_id for payment in payments]
    sold = await connection.fetch(SQL.snapshots_of_orders, order_ids)
    return Sources(
        document,
        payments,
        {row["order_id"]: SNAPSHOTS.read(row) for row in sold},
        [REFUNDS.read(row) for row in await connection.fetch(SQL.refunds_of_orders, order_ids)],
        frozenset(row["refund_id"] for row in later),
        await _are_elsewhere(connection, payments),
        related,
    )


async def _are_elsewhere(connection: Connection, payments: Sequence[Payment]) -> bool:
    """Whether another document holds the won of these payments: theirs was issued twice."""
    on = list({payment.invoice_id for payment in payments})
    is_duplicate: bool = await connection.fetchval(SQL.is_any_issued_twice, on)
    return is_duplicate


async def _events_of(
    connection: Connection, partner_id: str, documents: Sequence[Document], order_ids: Sequence[str]
) -> list[SaidEvent]:
    subjects = [str(document.invoice_id) for document in documents]
    rows = await connection.fetch(SQL.events_of_documents, partner_id, subjects, list(order_ids))
    return [SaidEvent(**row) for row in rows]
