"""A month before it is closed: what would be issued, who is left out of a merge, what stands against it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from services.invoices.blockers import Blocker, blockers, warnings
from services.invoices.decisions.preview import MonthPreview, Sums
from shared.money import Money
from tests.unit.invoices.books import ASKED_AT, CLOSED_AT, GANADA, OTHER, WRONG, Books, instant, line

TOO_LATE = "2026-11-05T18:00:00+09:00"
A_DAY_LATE = "2026-11-11T09:00:00+09:00"


def preview(books: Books, at: str = CLOSED_AT, most: int = 20) -> MonthPreview:
    seen = MonthPreview(most)
    seen.add(books.try_close(at=at))
    return seen


def to_be(seen: MonthPreview, at: str = CLOSED_AT) -> Mapping[str, int]:
    return seen.to_be("2026-10", instant(at))


def left_out(seen: MonthPreview) -> dict[str, str]:
    return {each.payment_id: each.reason for each in seen.left_out}


def test_documents_to_be_are_counted_by_kind_with_their_payments_and_won() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    books.paid("C-1", partner="P-19", number=WRONG)
    books.take(books.events.partner())

    seen = preview(books)

    assert to_be(seen) == {
        "documents": 2,
        "payments": 3,
        "supply": 480_000,
        "vat": 48_000,
        "total": 528_000,
        "single": 1,
        "merged": 1,
        "failed": 1,
        "late": 0,
        "penalty": 0,
    }
    (merge,), (failure,) = seen.merges, seen.failures
    assert [payment.payment_id for payment in merge.payments] == ["pay-A-1", "pay-A-2"]
    assert (failure.document.partner_id, seen.failed.amount) == ("P-19", Money(160_000, 16_000))


def test_a_document_that_would_be_late_is_told_with_its_penalty() -> None:
    books = Books()
    books.paid("A-1")
    books.paid("C-1", partner="P-19", number=WRONG)

    seen = preview(books, at=A_DAY_LATE)

    assert (to_be(seen, A_DAY_LATE)["late"], to_be(seen, A_DAY_LATE)["penalty"]) == (1, 1_600)
    assert (to_be(seen)["late"], to_be(seen)["penalty"]) == (0, 0)


def test_what_is_issued_already_is_not_to_be() -> None:
    books = Books()
    books.paid("A-1")
    books.close()
    assert to_be(preview(books))["documents"] == 0


def test_who_is_left_out_of_a_merge_is_told_with_the_reason_and_the_won() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    books.paid("A-3")
    books.paid_and_issued("A-4")
    books.take(books.events.accepted("A-4", "r-4", 1), books.events.partner())

    seen = preview(books)

    assert left_out(seen) == {"pay-A-3": "units_not_issued", "pay-A-4": "open_refund"}
    assert seen.won_of == {"units_not_issued": 176_000, "open_refund": 176_000}


def test_who_asked_after_the_cut_off_is_left_out_for_that_alone() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    books.paid("A-3")
    books.take(books.events.merge(at=TOO_LATE))
    assert left_out(preview(books)) == {"pay-A-1": "after_cut_off", "pay-A-2": "after_cut_off"}


@pytest.mark.parametrize("by", ["an undo", "the preference"])
def test_a_late_request_is_not_told_where_something_else_decides(by: str) -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    books.take(
        books.events.merge(at=TOO_LATE, undo=True) if by == "an undo" else books.events.partner(at=ASKED_AT),
        *([] if by == "an undo" else [books.events.merge(at=TOO_LATE)]),
    )
    seen = preview(books)
    assert left_out(seen) == {}
    assert to_be(seen)["merged"] == (0 if by == "an undo" else 1)


def test_no_more_are_named_than_wanted_and_all_are_counted() -> None:
    books = Books()
    for number in range(3):
        books.paid_and_issued(f"A-{number}", partner=f"P-{number}")
        books.paid_and_issued(f"B-{number}", partner=f"P-{number}")
        books.paid(f"C-{number}", partner=f"P-{number}")
        books.take(books.events.partner(partner=f"P-{number}"))
        books.paid(f"D-{number}", partner=f"Q-{number}", number=WRONG)

    seen = preview(books, most=2)

    assert (len(seen.merges), seen.merged.documents) == (2, 3)
    assert (len(seen.failures), seen.failed.documents) == (2, 3)
    assert (len(seen.left_out), seen.reasons["units_not_issued"]) == (2, 3)


def test_a_refund_in_progress_keeps_its_document_back_until_it_ends_or_somebody_says_otherwise() -> None:
    books = Books()
    books.paid("A-1")
    books.paid("B-1", partner="P-18", number=OTHER)
    books.take(books.events.accepted("A-1", "r-1", 40))

    books.close()
    assert [document.partner_id for document in books.documents("draft")] == ["P-17"]
    assert books.types().count("invoice.issued") == 1

    books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400))
    books.close()
    assert books.last("invoice.issued").data["total"] == 105_600


def test_despite_a_refund_in_progress_the_document_is_issued_whole_and_modified_later() -> None:
    books = Books()
    books.paid("A-1")
    books.take(books.events.accepted("A-1", "r-1", 40))
    assert to_be(preview(books))["total"] == 176_000

    books.close(despite=True)
    books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400))

    assert books.last("invoice.issued").data["total"] == 176_000
    assert books.last("invoice.modified").data["total"] == -70_400


def test_a_merge_is_kept_back_whole() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    books.take(books.events.merge(), books.events.accepted("A-2", "r-2", 1))
    books.close()
    (merge,) = books.documents("draft")
    assert (merge.kind, merge.amount.total) == ("merged", 352_000)


def test_a_refund_of_a_payment_with_nothing_left_keeps_nothing_back() -> None:
    books = Books()
    books.paid_and_issued("A-1", lines=[line(kind="goods")])
    books.paid_and_issued("A-2", lines=[line(kind="goods")])
    books.take(books.events.merge())
    books.refund("A-2", "r-1", 100)
    books.take(books.events.accepted("A-2", "r-2", 1))
    books.close()
    assert books.last("invoice.issued").data["payment_ids"] == ["pay-A-1"]


# What stands against the close


def refund(number: int, payment: int = 1, won: int = 176_000) -> dict[str, Any]:
    return {
        "refund_id": f"r-{number}",
        "payment_id": f"pay-{payment}",
        "order_id": f"A-{payment}",
        "partner_id": "P-17",
        "won": won,
    }


def against(at: str = CLOSED_AT, refunds: Sequence[dict[str, Any]] = (), most: int = 20) -> list[Blocker]:
    return list(blockers("2026-10", instant(at), refunds, most))


def test_nothing_stands_against_a_month_that_is_over_without_refunds_in_progress() -> None:
    assert against("2026-11-01T00:00:00+09:00") == []


def test_a_month_that_is_not_over_says_from_when_on_it_can_be_closed() -> None:
    (early,) = against("2026-10-31T23:59:59.999999+09:00")
    assert (early.code, early.who) == ("month_not_over", "finance")
    assert early.detail == "can be closed from 2026-11-01T00:00:00+09:00 on"


def test_refunds_in_progress_are_counted_and_the_won_of_each_payment_once() -> None:
    (found,) = against(refunds=[refund(1), refund(2), refund(3, payment=2, won=1_100)], most=2)
    assert (found.code, found.count, found.won, found.who) == ("open_refund", 3, 177_100, "operator")
    assert found.command == "pawl refund show r-1"
    assert [member["refund_id"] for member in found.members] == ["r-1", "r-2"]


def test_nothing_is_warned_of_where_nothing_is() -> None:
    assert list(warnings("2026-10", Sums(), [], [], [], 20, is_interrupted=False)) == []


def test_each_warning_has_who_must_act_and_the_next_command() -> None:
    books = Books()
    books.paid("C-1", partner="P 19", number=WRONG)
    seen = preview(books)
    correction = {"document_key": "K-1", "right_number": GANADA}
    parked = [
        {"kind": "behind", "count": 9, "members": [1]},
        {"kind": "blocked", "count": 2, "members": [7, 8]},
        {"kind": "waiting", "count": 1, "members": [9]},
    ]

    found = list(
        warnings("2026-10", seen.failed, seen.failures, [correction] * 3, parked, 2, is_interrupted=True)
    )

    assert [(each.code, each.count, each.won, each.who, each.command) for each in found] == [
        ("month_close_interrupted", 1, None, "finance", "pawl close 2026-10 --reason WHY --yes"),
        (
            "document_not_issued",
            1,
            176_000,
            "partner",
            "pawl partner correct --business-number NUMBER --reason WHY 'P 19'",
        ),
        ("event_blocked", 2, None, "operator", "pawl dead replay invoices:p7"),
        ("event_waiting", 1, None, "checkout", "pawl dead show invoices:p9"),
        ("document_of_wrong_business", 3, None, "finance", "pawl close 2026-10 status"),
    ]
    assert len(found[-1].members) == 2
