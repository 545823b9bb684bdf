"""A draft has no row while it is what its payment says; else, and in a closed month, it has one."""

from typing import Any

import asyncpg
import pytest

from services.invoices import closing
from services.invoices.closes import MonthClose
from services.invoices.state import Policy
from services.invoices.store import Store
from services.invoices.viewing import look_at_month
from tests.integration.invoices.conftest import StoredBooks
from tests.integration.invoices.test_approving import approved
from tests.unit.invoices.books import CLOSED_AT, OTHER, WRONG


async def rows(books: StoredBooks) -> list[tuple[Any, ...]]:
    """The rows of documents: kind, state and won."""
    found = await books.pool.fetch("SELECT kind, state, total FROM documents ORDER BY kind, state, total")
    return [tuple(row) for row in found]


async def seen(books: StoredBooks) -> list[tuple[Any, ...]]:
    """All documents: kind, state and won."""
    found = await books.pool.fetch("SELECT kind, state, total FROM all_documents ORDER BY kind, state, total")
    return [tuple(row) for row in found]


async def test_a_draft_that_nobody_touched_has_no_row_and_is_a_document(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.take(books.events.paid("A-2"))
    await books.take(books.events.completed("A-2", "r-1", 100, 160_000, 16_000))

    assert await rows(books) == []
    assert await seen(books) == [("payment", "draft", 176_000), ("payment", "void", 0)]
    assert (await look_at_month(books.pool, "2026-10"))["drafts"] == 1


async def test_a_draft_that_moves_to_another_number_has_a_row(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.take(books.events.partner(number=OTHER, always_merge=False))

    (row,) = await books.pool.fetch("SELECT * FROM documents")
    assert (row["state"], row["business_number"], row["sequence"]) == ("draft", OTHER, 2)
    assert await seen(books) == [("payment", "draft", 176_000)]


async def test_a_draft_that_a_close_leaves_has_a_row_so_that_it_is_found(
    books: StoredBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await books.paid_and_issued("A-1", "A-2")
    opened = closing._open

    async def then_a_refund(pool: asyncpg.Pool, close: MonthClose) -> None:
        await opened(pool, close)
        await books.take(books.events.accepted("A-1", "r-1"))

    monkeypatch.setattr(closing, "_open", then_a_refund)

    summary = await books.close()

    assert (summary.documents, summary.drafts) == (1, 1)
    assert await rows(books) == [("payment", "draft", 176_000), ("payment", "issued", 176_000)]


async def test_a_set_writes_no_row_of_a_payment_and_its_merge_names_them(books: StoredBooks) -> None:
    await books.take(books.events.partner())
    await books.paid_and_issued("A-1", "A-2", "A-3")
    before = await books.pool.fetch("SELECT xmin::text, * FROM payments ORDER BY order_id")

    await books.close()

    assert await books.pool.fetch("SELECT xmin::text, * FROM payments ORDER BY order_id") == before
    assert await rows(books) == [("merged", "issued", 3 * 176_000)]
    assert [state for _, state, _ in await seen(books)] == ["issued", "in_merge", "in_merge", "in_merge"]
    placed = await books.pool.fetch("SELECT DISTINCT invoice_id FROM placed_payments")
    (merge,) = await books.pool.fetch("SELECT invoice_id, members FROM documents")
    assert [row["invoice_id"] for row in placed] == [merge["invoice_id"]]
    assert merge["members"] == [row["draft_id"] for row in before]
    said = await books.pool.fetch("SELECT order_id, reason FROM all_explanations ORDER BY order_id")
    assert [tuple(row) for row in said] == [(f"A-{number}", "merged") for number in (1, 2, 3)]
    assert await books.pool.fetchval("SELECT count(*) FROM merge_explanations") == 0


async def test_a_refund_after_a_set_modifies_the_merge_and_places_its_payment_for_good(
    books: StoredBooks,
) -> None:
    await books.take(books.events.partner())
    await books.paid_and_issued("A-1", "A-2")
    await books.close()

    await books.take(books.events.completed("A-1", "r-1", 10, 16_000, 1_600))

    (modified,) = await books.published("invoice.modified")
    assert modified["data"]["total"] == -17_600
    stands = await books.pool.fetch("SELECT order_id, invoice_id = draft_id AS own FROM payments ORDER BY 1")
    assert [tuple(row) for row in stands] == [("A-1", False), ("A-2", True)]
    won = await books.pool.fetchval("SELECT sum(total) FROM documents WHERE state = 'issued'")
    assert won == 2 * 176_000 - 17_600


async def test_a_merge_that_a_set_approved_is_undone_and_its_drafts_have_no_rows_again(
    books: StoredBooks,
) -> None:
    await books.take(books.events.partner())
    await books.paid_and_issued("A-1", "A-2")
    await approved(books)
    assert await rows(books) == [("merged", "approved", 352_000)]

    await books.take(books.events.merge("mr-1", undo=True))

    assert await rows(books) == [("merged", "undone", 0)]
    assert await seen(books) == [
        ("merged", "undone", 0),
        ("payment", "draft", 176_000),
        ("payment", "draft", 176_000),
    ]
    summary = await books.close()
    assert (summary.documents, summary.merged) == (2, 0)


async def test_rows_that_the_last_release_wrote_are_read_and_closed(books: StoredBooks) -> None:
    now = books.store
    books.store = Store(Policy(draft_rows=True))
    await books.take(books.events.partner())
    await books.paid_and_issued("A-1", "A-2")
    assert await rows(books) == [("payment", "draft", 176_000), ("payment", "draft", 176_000)]
    books.store = now
    await books.paid_and_issued("A-3")

    summary = await books.close()

    assert (summary.documents, summary.merged, summary.total) == (1, 1, 3 * 176_000)
    (issued,) = await books.published("invoice.issued")
    assert issued["data"]["order_ids"] == ["A-1", "A-2", "A-3"]


async def test_a_month_is_closed_by_decisions_where_each_draft_has_its_row(books: StoredBooks) -> None:
    books.store = Store(Policy(draft_rows=True))
    await books.take(books.events.partner())
    await books.paid_and_issued("A-1", "A-2")

    await books.close()

    assert {state for _, state, _ in await rows(books)} == {"in_merge", "issued"}
    assert await books.pool.fetchval("SELECT count(*) FROM payments WHERE invoice_id = draft_id") == 0


@pytest.mark.parametrize("change", ["members = '{}'", "members = NULL, merged_for = NULL"])
async def test_what_a_set_has_merged_never_changes(
    books: StoredBooks, owner: asyncpg.Connection, change: str
) -> None:
    await books.take(books.events.partner())
    await books.paid_and_issued("A-1", "A-2")
    await books.close(at=CLOSED_AT)
    with pytest.raises(asyncpg.CheckViolationError, match="never changes"):
        await owner.execute(f"UPDATE documents SET {change}")


async def test_a_number_that_is_wrong_is_left_to_the_decisions(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", number=WRONG)
    await books.paid_and_issued("B-1", partner="P-18")

    summary = await books.close()

    assert (summary.documents, summary.issue_failed) == (1, 1)
