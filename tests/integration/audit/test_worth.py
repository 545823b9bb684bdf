"""Discounts, free units and free orders, through all four services and then through the auditor."""

from typing import Any

from ops.audit.check import audit
from ops.setup.provision import Database
from tests.support.tabletop import Tabletop, buy


def line(line_id: str, quantity: int, unit_price: int, **more: Any) -> dict[str, Any]:
    return {
        "line_id": line_id,
        "kind": "serials",
        "product_id": f"pass-{line_id}",
        "product_name": "이용권",
        "unit_price": unit_price,
        "quantity": quantity,
        "usage_days": 30,
        **more,
    }


async def ask(table: Tabletop, order_id: str, request_id: str, *units: tuple[str, int]) -> str:
    """A refund is asked for, by lines or for everything; the answer is its state."""
    lines = [{"line_id": line_id, "quantity": quantity} for line_id, quantity in units] or None
    table.say("refund.requested.v1", order_id, refund_request_id=request_id, lines=lines)
    await table.drain()
    state: str = await table.pools["refunds"].fetchval(
        "SELECT state FROM refunds WHERE order_id = $1 AND refund_request_id = $2", order_id, request_id
    )
    return state


async def refund(table: Tabletop, order_id: str, request_id: str) -> Any:
    return await table.pools["refunds"].fetchrow(
        "SELECT * FROM refunds WHERE order_id = $1 AND refund_request_id = $2", order_id, request_id
    )


async def answer(table: Tabletop, order_id: str, request_id: str, type_name: str, **data: Any) -> None:
    """Checkout or an operator says something about a refund."""
    refund_id = str((await refund(table, order_id, request_id))["refund_id"])
    table.say(type_name, order_id, refund_id=refund_id, **data)
    await table.drain()


async def all_is_well(database: Database) -> None:
    report = await audit(database.ops_url, settle=0)
    assert report.violations == []


async def test_a_discount_is_shared_among_refunds_that_are_released_and_asked_again(
    table: Tabletop, database: Database
) -> None:
    goods = [line("1", 5, 2, discount=2), line("2", 3, 1_000, discount=10)]
    await buy(table, "A-1", lines=goods, amount=8 + 2_990, vat_mode="inclusive")
    for request_id, units in (("r-1", ("1", 2)), ("r-2", ("1", 1)), ("r-3", ("2", 1))):
        assert await ask(table, "A-1", request_id, units) == "paying_out"
    await all_is_well(database)

    for request_id in ("r-1", "r-2"):
        await answer(table, "A-1", request_id, "refund.payout_failed.v1", reason="account_closed")
        await answer(table, "A-1", request_id, "refund.reviewed.v1", decision="release", amount=None)
    await all_is_well(database)

    assert await ask(table, "A-1", "r-4") == "paying_out"
    won = [(await refund(table, "A-1", request_id))["amount"] for request_id in ("r-3", "r-4")]
    assert sum(won) == 2_998
    for request_id in ("r-3", "r-4"):
        await answer(table, "A-1", request_id, "refund.paid_out.v1", payout_id=f"po-{request_id}")
    await all_is_well(database)
    assert await table.pools["orders"].fetchval("SELECT state FROM orders") == "refunded"


async def test_free_units_of_an_order_that_went_back_are_gone_and_keep_nobody(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1", lines=[line("1", 100, 1_600), line("2", 10, 0)])
    assert await ask(table, "A-1", "r-0", ("2", 2)) == "completed"

    assert await ask(table, "A-1", "r-1", ("1", 100)) == "paying_out"
    await answer(table, "A-1", "r-1", "refund.paid_out.v1")
    assert await table.pools["orders"].fetchval("SELECT state FROM orders") == "refunded"
    assert await ask(table, "A-1", "r-2", ("2", 8)) == "rejected"
    assert await ask(table, "A-1", "r-3") == "rejected"
    table.say("issuance.requested.v1", "A-1", request_id="i-1", lines=None)
    await table.drain()

    assert await table.pools["serials"].fetchval("SELECT count(*) FROM grants") == 0
    returned = await table.pools["invoices"].fetchval("SELECT returned_units FROM payments")
    assert returned == 110
    await all_is_well(database)


async def test_an_order_for_nothing_is_issued_and_has_no_document(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1", lines=[line("1", 10, 0)], amount=0, issue_policy="automatic")
    await buy(table, "A-2", lines=[line("1", 10, 0)], amount=0)
    assert await ask(table, "A-2", "r-1") == "completed"
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")

    assert await table.pools["serials"].fetchval("SELECT sum(quantity) FROM grants") == 10
    assert await table.pools["invoices"].fetchval("SELECT count(*) FROM documents") == 0
    states = await table.pools["orders"].fetch("SELECT state FROM orders ORDER BY order_id")
    assert [row["state"] for row in states] == ["paid", "refunded"]
    await all_is_well(database)
