"""What a refund shows over HTTP of its destination and its days, on a real database."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import httpx
import pytest

from shared.business_days import add_business_days, legal_refund_day
from shared.clock import now
from shared.kst import kst_date, wire_time
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


def expected_today() -> str:
    """The day on which money is expected that is asked for now."""
    return add_business_days(kst_date(now()), 3).isoformat()


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


async def test_whoever_only_asks_about_an_app_store_payment_is_told_the_stores_too(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    await buy(table, "A-1", payment_method="app_store", evidence="card_slip")
    said = {
        "order_id": "A-1",
        "refund_request_id": "rr-1",
        "requested_by": "P-17",
        "role": "partner",
        "reason": "financial_burden",
        "message": "환불",
        "destination": {"method": "none"},
    }

    told = (await refunds.get("/v1/orders/A-1/refund-eligibility")).json()
    requested = (await refunds.post("/v1/refunds", json=said)).json()

    assert told["unlock"]["next"] == requested["next"] == "ask_app_store"
    assert [each["store"] for each in told["stores"]] == [each["store"] for each in requested["stores"]]
    assert len(told["stores"]) >= 2
    assert all(each["link"].startswith("https://") for each in told["stores"])


async def test_what_waits_shows_when_the_money_is_expected_and_whether_its_deadline_is_over(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    shown = await asked(table, refunds, destination=SOMEBODY)

    assert (shown["state"], shown["amount"]) == ("held", None)
    assert shown["expected_on"] == shown["expected_until"] == expected_today()
    assert shown["overdue"] is (shown["deadline"] < wire_time(now()))


async def test_own_cash_is_expected_within_a_week_of_business_days(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    paid = {"payment_method": "mycash", "evidence": "cash_receipt"}

    shown = await asked(table, refunds, paid=paid, destination={"method": "mycash"})

    assert shown["expected_on"] is not None
    first = date.fromisoformat(shown["expected_on"])
    assert shown["expected_until"] == add_business_days(first, 4).isoformat()
    assert shown["overdue"] is False


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


async def test_lists_count_what_waits_as_its_page_shows_it(
    table: Tabletop, refunds: httpx.AsyncClient
) -> None:
    """One is paid out after its legal day and has not come; of one that is held the proof is awaited."""
    await asked(table, refunds)
    await buy(table, "A-2")
    table.say("refund.requested.v1", "A-2", refund_request_id="rr-2", destination=SOMEBODY)
    await table.drain()

    items = (await refunds.get("/v1/refund-lists")).json()["items"]
    pages = {
        "waiting": {"waiting": "true"},
        "overdue": {"overdue": "true"},
        **{each["name"]: {"state": each["name"]} for each in items[2:]},
    }
    shown = {
        name: (await refunds.get("/v1/refunds", params=asked_for)).json()["items"]
        for name, asked_for in pages.items()
    }

    assert [each["name"] for each in items] == list(pages)
    for each in items:
        those = shown[each["name"]]
        won = [refund["amount"] for refund in those if refund["amount"] is not None]
        assert each["count"] == len(those), each
        assert each["won"] == (sum(won) if won else None)
        assert each["since"] == min((refund["since"] for refund in those), default=None)
    assert [refund["refund_id"] for refund in shown["overdue"]] == [
        refund["refund_id"] for refund in shown["waiting"] if refund["overdue"] or refund["late"]
    ]
    assert len(shown["waiting"]) == 2
    assert shown["overdue"]
