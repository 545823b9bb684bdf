"""A service of the last release at work over this schema: it leaves what it does not know as it is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from tests.integration.invoices.conftest import StoredBooks


async def test_a_purged_partner_stays_without_a_name_when_an_older_service_writes_one(
    books: StoredBooks,
) -> None:
    await books.pool.execute(
        "INSERT INTO partners (partner_id, business_number, name, invoice_email, always_merge, "
        "always_merge_since, changed_at, purged_at) VALUES ('P-17', '', '', '', false, now(), now(), now())"
    )

    await books.pool.execute("UPDATE partners SET name = 'Gildong', invoice_email = 'g@example.com'")

    row = await books.pool.fetchrow("SELECT name, invoice_email, business_number FROM partners")
    assert row is not None
    assert tuple(row) == ("", "", "")


@pytest.fixture
async def until(owner: asyncpg.Connection) -> AsyncIterator[Callable[[timedelta], Awaitable[None]]]:
    """Sets how long services of the last release may run from now on; none does afterwards."""

    async def set_until(leave_in: timedelta) -> None:
        await owner.execute("UPDATE retention SET draft_rows_until = now() + $1::interval", leave_in)

    yield set_until
    await owner.execute("UPDATE retention SET draft_rows_until = '-infinity'")


@pytest.mark.parametrize(("leave_in", "has_row"), [(timedelta(hours=1), True), (-timedelta(hours=1), False)])
async def test_a_draft_has_a_row_as_long_as_older_services_may_run(
    books: StoredBooks, until: Callable[[timedelta], Awaitable[None]], leave_in: timedelta, has_row: bool
) -> None:
    await until(leave_in)

    await books.take(books.events.partner())
    await books.paid_and_issued("A-1", "A-2")
    drafts = await books.pool.fetchval("SELECT count(*) FROM documents WHERE state = 'draft'")
    summary = await books.close()

    assert drafts == (2 if has_row else 0)
    assert (summary.documents, summary.merged, summary.total) == (1, 1, 2 * 176_000)
    by_sets = await books.pool.fetchval("SELECT count(*) FROM documents WHERE members IS NOT NULL")
    assert by_sets == (0 if has_row else 1)
