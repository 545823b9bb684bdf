"""Bank accounts leave, for those who pay refunds by hand: each payout once, each time that it is asked for.

Who took one stands in the audit log before its account leaves. The answer is kept under its Idempotency-Key
without accounts, so that one that got lost can be asked for again: accounts are opened each time, as long as
their partner is not forgotten.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from pydantic import BaseModel

from services.refunds.decisions.payouts import ASKED_AGAIN
from services.refunds.events import payout_key
from services.refunds.store import SQL, Store
from shared.business_days import legal_refund_day
from shared.events.fields import Text
from shared.ids import uuid7
from shared.kst import kst_date
from shared.postgres import Connection
from shared.runtime.audit_log import AuditEntry, write_audit
from shared.runtime.commands import Command, CommandOutcome, Done
from shared.runtime.surroundings import Surroundings
from shared.web.fields import Body, WireWon
from shared.web.routes import HttpRoute, RequestedOnce, post

TAKE: Final = "payout.take"
MOST: Final = 1_000
"""So many payouts leave at once."""
ACCOUNT: Final = ("bank_code", "account_number", "holder")
OK: Final = 200


class TakeBody(Body):
    """Take payouts out to make them by hand, and why; accounts are only masked unless `apply`.

    `again`: also those that somebody has taken out before.
    """

    reason: Text
    again: bool = False
    apply: bool = False


class PayoutToMake(BaseModel):
    """A payout to a bank account. `reference` names it and the time that it was asked for: its idempotency
    key, a slash and a number.

    Bank code, account number and holder are null while it is only shown, and once its partner is forgotten.
    """

    reference: str
    refund_id: UUID
    order_id: str
    partner_id: str
    amount: WireWon
    masked: str | None
    bank_code: str | None
    account_number: str | None
    holder: str | None
    expected_on: date | None
    legal_on: date


class TakenPayouts(BaseModel):
    """Payouts to make by hand, oldest first. `left` more can be taken next.

    Left out are those that somebody has taken (`taken_before`), and those whose account was destroyed with
    its partner's key (`forgotten`).
    """

    applied: bool
    payouts: list[PayoutToMake]
    amount: WireWon
    left: int
    taken_before: int
    forgotten: int


class PayoutEndpoints:
    """The endpoint."""

    def __init__(self, surroundings: Surroundings, store: Store) -> None:
        self._send_alone, self._pool = surroundings.send_alone, surroundings.pool
        self._details = store.details

    async def take(self, body: TakeBody, origin: RequestedOnce) -> Any:
        """Takes payouts to bank accounts out, to be made by hand; accounts are masked unless `apply`."""
        response = await self._send_alone(
            TAKE, "payouts", body, origin, self._take, reason=body.reason, dry_run=not body.apply
        )
        if response.status_code != OK or not body.apply:
            return response
        return await self._with_accounts(orjson.loads(response.body))

    async def _with_accounts(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, with the accounts that it was kept without."""
        named = [UUID(payout["refund_id"]) for payout in answer["payouts"]]
        async with self._pool.acquire() as connection:
            accounts = await self._details.open_accounts(connection, named)
        payouts = [
            {**payout, **accounts.get(refund_id, {})}
            for payout, refund_id in zip(answer["payouts"], named, strict=True)
        ]
        return {**answer, "payouts": payouts}

    async def _take(self, connection: Connection, command: Command[TakeBody]) -> CommandOutcome:
        """Raises BrokenSealError where the key of an account is not here: then nothing is taken."""
        said = command.data
        await connection.execute(SQL.take_payouts_in_turn)
        rows = await connection.fetch(SQL.payouts_to_make, TAKE, ASKED_AGAIN)
        untaken = [row for row in rows if said.again or reference_of(row) not in row["taken"]]
        due = [row for row in untaken if not row["is_forgotten"]]
        chosen = due[:MOST]
        if said.apply:
            await self._details.open_accounts(connection, [row["refund_id"] for row in chosen])
        await write_audit(connection, [_entry(command, row) for row in chosen])
        answer = {
            "applied": said.apply,
            "payouts": [_payout(row) for row in chosen],
            "amount": sum(row["amount"] for row in chosen),
            "left": len(due) - len(chosen),
            "taken_before": len(rows) - len(untaken),
            "forgotten": len(untaken) - len(due),
        }
        return Done(answer, after={"payouts": len(chosen), "won": answer["amount"]})


def _payout(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "reference": reference_of(row),
        "refund_id": str(row["refund_id"]),
        "order_id": row["order_id"],
        "partner_id": row["partner_id"],
        "amount": row["amount"],
        "masked": row["destination_masked"],
        **dict.fromkeys(ACCOUNT),
        "expected_on": row["expected_on"],
        "legal_on": legal_refund_day(kst_date(row["requested_at"])),
    }


def reference_of(row: asyncpg.Record) -> str:
    """What names a payout and the time that it was asked for."""
    return f"{payout_key(row['refund_id'], row['bounces'])}/{row['asked']}"


def _entry(command: Command[TakeBody], row: asyncpg.Record) -> AuditEntry:
    target, after = f"{row['order_id']} {row['refund_id']}", {"reference": reference_of(row)}
    return AuditEntry(
        uuid7(), command.actor, TAKE, target, command.reason, after=after, request=command.request
    )


def payout_routes(surroundings: Surroundings, store: Store) -> Sequence[HttpRoute]:
    """The route for those who pay by hand: for operators, since it concerns all partners."""
    endpoints = PayoutEndpoints(surroundings, store)
    return [post("/v1/payouts/take", endpoints.take, "refunds:payouts", answers=TakenPayouts)]
