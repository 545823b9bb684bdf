"""Bank accounts leave for those who pay by hand, on a real database: shown first, once, and written down."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.serving import operator_on
from tests.support.tabletop import Tabletop, buy, refund_id_of

PATH = "/v1/payouts/take"
ACCOUNT = "110123456789"


@pytest.fixture
async def refunds(table: Tabletop) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_on(table, "refunds") as operator:
        yield operator


async def asked(table: Tabletop, order_id: str = "A-1") -> str:
    """A refund whose payout checkout was asked for; its id."""
    await buy(table, order_id)
    table.say("refund.requested.v1", order_id)
    await table.drain()
    return await refund_id_of(table, order_id)


async def take(refunds: httpx.AsyncClient, key: str, **said: Any) -> dict[str, Any]:
    body = {"reason": "the transfers of today", "apply": True, **said}
    answer = await refunds.post(PATH, json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def audited(table: Tabletop) -> list[str]:
    rows = await table.pools["refunds"].fetch("SELECT target FROM audit_log ORDER BY target")
    return [row["target"] for row in rows]


async def test_a_look_masks_the_account_and_leaves_nothing(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    refund_id = await asked(table)

    shown = await take(refunds, "k-1", apply=False)

    (payout,) = shown["payouts"]
    assert (payout["refund_id"], payout["amount"], payout["account_number"]) == (refund_id, 70_400, None)
    assert payout["masked"].endswith("6789")
    assert ACCOUNT not in str(shown)
    assert await audited(table) == []


async def test_each_payout_leaves_once_with_a_row_in_the_audit_log(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    first, second = await asked(table), await asked(table, "A-2")

    taken = await take(refunds, "k-1")
    repeated = await take(refunds, "k-1")
    later = await take(refunds, "k-2")
    again = await take(refunds, "k-3", again=True)

    assert {payout["refund_id"] for payout in taken["payouts"]} == {first, second}
    assert {payout["account_number"] for payout in taken["payouts"]} == {ACCOUNT}
    assert repeated == taken
    assert (later["payouts"], later["taken_before"]) == ([], 2)
    assert again["payouts"] == taken["payouts"]
    assert f"A-1 {first}" in await audited(table)
    assert f"A-2 {second}" in await audited(table)


async def test_a_payout_that_is_asked_for_again_can_be_taken_again(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    refund_id = await asked(table)
    (before,) = (await take(refunds, "k-1"))["payouts"]
    failure = {"refund_id": refund_id, "payout_id": f"bank-{refund_id}", "reason": "account_closed"}
    table.say("refund.payout_failed.v1", "A-1", **failure)
    await table.drain()
    failed = await take(refunds, "k-2")
    table.say("refund.reviewed.v1", "A-1", refund_id=refund_id, decision="retry")
    await table.drain()

    (after,) = (await take(refunds, "k-3"))["payouts"]

    assert failed["payouts"] == []
    assert after["reference"] != before["reference"]
    assert after["reference"].partition("/")[0] == before["reference"].partition("/")[0] == refund_id


async def test_what_is_paid_and_what_goes_back_to_a_card_is_no_transfer(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    refund_id = await asked(table)
    table.say("refund.paid_out.v1", "A-1", refund_id=refund_id)
    await buy(table, "A-2", payment_method="card", evidence="card_slip")
    table.say("refund.requested.v1", "A-2")
    await table.drain()

    assert (await take(refunds, "k-1"))["payouts"] == []
