"""A request to issue that waits and that an operator cancels: it is denied, and its order can still come."""

from datetime import timedelta
from typing import Any

import pytest

from services.orders.handlers import ROUTES
from services.orders.state import OrderState
from shared.runtime.decisions import ByOperator, Wait
from tests.unit.orders.builders import AT, cancelled, decision, payment, pending, request
from tests.unit.orders.shop import TYPE_OF, Shop

BY_KIM = ByOperator("kim", "ordered by mistake", AT + timedelta(hours=1))


def cancel(shop: Shop) -> list[dict[str, Any]]:
    """Cancels the first event that waits; the data of what follows."""
    event = shop.waiting.pop(0)
    route = ROUTES[event.type]
    assert route.cancel is not None
    applied = route.cancel(shop.world, event, BY_KIM, shop._context())
    for new in applied.events:
        shop._sequences[new.subject] += 1
        assert new.sequence == shop._sequences[new.subject]
        assert new.type == "issuance.denied.v1"
    return [new.data for new in applied.events]


def test_a_request_about_an_order_that_never_came_is_denied_line_by_line() -> None:
    shop = Shop()
    shop.take(request(("1", 60), ("2", 5)))

    assert cancel(shop) == [
        {
            "order_id": "A-1",
            "request_id": "iss-1",
            "line_id": line_id,
            "quantity": quantity,
            "reason": "cancelled_by_operator",
            "left": 0,
        }
        for line_id, quantity in (("1", 60), ("2", 5))
    ]
    assert shop.order.state is OrderState.UNKNOWN


def test_a_request_for_everything_of_an_unknown_order_is_denied_without_a_line() -> None:
    shop = Shop()
    shop.take(request())

    assert cancel(shop) == [
        {"order_id": "A-1", "request_id": "iss-1", "reason": "cancelled_by_operator", "left": 0}
    ]


@pytest.mark.parametrize(
    "coming", [[payment()], [pending(), payment()], [payment(payment_id="pay-0", amount=7), payment()]]
)
def test_the_order_comes_all_the_same_and_its_events_go_on_from_the_denial(coming: list[Any]) -> None:
    shop = Shop()
    shop.take(request(("1", 60)))
    cancel(shop)

    shop.hear(*coming)

    assert shop.order.state is OrderState.PAID
    assert shop.order.partner_id == "P-17"
    assert shop.order.lines["1"].open == 100
    assert shop.hear(request(("1", 60), request_id="iss-2")) != []


def test_the_same_request_again_changes_nothing_once_the_order_is_paid() -> None:
    shop = Shop()
    shop.take(request(("1", 60)))
    same = shop.waiting[0]
    cancel(shop)
    shop.hear(payment())

    shop._handle(same)

    assert shop.order.lines["1"].open == 100


def test_an_order_that_waits_for_its_deposit_denies_the_request_and_waits_on() -> None:
    shop = Shop()
    shop.hear(pending())
    shop.take(request(("1", 60)))

    (denied,) = cancel(shop)

    assert (denied["line_id"], denied["quantity"], denied["left"]) == ("1", 60, 0)
    assert shop.order.state is OrderState.PENDING_DEPOSIT


@pytest.mark.parametrize("document", [cancelled(), decision()], ids=lambda each: TYPE_OF[type(each)])
def test_what_waited_for_the_order_waits_on_while_nothing_but_a_denial_is_known_of_it(document: Any) -> None:
    shop = Shop()
    shop.take(request(("1", 60)))
    cancel(shop)

    assert isinstance(shop.take(document), Wait)


def test_a_decision_that_waits_for_its_order_is_cancelled_without_a_word() -> None:
    shop = Shop()
    shop.take(decision())

    assert cancel(shop) == []
    assert shop.world.orders == {}


def test_money_is_never_cancelled() -> None:
    assert [name for name, route in ROUTES.items() if route.cancel] == [
        "quarantine.decided.v1",
        "issuance.requested.v1",
    ]
