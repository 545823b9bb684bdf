"""Won and VAT: no won is lost, however a payment is taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import Money, payment_money, refund_money, vat_exclusive, vat_inclusive

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
