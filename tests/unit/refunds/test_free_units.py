"""Units that cost nothing go back at once; what was decided with the grant is what is paid."""

from services.refunds.decisions.eligibility import eligibility
from shared.money import Money
from shared.runtime.decisions import Reject
from tests.unit.refunds.desk import Desk, line, units


def paid(**second: object) -> Desk:
    """100 units at 1,600 won, and 10 of a second line that are free unless told otherwise."""
    desk = Desk()
    desk.paid(line("1"), line("2", **{"quantity": 10, "unit_price": 0, **second}))
    return desk


def test_free_units_go_back_at_once_and_nobody_is_asked_to_pay() -> None:
    desk = paid()

    desk.asked(lines=[units("2", 4)])
    desk.granted(supply=0, vat=0)

    assert desk.types() == ["refund.accepted", "refund.completed"]
    done = desk.last.data
    assert (done["amount"], done["supply"], done["vat"], done["fee"]) == (0, 0, 0, 0)
    assert done["lines"] == [{"line_id": "2", "quantity": 4}]
    assert done["payout_id"] == done["refund_id"]
    assert [state for state, _, _ in desk.story()] == ["requested", "accepted", "granted", "completed"]
    assert (desk.order.lines["2"].refunded, desk.order.lines["2"].open) == (4, 6)
    assert desk.order.remaining == Money(160_000, 16_000)


def test_a_line_that_is_free_by_its_discount_is_free() -> None:
    desk = paid(unit_price=100, discount=1_000)

    desk.asked(lines=[units("2", 10)])
    desk.granted(supply=0, vat=0)

    assert desk.types() == ["refund.accepted", "refund.completed"]


def test_free_units_need_no_account_and_no_holder() -> None:
    desk = paid()

    desk.asked(lines=[units("2", 4)], destination={"method": "mycash"})
    desk.granted(supply=0, vat=0)
    desk.asked(
        request_id="rr-2",
        lines=[units("2", 4)],
        destination={"method": "bank_account", "bank_code": "088", "account_number": "1", "holder": "x"},
    )

    assert desk.types() == ["refund.accepted", "refund.completed", "refund.accepted"]


def test_a_refund_with_free_and_priced_units_is_paid() -> None:
    desk = paid()

    desk.asked()
    desk.granted(supply=160_000, vat=16_000)

    assert desk.types() == ["refund.accepted", "refund.payout_requested"]
    assert desk.last.data["amount"] == 176_000


def test_free_units_of_an_order_whose_payment_was_taken_back_are_refused() -> None:
    desk = paid()
    desk.cancelled()

    desk.asked(lines=[units("2", 4)])

    assert desk.last.data["reason"] == "order_cancelled"


def test_a_payout_of_a_refund_of_nothing_is_nobody_s() -> None:
    desk = paid()
    desk.asked(lines=[units("2", 4)])
    desk.granted(supply=0, vat=0)

    outcome = desk.paid_out("po-1")

    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/refund_id")


def test_free_units_that_orders_gives_up_with_the_last_priced_ones_are_refunded_with_them() -> None:
    desk = paid()
    desk.asked(100)

    desk.granted(lines=[units("1", 100), units("2", 10)], supply=160_000, vat=16_000)
    desk.paid_out()

    assert desk.last.data["lines"] == [units("1", 100), units("2", 10)]
    assert [row.open for row in desk.order.lines.values()] == [0, 0]
    desk.asked(request_id="rr-2", lines=[units("2", 10)])
    assert desk.last.data["reason"] == "already_refunded"


def test_given_up_units_of_a_kind_without_a_rule_go_too() -> None:
    desk = paid(kind="goods")
    desk.asked(100)

    desk.granted(lines=[units("1", 100), units("2", 10)], supply=160_000, vat=16_000)

    assert desk.order.lines["2"].refunding == 10
    assert desk.refund.fee == 0


def test_a_released_refund_opens_the_free_units_that_went_with_it_again() -> None:
    desk = paid()
    desk.asked(100)
    desk.granted(lines=[units("1", 100), units("2", 10)], supply=160_000, vat=16_000)
    desk.payout_failed()

    desk.reviewed("release")

    assert [row.open for row in desk.order.lines.values()] == [100, 10]


def test_eligibility_offers_free_units_for_nothing_and_at_once() -> None:
    desk = paid()
    desk.issuance_granted(100)

    answer = eligibility(desk.order, desk.now)

    assert (answer.units, answer.amount, answer.reason) == (10, 0, None)
    assert answer.expected_on == desk.now.date()


def test_a_discount_is_shared_by_the_units_to_the_won() -> None:
    desk = Desk()
    desk.paid(line("1", 3, 1_000, discount=10), vat_mode="inclusive")

    amounts = []
    for number in range(3):
        amounts.append(eligibility(desk.order, desk.now).amount)
        desk.asked(1, f"rr-{number}")
        desk.granted()

    assert amounts == [2_990, 1_993, 996]
    assert [refund.amount for refund in desk.refunds] == [997, 997, 996]
    assert desk.order.remaining == Money(0, 0)


def test_issued_units_keep_their_share_of_a_discount() -> None:
    desk = Desk()
    desk.paid(line("1", 3, 1_000, discount=10), vat_mode="inclusive")
    desk.issuance_granted(1)

    assert eligibility(desk.order, desk.now).amount == 2_990 - 996


def test_an_approval_of_a_part_names_what_the_discount_leaves() -> None:
    desk = Desk()
    desk.paid(line("1", 3, 1_000, discount=10), vat_mode="inclusive")
    desk.asked(
        2, destination={"method": "bank_account", "bank_code": "1", "account_number": "2", "holder": "3"}
    )
    desk.proof_attached()

    assert isinstance(desk.reviewed("approve", amount=2_000), Reject)
    desk.reviewed("approve", amount=1_994)

    assert desk.last.type == "refund.accepted.v1"


def test_the_won_that_orders_decided_are_paid_whatever_is_computed_here() -> None:
    """Orders saw another refund released first: its won are one beside what this service computes."""
    desk = Desk()
    desk.paid()
    desk.asked(40)

    desk.granted(supply=64_000, vat=6_399)

    assert desk.last.data["amount"] == 70_399
    desk.paid_out()
    assert (desk.last.data["supply"], desk.last.data["vat"]) == (64_000, 6_399)
    assert desk.order.remaining == Money(96_000, 9_601)
