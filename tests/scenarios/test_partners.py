"""A partner leaves when nothing of it is unfinished, and hears of what is. Years later it is purged."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ops.local.running import RunningSystem
from shared.kst import KST, next_month
from tests.support.driver import Checkout
from tests.support.stories import BEGINS, Buyer, Story, first_day, fresh_month
from tests.support.tour import purge_partners

WEEK = timedelta(days=7)


@pytest.mark.smoke
async def test_a_partner_hears_of_every_blocker_and_leaves_when_none_is_left(
    checkout: Checkout, close_month: Any
) -> None:
    month, buyer = fresh_month(), Buyer(checkout)
    begins = first_day(month)
    pending = Story(checkout, buyer, begins)
    await pending.waits_for_deposit(begins + WEEK, quantity=3)
    await pending.until("order.registered.v1")
    paid = await Story(checkout, buyer, begins).is_paid(quantity=100)
    await paid.asks_refund(40)
    asked = await paid.until("refund.payout_requested.v1")
    await checkout.drain()

    await buyer.asks_to_leave(begins + WEEK)
    refused = await buyer.until("partner.withdrawal_refused.v1")

    kinds = {(blocker["kind"], blocker["order_id"]) for blocker in refused.data["blockers"]}
    assert kinds == {
        ("pending_deposit", pending.order_id),
        ("unissued_units", paid.order_id),
        ("refund_in_progress", paid.order_id),
        ("uninvoiced_payment", paid.order_id),
    }

    await pending.pays()
    await pending.is_cancelled()
    await pending.until("order.cancelled.v1")
    await paid.is_paid_out(asked.data["refund_id"])
    await paid.until("refund.completed.v1")
    await paid.asks_to_issue()
    await paid.until("serials.issued.v2")
    await checkout.drain()
    await close_month(month, f"{next_month(month)}-05T18:00:00+09:00")
    await buyer.until("invoice.issued.v1")
    await checkout.drain()
    await buyer.asks_to_leave(first_day(next_month(next_month(month))))

    await buyer.until("partner.withdrawn.v1")


async def test_a_partner_that_left_cannot_order_and_its_money_is_quarantined(checkout: Checkout) -> None:
    buyer = Buyer(checkout)
    await buyer.asks_to_leave(BEGINS)
    await buyer.until("partner.withdrawn.v1")
    deposit, payment = Story(checkout, buyer), Story(checkout, buyer)

    refused = await deposit.answer_to(await deposit.waits_for_deposit(BEGINS + WEEK, quantity=3))
    await payment.pays(quantity=3)

    assert (refused.data["code"], refused.data["pointer"]) == ("inconsistent", "/partner/partner_id")
    case = await payment.until("payment.quarantined.v1")
    assert case.data["reason"] == "order_closed"


@pytest.mark.parametrize("partner_first", [False, True], ids=["order first", "partner first"])
async def test_an_order_and_a_partner_that_share_an_id_are_numbered_apart(
    checkout: Checkout, partner_first: bool
) -> None:
    buyer = Buyer(checkout)
    order = Story(checkout, buyer)
    order.order_id = buyer.id
    if partner_first:
        await buyer.asks_to_leave(BEGINS)
        await buyer.until("partner.withdrawn.v1")
        await order.pays(quantity=2)
        await order.until("payment.quarantined.v1")
    else:
        await order.is_paid(quantity=2)
        await buyer.asks_to_leave(BEGINS + WEEK)
        await buyer.until("partner.withdrawal_refused.v1")
    await checkout.drain()

    numbered = [(r.source, r.subject, r.sequence) for r in order.facts() if r.subject == buyer.id]
    assert len(set(numbered)) == len(numbered)
    assert ("/pawl/orders/partners", buyer.id, 1) in numbered
    assert ("/pawl/orders", buyer.id, 1) in numbered


async def test_a_partner_that_left_years_ago_is_named_no_more_once_it_is_purged(
    checkout: Checkout, close_month: Any, system: RunningSystem
) -> None:
    begins, buyer = datetime(2020, 3, 10, 10, 0, tzinfo=KST), Buyer(checkout)
    await buyer.changes(begins)
    paid = await Story(checkout, buyer, begins).is_paid(quantity=10)
    await paid.is_refunded(4)
    await paid.asks_to_issue()
    await paid.until("serials.issued.v2")
    await checkout.drain()
    await close_month("2020-03", "2020-04-05T18:00:00+09:00")
    await buyer.until("invoice.issued.v1")
    await checkout.drain()
    await buyer.asks_to_leave(begins + 8 * WEEK)
    await buyer.until("partner.withdrawn.v1")
    tables = ("orders.orders", "refunds.orders", "invoices.partners")
    connection = await asyncpg.connect(system.database.ops_url)

    async def naming() -> set[str]:
        asked = "SELECT count(*) FROM {} t WHERE partner_id = $1 AND position($2 IN t::text) > 0"
        return {
            each for each in tables if await connection.fetchval(asked.format(each), buyer.id, buyer.name)
        }

    try:
        shown = await purge_partners(system, apply=False)
        named = await naming()
        done = await purge_partners(system)
        await buyer.until("partner.purged.v1")
        await checkout.drain()
        left = await naming()
    finally:
        await connection.close()

    assert (shown["applied"], done["applied"]) == (False, True)
    assert buyer.id in {each["partner_id"] for each in shown["partners"]}
    assert named == set(tables)
    assert left == set()
