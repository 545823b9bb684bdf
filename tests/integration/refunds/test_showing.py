"""What a refund shows over HTTP of its destination and its days, on a real database."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from shared.business_days import legal_refund_day
from shared.clock import now
from shared.kst import kst_date
from shared.late_interest import late_interest
from tests.support.serving import operator_on
from tests.support.tabletop import Tabletop, buy, refund_id_of

SOMEBODY = {
    "method": "bank_account",
    "bank_code": "088",
    "account_number": "110123456789",
    "holder": "홍길동",
}


@pytest.fixture
async def refunds(table: Tabletop) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_on(table, "refunds") as operator:
        yield operator


async def asked(table: Tabletop, refunds: httpx.AsyncClient, *, paid: Any = None, **said: Any) -> Any:
    """A refund of A-1 as it is shown."""
    await buy(table, "A-1", **(paid or {}))
    table.say("refund.requested.v1", "A-1", **said)
    await table.drain()
    answer = await refunds.get(f"/v1/refunds/{await refund_id_of(table, 'A-1')}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_another_holder_says_which_proof_is_needed_and_by_when(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    shown = await asked(table, refunds, destination=SOMEBODY)

    assert (shown["why"], shown["next"]) == ("holder_mismatch", "attach_proof")
    assert shown["proof"]["kind"] == "power_of_attorney"
    assert shown["proof"]["what_to_do_ko"]
    assert shown["deadline"].startswith(shown["legal_on"])


async def test_an_app_store_payment_shows_where_to_ask(table: Tabletop, refunds: httpx.AsyncClient) -> None:
    paid = {"payment_method": "app_store", "evidence": "card_slip"}

    shown = await asked(table, refunds, paid=paid, destination={"method": "none"})

    assert (shown["state"], shown["why"], shown["next"]) == ("rejected", "app_store", "ask_app_store")
    assert [each["link"][:8] for each in shown["stores"]] == ["https://"] * len(shown["stores"])
    assert shown["proof"] is None


async def test_what_is_owed_after_its_legal_day_shows_the_interest_of_a_consumer(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    shown = await asked(table, refunds)

    legal_on = legal_refund_day(kst_date(now()).replace(year=2026, month=10, day=22))
    late = late_interest(shown["amount"], legal_on, kst_date(now()))
    assert shown["legal_on"] == legal_on.isoformat()
    assert shown["expected_on"] >= shown["legal_on"]
    assert late is not None
    assert shown["late"] == {"days": late.days, "interest": late.won}
