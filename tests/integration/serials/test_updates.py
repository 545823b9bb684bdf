"""What is written of a grant: after each commit every column of every row is compared with what it was."""

from typing import Any
from uuid import UUID

import asyncpg

from shared.ids import uuid7
from tests.integration.serials.conftest import CHUNK, Desk
from tests.support.granted import GRANTED_AT, granted

Rows = dict[UUID, dict[str, Any]]


async def grants(pool: asyncpg.Pool) -> Rows:
    return {row["grant_id"]: dict(row) for row in await pool.fetch("SELECT * FROM grants")}


async def test_each_chunk_changes_its_own_grant_and_only_what_counts(desk: Desk) -> None:
    """Two large grants of one order and line, one of another order, and one that is issued at once."""
    first, second, third, small = sorted(uuid7() for _ in range(4))
    await desk.take(
        granted(2 * CHUNK + 300, grant_id=first),
        granted(CHUNK + 1, grant_id=second),
        granted(3 * CHUNK, grant_id=third, order_id="A-1002"),
        granted(60, grant_id=small, order_id="A-1003"),
    )
    expected = await grants(desk.pool)
    assert {expected[each]["issued"] for each in (first, second, third)} == {0}
    whole = {"state": "issued", "issued_at": GRANTED_AT}
    assert expected[small] == expected[small] | whole | {"issued": 60, "sequence": 0}
    worker, seen = desk.worker(), []

    while units := await worker.issue_chunk():
        after = await grants(desk.pool)
        changed = [each for each in after if after[each] != expected[each]]
        for each in changed:
            issued = after[each]["issued"]
            expected[each] |= {"issued": issued}
            if issued == after[each]["quantity"]:
                expected[each] |= whole
            else:  # how far it is, is an event of the grant; that it is whole, one of its order
                expected[each] |= {"sequence": expected[each]["sequence"] + 1}
        assert after == expected
        assert sum(row["issued"] for row in after.values()) == 60 + sum(seen) + units
        seen.append(units)

    assert sum(seen) == 2 * CHUNK + 300 + CHUNK + 1 + 3 * CHUNK
    assert all(row["issued"] == row["quantity"] for row in expected.values())


async def test_a_recorded_grant_is_read_back_as_it_was_granted(desk: Desk) -> None:
    """Every column, each with a value of its own, so that none can stand in another's place."""
    event = granted(CHUNK + 7, grant_id=uuid7())
    [data] = event.data.grants

    await desk.take(event)

    (row,) = (await grants(desk.pool)).values()
    assert row["batch_id"] not in (None, row["grant_id"])
    assert {name: value for name, value in row.items() if name not in ("batch_id", "recorded_at")} == {
        "grant_id": UUID(data.grant_id), "order_id": event.data.order_id, "line_id": data.line_id,
        "partner_id": event.data.partner_id, "product_id": data.product_id, "product_name": data.product_name,
        "unit_price": data.unit_price, "usage_days": data.usage_days, "quantity": CHUNK + 7, "issued": 0,
        "state": "issuing", "granted_at": GRANTED_AT, "issued_at": None, "sequence": 0,
        "registration_deadline": row["registration_deadline"], "correlation": event.correlation,
        "causation": event.id, "reissued": 0, "revoked": 0, "expired": None, "home": 0,
    }  # fmt: skip
    assert row["registration_deadline"].isoformat() == "2027-01-22T14:59:59.999999+00:00"
