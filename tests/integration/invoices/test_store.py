"""What the invoices service keeps in Postgres, and what Postgres refuses to keep."""

import asyncpg
import pytest

from services.invoices.app import build
from services.invoices.handlers import ROUTES
from services.invoices.settings import InvoicesSettings
from services.invoices.state import Policy
from services.invoices.store import Store
from shared.ids import uuid7
from shared.runtime.decisions import Context, Reject
from tests.integration.invoices.conftest import StoredBooks
from tests.unit.invoices.books import GANADA, WRONG, line


async def test_a_payment_lives_through_a_commit_after_every_event(books: StoredBooks) -> None:
    events = books.events
    await books.take(events.paid("A-1"))
    await books.take(events.issued("A-1", 60))
    await books.take(events.accepted("A-1", "r-1"))
    await books.take(events.completed("A-1", "r-1", 30, 48_000, 4_800))
    await books.close()
    await books.take(events.completed("A-1", "r-2", 10, 16_000, 1_600, at="2026-11-12T10:00:00+09:00"))

    payment = await books.pool.fetchrow("SELECT * FROM payments")
    assert (payment["standing_supply"], payment["refunded_supply"]) == (112_000, 64_000)
    assert (payment["issued_units"], payment["returned_units"], payment["open_refunds"]) == (60, 40, 0)
    states = await books.pool.fetch(
        "SELECT kind, state, total FROM documents ORDER BY issued_at, document_key"
    )
    assert [tuple(row) for row in states] == [("payment", "issued", 123_200), ("modified", "issued", -17_600)]
    assert await books.won() == {"invoiced": 105_600, "uninvoiced": 0, "card_slip": 0, "cash_receipt": 0}


async def test_what_is_loaded_is_what_was_saved(books: StoredBooks) -> None:
    events = books.events
    batch = [
        events.paid("A-1", lines=[line(), line("2", "goods"), line("3", "metered")]),
        events.paid("A-2", lines=[line(kind="goods")]),
        events.paid("A-3", lines=[line(kind="goods")]),
        events.accepted("A-1", "r-1"),
        events.partner(),
        events.merge(orders=["A-2", "A-3"]),
    ]
    async with books.pool.acquire() as connection, connection.transaction():
        saved = await books.store.load(connection, batch)
        for event in batch:
            ROUTES[event.type].handle(saved, event, Context(uuid7))
        await books.store.save(connection, saved)
    async with books.pool.acquire() as connection, connection.transaction():
        again = await books.store.load(connection, [*batch, events.partner(always_merge=False)])
    assert again.payments == saved.payments
    assert again.documents == saved.documents
    assert again.refunds == saved.refunds
    assert again.partners == saved.partners
    assert again.requests == saved.requests


async def test_a_merge_and_its_explanations_are_kept(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.paid("A-3"))
    await books.take(books.events.merge())
    rows = await books.pool.fetch("SELECT order_id, reason FROM merge_explanations ORDER BY order_id")
    assert [tuple(row) for row in rows] == [("A-1", "merged"), ("A-2", "merged"), ("A-3", "units_not_issued")]
    assert (await books.won())["uninvoiced"] == 3 * 176_000
    await books.take(books.events.merge("mr-2", undo=True))
    states = await books.pool.fetch("SELECT state FROM all_documents ORDER BY state")
    assert [row["state"] for row in states] == ["draft", "draft", "draft", "undone"]


async def test_a_known_request_id_is_recognised_after_a_commit(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    request = books.events.merge()
    await books.take(request)
    await books.take(request)
    assert len(await books.published("invoice.merged")) == 1
    (refused,) = await books.take(books.events.merge(orders=["A-1"]))
    assert isinstance(refused, Reject)


async def test_a_refund_of_one_payment_nets_out_of_its_merge(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.merge())
    await books.take(books.events.completed("A-2", "r-1", 40, 64_000, 6_400))
    assert await books.pool.fetchval("SELECT total FROM documents WHERE kind = 'merged'") == 281_600


async def test_slips_and_receipts_are_summed_apart(books: StoredBooks) -> None:
    await books.take(
        books.events.paid("A-1", method="card"),
        books.events.paid("A-2", evidence="cash_receipt"),
        books.events.paid("A-3"),
    )
    assert await books.won() == {
        "invoiced": 0,
        "uninvoiced": 176_000,
        "card_slip": 176_000,
        "cash_receipt": 176_000,
    }


async def test_the_policies_are_those_that_the_service_was_told(books: StoredBooks) -> None:
    told = InvoicesSettings.model_construct(
        invoices_card_is_slip=False, invoices_cut_off_day=3, invoices_cut_off_hour=9
    )
    books.store = build(told).store
    await books.paid_and_issued("A-1", "A-2", method="card")

    await books.take(books.events.merge("mr-1", at="2026-11-03T09:00:00+09:00"))
    await books.take(books.events.merge("mr-2", at="2026-11-03T08:59:59+09:00"))

    late, early = [answer["data"] for answer in await books.published("merge.answered")]
    assert [each["reason"] for each in late["excluded"]] == ["after_cut_off", "after_cut_off"]
    assert early["merged"] == ["pay-A-1", "pay-A-2"]


async def test_an_order_for_nothing_is_kept_without_a_document(books: StoredBooks) -> None:
    await books.take(books.events.paid("A-1", lines=[line(discount=160_000)]))
    kept = await books.pool.fetchrow("SELECT evidence, draft_id, invoice_id FROM payments")
    assert tuple(kept) == ("tax_invoice", None, None)
    assert await books.pool.fetchval("SELECT count(*) FROM documents") == 0
    assert await books.pool.fetchval("SELECT lines->0->>6 FROM payment_lines") == "160000"


async def test_correcting_a_partner_issues_what_failed(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2", number=WRONG)
    await books.close()
    await books.take(books.events.partner(at="2026-11-07T09:00:00+09:00"))
    keys = [event["data"]["document_key"] for event in await books.published("invoice.issued")]
    assert keys == [f"2026-10-{GANADA}-000001", f"2026-10-{GANADA}-000002"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET supply = supply - 1, vat = vat + 1 WHERE kind = 'payment'",
        "UPDATE documents SET state = 'draft', document_key = NULL, written_date = NULL, issued_at = NULL",
        "DELETE FROM documents",
    ],
)
async def test_an_issued_document_is_never_edited_or_deleted(
    books: StoredBooks, owner: asyncpg.Connection, statement: str
) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    with pytest.raises(asyncpg.CheckViolationError, match="is issued and never changes"):
        await owner.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments SET refunded_supply = supply + 1",
        "UPDATE payments SET standing_supply = standing_supply - 1",
        "UPDATE payments SET standing_supply = standing_supply + 1",
        "UPDATE payments SET issued_units = serial_units + 1",
        "UPDATE payments SET open_refunds = -1",
        "UPDATE payments SET invoice_id = NULL",
        "UPDATE payments SET evidence = 'card_slip'",
        "UPDATE payments SET month = '2026-11'",
        "UPDATE documents SET state = 'issued'",
        "UPDATE documents SET supply = -supply",
        "UPDATE documents SET state = 'void'",
        "UPDATE documents SET supply = 0, vat = 0",
        "UPDATE documents SET kind = 'modified'",
        """UPDATE documents SET state = 'issued', document_key = '2026-10-1111111111-000001',
                                written_date = '2026-10-31', issued_at = now()""",
    ],
)
async def test_the_database_refuses_what_the_domain_refuses(
    books: StoredBooks, owner: asyncpg.Connection, statement: str
) -> None:
    books.store = Store(Policy(draft_rows=True))
    await books.take(books.events.paid("A-1"))
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(statement)


async def test_a_business_has_one_open_merge_a_month(books: StoredBooks) -> None:
    books.store = Store(Policy(draft_rows=True))
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.merge())
    with pytest.raises(asyncpg.UniqueViolationError):
        await books.pool.execute(
            "UPDATE documents SET kind = 'merged', state = 'draft' WHERE state = 'in_merge'"
        )


async def test_a_document_key_is_given_once(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    with pytest.raises(asyncpg.UniqueViolationError):
        await books.pool.execute(
            """INSERT INTO documents (invoice_id, kind, state, partner_id, business_number, month, supply,
                                      vat, sequence, late, payments, document_key, written_date, issued_at)
               SELECT gen_random_uuid(), kind, state, partner_id, business_number, month, supply, vat,
                      sequence, late, payments, document_key, written_date, issued_at FROM documents"""
        )


async def test_units_released_after_a_cancellation_are_taken_off_a_second_time(books: StoredBooks) -> None:
    events = books.events
    await books.take(events.paid("A-1"))
    await books.take(events.cancelled("A-1", 60, 96_000, 9_600))
    await books.take(events.cancelled("A-1", 40, 64_000, 6_400))
    assert await books.won() == {"invoiced": 0, "uninvoiced": 0, "card_slip": 0, "cash_receipt": 0}
