"""Registering over HTTP: a serial is found by its characters, and what becomes of it is decided by the fold.

It is found in constant work: whatever was typed costs one indexed look for each generation of keys, and what
there is not, what was mistyped and what belongs to another partner get the same answer after the same steps.
What is typed while one statement looks is looked for by the next one, together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, NamedTuple
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, StringConstraints

from services.serials.attempts import Limits, seconds_left, who_asks, window_of
from services.serials.codes import LONGEST_INPUT, read_serial, serials_in
from services.serials.commands import REGISTER, REISSUE, REVOKE, EndBody, Registering
from services.serials.custody import holds_serial, note_search
from services.serials.problems import (
    ALREADY_REGISTERED,
    KEY_MISSING,
    REGISTERED,
    REGISTRATION_EXPIRED,
    REISSUE_QUOTA,
    SERIAL_REVOKED,
    UNKNOWN_SERIAL,
)
from services.serials.state import SerialState, state_at
from services.serials.store import SQL, Store
from shared.clock import now
from shared.events.faults import Fault
from shared.events.fields import Id, Reason
from shared.runtime.gathering import Gathering
from shared.runtime.surroundings import Surroundings
from shared.web.callers import Origin
from shared.web.fields import Body, ToldEvent, WireInstant
from shared.web.problems import NOT_FOUND, TOO_MANY_REQUESTS, Problem, of_faults
from shared.web.routes import Asking, HttpRoute, Looking, Requested, RequestedOnce, get, post

SerialId = Annotated[UUID, Path(description="the id of a serial, not its characters")]


class SecretBody(Body):
    """A body with the characters of a serial, as they were typed. It repeats nothing, so members that it does
    not have are ignored.
    """

    is_secret: ClassVar[bool] = True
    model_config = ConfigDict(extra="ignore")

    serial: str


class RegistrationBody(SecretBody):
    """Which account registers a serial. `account` is your own id of who uses it, no name and no address."""

    account: Annotated[Id, StringConstraints(strip_whitespace=True)]


class FindBody(SecretBody):
    """Which serial is looked for, and why."""

    reason: Reason


class Product(BaseModel):
    """What a serial is for; it is used for `usage_days` days in Seoul."""

    product_id: str
    product_name: str
    usage_days: int


class Registered(BaseModel):
    """A serial that the account uses until `usage_ends_at`."""

    serial_id: UUID
    state: SerialState
    product: Product
    registered_at: WireInstant
    usage_ends_at: WireInstant


class ShownRegistration(BaseModel):
    """How a serial stands. Only who is not limited to a partner sees the account."""

    serial_id: UUID
    state: SerialState
    product: Product
    registration_deadline: WireInstant
    registered_at: WireInstant | None
    usage_ends_at: WireInstant | None
    account: str | None
    revoked_at: WireInstant | None
    replaces: UUID | None
    replaced_by: UUID | None


class CheckedSerial(BaseModel):
    """What a serial is good for, for whoever supports its owner."""

    state: SerialState
    product: Product


class FoundSerial(CheckedSerial):
    """Which serial it is, for whoever has to do something about it."""

    serial_id: UUID
    last_four: str
    order_id: str
    grant_id: UUID
    unit: int


class SerialStanding(BaseModel):
    """The state of a serial."""

    state: SerialState


class EndedSerial(BaseModel):
    """A serial that died, and the one that takes its place; only shown unless `applied`.

    `new_unit` is its number in the grant, under which it is handed out. `revoked` and `reissued` count in the
    grant, `reissue_quota` is how many of it a partner may have reissued.
    """

    serial_id: UUID
    new_serial_id: UUID | None
    new_unit: int | None
    order_id: str
    grant_id: UUID
    revoked: int
    reissued: int
    reissue_quota: int
    applied: bool
    before: SerialStanding
    after: SerialStanding
    events: list[ToldEvent]


class _Attempt(NamedTuple):
    """Where to look for what was typed, whose failures count and in which window, and for which partner."""

    tags: bytes
    window_start: datetime
    account: bytes
    address: bytes
    partner_id: str | None


class Registrations:
    """The endpoints."""

    def __init__(self, surroundings: Surroundings, store: Store, limits: Limits) -> None:
        self._pool, self._send = surroundings.pool, surroundings.send
        self._store, self._limits = store, limits
        self._vault = store.writer.vault
        self._looks: Gathering[_Attempt, Mapping[str, Any]] = Gathering(self._look_up, "looks for serials")

    async def register(self, body: RegistrationBody, origin: Requested) -> Any:
        """Registers a serial for an account; the same account again gets the same answer."""
        found = await self._find(body.serial, body.account, self._limits.account, origin)
        if read_serial(body.serial) in serials_in(body.account):
            raise _no_serial_in("account")
        said = Registering(account=body.account)
        return await self._send(REGISTER, str(found["serial_id"]), said, self._without_key(origin))

    async def check(self, body: SecretBody, origin: Looking) -> Any:
        """What a serial is good for, and nothing else of it."""
        return await self._search(body.serial, origin, "")

    async def find(self, body: FindBody, origin: Looking) -> Any:
        """Which serial somebody has in hand; who looked, and why, stands in the custody log."""
        await self._require_no_serial(body.reason)
        return await self._search(body.serial, origin, body.reason)

    async def look(self, serial_id: SerialId, caller: Asking) -> Any:
        """How a serial stands: registered since when and until when, or why not."""
        row = await self._pool.fetchrow(SQL.registration_of, serial_id)
        if row is None or not caller.may_see(row["partner_id"]):
            raise _no_such(serial_id)
        hidden = row["account"] is None or caller.partner_id is not None
        account = None if hidden else self._store.open_account(serial_id, row["account"])
        return {**_shown(row), "account": account}

    async def reissue(self, serial_id: SerialId, body: EndBody, origin: RequestedOnce) -> Any:
        """Lets a serial die that nobody has registered, and makes another one in its place."""
        return await self._end(REISSUE, serial_id, body, origin)

    async def revoke(self, serial_id: SerialId, body: EndBody, origin: RequestedOnce) -> Any:
        """Lets a serial die that nobody has registered."""
        return await self._end(REVOKE, serial_id, body, origin)

    async def _find(self, typed: str, account: str, most: int, origin: Origin) -> Mapping[str, Any]:
        """The row of a serial that was typed. Raises Problem where there is none, or after too many such."""
        at, serial = now(), read_serial(typed)
        window = window_of(at, self._limits.seconds)
        who = who_asks(self._vault.pseudonym, account, origin.client)
        tags = b"".join(self._vault.tags_of(serial or _no_serial(typed)))
        attempt = _Attempt(tags, window, who.account, who.address, origin.caller.partner_id)
        row = await self._looks.ask(attempt)
        if row["of_account"] >= most or row["of_address"] >= self._limits.address:
            seconds = seconds_left(at, self._limits.seconds)
            raise Problem(TOO_MANY_REQUESTS, retry_after=seconds, seconds=seconds)
        if row["serial_id"] is None:
            if serial is not None and row["missing"]:
                raise Problem(KEY_MISSING, key_ids=", ".join(row["missing"]))
            await self._pool.execute(SQL.count_failure, window, list(who))
            raise Problem(UNKNOWN_SERIAL)
        return row

    async def _look_up(self, attempts: Sequence[_Attempt]) -> Sequence[Mapping[str, Any]]:
        """What is known of each attempt, in one statement."""
        columns = [list(column) for column in zip(*attempts, strict=True)]
        rows: Sequence[Mapping[str, Any]] = await self._pool.fetch(
            SQL.typed_serials, *columns, list(self._vault.key_ids)
        )
        return rows

    async def _search(self, typed: str, origin: Origin, reason: str) -> Any:
        """Finds a serial for somebody who asks for others: they share an address and a `sub`."""
        try:
            found = await self._find(typed, f"sub {origin.caller.sub}", self._limits.address, origin)
        except Problem as problem:
            if problem.kind is UNKNOWN_SERIAL:
                await self._note(origin, None, reason)
            raise
        unit = found["serial_id"].int - found["batch_id"].int
        await self._note(origin, (found["grant_id"], unit), reason)
        return {**_shown(found), "unit": unit}

    async def _note(self, origin: Origin, found: tuple[UUID, int] | None, reason: str) -> None:
        async with self._pool.acquire() as connection:
            await note_search(connection, origin, found, reason=reason)

    async def _end(self, command: str, serial_id: UUID, body: EndBody, origin: Origin) -> Any:
        await self._require_no_serial(body.reason)
        row = await self._pool.fetchrow(SQL.registration_of, serial_id)
        if row is None or not origin.caller.may_see(row["partner_id"]):
            raise _no_such(serial_id)
        said = {"reason": body.reason, "dry_run": not body.apply, "subject": str(serial_id)}
        return await self._send(command, row["order_id"], body, self._without_key(origin), **said)

    async def _require_no_serial(self, reason: str) -> None:
        """Raises Problem (422) for a reason with a serial in it: it is kept, and read by others."""
        if await holds_serial(self._pool, self._vault, reason):
            raise _no_serial_in("reason")

    def _without_key(self, origin: Origin) -> Origin:
        """The origin with a hash in the place of its Idempotency-Key: some take the serial itself for one."""
        key = origin.idempotency_key
        return origin if key is None else replace(origin, idempotency_key=self._vault.pseudonym(key).hex())


def _no_serial(typed: str) -> str:
    """What no serial is, to be looked for in its place: to look for nothing would take less time.

    Escaped, because JSON can hold halves of surrogates, which no encoding takes.
    """
    return f"?{typed[:LONGEST_INPUT]!a}"


def _no_serial_in(member: str) -> Problem:
    detail = f"{member} must hold no serial, since it is kept and told; name an id instead"
    return of_faults([Fault("out_of_range", f"/{member}", detail)])


def _no_such(serial_id: UUID) -> Problem:
    return Problem(NOT_FOUND, what=f"there is no serial with the id {serial_id}")


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    state = state_at(SerialState(row["state"]), row["registration_deadline"], now())
    product = {name: row[name] for name in Product.model_fields}
    return {**row, "state": state, "product": product}


STATE_PROBLEMS: Final = (REGISTRATION_EXPIRED, SERIAL_REVOKED)
FINDING_PROBLEMS: Final = (UNKNOWN_SERIAL, TOO_MANY_REQUESTS, KEY_MISSING)


def registration_routes(surroundings: Surroundings, store: Store, limits: Limits) -> Sequence[HttpRoute]:
    """The routes about single serials."""
    registrations, serial = Registrations(surroundings, store, limits), "/v1/serials/{serial_id}"
    return [
        post(
            "/v1/registrations",
            registrations.register,
            "serials:register",
            answers=Registered,
            partners=True,
            after_leaving=True,
            problems=[*FINDING_PROBLEMS, ALREADY_REGISTERED, *STATE_PROBLEMS],
        ),
        post(
            "/v1/registrations/check",
            registrations.check,
            "serials:read",
            answers=CheckedSerial,
            partners=True,
            after_leaving=True,
            problems=FINDING_PROBLEMS,
        ),
        get(
            "/v1/registrations/{serial_id}",
            registrations.look,
            "serials:read",
            answers=ShownRegistration,
            partners=True,
            after_leaving=True,
        ),
        post(
            "/v1/serials/find",
            registrations.find,
            "serials:manage",
            answers=FoundSerial,
            partners=True,
            problems=FINDING_PROBLEMS,
        ),
        post(
            f"{serial}/reissue",
            registrations.reissue,
            "serials:manage",
            answers=EndedSerial,
            partners=True,
            problems=[REGISTERED, REISSUE_QUOTA, *STATE_PROBLEMS],
        ),
        post(
            f"{serial}/revoke",
            registrations.revoke,
            "serials:manage",
            answers=EndedSerial,
            partners=True,
            problems=[REGISTERED, *STATE_PROBLEMS],
        ),
    ]
