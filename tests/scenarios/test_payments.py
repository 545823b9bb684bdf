"""Money that fits pays an order; what does not is kept in quarantine, and nothing closed opens again."""

from datetime import timedelta

import asyncpg
import pytest

from ops.setup.provision import Database
from shared.clock import now
from shared.kst import KST
from tests.support.driver import Checkout
from tests.support.stories import BEGINS, Story

WEEK = timedelta(days=7)


async def test_a_deposit_in_time_pays_the_order_that_waited_for_it(checkout: Checkout) -> None:
    story = Story(checkout)
    await story.waits_for_deposit(BEGINS + WEEK, quantity=10)
    registered = await story.until("order.registered.v1")

    await story.pays()

    paid = await story.until("order.paid.v1")
    assert registered.data["amount"] == paid.data["amount"] == 17_600


async def test_a_second_payment_is_quarantined(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=10)

    answer = await story.answer_to(await story.pays(payment_id=f"{story.payment_id}-again"))

    assert answer.type == "event.accepted.v1"
    case = await story.until("payment.quarantined.v1")
    assert (case.data["reason"], case.data["amount"]) == ("second_payment", 17_600)
    assert len(story.facts("order.paid")) == 1


async def test_a_wrong_amount_is_quarantined_and_the_right_one_still_pays(checkout: Checkout) -> None:
    story = Story(checkout)
    story.snapshot(quantity=10)

    await story.pays(payment_id=f"{story.payment_id}-short", amount=17_599)
    case = await story.until("payment.quarantined.v1")
    assert (case.data["reason"], case.data["amount"]) == ("wrong_amount", 17_599)
    assert not story.facts("order.paid")

    await story.pays()
    await story.until("order.paid.v1")


async def test_a_deposit_after_its_deadline_is_late_and_the_order_expires(checkout: Checkout) -> None:
    story = Story(checkout)
    await story.waits_for_deposit(BEGINS + WEEK, quantity=10)
    await story.until("order.registered.v1")

    story.now = BEGINS + WEEK + timedelta(minutes=1)
    await story.pays(paid_at=BEGINS + WEEK + timedelta(seconds=1))

    await story.until("order.expired.v1")
    case = await story.until("payment.quarantined.v1")
    assert case.data["reason"] == "late_deposit"


@pytest.mark.smoke
async def test_an_order_without_a_deposit_expires_by_itself_and_stays_expired(checkout: Checkout) -> None:
    story = Story(checkout, begins=now().astimezone(KST) - timedelta(days=8))
    await story.waits_for_deposit(story.now + WEEK, quantity=10)
    expired = await story.until("order.expired.v1")

    await story.pays()

    case = await story.until("payment.quarantined.v1")
    assert case.data["reason"] == "told_late"
    assert expired.data["expired_at"]
    await story.asks_refund()
    rejected = await story.until("refund.rejected.v1")
    assert rejected.data["reason"] == "order_expired"


async def test_a_payment_taken_back_before_issue_returns_every_unit(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)

    await story.is_cancelled()
    cancelled = await story.until("order.cancelled.v1")
    await checkout.drain()
    await story.asks_to_issue()
    denied = await story.until("issuance.denied.v1")

    assert cancelled.data["lines"] == [{"line_id": "1", "quantity": 100}]
    assert (cancelled.data["supply"], cancelled.data["vat"], cancelled.data["amount"]) == (
        160_000,
        16_000,
        176_000,
    )
    assert denied.data["reason"] == "order_cancelled"
    assert not story.facts("payment.quarantined")


async def test_a_payment_taken_back_after_issue_is_missing_money(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_to_issue(60)
    await story.until("serials.issued.v2")

    await story.is_cancelled()
    cancelled = await story.until("order.cancelled.v1")
    case = await story.until("payment.quarantined.v1")

    assert cancelled.data["lines"] == [{"line_id": "1", "quantity": 40}]
    assert (case.data["reason"], case.data["amount"]) == ("cancelled_after_issue", -105_600)


async def test_a_quarantined_payment_can_be_taken_back(checkout: Checkout, database: Database) -> None:
    story = await Story(checkout).is_paid(quantity=10)
    await story.pays(payment_id=f"{story.payment_id}-2")
    await story.until("payment.quarantined.v1")

    answer = await story.answer_to(await story.is_cancelled(f"{story.payment_id}-2"))

    assert answer.type == "event.accepted.v1"
    connection = await asyncpg.connect(database.admin_url)
    decision = await connection.fetchval(
        "SELECT decision FROM orders.quarantine WHERE order_id = $1", story.order_id
    )
    await connection.close()
    assert decision == "taken_back"
    settled = await story.until("quarantine.settled.v1")
    assert settled.data["decision"] == "taken_back"
    assert not story.facts("order.cancelled")


async def test_a_first_attempt_that_is_cancelled_before_it_came_never_pays_and_the_second_does(
    checkout: Checkout,
) -> None:
    story = Story(checkout)
    await story.waits_for_deposit(BEGINS + WEEK, quantity=10)
    await story.until("order.registered.v1")
    await story.answer_to(await story.is_cancelled())

    answer = await story.answer_to(await story.pays(paid_at=BEGINS))

    assert answer.type == "event.accepted.v1"
    await checkout.drain()
    assert not story.facts("order.paid")
    await story.pays(payment_id=f"{story.payment_id}-2")
    await story.until("order.paid.v1")


async def test_an_order_that_nobody_paid_in_full_is_still_paid_by_the_right_payment(
    checkout: Checkout,
) -> None:
    story = Story(checkout)
    story.snapshot(quantity=10)
    await story.pays(payment_id=f"{story.payment_id}-short", amount=1)
    await story.until("payment.quarantined.v1")

    await story.answer_to(await story.is_cancelled())
    await story.pays(payment_id=f"{story.payment_id}-right")

    await story.until("order.paid.v1")


async def test_every_payment_has_exactly_one_evidence(checkout: Checkout, database: Database) -> None:
    card = await Story(checkout).is_paid(quantity=10, method="card")
    receipt = await Story(checkout).is_paid(quantity=10, evidence="cash_receipt")
    invoice = await Story(checkout).is_paid(quantity=10)
    await invoice.until("invoice.drafted.v1")
    await checkout.drain()

    connection = await asyncpg.connect(database.admin_url)
    rows = await connection.fetch(
        "SELECT order_id, evidence FROM invoices.payments WHERE order_id = ANY($1)",
        [card.order_id, receipt.order_id, invoice.order_id],
    )
    await connection.close()
    assert {row["order_id"]: row["evidence"] for row in rows} == {
        card.order_id: "card_slip",
        receipt.order_id: "cash_receipt",
        invoice.order_id: "tax_invoice",
    }
    assert not card.facts("invoice.")
