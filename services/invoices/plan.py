"""The plan of a month, as it is told: of one partner, or of all partners of a business number."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from services.invoices.decisions.planning import (
    BusinessPlan,
    PartnerPlan,
    PlannedPayment,
    Unlock,
    plan_month,
)
from services.invoices.store import SQL, Store
from shared.kst import wire_time
from shared.money import Money
from shared.operators.commands import pawl
from shared.postgres import Connection
from shared.tax_documents import due_on


async def plan_of_partner(
    pool: asyncpg.Pool, store: Store, partner_id: str, month: str, at: datetime
) -> dict[str, Any] | None:
    """What a close would make of a partner's month, and what would change that; None where it has no payment.

    It takes no lock and changes nothing.
    """
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        planned = await _planned(connection, store, partner_id, month, at)
    return _told(planned, at) if planned.businesses else None


async def plans_of_business(
    pool: asyncpg.Pool, store: Store, month: str, number: str, last: str, limit: int, at: datetime
) -> list[dict[str, Any]]:
    """The same of each partner behind `last` that paid under a business number, of that number alone.

    One more than `limit`, where there are more.
    """
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(SQL.page_of_partners, month, number, last, limit + 1)
        plans = [await _planned(connection, store, row["partner_id"], month, at) for row in rows]
    return [_told(plan._replace(businesses=_of_number(plan, number)), at) for plan in plans]


async def _planned(
    connection: Connection, store: Store, partner_id: str, month: str, at: datetime
) -> PartnerPlan:
    world, sold = await store.look_at_partner(connection, month, partner_id)
    return plan_month(world, partner_id, month, at, sold)


def _of_number(plan: PartnerPlan, number: str) -> tuple[BusinessPlan, ...]:
    return tuple(each for each in plan.businesses if each.scope.business_number == number)


def _told(plan: PartnerPlan, at: datetime) -> dict[str, Any]:
    return {
        "partner_id": plan.partner_id,
        "month": plan.month,
        "at": wire_time(at),
        "cut_off": wire_time(plan.cut_off),
        "due_on": due_on(plan.month).isoformat(),
        "always_merge_at_cut_off": plan.prefers,
        "businesses": [_business(each) for each in plan.businesses],
    }


def _business(plan: BusinessPlan) -> dict[str, Any]:
    return {
        "business_number": plan.scope.business_number,
        "invoice_id": None if plan.document is None else str(plan.document.invoice_id),
        "merged": [each.payment.payment_id for each in plan.payments if each.merges],
        "payments": [_payment(plan, each) for each in plan.payments],
        "totals": {
            name: {"merged": _won(totals.merged), "single": _won(totals.single)}
            for name, totals in plan.totals.items()
        },
    }


def _payment(plan: BusinessPlan, each: PlannedPayment) -> dict[str, Any]:
    payment = each.payment
    return {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "paid_at": wire_time(payment.paid_at),
        **_won(payment.standing),
        "merges": each.merges,
        "reason": each.reason,
        "unlocks": [_unlock(plan, unlock) for unlock in each.unlocks],
        "pending_refunds": [{"refund_id": name, **_won(money)} for name, money in each.pending],
    }


def _unlock(plan: BusinessPlan, unlock: Unlock) -> dict[str, Any]:
    return {
        "what": unlock.what,
        "units": unlock.units,
        "refund_ids": list(unlock.refund_ids),
        "until": None if unlock.until is None else wire_time(unlock.until),
        "command": _command(plan, unlock),
    }


def _command(plan: BusinessPlan, unlock: Unlock) -> str | None:
    """What an operator does for it; None for what the partner does, or what only happens."""
    merge: Sequence[str] = ("close", plan.scope.month, "merge", "--business", plan.scope.business_number)
    match unlock.what:
        case "refund_ends" if unlock.refund_ids:
            return pawl("refund", "show", unlock.refund_ids[0])
        case "merge_business" | "ask_to_merge":
            return f"{pawl(*merge)} --yes"
        case "undo_business_merge":
            return f"{pawl(*merge)} --undo --yes"
        case _:
            return None


def _won(money: Money) -> dict[str, int]:
    return {"supply": money.supply, "vat": money.vat, "total": money.total}
