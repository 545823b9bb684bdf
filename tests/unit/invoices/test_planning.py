"""The plan of a partner's month: what merges, what does not and why, and what would change it."""

from typing import Any
from uuid import UUID

import pytest

from services.invoices.decisions.planning import BusinessPlan, PartnerPlan, PlannedPayment, plan_month
from services.invoices.state import Snapshot
from tests.unit.invoices.books import ASKED_AT, CLOSED_AT, GANADA, OTHER, PARTNER, THIRD, Books, instant, line
from tests.unit.invoices.months import a_month

MONTH = "2026-10"
BEFORE, CUT_OFF = "2026-11-03T09:00:00+09:00", "2026-11-05T18:00:00+09:00"


@pytest.fixture
def books() -> Books:
    return Books()


def plan(books: Books, at: str = BEFORE) -> PartnerPlan:
    sold: dict[str, Snapshot] = {each.order_id: each for each in books.world.snapshots}
    return plan_month(books.world, PARTNER, MONTH, instant(at), sold)


def only(books: Books, at: str = BEFORE) -> BusinessPlan:
    (business,) = plan(books, at).businesses
    return business


def of(business: BusinessPlan, order_id: str) -> PlannedPayment:
    return next(each for each in business.payments if each.payment.order_id == order_id)


def unlocks(business: BusinessPlan, order_id: str) -> list[tuple[Any, ...]]:
    return [(each.what, each.units, each.refund_ids) for each in of(business, order_id).unlocks]


def totals(business: BusinessPlan) -> dict[str, tuple[int, int]]:
    return {name: (each.merged.total, each.single.total) for name, each in business.totals.items()}


def reasons(business: BusinessPlan) -> dict[str, str]:
    return {each.payment.order_id: each.reason for each in business.payments}


def test_what_merges_can_be_undone_until_it_is_issued(books: Books) -> None:
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    books.take(books.events.merge())
    business = only(books)
    assert reasons(business) == {"A-1": "merged", "A-2": "merged"}
    assert unlocks(business, "A-1") == [("undo", None, ())]
    assert business.document is not None

    books.close()
    assert set(reasons(only(books, CLOSED_AT)).values()) == {"already_issued"}
    assert unlocks(only(books, CLOSED_AT), "A-1") == []


def test_units_that_are_not_issued_keep_a_payment_out_until_they_are(books: Books) -> None:
    books.paid_and_issued("A-1")
    books.paid("A-2")
    books.take(books.events.issued("A-2", 30), books.events.partner())
    business = only(books)
    assert reasons(business) == {"A-1": "only_one_payment", "A-2": "units_not_issued"}
    assert unlocks(business, "A-2") == [("issue_units", 70, ())]
    assert unlocks(business, "A-1") == [("another_payment", None, ())]
    assert totals(business)["now"] == (0, 352_000)
    assert totals(business)["issued"] == (352_000, 0)


def test_a_refund_in_progress_keeps_a_payment_out_until_it_ends(books: Books) -> None:
    books.paid_and_issued("A-1", lines=[line(kind="goods")])
    books.paid_and_issued("A-2", lines=[line(kind="goods")])
    books.take(books.events.partner(), books.events.accepted("A-2", "r-1", 40))
    business = only(books)
    assert reasons(business) == {"A-1": "only_one_payment", "A-2": "open_refund"}
    assert unlocks(business, "A-2") == [("refund_ends", None, ("r-1",))]
    assert [(name, money.total) for name, money in of(business, "A-2").pending] == [("r-1", 70_400)]
    assert totals(business) == {
        "now": (0, 352_000),
        "issued": (0, 352_000),
        "refunded": (281_600, 0),
        "released": (352_000, 0),
        "issued_and_refunded": (281_600, 0),
    }


def test_what_a_refund_in_progress_takes_goes_by_what_is_left_of_its_lines(books: Books) -> None:
    """With a discount, and after another refund: what orders will grant, to the won."""
    sold = [line(kind="goods", unit_price=1_605, quantity=3, discount=10)]
    books.paid("A-1", lines=sold, vat_mode="inclusive")
    payment = books.world.payments["A-1"]
    books.take(books.events.completed("A-1", "r-0", 1, 1_456, 145))
    books.take(books.events.accepted("A-1", "r-1", 1), books.events.accepted("A-1", "r-2", 1))
    (_, first), (_, last) = of(only(books), "A-1").pending
    assert first.plus(last) == payment.paid.minus(books.world.payments["A-1"].refunded)


def test_a_refund_of_everything_leaves_the_others_alone(books: Books) -> None:
    books.paid_and_issued("A-1", lines=[line(kind="goods")])
    books.paid_and_issued("A-2", lines=[line(kind="goods")])
    books.take(books.events.partner(), books.events.accepted("A-2", "r-1", 100))
    assert totals(only(books))["refunded"] == (0, 176_000)


def test_nobody_has_asked_and_until_when_it_is_possible(books: Books) -> None:
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    business = only(books)
    assert set(reasons(business).values()) == {"not_asked_for"}
    (asking,) = of(business, "A-1").unlocks
    assert (asking.what, asking.until) == ("ask_to_merge", instant(CUT_OFF))
    late = only(books, CUT_OFF)
    assert set(reasons(late).values()) == {"after_cut_off"}
    assert [each.what for each in of(late, "A-1").unlocks] == ["merge_business"]


def test_payments_that_a_request_did_not_name_are_not_asked_for(books: Books) -> None:
    for order_id in ("A-1", "A-2", "A-3"):
        books.paid_and_issued(order_id)
    books.take(books.events.merge(orders=["A-1", "A-2"]))
    assert reasons(only(books)) == {"A-1": "merged", "A-2": "merged", "A-3": "not_asked_for"}


def test_an_undo_is_the_last_word(books: Books) -> None:
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    books.take(books.events.partner(), books.events.merge("mr-2", undo=True))
    assert set(reasons(only(books)).values()) == {"not_asked_for"}


@pytest.mark.parametrize(
    ("changes", "prefers"),
    [
        pytest.param([(True, ASKED_AT)], True, id="on before the cut-off"),
        pytest.param([(False, ASKED_AT), (True, CUT_OFF)], False, id="on at the cut-off"),
        pytest.param([(True, ASKED_AT), (False, CUT_OFF)], True, id="off after the cut-off"),
        pytest.param([(False, CUT_OFF), (True, ASKED_AT)], True, id="the same, heard of the other way round"),
        pytest.param([(True, ASKED_AT), (False, BEFORE)], False, id="off before the cut-off"),
        pytest.param([(True, ASKED_AT), (False, CUT_OFF), (True, CLOSED_AT)], True, id="off and on after it"),
    ],
)
def test_the_standing_preference_counts_as_of_the_cut_off(
    books: Books, changes: list[tuple[bool, str]], prefers: bool
) -> None:
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    for always_merge, at in changes:
        books.take(books.events.partner(always_merge=always_merge, at=at))
    planned = plan(books, CLOSED_AT)
    assert planned.prefers is prefers
    (business,) = planned.businesses
    assert ("merged" in reasons(business).values()) is prefers
    books.close()
    assert (books.documents("issued")[0].kind == "merged") is prefers, "the close does what the plan says"


def test_a_number_that_changed_within_the_month_gives_two_documents(books: Books) -> None:
    """The partner told its new number before it paid under it: both numbers were right."""
    for order_id, day, number in (
        ("A-1", "05", GANADA),
        ("A-2", "06", GANADA),
        ("B-1", "21", OTHER),
        ("B-2", "22", OTHER),
    ):
        if order_id in ("A-1", "B-1"):
            books.take(books.events.partner(number=number, at=f"2026-10-{day}T00:00:00+09:00"))
        books.paid_and_issued(order_id, number=number, at=f"2026-10-{day}T10:00:00+09:00")
    first, second = plan(books).businesses
    assert {first.scope.business_number, second.scope.business_number} == {GANADA, OTHER}
    assert totals(first)["now"] == totals(second)["now"] == (352_000, 0)
    books.close()
    assert {(d.kind, d.business_number) for d in books.documents("issued")} == {
        ("merged", GANADA),
        ("merged", OTHER),
    }


def test_a_number_that_was_wrong_moves_the_payment_in_the_plan_already(books: Books) -> None:
    books.paid_and_issued("A-1", number=THIRD)
    books.paid_and_issued("A-2", number=GANADA)
    books.take(books.events.partner(number=GANADA))
    business = only(books)
    assert business.scope.business_number == GANADA
    assert set(reasons(business).values()) == {"merged"}


def test_what_cannot_stand_on_an_invoice_has_nothing_to_unlock_it(books: Books) -> None:
    books.paid("A-1", evidence="cash_receipt")
    books.paid("A-2", lines=[line(unit_price=0)])
    business = only(books)
    assert reasons(business) == {"A-1": "not_a_tax_invoice", "A-2": "nothing_left"}
    assert unlocks(business, "A-1") == unlocks(business, "A-2") == []
    assert totals(business)["now"] == (0, 0)


def test_what_an_operator_has_merged_an_operator_takes_apart(books: Books) -> None:
    books.paid_and_issued("A-1")
    books.paid_and_issued("B-1", partner="P-16", at="2026-10-01T10:00:00+09:00")
    books.merge_business()
    assert unlocks(only(books), "A-1") == [("undo_business_merge", None, ())]


def test_a_plan_changes_nothing(books: Books) -> None:
    books.paid_and_issued("A-1", number=THIRD)
    books.paid_and_issued("A-2")
    books.take(books.events.partner(number=GANADA), books.events.accepted("A-2", "r-1"))
    before = (dict(books.world.payments), dict(books.world.documents), dict(books.world.partners))
    plan(books)
    assert (books.world.payments, books.world.documents, books.world.partners) == before
    books.close(despite=True)


@pytest.mark.parametrize("seed", range(60))
def test_the_close_does_what_the_plan_says_of_any_month(seed: int) -> None:
    books = Books()
    books.take(*a_month(seed))
    sold = {each.order_id: each for each in books.world.snapshots}
    partners = sorted({payment.partner_id for payment in books.world.payments.values()})
    plans = [plan_month(books.world, each, MONTH, instant(CLOSED_AT), sold) for each in partners]

    books.close(despite=True)

    planned = {
        frozenset(each.payment.order_id for each in business.payments if each.merges)
        for plan in plans
        for business in plan.businesses
    }
    merged: dict[UUID, set[str]] = {}
    for payment in books.world.payments.values():
        document = books.world.document_of(payment)
        if document is not None and document.kind == "merged" and document.amount.total:
            merged.setdefault(document.invoice_id, set()).add(payment.order_id)
    assert planned - {frozenset()} == set(map(frozenset, merged.values()))
    won = sum(business.totals["now"].merged.total for plan in plans for business in plan.businesses)
    assert won == sum(d.amount.total for d in books.world.documents.values() if d.kind == "merged")
