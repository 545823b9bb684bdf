"""The month before it is closed: what a close would issue, over one snapshot and without a lock.

What a close would make of a partner's month is kept (`keeping`) and added up; of partners whose month has
changed since it is decided anew, as the close decides it. So it is of those of whom something is named.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import asyncpg

from services.invoices.blockers import blockers, warnings
from services.invoices.calendar import ends_at, late_percent
from services.invoices.decisions.preview import DocumentToBe, MonthPreview
from services.invoices.keeping import decide, keep_month, last_moment_of
from services.invoices.store import SQL, Store
from services.invoices.viewing import corrections_of
from shared.kst import kst_date, wire_time
from shared.operators.todo import Row
from shared.postgres import Connection
from shared.tax_documents import due_on


async def preview_month(
    pool: asyncpg.Pool, store: Store, month: str, at: datetime, *, most: int, chunk: int
) -> dict[str, Any]:
    """How a month stands at the instant `at`, and what a close would then issue.

    A month that is not over then is shown as of its end. At most `most` of each list are named; counts and
    won are always of all of them. `chunk` partners are read at a time.
    """
    await keep_month(pool, store, month)
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        seen = await _seen(connection, store, month, max(at, ends_at(month)), chunk, most)
        told = await _told(connection, month, at, seen, most)
    four_eyes, with_agent = store.policy.four_eyes, store.policy.tax_agent
    steps = {"in_steps": four_eyes or with_agent, "four_eyes": four_eyes, "with_agent": with_agent}
    return {**told, **steps}


async def _seen(
    connection: Connection, store: Store, month: str, at: datetime, chunk: int, most: int
) -> MonthPreview:
    seen, last_moment = MonthPreview(most), last_moment_of(store.policy, month)
    sums = await connection.fetchrow(SQL.kept_sums, month, last_moment, most)
    left_out = await connection.fetch(SQL.kept_left_out, month, last_moment, most)
    seen.count_kept(sums, left_out)
    named = {*(sums["merging"] or ()), *(sums["failing"] or ())}
    named.update(partner_id for row in left_out for partner_id in row["partners"])
    for partner_ids in _chunks(sorted(named), chunk):
        seen.name(await decide(connection, store, month, at, partner_ids))
    rows = await connection.fetch(SQL.changed_partners, month, last_moment, None)
    for partner_ids in _chunks([row["partner_id"] for row in rows], chunk):
        seen.add(await decide(connection, store, month, at, partner_ids))
    return seen


def _chunks(partner_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (partner_ids[first : first + size] for first in range(0, len(partner_ids), size))


async def _told(
    connection: Connection, month: str, at: datetime, seen: MonthPreview, most: int
) -> dict[str, Any]:
    state = await connection.fetchrow(SQL.state_of_month, month)
    closes = await connection.fetch(SQL.closes_of_month, month)
    open_refunds = await connection.fetch(SQL.open_refunds_of_month, month)
    proposed = [c for c in await corrections_of(connection, month) if c["state"] == "proposed"]
    is_interrupted = state is not None and state["unreported"]
    against = blockers(month, at, open_refunds, most)
    beside = warnings(
        month,
        seen.failed,
        seen.failures,
        proposed,
        await connection.fetch(SQL.parked_for_month, month),
        most,
        is_interrupted=is_interrupted,
    )
    due = due_on(month)
    return {
        "month": month,
        "state": _state(month, at, state),
        "at": wire_time(at),
        "ends_at": wire_time(ends_at(month)),
        "due_on": due.isoformat(),
        "days_left": (due - kst_date(at)).days,
        "closed_at": None if state is None else wire_time(state["closed_at"]),
        "closes": [
            {"at": wire_time(row["recorded_at"]), **{name: row[name] for name in ("step", "actor", "reason")}}
            for row in closes
        ],
        "issued": await _issued(connection, month),
        "to_be": seen.to_be(month, max(at, ends_at(month))),
        "merges": [_merge(each, most) for each in seen.merges],
        "left_out": _left_out(seen),
        "blockers": [each.to_document() for each in against],
        "warnings": [each.to_document() for each in beside],
    }


def _state(month: str, at: datetime, state: Row | None) -> str:
    if state is not None:
        return "interrupted" if state["unreported"] else "closed"
    return "running" if at < ends_at(month) else "open"


async def _issued(connection: Connection, month: str) -> Mapping[str, Any]:
    sums = await connection.fetchrow(SQL.sums_of_month, month)
    late = await connection.fetch(SQL.late_of_month, month)
    return {
        **{name: sums[name] for name in ("documents", "payments", "supply", "vat", "total", "merged")},
        "late": sum(row["count"] for row in late),
        "penalty": sum(_penalty(month, row["day"], row) for row in late),
    }


def _penalty(month: str, day: date, row: Row) -> int:
    penalty: int = row["one_percent"] if late_percent(month, day) == 1 else row["two_percent"]
    return penalty


def _merge(each: DocumentToBe, most: int) -> dict[str, Any]:
    document = each.document
    return {
        "partners": list(document.partners),
        "business_number": document.business_number,
        "payments": len(each.payments),
        "payment_ids": [payment.payment_id for payment in each.payments[:most]],
        "supply": document.amount.supply,
        "vat": document.amount.vat,
        "total": document.amount.total,
    }


def _left_out(seen: MonthPreview) -> Sequence[dict[str, Any]]:
    """Payments that their partners want merged and that are not, by reason, the most frequent first."""
    return [
        {
            "reason": reason,
            "count": count,
            "won": seen.won_of[reason],
            "payments": [
                {"payment_id": e.payment_id, "order_id": e.order_id, "partner_id": e.partner_id, "won": e.won}
                for e in seen.left_out
                if e.reason == reason
            ],
        }
        for reason, count in sorted(seen.reasons.items(), key=lambda each: (-each[1], each[0]))
    ]
