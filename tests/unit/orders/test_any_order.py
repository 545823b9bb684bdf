"""The news of one payment id, in every order of arrival, once or twice: the same won are here at the end."""

from datetime import timedelta
from itertools import permutations

import pytest

from services.orders.state import OrderState
from tests.unit.orders.builders import AT, cancelled, line, payment, pending
from tests.unit.orders.shop import Shop

HOUR = timedelta(hours=1)
PRICE = 17_600
LINE = line("1", 10)


def won_of(shop: Shop) -> int:
    """What is on the order, also for units that are being issued, and in quarantine."""
    order = shop.order
    issuing = sum(each.issuing for each in order.lines.values())
    on_order = issuing * PRICE // 10 if order.state is OrderState.CANCELLED else order.remaining.total
    return (on_order if order.payment_id else 0) + shop.held


@pytest.mark.parametrize("policy", ["on_request", "automatic"])
@pytest.mark.parametrize("part", [None, 100, "all"], ids=lambda part: f"then {part}")
@pytest.mark.parametrize("says", [False, True], ids=["without an amount", "with its amount"])
@pytest.mark.parametrize("amount", [PRICE, PRICE // 2])
@pytest.mark.parametrize("before", ["new", "pending", "paid by another"])
def test_paid_taken_back_paid_again_and_taken_back_in_part(before, amount, says, part, policy):
    took = amount if part == "all" else part
    news = [
        payment(LINE, amount=amount, issue_policy=policy),
        cancelled(at=AT + HOUR, **({"amount": amount} if says else {})),
        payment(LINE, amount=amount, at=AT + 2 * HOUR, issue_policy=policy),
        cancelled(at=AT + 3 * HOUR, **({"amount": took} if took else {})),
    ]
    left = amount - (took or amount)
    for story in permutations(news):
        for times in (1, 2):
            shop = Shop()
            if before == "pending":
                shop.hear(pending(LINE))
            if before == "paid by another":
                shop.hear(payment(LINE, amount=PRICE, payment_id="pay-2"))
                left = amount - (took or amount) + PRICE
            for document in story:
                for _ in range(times):
                    shop.take(document)
            shop.begin_another_batch()
            assert won_of(shop) == left, story


@pytest.mark.parametrize("before", ["new", "pending"])
def test_a_cancelled_payment_that_is_told_once_more_pays_nothing(before):
    """Checkout repeats what it is not sure of, also a payment that it took back before it came."""
    shop = Shop()
    if before == "pending":
        shop.hear(pending(LINE, issue_policy="automatic"))
    paid = payment(LINE, amount=PRICE, issue_policy="automatic")
    for document in (cancelled(at=AT + HOUR, amount=PRICE), paid, paid):
        shop.take(document)
    assert "issuance.granted.v2" not in shop.types
    assert won_of(shop) == 0
