"""Bank accounts and free texts at rest: sealed with a data key of their partner, which can be destroyed.

What is sealed with a key of the service alone was kept before there were data keys. It opens as before, until
its partner is forgotten: then it is overwritten.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from msgspec import Struct
from msgspec.structs import replace

from services.refunds.state import Refund
from shared.columns import Fixed
from shared.postgres import Connection
from shared.queries import load as load_queries
from shared.rows import Table
from shared.sealing import BrokenSealError, Sealer


class DataKey(Struct, frozen=True, gc=False):
    """The key that seals what belongs to a partner, itself sealed; None since it was destroyed.

    `number` counts the keys of the partner from 1.
    """

    partner_id: Fixed[str]
    number: Fixed[int]
    sealed: bytes | None
    forgotten_at: datetime | None = None


class SealedDetails(Struct, frozen=True, gc=False):
    """The bank account and the free text of a request as a row, readable with its key only.

    `key_number` names the data key of the partner; both are None in rows that a key of the service sealed.
    """

    reference: Fixed[UUID]
    refund_id: Fixed[UUID]
    order_id: Fixed[str]
    sealed: Fixed[bytes]
    partner_id: Fixed[str | None] = None
    key_number: Fixed[int | None] = None


class Forgetting(NamedTuple):
    """What became of the details of a partner: how many there are, how many opened before and open now.

    `keys` is how many data keys were destroyed.
    """

    details: int
    readable_before: int
    readable: int
    keys: int


class Forgotten(BrokenSealError):
    """The details were made unreadable: the data key of their partner was destroyed."""


SQL = load_queries(__file__)
DATA_KEYS = Table(DataKey, "data_keys", key=("partner_id", "number"))
DETAILS = Table(SealedDetails, "refund_details", key=("reference",))


class DetailsStore:
    """Reads and writes them. The sealer is of the service, and seals data keys."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def save(self, connection: Connection, new: Sequence[tuple[str, Refund]]) -> None:
        """Seals the details of new refunds, each with the key of the partner it stands with."""
        if new:
            keys = await self._keys_in_use(connection, sorted({partner_id for partner_id, _ in new}))
            await DETAILS.save(connection, ((self._row(keys[who], refund), None) for who, refund in new))

    async def open(self, connection: Connection, reference: UUID) -> Mapping[str, Any]:
        """The account and the text under a reference. Raises LookupError, Forgotten, BrokenSealError."""
        row = await connection.fetchrow(SQL.read_details, reference)
        if row is None:
            raise LookupError(f"no details under reference {reference}")
        return self._opened(row)

    async def open_accounts(
        self, connection: Connection, refund_ids: Sequence[UUID]
    ) -> dict[UUID, Mapping[str, str]]:
        """The bank accounts of refunds, without those that were forgotten. Raises BrokenSealError."""
        accounts = {}
        for row in await connection.fetch(SQL.details_of_refunds, refund_ids):
            if row["key_number"] is None or row["sealed_key"] is not None:
                accounts[row["refund_id"]] = self._opened(row)["account"]
        return accounts

    async def forget(self, connection: Connection, partner_id: str, at: datetime) -> Forgetting:
        """Destroys the data key of a partner, and tries to open everything of it.

        Rows without a data key are overwritten, and named after it. A refund that is saved at this moment
        keeps its details under the next key.
        """
        key = await self._lock_key(connection, partner_id)
        rows = await connection.fetch(SQL.details_of_partner, partner_id)
        readable_before = sum(map(self._is_readable, rows))
        old = [row for row in rows if row["key_number"] is None]
        if key is None and old:
            await self._keys_in_use(connection, [partner_id])
            key = await self._lock_key(connection, partner_id)
        if key is None:
            return Forgetting(len(rows), readable_before, readable_before, 0)
        if old:
            await connection.execute(SQL.erase_details, partner_id, key.number)
        await DATA_KEYS.save(connection, [(replace(key, sealed=None, forgotten_at=at), key)])
        after = await connection.fetch(SQL.details_of_partner, partner_id)
        return Forgetting(len(after), readable_before, sum(map(self._is_readable, after)), 1)

    async def _lock_key(self, connection: Connection, partner_id: str) -> DataKey | None:
        row = await connection.fetchrow(SQL.lock_data_key, partner_id)
        return None if row is None else DATA_KEYS.read(row)

    async def _keys_in_use(self, connection: Connection, partner_ids: Sequence[str]) -> dict[str, DataKey]:
        """The data key of each partner, made where there is none; none is destroyed before the commit."""
        while True:
            rows = await connection.fetch(SQL.data_keys_in_use, partner_ids)
            keys = {row["partner_id"]: DATA_KEYS.read(row) for row in rows}
            missing = [each for each in partner_ids if each not in keys]
            if not missing:
                return keys
            made = [self._sealer.new_data_key(_context(each)) for each in missing]
            await connection.execute(SQL.make_data_keys, missing, made)

    def _row(self, key: DataKey, refund: Refund) -> SealedDetails:
        assert refund.details is not None
        account, message = refund.details
        plain = orjson.dumps({"account": account._asdict() if account else None, "message": message})
        reference = refund.destination.reference
        sealed = self._with(key).seal(plain, reference.bytes)
        return SealedDetails(reference, refund.refund_id, refund.order_id, sealed, key.partner_id, key.number)

    def _with(self, key: DataKey) -> Sealer:
        assert key.sealed is not None, "a key in use is there"
        return self._sealer.with_data_key(key.sealed, str(key.number), _context(key.partner_id))

    def _opened(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        sealer = self._sealer
        if row["key_number"] is not None:
            if row["sealed_key"] is None:
                raise Forgotten(f"the data key of {row['partner_id']} was destroyed")
            sealer = sealer.with_data_key(
                row["sealed_key"], str(row["key_number"]), _context(row["partner_id"])
            )
        details: Mapping[str, Any] = orjson.loads(sealer.open(row["sealed"], row["reference"].bytes))
        return details

    def _is_readable(self, row: Mapping[str, Any]) -> bool:
        try:
            self._opened(row)
        except BrokenSealError:
            return False
        return True


def _context(partner_id: str) -> bytes:
    """A data key that is copied to another partner does not open there."""
    return b"data key of " + partner_id.encode()
