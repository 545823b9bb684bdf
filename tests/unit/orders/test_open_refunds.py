"""Refunds that go on without a claim here: held, in review, or owed again. They keep a partner."""

from uuid import UUID

from services.orders.decisions.refunds import claim_refund, note_ended_refund, note_open_refund
from services.orders.state import Order
from shared.runtime.decisions import Decided, Wait
from shared.units import LineUnits
from tests.unit.orders.builders import AT, payment, settled
from tests.unit.orders.shop import Shop

REFUND, OTHER = UUID(int=0x77), UUID(int=0x88)


def paid() -> Order:
    shop = Shop()
    shop.take(payment())
    return shop.order


def test_a_refund_that_is_held_is_open_once_however_often_it_is_told() -> None:
    held = settled(note_open_refund(paid(), REFUND))

    assert held.open_refunds == (str(REFUND),)
    assert note_open_refund(held, REFUND) == Decided(held)


def test_an_order_that_nobody_knows_is_waited_for() -> None:
    assert isinstance(note_open_refund(None, REFUND), Wait)


def test_a_refund_that_ended_is_open_no_more_and_the_others_stay() -> None:
    both = settled(note_open_refund(settled(note_open_refund(paid(), REFUND)), OTHER))

    assert note_ended_refund(both, REFUND).state.open_refunds == (str(OTHER),)
    assert note_ended_refund(both, UUID(int=1)) == Decided(both)


def test_a_refund_that_asks_for_units_is_seen_by_its_claim_from_then_on() -> None:
    held = settled(note_open_refund(paid(), REFUND))

    granted = settled(claim_refund(held, REFUND, [LineUnits("1", 40)], "rr-1", AT))
    denied = settled(claim_refund(held, REFUND, [LineUnits("1", 101)], "rr-1", AT))

    assert (granted.open_refunds, granted.lines["1"].refunding) == ((), 40)
    assert denied.open_refunds == ()
