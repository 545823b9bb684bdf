"""The lines of a document sum to it to the won, whatever was refunded before or after its issue."""

from hypothesis import given
from hypothesis import strategies as st

from services.invoices.decisions.lines import (
    PrintedLine,
    lines_of_payment,
    lines_of_refund,
    opposite,
    split_money,
    sum_of,
)
from services.invoices.state import Refund, Snapshot, SoldLine
from shared.money import Money, payment_money
from shared.units import LineUnits

SOLD = Snapshot(
    "A-1",
    "exclusive",
    (
        SoldLine("1", "serials", "p-1", "이용권", 1_605, 1),
        SoldLine("2", "serials", "p-2", "이용권 60일", 2_400, 10),
        SoldLine("3", "goods", "p-3", "상자", 5_500, 3, 500),
    ),
)
PAID = payment_money("exclusive", 1_605 + 24_000 + 16_000)


def test_a_netted_draft_is_printed_with_the_units_that_are_left() -> None:
    netted = Refund("r-1", "A-1", "completed", Money(9_600, 960), lines=(LineUnits("2", 4),))
    lines = lines_of_payment(PAID, SOLD, [netted])
    assert [(line.name, line.quantity) for line in lines] == [("이용권", 1), ("이용권 60일", 6), ("상자", 3)]
    assert sum_of(lines) == PAID.minus(netted.amount)
    assert lines[2].amount.supply == 16_000


def test_the_unit_price_of_what_was_sold_gross_is_its_supply_value() -> None:
    """10,000 won a unit are 9,091 and 909 of VAT; three of 1,000 are 2,728, at 910 each."""
    lines = (
        SoldLine("1", "goods", "p-1", "교재", 10_000, 1),
        SoldLine("2", "goods", "p-2", "공책", 1_000, 3),
    )
    sold, paid = Snapshot("A-1", "inclusive", lines), payment_money("inclusive", 13_000)
    printed = lines_of_payment(paid, sold, [])
    assert [(each.unit_price, each.quantity) for each in printed] == [(9_091, 1), (910, 3)]
    assert printed[0].amount == Money(9_091, 909)
    assert sum_of(printed) == paid
    back = Refund("r-1", "A-1", "completed", Money(9_091, 909), lines=(LineUnits("1", 1),))
    assert [(each.unit_price, each.quantity) for each in lines_of_refund(sold, back)] == [(9_091, -1)]


def test_a_line_of_which_nothing_is_left_is_not_printed() -> None:
    netted = Refund("r-1", "A-1", "completed", Money(1_605, 160), lines=(LineUnits("1", 1),))
    assert [line.name for line in lines_of_payment(PAID, SOLD, [netted])] == ["이용권 60일", "상자"]


def test_what_was_used_up_of_refunded_units_stays_on_the_document() -> None:
    back_units = (LineUnits("1", 1), LineUnits("3", 3))
    refund = Refund("r-1", "A-1", "completed", Money(16_605, 1_660), lines=back_units, consumed={"3": 1_000})

    netted, back = lines_of_payment(PAID, SOLD, [refund]), lines_of_refund(SOLD, refund)

    assert [(line.name, line.quantity, line.amount.supply) for line in netted] == [
        ("이용권 60일", 10, 24_000),
        ("상자", None, 1_000),
    ]
    assert sum_of(netted) == PAID.minus(refund.amount)
    assert [(line.quantity, line.amount.supply) for line in back] == [(-1, -1_605), (-3, -15_000)]
    assert sum_of(back) == Money(-16_605, -1_660)


def test_a_modified_document_takes_back_units_and_won() -> None:
    back = (LineUnits("1", 1), LineUnits("2", 2))
    refund = Refund("r-1", "A-1", "completed", Money(6_405, 641), lines=back)
    lines = lines_of_refund(SOLD, refund)
    assert [(line.quantity, line.amount) for line in lines] == [
        (-1, Money(-1_605, -160)),
        (-2, Money(-4_800, -481)),
    ]


def test_a_refund_whose_units_were_not_kept_is_one_line_of_its_won() -> None:
    unknown = Refund("r-1", "A-1", "completed", Money(9_600, 960))
    (line,) = lines_of_refund(SOLD, unknown)
    assert line == PrintedLine("", "환불", None, None, Money(-9_600, -960))
    assert opposite(line) == PrintedLine("", "환불", None, None, unknown.amount)
    *sold, back = lines_of_payment(PAID, SOLD, [unknown])
    assert (sum_of(sold), back) == (PAID, line)


def test_refunds_of_one_line_before_the_issue_add_up() -> None:
    netted = [
        Refund(f"r-{n}", "A-1", "completed", Money(2_400 * n, 240 * n), lines=(LineUnits("2", n),))
        for n in (1, 2)
    ]
    lines = lines_of_payment(PAID, SOLD, netted)
    assert [(line.name, line.quantity) for line in lines] == [("이용권", 1), ("이용권 60일", 7), ("상자", 3)]
    assert sum_of(lines) == PAID.minus(Money(7_200, 720))


@given(
    mode=st.sampled_from(["exclusive", "inclusive"]),
    worths=st.lists(st.integers(0, 10**6), min_size=1, max_size=30),
    beside=st.integers(-1, 1),
)
def test_lines_sum_to_their_document(mode: str, worths: list[int], beside: int) -> None:
    whole = payment_money(mode, sum(worths))
    lines = split_money(mode, worths)
    assert sum(line.supply for line in lines) == whole.supply
    assert sum(line.vat for line in lines) == whole.vat
    assert all(line.vat >= 0 and line.supply >= 0 for line in lines)
    # A refund that was released can leave the VAT of what is left a won beside that of the lines.
    real = whole.plus(Money(-beside, beside) if mode == "inclusive" else Money(0, beside))
    lines = split_money(mode, worths, real)
    assert (sum(line.supply for line in lines), sum(line.vat for line in lines)) == real
