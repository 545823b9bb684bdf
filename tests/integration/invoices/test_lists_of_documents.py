"""Lists of documents, and how a business stands, are read by indexes and say what the views say."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx
import pytest

from services.invoices.showing import page_of_documents
from services.invoices.store import SQL
from tests.integration.invoices.conftest import StoredBooks
from tests.integration.invoices.test_approving import approved
from tests.integration.invoices.test_commands import ask
from tests.integration.invoices.test_documents import SUPPLIER, client_of
from tests.unit.invoices.books import OTHER, PARTNER, THIRD, WRONG

MONTHS: Final = ("2026-10", "2026-11")
IN_NOVEMBER: Final = "2026-11-12T10:00:00+09:00"
IN_DECEMBER: Final = "2026-12-05T18:00:01+09:00"
BEGINNING: Final = ("", UUID(int=0))


@pytest.fixture
async def client(books: StoredBooks) -> Any:
    async with client_of(books, **SUPPLIER) as client:
        yield client


@pytest.fixture
async def every(books: StoredBooks, client: httpx.AsyncClient) -> list[Mapping[str, Any]]:
    """Documents of two months in every state, with rows and without, corrected and modified ones too.

    October is closed: P-17 merges, P-18 was corrected to another business, P-19 has a wrong number and P-20
    paid nothing in the end. November is open: a merge was approved and undone, and drafts have no rows.
    """
    paid = books.paid_and_issued
    await books.take(books.events.partner())
    await paid("A-1", "A-2", "A-3")
    await paid("B-1", "B-2", partner="P-18", number=OTHER)
    await paid("C-1", partner="P-19", number=WRONG)
    await books.take(books.events.paid("D-1", partner="P-20", number=THIRD))
    await books.take(books.events.completed("D-1", "r-1", 100, 160_000, 16_000))
    await books.close()
    await books.take(books.events.completed("A-1", "r-2", 40, 64_000, 6_400, at=IN_NOVEMBER))
    key = await books.pool.fetchval("SELECT min(document_key) FROM documents WHERE partner_id = 'P-18'")
    await ask(client, "correct", document=key, business_number=THIRD, reason="another company", apply=True)
    await paid("A-4", "A-5", at=IN_NOVEMBER)
    await approved(books, month="2026-11", at=IN_DECEMBER)
    await books.take(books.events.merge("mr-1", month="2026-11", undo=True, at=IN_DECEMBER))
    await paid("B-3", partner="P-18", number=OTHER, at=IN_NOVEMBER)
    found = await books.pool.fetch("SELECT * FROM all_documents ORDER BY month, partner_id, invoice_id")
    assert {each["state"] for each in found} == {
        "draft", "in_merge", "undone", "void", "issue_failed", "issued",
    }  # fmt: skip
    return found


async def listed(pool: asyncpg.Pool, month: str, limit: int, **only: str) -> list[str]:
    """The ids of all pages of a list, one after the other."""
    asked = {"business_number": None, "state": None, "partner_id": None, **only}
    found: list[str] = []
    behind: Any = BEGINNING
    while True:
        rows = await page_of_documents(pool, month, behind, limit, **asked)
        found += [row["invoice_id"] for row in rows[:limit]]
        if len(rows) <= limit:
            return found
        behind = (rows[limit - 1]["partner_id"], UUID(rows[limit - 1]["invoice_id"]))


def ids(every: list[Mapping[str, Any]], month: str, has: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    return [str(each["invoice_id"]) for each in every if each["month"] == month and has(each)]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_a_month_is_listed_whole_whatever_its_documents_are(
    books: StoredBooks, every: list[Mapping[str, Any]], limit: int
) -> None:
    for month in MONTHS:
        assert await listed(books.pool, month, limit) == ids(every, month, lambda each: True)


async def test_a_month_is_listed_by_state_business_and_partner(
    books: StoredBooks, every: list[Mapping[str, Any]]
) -> None:
    for month in MONTHS:
        for state in {each["state"] for each in every} | {"approved"}:
            expected = ids(every, month, lambda each, state=state: each["state"] == state)  # type: ignore[misc]
            assert await listed(books.pool, month, 2, state=state) == expected, state
        for number in {each["business_number"] for each in every}:
            expected = ids(every, month, lambda each, number=number: each["business_number"] == number)  # type: ignore[misc]
            assert await listed(books.pool, month, 2, business_number=number) == expected, number
        for partner in {each["partner_id"] for each in every}:
            expected = ids(every, month, lambda each, partner=partner: each["partner_id"] == partner)  # type: ignore[misc]
            assert await listed(books.pool, month, 2, partner_id=partner) == expected, partner


async def test_what_is_listed_says_what_the_view_says(
    books: StoredBooks, every: list[Mapping[str, Any]]
) -> None:
    shown = ("kind", "state", "partner_id", "business_number", "month", "supply", "vat", "total", "late")
    for month in MONTHS:
        rows = await page_of_documents(
            books.pool, month, BEGINNING, 100, business_number=None, state=None, partner_id=None
        )
        expected = [each for each in every if each["month"] == month]
        assert [[row[name] for name in shown] for row in rows] == [
            [each[name] for name in shown] for each in expected
        ]


async def test_a_business_stands_as_the_view_of_its_month_says(
    books: StoredBooks, every: list[Mapping[str, Any]]
) -> None:
    for month in MONTHS:
        for number in {each["business_number"] for each in every}:
            one = await books.pool.fetch(SQL.business_of_month, month, number)
            of_view = "SELECT * FROM business_months WHERE month = $1 AND business_number = $2"
            assert one == await books.pool.fetch(of_view, month, number), (month, number)


async def test_a_key_begins_with_the_month_and_the_business_of_its_document(
    every: list[Mapping[str, Any]],
) -> None:
    """By that the documents of a business are found."""
    for each in every:
        head = f"{each['month']}-{each['business_number']}-"
        assert each["document_key"] is None or each["document_key"].startswith(head)


async def plan_of(pool: asyncpg.Pool, query: str, *, without: str) -> str:
    """The plan that Postgres keeps for a query of whatever values, though a way is to be avoided."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL {without} = off")
        return await kept_plan(connection, query)


async def kept_plan(connection: Any, query: str) -> str:
    """The plan that Postgres keeps for a query of whatever values."""
    count = max(number for number in range(1, 10) if f"${number}" in query)
    await connection.execute(f"PREPARE asked AS {query}")
    await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    plan = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked ({', '.join(['NULL'] * count)})")
    await connection.execute("DEALLOCATE asked")
    return "\n".join(line for (line,) in plan)


async def test_a_page_of_a_month_sorts_no_month(pool: asyncpg.Pool) -> None:
    plan = await plan_of(pool, SQL.page_of_documents, without="enable_sort")

    assert "Seq Scan" not in plan
    assert "->  Sort" not in plan, "only what is equal in the index is sorted"
    assert plan.count("Incremental Sort") == 2
    for index in ("documents_month on documents", "payments_month on payments"):
        assert f"Index Scan using {index}" in plan


A_FULL_MONTH: Final = """
    INSERT INTO documents (
        invoice_id, kind, state, partner_id, business_number, month, supply, vat, sequence, late, payments,
        document_key, written_date)
    SELECT gen_random_uuid(), 'payment', CASE WHEN keyed THEN 'approved' ELSE 'draft' END, 'P-' || n % 400,
        number, '2026-10', 100, 10, 1, false, 1,
        CASE WHEN keyed THEN '2026-10-' || number || '-' || lpad(n::text, 6, '0') END,
        CASE WHEN keyed THEN date '2026-10-31' END
    FROM (SELECT n, (1000000000 + n % 400)::text AS number, n % 100 > 0 AS keyed
          FROM generate_series(1, 8000) AS n) AS rows
"""


@pytest.fixture
async def in_a_full_month(books: StoredBooks, owner: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """A session that sees 8,000 documents of one month, counted as they are: plans follow that."""
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(A_FULL_MONTH)
    await owner.execute("ANALYZE documents; SET LOCAL enable_bitmapscan = off")
    yield owner
    await transaction.rollback()


@pytest.mark.parametrize("name", ["page_of_business", "business_of_month", "worth_of_business"])
async def test_the_documents_of_a_business_are_found_by_their_keys(
    in_a_full_month: asyncpg.Connection, name: str
) -> None:
    plan = await kept_plan(in_a_full_month, getattr(SQL, name))

    assert "Seq Scan" not in plan
    assert "documents_month" not in plan, "nobody reads the other businesses of the month"
    for index in ("documents_document_key_key", "documents_keyless"):
        assert index in plan


async def test_a_partner_sees_what_stands_beside_others_of_its_business(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.paid_and_issued("A-1")
    await books.paid_and_issued("B-1", partner="P-18")
    await ask(client, "merge", business_number="1168200276", reason="one invoice", apply=True)
    (merged,) = await books.pool.fetch("SELECT * FROM documents WHERE kind = 'merged'")

    for partner in (PARTNER, "P-18"):
        found = await listed(books.pool, "2026-10", 1, partner_id=partner)
        assert str(merged["invoice_id"]) in found
        of_business = await listed(books.pool, "2026-10", 1, partner_id=partner, business_number="1168200276")
        assert of_business == found
