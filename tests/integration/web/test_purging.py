"""A partner that left years ago is named no more but on its tax invoices, and every won is where it was."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from ops.audit.check import audit
from ops.setup.provision import Database
from services.refunds.details import Forgotten
from services.refunds.store import Store
from shared.clock import now
from shared.events.catalogue import SERVICES
from tests.support.serving import SEALER, operator_on, partner_on
from tests.support.tabletop import Tabletop, buy, refund_and_issue, refund_id_of

PATH = "/v1/partners/purge"
WHY = {"reason": "five years are over"}
NAMES = ("가나다", "tax@ganada.example", "홍길동", "*6789", "bankbook.pdf", "lee@ganada", "called him")
"""The partner, its address, the holder of its account, its last digits, a proof, its people, a note."""
PEOPLE = "lee@ganada.example"
OF_THE_RUNTIME = {"inbox", "outbox", "parked", "dead_letters", "audit_log"}
"""They keep what was said as it was said: for as long as they keep anything, or sealed."""
ON_DOCUMENTS = {"invoices.payment_lines"}
"""The law keeps documents: who paid is kept with payments on them, and with no others."""


@pytest.fixture
async def orders(table: Tabletop) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_on(table, "orders") as operator:
        yield operator


async def everything_kept(table: Tabletop, service: str) -> dict[str, list[str]]:
    """Each row of each table of a service as text, but for what the runtime keeps as it was said."""
    pool = table.pools[service]
    found = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
    names = [row["tablename"] for row in found if row["tablename"] not in OF_THE_RUNTIME]
    return {
        name: [row["said"] for row in await pool.fetch(f"SELECT t::text AS said FROM {name} t ORDER BY 1")]
        for name in names
    }


async def where_named(table: Tabletop) -> set[str]:
    """The tables of the four services in which any of the names stands."""
    return {
        f"{service}.{name}"
        for service in SERVICES
        for name, rows in (await everything_kept(table, service)).items()
        if any(each in row for row in rows for each in NAMES)
    }


async def paid_back_after_a_proof(table: Tabletop) -> str:
    """A-1: 40 units are paid back, after somebody of the partner has shown whose the account is; its refund.

    The other 60 are issued, and somebody of the partner takes them out. Its month is closed.
    """
    table.say(
        "partner.changed.v1",
        "P-17",
        name="가나다 주식회사",
        invoice_email="tax@ganada.example",
        business_number="1168200276",
    )
    await buy(table, "A-1")
    account = {"method": "bank_account", "bank_code": "088", "account_number": "110123456789"}
    table.say("refund.requested.v1", "A-1", requested_by=PEOPLE, destination={**account, "holder": "홍길동"})
    await table.drain()
    refund_id = await refund_id_of(table, "A-1")
    table.say("refund.proof_attached.v1", "A-1", refund_id=refund_id, actor="park@lee@ganada.example")
    await table.drain()
    async with operator_on(table, "refunds") as operator:
        said = {"reason": "we called him back", "apply": True}
        answer = await operator.post(
            f"/v1/refunds/{refund_id}/approve", json=said, headers={"Idempotency-Key": "a"}
        )
        assert answer.status_code == 200, answer.text
    await table.drain()
    table.say("refund.paid_out.v1", "A-1", refund_id=refund_id)
    table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": 60}])
    await table.drain()
    async with partner_on(table, "serials", "P-17") as own:
        grant_id = await table.pools["serials"].fetchval("SELECT grant_id FROM grants")
        path = f"/v1/issuances/{grant_id}/serials?reason=lee@ganada"
        taken = await own.get(path)
        assert taken.status_code == 200, taken.text
    await close_month(table)
    return refund_id


async def close_month(table: Tabletop) -> None:
    """Closes the month of the payments, and orders hears that they are invoiced."""
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")
    await table.drain()


async def leave(table: Tabletop, partner_id: str, years: int) -> None:
    """The partner left so many years ago."""
    await table.pools["orders"].execute(
        "INSERT INTO partners (partner_id, withdrawn_at, sequence) VALUES ($1, $2, 0)",
        partner_id,
        now() - timedelta(days=years * 366),
    )


async def purge(orders: httpx.AsyncClient, *, apply: bool = True) -> dict[str, Any]:
    answer = await orders.post(PATH, json={**WHY, "apply": apply})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def won_of(table: Tabletop) -> list[tuple[Any, ...]]:
    """Won and states of orders, refunds, payments and documents, and the numbers on the latter."""
    statements = (
        ("orders", "SELECT state, amount, remaining_supply, remaining_vat FROM orders"),
        ("refunds", "SELECT state, amount, supply, vat, fee, completed_at FROM refunds"),
        ("refunds", "SELECT position, state, at, reason FROM refund_history ORDER BY position"),
        ("invoices", "SELECT business_number, standing_supply, standing_vat FROM payments"),
        ("invoices", "SELECT document_key, business_number, total, state, written_date FROM documents"),
    )
    return [
        (service, *row)
        for service, statement in statements
        for row in await table.pools[service].fetch(statement)
    ]


async def test_a_look_shows_who_is_due_and_changes_nothing(
    table: Tabletop, orders: httpx.AsyncClient
) -> None:
    await paid_back_after_a_proof(table)
    await leave(table, "P-17", 6)
    await leave(table, "P-18", 0)
    before = {service: await everything_kept(table, service) for service in SERVICES}

    shown = await purge(orders, apply=False)
    await table.drain()

    assert shown["unfinished"] == []
    assert [each["partner_id"] for each in shown["partners"]] == ["P-17"]
    assert (shown["applied"], shown["left"], shown["unfinished"]) == (False, 0, [])
    assert [event["type"] for event in shown["events"]] == ["partner.purged.v1"]
    assert {service: await everything_kept(table, service) for service in SERVICES} == before


async def test_a_purge_erases_names_in_four_services_and_the_auditor_finds_every_won(
    table: Tabletop, orders: httpx.AsyncClient, database: Database
) -> None:
    refund_id = await paid_back_after_a_proof(table)
    await leave(table, "P-17", 6)
    won, named = await won_of(table), await where_named(table)

    done = await purge(orders)
    await table.drain()

    assert [each["partner_id"] for each in done["partners"]] == ["P-17"]
    assert named >= {
        "orders.orders", "refunds.orders", "refunds.refunds", "refunds.refund_history", "invoices.partners",
        "serials.custody",
    }  # fmt: skip
    assert await where_named(table) == ON_DOCUMENTS
    assert await won_of(table) == won
    assert (await audit(database.ops_url, settle=0)).violations == []
    refunds = table.pools["refunds"]
    steps = await refunds.fetch("SELECT actor FROM refund_history ORDER BY position")
    assert {row["actor"] for row in steps} == {"partner", "refunds", "kim", "orders", "checkout"}
    reference = await refunds.fetchval(
        "SELECT destination_reference FROM refunds WHERE refund_id = $1", UUID(refund_id)
    )
    async with refunds.acquire() as connection:
        with pytest.raises(Forgotten):
            await Store(SEALER).open_details(connection, reference)


async def test_a_purge_that_is_repeated_or_heard_of_again_changes_nothing(
    table: Tabletop, orders: httpx.AsyncClient, database: Database
) -> None:
    await paid_back_after_a_proof(table)
    await leave(table, "P-17", 6)
    await purge(orders)
    await table.drain()
    before = {service: await everything_kept(table, service) for service in SERVICES}

    again = await purge(orders)
    table.read = dict.fromkeys(table.read, 0)
    await table.drain()

    assert (again["partners"], again["events"]) == ([], [])
    after = {service: await everything_kept(table, service) for service in SERVICES}
    for service in SERVICES:
        assert {name: rows for name, rows in after[service].items() if rows != before[service][name]} == {}
    assert (await audit(database.ops_url, settle=0)).violations == []


async def test_what_is_told_of_a_purged_partner_later_is_not_kept(
    table: Tabletop, orders: httpx.AsyncClient
) -> None:
    await paid_back_after_a_proof(table)
    await leave(table, "P-17", 6)
    await purge(orders)
    await table.drain()

    later = "2032-01-05T09:00:00+09:00"
    table.say("partner.changed.v1", "P-17", at=later, changed_at=later, name="가나다 주식회사")
    await table.drain()

    assert await where_named(table) == ON_DOCUMENTS
    async with operator_on(table, "invoices") as operator:
        said, key = {"name": "가나다", **WHY}, {"Idempotency-Key": "k-9"}
        refused = await operator.post("/v1/partners/P-17/correct", json=said, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "partner_purged")


async def test_a_partner_whose_money_waits_for_a_decision_stays_named_until_it_is_made(
    table: Tabletop, orders: httpx.AsyncClient
) -> None:
    await paid_back_after_a_proof(table)
    table.say("payment.completed.v1", "A-1", payment_id="pay-again")
    await table.drain()
    await leave(table, "P-17", 6)

    kept = await purge(orders)
    await table.drain()
    named = await where_named(table)
    table.say("quarantine.decided.v1", "A-1", payment_id="pay-again", decision="returned")
    await table.drain()
    done = await purge(orders)

    (unfinished,) = kept["unfinished"]
    assert (kept["partners"], unfinished["partner_id"]) == ([], "P-17")
    assert [each["kind"] for each in unfinished["blockers"]] == ["quarantined_money"]
    assert "orders.orders" in named
    assert [each["partner_id"] for each in done["partners"]] == ["P-17"]


async def test_an_account_that_a_refund_needs_meanwhile_stays_sealed(
    table: Tabletop, orders: httpx.AsyncClient
) -> None:
    """Its payout comes back while the purge is on its way."""
    await buy(table, "A-1")
    await refund_and_issue(table, "A-1")
    await close_month(table)
    await leave(table, "P-17", 6)
    refunds = table.pools["refunds"]
    await refunds.execute("UPDATE refunds SET state = 'bounced', why = 'account_closed'")

    done = await purge(orders)
    await table.drain()

    assert [each["partner_id"] for each in done["partners"]] == ["P-17"]
    assert await refunds.fetchval("SELECT count(*) FROM data_keys WHERE forgotten_at IS NULL") == 1
    assert await refunds.fetchval("SELECT partner_name FROM orders") == "P-17"
