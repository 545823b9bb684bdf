"""Plans that Postgres makes for what the runtime asks in every batch, and keeps while the tables change."""

from typing import Any

import asyncpg
import pytest

from shared.queries import load

SQL = load("shared.runtime")


@pytest.mark.parametrize(
    ("query", "arguments", "index"), [("parked_of_keys", 1, "parked_key"), ("repark", 3, "parked_pkey")]
)
async def test_what_waits_is_found_by_its_index_though_nothing_waited_when_the_plan_was_made(
    pool: asyncpg.Pool, admin: Any, query: str, arguments: int, index: str
) -> None:
    """This table is mostly empty when autovacuum counts it, and may be full a second later."""
    await admin.execute("VACUUM ANALYZE orders.parked")

    asked = f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {getattr(SQL, query)}"
    plan = [line.strip() for (line,) in await pool.fetch(asked, *[None] * arguments)]

    (scan,) = [number for number, line in enumerate(plan) if "parked" in line and "Scan" in line]
    assert f"using {index} on parked" in plan[scan], plan
    assert plan[scan + 1].startswith("Index Cond"), plan
