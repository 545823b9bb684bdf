"""Plans that Postgres makes for what the runtime asks in every batch, and keeps while the tables change."""

from typing import Any

import asyncpg
import pytest

from shared.queries import load

SQL = load("shared.runtime")


@pytest.mark.parametrize(
    ("query", "arguments", "indexes"),
    [
        (
            "begin_batch",
            6,
            {
                "parked": "parked_key",
                "parked_again": "parked_again_key",
                "dead_letters": "dead_letters_request",
                "dead_letters_again": "dead_letters_again_request",
            },
        ),
        ("repark", 3, {"parked": "parked_pkey", "parked_again": "parked_again_pkey"}),
    ],
)
async def test_what_is_open_is_found_by_its_index_though_nothing_was_when_the_plan_was_made(
    pool: asyncpg.Pool, admin: Any, query: str, arguments: int, indexes: dict[str, str]
) -> None:
    """These tables are mostly empty when autovacuum counts them, and may be full a second later."""
    for table in indexes:
        await admin.execute(f"VACUUM ANALYZE orders.{table}")

    asked = f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {getattr(SQL, query)}"
    plan = [line.strip() for (line,) in await pool.fetch(asked, *[None] * arguments)]

    for table, index in indexes.items():
        (scan,) = [
            number for number, line in enumerate(plan) if f" on {table} " in f"{line} " and "Scan" in line
        ]
        assert f"using {index} on {table}" in plan[scan], plan
        assert plan[scan + 1].startswith("Index Cond"), plan
