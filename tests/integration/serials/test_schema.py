"""What the schema refuses."""

import asyncpg
import pytest

from shared.ids import uuid7
from tests.integration.serials.conftest import Desk
from tests.support.granted import granted

CONTRADICTIONS = [
    "UPDATE grants SET issued = quantity + 1",
    "UPDATE grants SET issued = issued - 1",
    "UPDATE grants SET state = 'issuing'",
    "UPDATE grants SET state = 'lost'",
    "UPDATE grants SET issued_at = NULL",
    "UPDATE grants SET quantity = 0, issued = 0",
    "UPDATE grants SET quantity = 1000001, issued = 1000001",
    "UPDATE grants SET registration_deadline = granted_at",
    "UPDATE grants SET batch_id = grant_id",
    "UPDATE grants SET reissued = 1",
    "UPDATE grants SET revoked = issued + 1",
    "UPDATE grants SET expired = issued + 1",
    "UPDATE grants SET reissued = 16777215, revoked = 16777215",
    "UPDATE serials SET state = 'registered'",
    "UPDATE serials SET state = 'revoked'",
    "UPDATE serials SET state = 'lost'",
    "UPDATE serials SET account = 'user-5'",
    "UPDATE serials SET registered_at = now(), usage_ends_at = now(), account = 'user-5'",
    (
        "UPDATE serials SET (state, revoked_at, revoke_reason, registered_at, usage_ends_at, account)"
        " = ('revoked', now(), 'lost', now(), now(), 'user-5')"
    ),
    "UPDATE serials SET revoked_at = now()",
    "UPDATE serials SET lookup_tag = '\\x00'",
    "UPDATE serials SET text = '\\x00'",
    "UPDATE serials SET last_four = 'ABCDE'",
    "UPDATE serials SET replaces = serial_id",
]


@pytest.mark.parametrize("statement", CONTRADICTIONS)
async def test_the_schema_refuses_what_the_domain_never_does(
    desk: Desk, owner: asyncpg.Connection, statement: str
) -> None:
    grant_id = uuid7()
    await desk.take(granted(3, grant_id=grant_id))

    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(statement)


async def test_a_serial_is_replaced_at_most_once(desk: Desk, owner: asyncpg.Connection) -> None:
    await desk.take(granted(3))
    ids = [row[0] for row in await desk.pool.fetch("SELECT serial_id FROM serials ORDER BY serial_id")]
    replace = "UPDATE serials SET replaces = $1 WHERE serial_id = $2"
    await owner.execute(replace, ids[0], ids[1])

    with pytest.raises(asyncpg.UniqueViolationError, match="serials_replaces"):
        await owner.execute(replace, ids[0], ids[2])
    await owner.execute("UPDATE serials SET replaces = NULL")
