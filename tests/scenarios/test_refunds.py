"""Money goes back for what was not issued: in part, after a proof, after a failure, never twice."""

import pytest

from ops.local.running import RunningSystem
from tests.support.driver import Checkout
from tests.support.stories import Story


@pytest.mark.smoke
async def test_the_rest_of_an_order_is_refunded_after_a_part_was_issued(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_to_issue(60)
    await story.until("serials.issued.v2")

    completed = await story.is_refunded()

    data = completed.data
    assert data["lines"] == [{"line_id": "1", "quantity": 40}]
    assert (data["supply"], data["vat"], data["fee"], data["amount"]) == (64_000, 6_400, 0, 70_400)
    asked = await story.until("refund.payout_requested.v1")
    assert asked.data["idempotency_key"] == data["refund_id"]
    assert "110123456789" not in str([fact.data for fact in story.facts()])


async def test_five_refunds_of_a_payment_give_back_all_its_vat_to_the_won(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=5, price=2000, vat_mode="inclusive")

    vat = [(await story.is_refunded(1, request=f"rr-{number}")).data["vat"] for number in range(5)]

    assert (sorted(vat), sum(vat)) == ([181, 182, 182, 182, 182], 909)
    assert story.amount == 10_000


async def test_issued_units_are_refused_with_the_moment_they_were_lost(checkout: Checkout) -> None:
    story = await Story(checkout).is_issued(quantity=100)
    granted = await story.until("issuance.granted.v2")

    await story.asks_refund(1)
    rejected = await story.until("refund.rejected.v1")

    assert rejected.data["reason"] == "issued"
    assert rejected.data["at"] == granted.headers["ce_time"]


async def test_of_two_refunds_for_the_same_units_orders_grants_one(
    checkout: Checkout, system: RunningSystem
) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await checkout.drain()

    system.services.halt("orders")
    try:
        await story.asks_refund(70, request="rr-1")
        await story.asks_refund(70, request="rr-2")
        await story.until("refund.accepted.v1", 2)
    finally:
        system.services.resume("orders")
    granted = await story.until("refund.granted.v1")
    denied = await story.until("refund.denied.v1")

    assert granted.data["refund_id"] != denied.data["refund_id"]
    assert denied.data["reason"] == "already_refunded"
    assert denied.data["lines"] == [{"line_id": "1", "quantity": 70, "left": 30}]
    assert denied.data["lost_at"]


async def test_units_issued_while_the_refund_was_on_its_way_are_denied(
    checkout: Checkout, system: RunningSystem
) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await checkout.drain()

    system.services.halt("orders")
    try:
        await story.asks_refund()
        await story.until("refund.accepted.v1")
        await story.asks_to_issue()
    finally:
        system.services.resume("orders")
    await checkout.drain()

    issued, refunded = story.facts("issuance.granted"), story.facts("refund.granted")
    assert len(issued) + len(refunded) == 1
    lost = story.facts("refund.denied") or story.facts("issuance.denied")
    assert len(lost) == 1


async def test_the_same_request_again_is_accepted_and_starts_no_second_refund(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_refund(40, request="rr-1")
    await story.until("refund.payout_requested.v1")

    again = await story.answer_to(await story.asks_refund(40, request="rr-1"))
    other = await story.answer_to(await story.asks_refund(41, request="rr-1"))

    assert again.type == "event.accepted.v1"
    assert (other.data["code"], other.data["pointer"]) == ("duplicate_request", "/refund_request_id")
    assert len(story.facts("refund.accepted")) == 1


@pytest.mark.smoke
async def test_another_holder_is_held_until_a_proof_was_reviewed(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)

    await story.asks_refund(40, holder="홍길동")
    held = await story.until("refund.held.v1")
    refund_id = held.data["refund_id"]
    assert (held.data["reason"], held.data["next"]) == ("holder_mismatch", "attach_proof")
    await story.attaches_proof(refund_id)
    wrong = await story.answer_to(await story.is_reviewed(refund_id, "approve", amount=1))
    assert (wrong.data["code"], wrong.data["pointer"]) == ("inconsistent", "/amount")
    await story.is_reviewed(refund_id, "approve", amount=70_400)
    await story.until("refund.payout_requested.v1")
    await story.is_paid_out(refund_id)

    completed = await story.until("refund.completed.v1")
    assert completed.data["amount"] == 70_400


async def test_a_failed_payout_is_retried_with_the_same_key(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_refund(40)
    first = await story.until("refund.payout_requested.v1")
    refund_id = first.data["refund_id"]

    await story.payout_fails(refund_id, "account_closed")
    failed = await story.until("refund.failed.v1")
    await story.is_reviewed(refund_id, "retry")
    second = await story.until("refund.payout_requested.v1", 2)
    await story.is_paid_out(refund_id)
    await story.until("refund.completed.v1")

    assert failed.data["next"] == "retry_or_release"
    assert second.data["idempotency_key"] == first.data["idempotency_key"] == refund_id


async def test_a_payout_that_bounces_is_owed_again_and_repaid_under_a_key_of_its_own(
    checkout: Checkout,
) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_refund(40)
    first = await story.until("refund.payout_requested.v1")
    refund_id = first.data["refund_id"]
    await story.is_paid_out(refund_id, "po-1")
    await story.until("refund.completed.v1")

    await story.payout_fails(refund_id, "account_closed", "po-1")
    bounced = await story.until("refund.bounced.v1")
    await story.is_reviewed(refund_id, "retry")
    second = await story.until("refund.payout_requested.v1", 2)
    await story.is_paid_out(refund_id, "po-2")
    repaid = await story.until("refund.repaid.v1")

    assert (bounced.data["payout_id"], bounced.data["amount"], bounced.data["next"]) == (
        "po-1",
        70_400,
        "retry",
    )
    assert second.data["idempotency_key"] != first.data["idempotency_key"]
    assert (repaid.data["payout_id"], repaid.data["amount"]) == ("po-2", 70_400)
    assert len(story.facts("refund.completed")) == 1


async def test_money_that_left_twice_is_a_case_of_its_won(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    completed = await story.is_refunded(40)

    await story.is_paid_out(completed.data["refund_id"], "po-again")

    twice = await story.until("refund.paid_twice.v1")
    case = await story.until("payment.quarantined.v1")
    assert (twice.data["payout_id"], twice.data["amount"]) == ("po-again", 70_400)
    assert (case.data["amount"], case.data["reason"]) == (-70_400, "payout_twice")


async def test_an_unanswered_payout_keeps_its_units_and_cannot_be_released(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_refund(40)
    asked = await story.until("refund.payout_requested.v1")
    refund_id = asked.data["refund_id"]

    await story.payout_fails(refund_id, "timeout")
    await story.until("refund.failed.v1")
    refused = await story.answer_to(await story.is_reviewed(refund_id, "release"))
    await story.asks_to_issue()
    issued = await story.until("issuance.granted.v2")
    await story.is_paid_out(refund_id)
    await story.until("refund.completed.v1")

    assert (refused.data["code"], refused.data["pointer"]) == ("inconsistent", "/decision")
    assert issued.data["grants"][0]["quantity"] == 60


async def test_a_released_refund_opens_its_units_again(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_refund()
    asked = await story.until("refund.payout_requested.v1")
    refund_id = asked.data["refund_id"]

    await story.payout_fails(refund_id, "account_closed")
    await story.until("refund.failed.v1")
    await story.is_reviewed(refund_id, "release", note="계좌 해지")
    await story.until("refund.released.v1")
    await checkout.drain()
    await story.asks_to_issue()

    issued = await story.until("serials.issued.v2")
    assert issued.data["grants"][0]["quantity"] == 100


@pytest.mark.parametrize(("method", "destination"), [("card", "original_card"), ("mycash", "mycash")])
async def test_money_goes_back_the_way_it_came(checkout: Checkout, method: str, destination: str) -> None:
    story = await Story(checkout).is_paid(quantity=10, method=method)

    await story.asks_refund(4)

    asked = await story.until("refund.payout_requested.v1")
    assert asked.data["destination"]["method"] == destination
    await story.is_paid_out(asked.data["refund_id"])
    await story.until("refund.completed.v1")


async def test_an_app_store_payment_is_refused_with_a_pointer_to_the_store(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=10, method="app_store", evidence="card_slip")

    await story.asks_refund(4)

    rejected = await story.until("refund.rejected.v1")
    assert rejected.data["reason"] == "app_store"
