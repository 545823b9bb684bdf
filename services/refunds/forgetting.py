"""A partner is forgotten: the key of its accounts and texts is destroyed, and nothing of them opens again.

Orders, won and steps stay as they are. What goes is what nobody needs once every refund has its money.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import BaseModel

from services.refunds.store import SQL, Store
from shared.events.fields import Id, Text
from shared.operators.commands import pawl
from shared.postgres import Connection
from shared.runtime.commands import Command, CommandOutcome, Done, Refused
from shared.runtime.surroundings import Surroundings
from shared.web.fields import Body
from shared.web.problems import NOT_FOUND, Kind, Problem
from shared.web.routes import HttpRoute, RequestedOnce, post

FORGET: Final = "partner.forget"
MOST: Final = 20
"""So many things that need the account are named."""
PartnerId = Annotated[Id, Path(description="the id of a partner")]

ACCOUNT_NEEDED: Final = Kind(
    "account_needed",
    409,
    "A refund still needs the bank account",
    "{what} of order {order} still needs the bank account; nothing was changed: end it first, with {command}",
    "환불에 아직 계좌가 필요합니다",
    "변경된 것은 없습니다. 주문 {order}의 {what}에 아직 계좌가 필요합니다. 먼저 처리하십시오: {command}",
)


class ForgetBody(Body):
    """Make everything sealed for a partner unreadable, and why; only shown unless `apply`."""

    reason: Text
    apply: bool = False


class ForgottenPartner(BaseModel):
    """What became of what is sealed for a partner; only shown unless `applied`.

    Of `details`, `readable_before` could be opened, and `readable` can be now: none. `keys` were destroyed.
    `dead_letters` are refused refund requests about its orders, kept as they came under the key of the
    service.
    """

    partner_id: str
    applied: bool
    details: int
    readable_before: int
    readable: int
    keys: int
    dead_letters: int


class ForgettingEndpoints:
    """The endpoint."""

    def __init__(self, surroundings: Surroundings, store: Store) -> None:
        self._send_alone, self._store = surroundings.send_alone, store

    async def forget(self, partner_id: PartnerId, body: ForgetBody, origin: RequestedOnce) -> Any:
        """Destroys the key of what is sealed for a partner; only shows what that does unless `apply`."""
        said = {"reason": body.reason, "dry_run": not body.apply}
        return await self._send_alone(FORGET, partner_id, body, origin, self._forget, **said)

    async def _forget(self, connection: Connection, command: Command[ForgetBody]) -> CommandOutcome:
        partner_id = command.key
        if not await connection.fetchval(SQL.knows_partner, partner_id):
            what = f"refunds has no order of partner {partner_id}; pawl find WORD looks for one"
            return Refused(Problem(NOT_FOUND, what=what))
        needed = await what_needs_account(connection, partner_id)
        if needed is not None:
            return Refused(needed)
        forgetting = await self._store.details.forget(connection, partner_id, command.time)
        if forgetting.readable:
            raise AssertionError(f"{forgetting.readable} details of partner {partner_id} still open")
        letters = await connection.fetchval(SQL.dead_letters_of_partner, partner_id)
        counts = forgetting._asdict()
        answer = {
            "partner_id": partner_id,
            "applied": command.data.apply,
            **counts,
            "dead_letters": letters,
        }
        before = {"details": forgetting.details, "readable": forgetting.readable_before}
        after = {"details": forgetting.details, "readable": forgetting.readable, "keys": forgetting.keys}
        return Done(answer, before=before, after=after)


async def what_needs_account(connection: Connection, partner_id: str) -> Problem | None:
    """Why a partner cannot be forgotten now: its first refund, or request, that needs its account.

    The answer lists `MOST` of them.
    """
    refunds = await connection.fetch(SQL.accounts_needed, partner_id, MOST)
    waiting = await connection.fetch(SQL.requests_that_wait, partner_id, MOST)
    more = {
        "refunds": [{**row, "refund_id": str(row["refund_id"])} for row in map(dict, refunds)],
        "waiting": [dict(row) for row in waiting],
    }
    if refunds:
        first = refunds[0]
        name, state = str(first["refund_id"]), first["state"].replace("_", " ")
        what, command = f"refund {name} ({state})", pawl("refund", "show", name)
        return Problem(ACCOUNT_NEEDED, more=more, what=what, order=first["order_id"], command=command)
    if waiting:
        order_id, event_id = waiting[0]
        command = pawl("order", "cancel-request", order_id, event_id)
        what = f"refund request {event_id}"
        return Problem(ACCOUNT_NEEDED, more=more, what=what, order=order_id, command=command)
    return None


def forgetting_routes(surroundings: Surroundings, store: Store) -> Sequence[HttpRoute]:
    """The route of those who keep what may be kept: for operators."""
    endpoints = ForgettingEndpoints(surroundings, store)
    path = "/v1/partners/{partner_id:path}/forget"
    return [
        post(
            path,
            endpoints.forget,
            "refunds:manage",
            answers=ForgottenPartner,
            problems=[ACCOUNT_NEEDED],
        )
    ]
