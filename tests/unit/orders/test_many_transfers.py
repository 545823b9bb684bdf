"""An order may be paid in very many transfers: what tells of them stays bounded."""

from services.orders.decisions.quarantine import MOST_TOGETHER
from services.orders.state import OrderState
from shared.runtime.decisions import Reject
from tests.unit.orders.builders import decision, line, payment, pending
from tests.unit.orders.shop import Shop


def paid_in(transfers: int) -> Shop:
    """An order of so many won, VAT included, whose buyer has sent one won at a time."""
    shop = Shop()
    sold = line(quantity=transfers, unit_price=1)
    shop.hear(pending(sold, vat_mode="inclusive"))
    for number in range(transfers):
        shop.hear(payment(sold, payment_id=f"d-{number}", amount=1, vat_mode="inclusive"))
    return shop


def test_a_thousand_transfers_pay_an_order_together() -> None:
    shop = paid_in(MOST_TOGETHER)

    shop.take(decision("d-0", "applied"))

    assert shop.order.state is OrderState.PAID
    assert len(shop.said[-1][1]["payment_ids"]) == MOST_TOGETHER


def test_of_more_the_answer_says_what_is_possible() -> None:
    shop = paid_in(MOST_TOGETHER + 1)

    refused = shop.take(decision("d-0", "applied"))

    assert isinstance(refused, Reject)
    assert "1,001 payments pay it, and 1,000 are the most; decide returned or kept" in refused.detail
    assert shop.order.state is OrderState.PENDING_DEPOSIT
