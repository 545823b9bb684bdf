"""Won and VAT: no won is lost, however a payment is taken apart."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.money
from shared.money import (
    NOTHING,
    Money,
    left_worth,
    line_worth,
    payment_money,
    refund_money,
    units_money,
    vat_exclusive,
    vat_inclusive,
)

MODES = st.sampled_from(["exclusive", "inclusive"])
WON = st.integers(min_value=0, max_value=10**15)


def give_back(vat_mode: str, payment: Money, price_sums: list[int]) -> list[Money]:
    """Refund units worth each of `price_sums`, one after another."""
    remaining, refunds = payment, []
    for price_sum in price_sums:
        refund = refund_money(vat_mode, remaining, price_sum)
        remaining = Money(remaining.supply - refund.supply, remaining.vat - refund.vat)
        refunds.append(refund)
    return refunds


@st.composite
def splits(draw: st.DrawFn) -> tuple[str, int, list[int]]:
    """A VAT mode, unit prices and quantities of a payment, and its units in the order they come back."""
    prices = draw(st.lists(st.integers(0, 10**9), min_size=1, max_size=40))
    return draw(MODES), sum(prices), draw(st.permutations(prices))


def test_one_hundred_units_at_1600_won_cost_176_000() -> None:
    payment = payment_money("exclusive", 100 * 1_600)

    assert payment == Money(supply=160_000, vat=16_000)
    assert payment.total == 176_000


def test_a_gross_price_contains_an_eleventh_of_vat() -> None:
    assert payment_money("inclusive", 176_000) == Money(supply=160_000, vat=16_000)


def test_a_refund_is_never_more_vat_than_it_is_won() -> None:
    """Releases in another order have left the payment a won of VAT more than its total has."""
    assert refund_money("inclusive", Money(9, 2), 1) == Money(0, 1)


def test_forty_of_one_hundred_units_come_back_with_their_vat() -> None:
    refund = refund_money("exclusive", Money(160_000, 16_000), 40 * 1_600)

    assert refund == Money(supply=64_000, vat=6_400)
    assert refund.total == 70_400


def test_five_refunds_of_2000_out_of_10_000_gross_give_back_all_909_won_of_vat() -> None:
    refunds = give_back("inclusive", payment_money("inclusive", 10_000), [2_000] * 5)

    assert [refund.total for refund in refunds] == [2_000] * 5
    assert [refund.vat for refund in refunds] == [182, 182, 182, 182, 181]
    assert sum(refund.vat for refund in refunds) == 909


@given(splits())
def test_the_refunds_of_a_payment_give_back_exactly_what_was_paid(split: tuple[str, int, list[int]]) -> None:
    vat_mode, price_sum, parts = split
    payment = payment_money(vat_mode, price_sum)

    refunds = give_back(vat_mode, payment, parts)

    assert sum(refund.supply for refund in refunds) == payment.supply
    assert sum(refund.vat for refund in refunds) == payment.vat


@given(splits())
def test_no_part_of_a_refund_is_ever_negative(split: tuple[str, int, list[int]]) -> None:
    vat_mode, price_sum, parts = split

    for refund in give_back(vat_mode, payment_money(vat_mode, price_sum), parts):
        assert refund.supply >= 0
        assert refund.vat >= 0


@given(MODES, WON)
def test_vat_is_a_tenth_of_the_supply_to_the_won(vat_mode: str, price_sum: int) -> None:
    payment = payment_money(vat_mode, price_sum)

    assert abs(payment.vat * 10 - payment.supply) <= 10


@given(WON)
def test_vat_on_top_and_vat_inside_agree(supply: int) -> None:
    assert vat_inclusive(supply + vat_exclusive(supply)) == vat_exclusive(supply)


@pytest.mark.parametrize("vat_mode", ["exclusive", "inclusive"])
def test_a_refund_above_what_remains_is_refused(vat_mode: str) -> None:
    remaining = payment_money(vat_mode, 1_000)
    whole = remaining.supply if vat_mode == "exclusive" else remaining.total

    with pytest.raises(ValueError, match="exceeds"):
        refund_money(vat_mode, remaining, whole + 1)


def test_a_negative_amount_and_an_unknown_mode_are_refused() -> None:
    with pytest.raises(ValueError, match="never negative"):
        payment_money("exclusive", -1)
    with pytest.raises(ValueError, match="never negative"):
        refund_money("inclusive", Money(10, 1), -1)
    with pytest.raises(ValueError, match="vat_mode"):
        payment_money("zero_rated", 1)


@pytest.mark.parametrize(
    ("vat_mode", "price", "first", "second", "last"), [("exclusive", 3, 2, 4, 1), ("inclusive", 2, 3, 1, 2)]
)
def test_vat_after_a_release_stays_between_nothing_and_what_is_left(
    vat_mode: str, price: int, first: int, second: int, last: int
) -> None:
    """Nine units; the first refund is released after the second was granted. Without bounds the third has a
    VAT of -1."""
    whole = payment_money(vat_mode, 9 * price)
    one = refund_money(vat_mode, whole, first * price)
    two = refund_money(vat_mode, whole.minus(one), second * price)
    remaining = whole.minus(two)

    three = refund_money(vat_mode, remaining, last * price)
    rest = refund_money(vat_mode, remaining.minus(three), (9 - second - last) * price)

    assert three == Money(last * price, 0)
    assert min(rest) >= 0
    assert two.plus(three).plus(rest) == whole


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12),
    st.integers(1, 50),
    st.sampled_from(["exclusive", "inclusive"]),
)
def test_refunds_released_in_any_order_never_take_a_negative_amount_and_lose_no_won(
    steps: list[tuple[int, bool]], price: int, vat_mode: str
) -> None:
    remaining = whole = payment_money(vat_mode, price * 10)
    held: list[tuple[int, Money]] = []
    units = 10
    for number, release in steps:
        if release and held:
            back, money = held.pop(number % len(held))
            units, remaining = units + back, Money(remaining.supply + money.supply, remaining.vat + money.vat)
        elif units:
            asked = number % units + 1
            money = refund_money(vat_mode, remaining, price * asked)
            units, remaining = (
                units - asked,
                Money(remaining.supply - money.supply, remaining.vat - money.vat),
            )
            held.append((asked, money))
        assert min(remaining.supply, remaining.vat, *(part for _, money in held for part in money), 0) == 0
        assert remaining.total + sum(money.total for _, money in held) == whole.total


def test_the_vat_of_a_refund_is_never_negative_although_another_one_was_released() -> None:
    """Units of 6, 4, 1 and 15 won: the released refund of 6 leaves 1 won of VAT where its rule says 2."""
    remaining = payment_money("exclusive", 6 + 4 + 1 + 15)
    released = refund_money("exclusive", remaining, 6)
    kept = refund_money("exclusive", remaining.minus(released), 1)
    remaining = remaining.minus(kept)

    refund = refund_money("exclusive", remaining, 4)

    assert refund.vat >= 0
    assert refund_money("exclusive", remaining.minus(refund), 6 + 15) == remaining.minus(refund)


@given(
    prices=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    steps=st.lists(st.integers(0, 5), max_size=30),
    vat_mode=MODES,
)
def test_units_granted_and_released_in_mixed_order_have_vat_between_nothing_and_what_remains(
    prices: list[int], steps: list[int], vat_mode: str
) -> None:
    remaining = whole = payment_money(vat_mode, sum(prices))
    held: dict[int, Money] = {}
    for number in steps:
        unit = number % len(prices)
        if unit in held:
            remaining = remaining.plus(held.pop(unit))
            continue
        refund = refund_money(vat_mode, remaining, prices[unit])
        assert 0 <= refund.vat <= remaining.vat
        assert 0 <= refund.supply <= remaining.supply
        remaining, held[unit] = remaining.minus(refund), refund
    for unit in set(range(len(prices))) - held.keys():
        held[unit] = refund_money(vat_mode, remaining, prices[unit])
        remaining = remaining.minus(held[unit])
    assert remaining == NOTHING
    assert sum(money.total for money in held.values()) == whole.total


class Sold(NamedTuple):
    """A line with all or some of its units left."""

    unit_price: int
    quantity: int
    discount: int
    left: int
    consumed: int = 0


@st.composite
def lines(draw: st.DrawFn) -> Sold:
    price, quantity = draw(st.integers(0, 10**9)), draw(st.integers(1, 200))
    return Sold(price, quantity, draw(st.integers(0, price * quantity)), quantity)


def test_a_line_is_worth_its_price_less_its_discount() -> None:
    assert line_worth(Sold(1_600, 100, 16_000, 100)) == 144_000
    assert shared.money.price_sum([Sold(1_600, 100, 16_000, 100), Sold(0, 10, 0, 10)]) == 144_000


@given(lines(), st.data())
def test_the_refunds_of_a_line_in_any_cut_are_worth_what_the_line_is_worth(
    line: Sold, data: st.DataObject
) -> None:
    left, parts = line.quantity, []
    while left:
        units = data.draw(st.integers(1, left))
        parts.append(left_worth(line, left) - left_worth(line, left - units))
        left -= units

    assert sum(parts) == line_worth(line)
    assert min(parts) >= 0


@given(lines(), st.data())
def test_without_a_discount_units_are_worth_their_price(line: Sold, data: st.DataObject) -> None:
    line = line._replace(discount=0)
    left = data.draw(st.integers(1, line.quantity))
    units = data.draw(st.integers(1, left))

    assert left_worth(line, left) - left_worth(line, left - units) == units * line.unit_price


@given(st.lists(lines(), min_size=1, max_size=3), MODES, st.data())
def test_the_refunds_of_a_payment_with_discounts_give_back_what_was_paid(
    sold: list[Sold], vat_mode: str, data: st.DataObject
) -> None:
    remaining = payment_money(vat_mode, shared.money.price_sum(sold))
    left = {str(number): line for number, line in enumerate(sold)}
    while any(line.left for line in left.values()):
        line_id = data.draw(st.sampled_from([name for name, line in left.items() if line.left]))
        units = data.draw(st.integers(1, left[line_id].left))
        line = left[line_id]
        refund = units_money(vat_mode, remaining, left, [(line_id, units)])
        worth = left_worth(line, line.left) - left_worth(line, line.left - units)
        assert worth == (refund.supply if vat_mode == "exclusive" else refund.total)
        remaining = remaining.minus(refund)
        left[line_id] = line._replace(left=line.left - units)
    assert remaining == NOTHING


def test_free_units_are_worth_nothing_whatever_a_release_left_beside_them() -> None:
    left = {"1": Sold(10, 1, 0, 0), "2": Sold(0, 3, 0, 3)}

    assert units_money("exclusive", Money(1, 0), left, [("2", 3)]) == NOTHING
