"""What an operator sees of a month: its sums, the corrections that are proposed, a document line by line."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from services.invoices.calendar import ends_at
from services.invoices.decisions.lines import (
    PrintedLine,
    folded,
    grouped,
    lines_of_payment,
    lines_of_refund,
    opposite,
    sum_of,
)
from services.invoices.decisions.submitting import next_of
from services.invoices.penalties import Issue, penalty_of
from services.invoices.state import Document, Refund, Snapshot
from services.invoices.store import DOCUMENTS, PAYMENTS, REFUNDS, SNAPSHOTS, SQL, id_in
from shared.clock import now
from shared.documents import as_json, json_value
from shared.kst import kst_date, wire_time
from shared.operators.commands import pawl
from shared.tax_documents import due_on

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


COLLECTING: Final = "collecting"
REVIEW: Final = "review"
"""What is still to be approved is collected until its month is over, and reviewed then."""


BOARD: Final = (
    COLLECTING,
    REVIEW,
    "approved",
    "submitted",
    "issue_failed",
    "issued",
    "transmission_failed",
    "transmitted",
    "void",
)


MOST_ARRIVED: Final = 100
"""So many payments and refunds that came since an approval are named."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
        row = dict(await connection.fetchrow(SQL.sums_of_month, month))
        state = await connection.fetchrow(SQL.state_of_month, month)
        corrections = await corrections_of(connection, month)
        businesses = await connection.fetch(SQL.states_of_businesses, month)
    closed = None if state is None else wire_time(state["closed_at"])
    supply, vat = row.pop("declared_supply"), row.pop("declared_vat")
    declared = {"documents": row.pop("declared"), "supply": supply, "vat": vat, "total": supply + vat}
    return {
        "month": month,
        "closed_at": closed,
        **row,
        "declared": declared,
        "corrections": corrections,
        "businesses": {each["state"]: each["count"] for each in businesses},
        "board": _board(businesses, month, now()),
    }


def _board(businesses: Sequence[Mapping[str, Any]], month: str, at: datetime) -> list[dict[str, Any]]:
    """The businesses by their state, in the order in which they go through them."""
    found = {_state_at(each["state"], month, at): each for each in businesses}
    return [
        {"state": state, "businesses": each["count"], "documents": each["documents"], "won": each["won"]}
        for state in BOARD
        if (each := found.get(state)) is not None
    ]


async def page_of_businesses(
    pool: asyncpg.Pool, month: str, last: str, limit: int, state: str | None, at: datetime
) -> list[dict[str, Any]]:
    """How the businesses of a month behind `last` stand, one more than `limit` where there are more.

    `state` is that of the answer, or None for all.
    """
    is_over = at >= ends_at(month)
    if state in (COLLECTING, REVIEW) and (state == REVIEW) is not is_over:
        return []
    wanted = REVIEW if state == COLLECTING else state
    rows = await pool.fetch(SQL.page_of_businesses, month, last, wanted, limit + 1)
    return [_business(row, at) for row in rows]


async def look_at_business(
    pool: asyncpg.Pool, month: str, number: str, at: datetime
) -> dict[str, Any] | None:
    """How a business stands in a month; None where it has nothing there."""
    row = await pool.fetchrow(SQL.business_of_month, month, number)
    if row is None:
        return None
    worth = await pool.fetch(SQL.worth_of_business, month, number)
    shown = {**_business(row, at), "penalties": _penalties(worth, kst_date(at))}
    if shown["drift"] is not None:
        shown["drift"] |= await _arrived(pool, month, number, row["partners"], row["approved_at"])
    return shown


async def _arrived(
    pool: asyncpg.Pool, month: str, number: str, partners: Sequence[str], since: datetime
) -> dict[str, Any]:
    """The payments of a business that came since its approval, and what went back; MOST_ARRIVED are named.

    An approval may be said to be of another instant, `since`: it counts from when its event was told.
    """
    asked = (month, number, partners)
    since = await pool.fetchval(SQL.approval_told_at, *asked) or since
    behind = UUID(int=int(since.timestamp() * 1_000) << 80)  # the ids of drafts begin with their instant
    paid = await pool.fetch(SQL.payments_since, *asked, behind, MOST_ARRIVED + 1)
    returned = await pool.fetch(SQL.returned_since, *asked, since, MOST_ARRIVED + 1)
    found = [
        *(("payment", EPOCH + timedelta(milliseconds=row["draft_id"].int >> 80), None, row) for row in paid),
        *(
            ("cancellation" if row["cancellation"] else "refund", row["heard_at"], row["refund_id"], row)
            for row in returned
        ),
    ]
    found.sort(key=lambda each: each[1])
    arrived = [
        {
            "what": what,
            "at": wire_time(at),
            "refund_id": refund_id,
            **{name: row[name] for name in ("payment_id", "order_id", "partner_id", "won")},
        }
        for what, at, refund_id, row in found[:MOST_ARRIVED]
    ]
    return {"arrived": arrived, "has_more": len(found) > MOST_ARRIVED}


def _penalties(rows: Sequence[Mapping[str, Any]], today: date) -> list[dict[str, Any]]:
    """What is to be expected for late documents as of `today`, by kind, in won."""
    found: dict[str, list[int]] = {}
    for row in rows:
        issue = Issue(
            row["month"],
            row["supply"],
            issued_on=_day(row["issued_at"]),
            transmitted_on=_day(row["transmitted_at"]),
            modification=row["modification"],
        )
        penalty = penalty_of(issue, today)
        if penalty is not None:
            found.setdefault(penalty.kind, []).append(penalty.won)
    return [{"kind": kind, "documents": len(won), "won": sum(won)} for kind, won in sorted(found.items())]


def _day(at: datetime | None) -> date | None:
    return None if at is None else kst_date(at)


def _business(row: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    month, number = row["month"], row["business_number"]
    state = _state_at(row["state"], month, at)
    due = due_on(month)
    has_drifted = row["changed"] + row["new"] + (row["gone"] if row["approved_at"] else 0) > 0
    drift = {
        **{name: row[name] for name in ("changed", "new", "gone", "approved_total")},
        "total": row["to_issue"] + row["total"],
    }
    return {
        "business_number": number,
        "partners": row["partners"],
        "state": state,
        "drafts": row["drafts"],
        "approved": row["approved"],
        "issue_failed": row["failed"],
        "issued": row["issued"],
        "transmitted": row["transmitted"],
        "transmission_failed": row["not_transmitted"],
        "to_issue": row["to_issue"],
        "total": row["total"],
        "approved_by": _by(row["approved_by"], row["approved_at"], row["approved_why"]),
        "issued_by": _by(row["issued_by"], row["issued_at"], row["issued_why"]),
        "drift": drift if has_drifted else None,
        "due_on": due.isoformat(),
        "days_left": (due - kst_date(at)).days,
        "command": _next(state, month, number, row["partners"][0]),
    }


def _state_at(state: str, month: str, at: datetime) -> str:
    return COLLECTING if state == REVIEW and at < ends_at(month) else state


def _by(actor: str | None, at: datetime | None, reason: str | None) -> dict[str, str] | None:
    if actor is None or at is None:
        return None
    return {"actor": actor, "at": wire_time(at), "reason": reason or ""}


def _next(state: str, month: str, number: str, partner_id: str) -> str | None:
    """What is to be done next about a business; None where nothing is."""
    one = ("--business", number, "--reason", "WHY")
    match state:
        case "collecting":
            return pawl("close", month, "plan", "--business", number)
        case "review":
            return f"{pawl('close', month, 'approve', *one)} --yes"
        case "approved" | "submitted":
            return f"{pawl('close', month, 'issue', *one)} --yes"
        case "issue_failed":
            return pawl("partner", "correct", "--business-number", "NUMBER", "--reason", "WHY", partner_id)
        case "issued" | "transmission_failed":
            return f"{pawl('close', month, 'transmit')} --results FILE --yes"
        case _:
            return None


async def corrections_of(connection: Any, month: str) -> list[dict[str, Any]]:
    """The corrections of a month that are proposed or made, by document key."""
    rows = await connection.fetch(SQL.corrections_of_month, month)
    return [as_json(row) for row in rows]


async def look_at_document(pool: asyncpg.Pool, month: str, name: str) -> dict[str, Any]:
    """A document by key or id, its payments, and the lines that it is printed with. Raises NoSuchDocument."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(SQL.find_document, month, name, id_in(name))
        if row is None:
            raise NoSuchDocument(f"{month} has no document {name}")
        document = DOCUMENTS.read(row)
        lines = await lines_of(connection, document)
        payments = await connection.fetch(SQL.payments_of_document, document.invoice_id)
        steps = await connection.fetch(SQL.steps_of_document, document.invoice_id)
        agent = await connection.fetchrow(SQL.submission_of_document, document.invoice_id)
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
        "steps": [as_json(step) for step in steps],
        "agent": None if agent is None else as_json(agent),
        "refusal": _refusal(document, steps, agent),
    }


def _refusal(
    document: Document, steps: Sequence[Mapping[str, Any]], agent: Mapping[str, Any] | None
) -> dict[str, str | None] | None:
    """Why a document is not taken, what mends that, and the command for it; None where nothing refuses it."""
    failed = [step["note"] for step in steps if step["step"] == "transmission_failed"]
    if document.state == "issue_failed":
        why = agent["detail"] if agent is not None and agent["detail"] else "business_number"
    elif failed:
        why = failed[-1]
    else:
        return None
    then = "correct_partner" if why == "business_number" else next_of(why)
    return {"why": why, "next": then, "command": _mends(document, then, with_agent=agent is not None)}


def _mends(document: Document, then: str, *, with_agent: bool) -> str | None:
    month, key = document.month, document.document_key or str(document.invoice_id)
    match then:
        case "correct_partner":
            return pawl("partner", "correct", document.partner_id)
        case "correct_document" if document.state == "issued":
            return pawl("close", month, "amend", key)
        case "correct_document":
            return pawl("partner", "correct", document.partner_id)
        case "send_again" if document.state == "issue_failed":
            return f"{pawl('close', month, 'approve')} --reason WHY --yes"
        case "send_again" if with_agent:
            return f"{pawl('close', month, 'issue')} --reason WHY --yes"
        case "send_again":
            return f"{pawl('close', month, 'transmit')} --sheet DIR"
        case _:
            return f"{pawl('close', month, 'transmit')} --results FILE --yes"


async def lines_of(connection: Any, document: Document) -> list[PrintedLine]:
    """What stands on a document, line by line; what takes another one back says the opposite of it."""
    if document.kind == "modified" and document.refund_id is None:
        original = DOCUMENTS.read(await connection.fetchrow(SQL.document_by_id, document.original_id))
        return [opposite(line) for line in await lines_of(connection, original)]
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
