"""A partner is forgotten, on a real database: what was sealed for it opens no more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from ops.setup.provision import Database
from services.refunds.details import Forgotten
from services.refunds.store import Store
from shared.postgres import connect
from tests.support.patience import PATIENCE
from tests.support.serving import SEALER, operator_on
from tests.support.tabletop import Tabletop, buy, refund_id_of

PATH = "/v1/partners/P-17/forget"
ACCOUNT = "110123456789"


@pytest.fixture
async def refunds(table: Tabletop) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_on(table, "refunds") as operator:
        yield operator


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    session = await connect(database.owner_url, "refunds")
    yield session
    await session.close()


async def asked(table: Tabletop, order_id: str = "A-1") -> str:
    """A refund that checkout was asked to pay; its id."""
    await buy(table, order_id)
    table.say("refund.requested.v1", order_id)
    await table.drain()
    return await refund_id_of(table, order_id)


async def paid_out(table: Tabletop, order_id: str = "A-1") -> str:
    """A refund that has its money; its id."""
    refund_id = await asked(table, order_id)
    table.say("refund.paid_out.v1", order_id, refund_id=refund_id, payout_id=f"po-{order_id}")
    await table.drain()
    return refund_id


async def forget(refunds: httpx.AsyncClient, key: str = "k-1", **said: Any) -> httpx.Response:
    body = {"reason": "it asked by letter", "apply": True, **said}
    return await refunds.post(PATH, json=body, headers={"Idempotency-Key": key})


async def opened(table: Tabletop, refund_id: str) -> Any:
    pool = table.pools["refunds"]
    reference = await pool.fetchval(
        "SELECT destination_reference FROM refunds WHERE refund_id = $1", UUID(refund_id)
    )
    async with pool.acquire() as connection:
        return await Store(SEALER).open_details(connection, reference)


async def test_one_key_seals_everything_of_a_partner(table: Tabletop) -> None:
    first, second = await asked(table), await asked(table, "A-2")

    rows = await table.pools["refunds"].fetch("SELECT partner_id, number, forgotten_at FROM data_keys")

    assert [tuple(row) for row in rows] == [("P-17", 1, None)]
    for refund_id in (first, second):
        assert (await opened(table, refund_id))["account"]["account_number"] == ACCOUNT


async def test_a_look_counts_and_changes_nothing(table: Tabletop, refunds: httpx.AsyncClient) -> None:
    refund_id = await paid_out(table)

    shown = await forget(refunds, apply=False)

    assert shown.status_code == 200, shown.text
    assert shown.json() == {
        "partner_id": "P-17",
        "applied": False,
        "details": 1,
        "readable_before": 1,
        "readable": 0,
        "keys": 1,
        "dead_letters": 0,
    }
    assert (await opened(table, refund_id))["account"]["account_number"] == ACCOUNT
    assert await table.pools["refunds"].fetchval("SELECT count(*) FROM audit_log") == 0


async def test_what_was_sealed_opens_no_more_and_who_did_it_stands_in_the_audit_log(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    first, second = await paid_out(table), await paid_out(table, "A-2")

    done = await forget(refunds)

    assert (done.json()["details"], done.json()["readable"]) == (2, 0)
    for refund_id in (first, second):
        with pytest.raises(Forgotten):
            await opened(table, refund_id)
    pool = table.pools["refunds"]
    key = await pool.fetchrow("SELECT sealed, forgotten_at FROM data_keys")
    assert key["sealed"] is None
    assert key["forgotten_at"] is not None
    audit = await pool.fetchrow("SELECT action, target, reason, after FROM audit_log")
    assert (audit["action"], audit["target"], audit["reason"]) == (
        "partner.forget",
        "P-17",
        "it asked by letter",
    )
    assert [row["state"] for row in await pool.fetch("SELECT state FROM refunds")] == ["completed"] * 2


async def test_the_same_request_gets_the_same_answer_and_a_new_one_finds_nothing_readable(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    await paid_out(table)
    first = await forget(refunds)

    assert (await forget(refunds)).json() == first.json()
    again = (await forget(refunds, "k-2")).json()
    assert (again["details"], again["readable_before"], again["readable"], again["keys"]) == (1, 0, 0, 0)


async def test_rows_of_before_data_keys_open_and_are_forgotten_too(
    table: Tabletop, refunds: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    old, new = await paid_out(table), await paid_out(table, "A-2")
    plain = (
        b'{"account": {"bank_code": "088", "account_number": "110123456789", "holder": "x"}, "message": "m"}'
    )
    reference = await owner.fetchval("SELECT reference FROM refund_details WHERE refund_id = $1", UUID(old))
    await owner.execute(
        "UPDATE refund_details SET sealed = $2, partner_id = NULL, key_number = NULL WHERE reference = $1",
        reference,
        SEALER.seal(plain, reference.bytes),
    )
    assert (await opened(table, old))["account"]["account_number"] == ACCOUNT

    done = (await forget(refunds)).json()

    assert (done["details"], done["readable_before"], done["readable"]) == (2, 2, 0)
    for refund_id in (old, new):
        with pytest.raises(Forgotten):
            await opened(table, refund_id)


@pytest.mark.parametrize("step", ["held", "paying_out", "failed", "bounced"])
async def test_while_a_refund_needs_its_account_it_is_named_and_nothing_is_forgotten(
    table: Tabletop, refunds: httpx.AsyncClient, step: str
) -> None:
    await buy(table, "A-1")
    holder = {"holder": "홍길동"} if step == "held" else {"holder": "가나다 주식회사"}
    account = {"method": "bank_account", "bank_code": "088", "account_number": ACCOUNT, **holder}
    table.say("refund.requested.v1", "A-1", destination=account)
    await table.drain()
    refund_id = await refund_id_of(table, "A-1")
    if step == "bounced":
        table.say("refund.paid_out.v1", "A-1", refund_id=refund_id, payout_id="po-1")
    if step in ("failed", "bounced"):
        table.say(
            "refund.payout_failed.v1", "A-1", refund_id=refund_id, payout_id="po-1", reason="account_closed"
        )
    await table.drain()

    refused = await forget(refunds)

    assert (refused.status_code, refused.json()["code"]) == (409, "account_needed")
    assert refund_id in refused.json()["detail"]
    assert refused.json()["refunds"] == [{"refund_id": refund_id, "order_id": "A-1", "state": step}]
    assert (await opened(table, refund_id))["account"]["account_number"] == ACCOUNT


async def test_a_request_that_waits_for_its_payment_holds_it_up_too(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    table.say("payment.pending.v1", "A-1", payment_method="virtual_account")
    await table.drain()
    table.say("refund.requested.v1", "A-1")
    await table.drain()

    refused = await forget(refunds)

    assert refused.json()["code"] == "account_needed"
    assert [each["order_id"] for each in refused.json()["waiting"]] == ["A-1"]


async def test_nobody_forgets_who_is_not_known(table: Tabletop, refunds: httpx.AsyncClient) -> None:
    assert (await forget(refunds)).status_code == 404


async def test_a_refund_after_that_has_a_key_of_its_own(table: Tabletop, refunds: httpx.AsyncClient) -> None:
    old = await paid_out(table)
    await forget(refunds)

    new = await asked(table, "A-2")

    assert (await opened(table, new))["account"]["account_number"] == ACCOUNT
    with pytest.raises(Forgotten):
        await opened(table, old)
    numbers = await table.pools["refunds"].fetch("SELECT number FROM data_keys ORDER BY number")
    assert [row["number"] for row in numbers] == [1, 2]


async def test_a_payout_that_comes_back_after_that_is_counted_and_not_taken_out(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    refund_id = await paid_out(table)
    await forget(refunds)
    table.say(
        "refund.payout_failed.v1", "A-1", refund_id=refund_id, payout_id="po-A-1", reason="account_closed"
    )
    table.say("refund.reviewed.v1", "A-1", refund_id=refund_id, decision="retry")
    await table.drain()

    taken = await refunds.post(
        "/v1/payouts/take", json={"reason": "today", "apply": True}, headers={"Idempotency-Key": "t-1"}
    )

    assert (taken.json()["payouts"], taken.json()["forgotten"]) == ([], 1)


async def test_an_answer_that_took_accounts_out_has_none_after_that(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    refund_id = await asked(table)
    take = {"json": {"reason": "today", "apply": True}, "headers": {"Idempotency-Key": "t-1"}}
    (payout,) = (await refunds.post("/v1/payouts/take", **take)).json()["payouts"]
    assert payout["account_number"] == ACCOUNT
    table.say("refund.paid_out.v1", "A-1", refund_id=refund_id)
    await table.drain()
    await forget(refunds)

    (repeated,) = (await refunds.post("/v1/payouts/take", **take)).json()["payouts"]

    assert repeated["account_number"] is None
    assert repeated["reference"] == payout["reference"]


async def test_who_seals_at_this_moment_is_waited_for(
    table: Tabletop, refunds: httpx.AsyncClient, database: Database
) -> None:
    """A save holds the key that it seals with; the details it writes are forgotten with the others."""
    await paid_out(table)
    store, saving = Store(SEALER), await connect(database.service_url("refunds"), "refunds")
    try:
        transaction = saving.transaction()
        await transaction.start()
        await store.details._keys_in_use(saving, ["P-17"])
        forgetting = asyncio.create_task(forget(refunds))
        async with asyncio.timeout(PATIENCE):
            while not await saving.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')"
            ):
                await asyncio.sleep(0.01)
        assert not forgetting.done()
        await transaction.commit()
        assert (await forgetting).json()["readable"] == 0
    finally:
        await saving.close()


async def test_two_who_make_the_first_key_of_a_partner_make_one(database: Database, table: Tabletop) -> None:
    store = Store(SEALER)
    one = await connect(database.service_url("refunds"), "refunds")
    other = await connect(database.service_url("refunds"), "refunds")
    try:
        transaction = one.transaction()
        await transaction.start()
        first = await store.details._keys_in_use(one, ["P-new"])

        async def second() -> Any:
            async with other.transaction():
                return await store.details._keys_in_use(other, ["P-new"])

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        await transaction.commit()

        assert await waiting == first
    finally:
        await one.close()
        await other.close()


async def test_a_data_key_of_another_partner_opens_nothing(
    table: Tabletop, owner: asyncpg.Connection
) -> None:
    refund_id = await paid_out(table)
    sealed = SEALER.new_data_key(b"data key of P-18")
    await owner.execute("UPDATE data_keys SET sealed = $1", sealed)

    with pytest.raises(Exception, match="another context"):
        await opened(table, refund_id)
