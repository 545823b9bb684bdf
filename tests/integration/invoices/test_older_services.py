"""A service of the last release at work over this schema: it leaves what it does not know as it is."""

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
