"""Money of a refund that left twice, and requests that waited under an id that is known (contract 2)."""

from services.orders import handlers
from services.orders.decisions import cancellations, quarantine
from services.orders.state import OrderState, World
from shared.events.catalogue import TYPES
from shared.events.checkout import IssuanceRequested
from shared.events.refunds import RefundPaidTwice
from shared.runtime.decisions import Context, Event, Position, Reject, Wait
from tests.unit.orders.builders import AT, cancelled, events, line, new_id, paid_order, request, settled

DUPLICATE = Reject("duplicate_request", "/request_id", "request iss-1 was made before with other content")


def paid_twice(amount: int = 70_400) -> RefundPaidTwice:
    """refund.paid_twice.v1 of an order's payment."""
    said = {
        "order_id": "A-1",
        "refund_id": str(new_id()),
        "refund_request_id": "rr-1",
        "payment_id": "pay-1",
        "payout_id": "po-2",
        "amount": amount,
        "paid_out_at": AT.isoformat(),
    }
    return RefundPaidTwice.model_validate(said, strict=False)


def test_money_that_left_twice_is_a_case_of_its_won_which_are_missing():
    order = paid_order()

    decision = quarantine.record_paid_twice(order, paid_twice())

    assert events(decision) == [
        (
            "payment.quarantined.v1",
            {
                "order_id": "A-1",
                "payment_id": "pay-1",
                "amount": -70_400,
                "reason": "payout_twice",
                "proposal": {"refund": 0},
            },
        )
    ]
    after = settled(decision)
    [case] = after.cases.values()
    assert (case.amount, case.reason, case.opened_at, case.is_open) == (-70_400, "payout_twice", AT, True)
    assert (after.state, after.lines, after.remaining) == (order.state, order.lines, order.remaining)


def test_each_payout_too_many_is_a_case_of_its_own():
    order = settled(quarantine.record_paid_twice(paid_order(), paid_twice()))
    order = settled(quarantine.record_paid_twice(order, paid_twice(1_000)))

    assert [case.amount for case in order.cases.values()] == [-70_400, -1_000]


def test_money_that_left_twice_waits_for_its_order():
    assert isinstance(quarantine.record_paid_twice(None, paid_twice()), Wait)


def test_a_payment_is_taken_back_although_money_of_its_refund_is_missing():
    """The case names the payment, and is no place where the payment could be."""
    order = settled(quarantine.record_paid_twice(paid_order(), paid_twice()))

    after = settled(cancellations.cancel_payment(order, cancelled()))

    assert after.state is OrderState.CANCELLED
    assert after.lines["1"].refunded == 100
    assert [case.is_open for case in after.cases.values()] == [True]


def test_a_request_that_waited_under_a_known_id_is_denied_line_by_line():
    world = World(orders={"A-1": paid_order(line("1"), line("2", 10), amount=193_600)})
    said = event(request(("1", 40), ("2", 3)))

    applied = handlers.refuse_late(world, said, DUPLICATE, Context(new_id))

    assert [each.type for each in applied.events] == ["issuance.denied.v1"] * 2
    shown = ("request_id", "line_id", "quantity", "reason", "left")
    assert [tuple(each.data[name] for name in shown) for each in applied.events] == [
        ("iss-1", "1", 40, "duplicate_request", 100),
        ("iss-1", "2", 3, "duplicate_request", 10),
    ]


def test_a_request_for_everything_that_waited_under_a_known_id_is_denied_too():
    world = World(orders={"A-1": paid_order()})

    applied = handlers.refuse_late(world, event(request()), DUPLICATE, Context(new_id))

    [denied] = applied.events
    assert (denied.data["line_id"], denied.data["reason"]) == ("1", "duplicate_request")


def test_the_request_that_came_first_stands():
    order = paid_order()
    world = World(orders={"A-1": order})
    first = event(request(("1", 40)))
    handlers.request_issuance(world, first, Context(new_id))
    other = event(request(("1", 60)), content=b"1" * 16)
    fault = handlers.request_issuance(world, other, Context(new_id))
    assert isinstance(fault, Reject)

    handlers.refuse_late(world, other, fault, Context(new_id))

    assert world.orders["A-1"].lines["1"].issuing == 40
    assert handlers.request_issuance(world, first, Context(new_id)).events == ()


def test_orders_reads_what_refunds_says_of_money_that_left_twice():
    assert "refund.paid_twice.v1" in handlers.ROUTES
    assert TYPES["refund.paid_twice.v1"].model is RefundPaidTwice


def event(data: IssuanceRequested, content: bytes = b"0" * 16) -> Event[IssuanceRequested]:
    """The request as the service gets it."""
    return Event(
        source="test",
        id="evt-9",
        type="issuance.requested.v1",
        subject="A-1",
        key="A-1",
        time=AT,
        correlation="A-1",
        sequence=None,
        content=content,
        data=data,
        position=Position("test", 0, 9),
    )
