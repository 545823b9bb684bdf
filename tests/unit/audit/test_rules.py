"""What the auditor says about the books of one order."""

from ops.audit.books import Books, Grant, RefundClaim, Units
from ops.audit.rules import Won, findings, won_of
from tests.unit.audit.books import agreeing_books


def certain(books: Books) -> set[str]:
    return {found.rule for found in findings(books) if found.certain}


def arriving(books: Books) -> set[str]:
    return {found.rule for found in findings(books) if not found.certain}


def test_books_that_agree_break_no_rule() -> None:
    assert list(findings(agreeing_books())) == []


def test_an_order_that_waits_for_its_deposit_needs_nobody_else() -> None:
    books = agreeing_books()
    assert books.orders
    books.orders.state, books.orders.payment_id = "pending_deposit", None
    books.orders.supply = books.orders.vat = books.orders.remaining = 0
    books.orders.lines = {"1": Units(0, 0, 0, 0, 0)}
    books.orders.grants, books.orders.refunds = {}, {}
    books.serials = books.refunds = books.invoices = None

    assert list(findings(books)) == []


def test_a_grant_that_orders_never_made_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.serials
    books.serials.grants["g2"] = Grant("1", 1, "issuing")

    assert certain(books) == {"grants_match"}


def test_a_confirmed_grant_without_serials_is_certainly_wrong() -> None:
    books = agreeing_books()
    books.serials = None

    assert "grants_match" in certain(books)


def test_a_grant_that_serials_has_not_heard_of_is_on_its_way() -> None:
    books = agreeing_books()
    assert books.orders
    books.orders.lines = {"1": Units(paid=11, issuing=1, issued=6, refunding=0, refunded=4)}
    books.orders.grants["g2"] = Grant("1", 1, "claimed")

    assert "grants_match" in arriving(books)
    assert "grants_match" not in certain(books)


def test_a_grant_of_other_units_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.serials
    books.serials.grants["g1"] = Grant("1", 5, "issued", issued=5)

    assert "grants_match" in certain(books)


def test_a_unit_that_has_a_serial_and_was_paid_back_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.refunds
    books.refunds.refunds["r1"].units = {"1": 5}

    assert "issued_xor_refunded" in certain(books)


def test_a_refund_paid_out_without_a_claim_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.orders
    books.orders.refunds = {}

    assert "refunds_match" in certain(books)


def test_a_claim_confirmed_before_its_refund_completed_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.refunds
    books.refunds.refunds["r1"].state = "paying_out"

    assert "refunds_match" in certain(books)


def test_a_refund_of_other_won_than_its_claim_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.refunds
    books.refunds.refunds["r1"].vat = 641

    assert "refunds_match" in certain(books)


def test_a_granted_refund_that_refunds_has_not_heard_of_is_on_its_way() -> None:
    books = agreeing_books()
    assert books.orders
    assert books.refunds
    books.orders.refunds["r1"].state = "claimed"
    books.refunds.refunds["r1"] = RefundClaim("accepted", 0, 0, units={"1": 4})

    assert "refunds_match" in arriving(books)
    assert "refunds_match" not in certain(books)


def test_a_payment_of_other_won_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.invoices
    books.invoices.vat += 1

    assert "payments_match" in certain(books)


def test_a_payment_that_invoices_has_not_heard_of_is_on_its_way() -> None:
    books = agreeing_books()
    books.invoices = None

    assert "payments_match" in arriving(books)
    assert certain(books) == set()


def test_an_order_that_only_the_others_know_is_certainly_wrong() -> None:
    books = agreeing_books()
    books.orders = None

    assert {"payments_match", "grants_match", "refunds_match"} <= certain(books)


def test_a_refund_netted_before_it_completed_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.refunds
    books.refunds.refunds["r1"].state = "paying_out"

    assert "refunds_invoiced" in certain(books)


def test_more_units_invoiced_than_issued_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.invoices
    books.invoices.issued_units = 7

    assert "invoiced_units_match" in certain(books)


def test_units_that_refunds_has_not_heard_of_are_on_their_way() -> None:
    books = agreeing_books()
    assert books.refunds
    books.refunds.lines["1"] = books.refunds.lines["1"]._replace(granted=5)

    assert arriving(books) == {"units_match"}


def test_a_won_that_is_nowhere_is_found() -> None:
    books = agreeing_books()
    assert books.invoices
    books.invoices.standing -= 1

    assert won_of(books).difference == 1
    assert "money_adds_up" in arriving(books)


def test_every_won_of_an_order_cancelled_after_issue_is_somewhere() -> None:
    """6 of 10 units are issued, then upstream takes the payment back: goods out, money missing."""
    books = agreeing_books()
    assert books.orders
    assert books.refunds
    assert books.invoices
    books.orders.state = "cancelled"
    books.orders.refunds, books.refunds.refunds = {}, {}
    books.orders.quarantined, books.orders.went_back = -10_560, 17_600
    books.refunds.lines["1"] = books.refunds.lines["1"]._replace(refunded=0, taken_back=4)
    books.invoices.refunds, books.invoices.cancelled = {}, 7_040

    assert won_of(books) == Won(paid=17_600, refunded=17_600, uninvoiced=10_560, quarantined=-10_560)
    assert list(findings(books)) == []


def test_a_second_payment_is_paid_and_in_quarantine() -> None:
    books = agreeing_books()
    assert books.orders
    books.orders.quarantined = books.orders.unfit = 17_600

    assert won_of(books).paid == 35_200
    assert won_of(books).difference == 0


def test_a_fee_is_kept() -> None:
    books = agreeing_books()
    assert books.refunds
    books.refunds.refunds["r1"].fee = 1_000

    won = won_of(books)
    assert (won.fee, won.refunded, won.difference) == (1_000, 6_040, 0)


def test_won_of_an_issued_invoice_are_netted_by_its_modified_one() -> None:
    books = agreeing_books()
    assert books.invoices
    books.invoices.document, books.invoices.standing, books.invoices.modified = "issued", 17_600, -7_040

    assert won_of(books).invoiced == 10_560
    assert won_of(books).difference == 0


def test_a_card_slip_is_no_invoice() -> None:
    books = agreeing_books()
    assert books.invoices
    books.invoices.evidence, books.invoices.document = "card_slip", None

    assert won_of(books).card_slip == 10_560
    assert list(findings(books)) == []


def test_a_refund_that_bounced_or_is_repaid_is_refunded_by_the_books() -> None:
    for state in ("bounced", "repaying"):
        books = agreeing_books()
        assert books.refunds
        books.refunds.refunds["r1"].state = state

        assert list(findings(books)) == []
        assert won_of(books) == won_of(agreeing_books())


def test_money_that_left_twice_is_a_case_of_its_won_and_no_won_is_missing() -> None:
    books = agreeing_books()
    assert books.orders
    assert books.refunds
    books.refunds.paid_twice = 7_040
    assert arriving(books) == {"paid_twice_is_a_case"}

    books.orders.paid_twice, books.orders.quarantined, books.orders.went_back = 7_040, -7_040, 7_040

    assert list(findings(books)) == []
    assert won_of(books).refunded == 14_080


def test_a_case_of_money_that_never_left_twice_is_certainly_wrong() -> None:
    books = agreeing_books()
    assert books.orders
    books.orders.paid_twice, books.orders.quarantined = 7_040, -7_040

    assert certain(books) == {"paid_twice_is_a_case"}
