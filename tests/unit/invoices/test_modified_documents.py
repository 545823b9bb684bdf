"""Every reason to modify a document: of one payment, of a merge, of what was modified or corrected before."""

from collections.abc import Callable
from typing import Any

import pytest

from services.invoices.decisions.corrections import Order
from services.invoices.state import Document
from tests.unit.invoices.books import GANADA, OTHER, THIRD, Books, instant, line

NOTICED = "2027-01-04T10:00:00+09:00"
REFUNDED = "2026-11-12T10:00:00+09:00"
Made = list[tuple[str, str, int, str, str]]
"""Of each document: reason, number, won, date, and the date and number of what it modifies."""


def a_single(books: Books) -> None:
    """One payment of 176,000 won on the 21st of October."""


def a_merge(books: Books) -> None:
    """It stands on one document with another payment of 105,600 won."""
    books.paid_and_issued("A-2", lines=[line(kind="goods", quantity=60)])
    books.take(books.events.merge())


def nothing_before(books: Books) -> None:
    """Nobody has touched the document."""


def modified_before(books: Books) -> None:
    """40 units went back in November."""
    books.refund("A-1", "r-before", 40, at=REFUNDED)


def corrected_before(books: Books) -> None:
    """Its number was wrong, and was corrected to THIRD's."""
    books.correct(standing(books), order(THIRD))


def standing(books: Books) -> Document:
    """The document on which the payment stands now."""
    document = books.world.document_of(books.world.payments["A-1"])
    assert document is not None
    return document


def order(number: str | None = None, *, twice: bool = False) -> Order:
    return Order(number, twice, "noticed", "kim", instant(NOTICED))


def all_goes_back(books: Books) -> None:
    left = books.world.payments["A-1"].paid.minus(books.world.payments["A-1"].refunded)
    books.refund("A-1", "r-1", left.supply // 1_600, at="2026-12-03T10:00:00+09:00")


def a_part_goes_back(books: Books) -> None:
    books.refund("A-1", "r-1", 10, at="2026-12-03T10:00:00+09:00")


def the_number_is_corrected(books: Books) -> None:
    books.correct(standing(books), order(OTHER))


def it_is_a_duplicate(books: Books) -> None:
    books.correct(standing(books), order(twice=True))


def made_by(books: Books, doing: Callable[[Books], None]) -> Made:
    """What the doing makes, in the order in which it is told; all of it is told at once."""
    before = len(books.published)
    doing(books)
    keys = {
        each.document_key: f"{each.written_date} {each.business_number}"
        for each in books.world.documents.values()
    }
    told: list[dict[str, Any]] = [
        event.data for event in books.published[before:] if event.type == "invoice.modified.v1"
    ]
    return [
        (
            each["modification"],
            each["business_number"],
            each["total"],
            each["written_date"],
            keys[each["original_document_key"]],
        )
        for each in told
    ]


SINGLE, MERGED, LATER = "2026-10-21", "2026-10-31", "2026-12-03"
OF_SINGLE, OF_MERGED, OF_THIRD = f"{SINGLE} {GANADA}", f"{MERGED} {GANADA}", f"{SINGLE} {THIRD}"
TAKEN, CHANGED, CORRECTED, TWICE = "contract_cancelled", "supply_value_changed", "correction", "issued_twice"
CASES: list[tuple[Any, Any, Any, Made]] = [
    (a_single, nothing_before, all_goes_back, [(TAKEN, GANADA, -176_000, LATER, OF_SINGLE)]),
    (a_single, nothing_before, a_part_goes_back, [(CHANGED, GANADA, -17_600, LATER, OF_SINGLE)]),
    (
        a_single, nothing_before, the_number_is_corrected,
        [
            (CORRECTED, GANADA, -176_000, SINGLE, OF_SINGLE),
            (CORRECTED, OTHER, 176_000, SINGLE, OF_SINGLE),
        ],
    ),
    (a_single, nothing_before, it_is_a_duplicate, [(TWICE, GANADA, -176_000, SINGLE, OF_SINGLE)]),
    # The rest of a document of which a part went back before is not the whole of it.
    (a_single, modified_before, all_goes_back, [(CHANGED, GANADA, -105_600, LATER, OF_SINGLE)]),
    (
        a_single, modified_before, the_number_is_corrected,
        [
            (CORRECTED, GANADA, -176_000, SINGLE, OF_SINGLE),
            (CORRECTED, OTHER, 176_000, SINGLE, OF_SINGLE),
            (CORRECTED, GANADA, 70_400, "2026-11-12", f"2026-11-12 {GANADA}"),
            (CORRECTED, OTHER, -70_400, "2026-11-12", f"{SINGLE} {OTHER}"),
        ],
    ),
    (
        a_single, modified_before, it_is_a_duplicate,
        [
            (TWICE, GANADA, -176_000, SINGLE, OF_SINGLE),
            (TWICE, GANADA, 70_400, "2026-11-12", f"2026-11-12 {GANADA}"),
        ],
    ),
    (a_single, corrected_before, all_goes_back, [(TAKEN, THIRD, -176_000, LATER, OF_THIRD)]),
    (
        a_single, corrected_before, the_number_is_corrected,
        [
            (CORRECTED, THIRD, -176_000, SINGLE, OF_THIRD),
            (CORRECTED, OTHER, 176_000, SINGLE, OF_THIRD),
        ],
    ),
    (a_single, corrected_before, it_is_a_duplicate, [(TWICE, THIRD, -176_000, SINGLE, OF_THIRD)]),
    # One payment of a merge is a change of its value, even the whole of that payment.
    (a_merge, nothing_before, all_goes_back, [(CHANGED, GANADA, -176_000, LATER, OF_MERGED)]),
    (a_merge, nothing_before, a_part_goes_back, [(CHANGED, GANADA, -17_600, LATER, OF_MERGED)]),
    (
        a_merge, nothing_before, the_number_is_corrected,
        [
            (CORRECTED, GANADA, -281_600, MERGED, OF_MERGED),
            (CORRECTED, OTHER, 281_600, MERGED, OF_MERGED),
        ],
    ),
    (a_merge, nothing_before, it_is_a_duplicate, [(TWICE, GANADA, -281_600, MERGED, OF_MERGED)]),
    (a_merge, modified_before, all_goes_back, [(CHANGED, GANADA, -105_600, LATER, OF_MERGED)]),
    (
        a_merge, modified_before, the_number_is_corrected,
        [
            (CORRECTED, GANADA, -281_600, MERGED, OF_MERGED),
            (CORRECTED, OTHER, 281_600, MERGED, OF_MERGED),
            (CORRECTED, GANADA, 70_400, "2026-11-12", f"2026-11-12 {GANADA}"),
            (CORRECTED, OTHER, -70_400, "2026-11-12", f"{MERGED} {OTHER}"),
        ],
    ),
    (a_merge, corrected_before, all_goes_back, [(CHANGED, THIRD, -176_000, LATER, f"{MERGED} {THIRD}")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "before", "doing", "made"),
    CASES,
    ids=["-".join(each.__name__ for each in case[:3]) for case in CASES],
)
def test_what_a_reason_makes_of_a_document(document: Any, before: Any, doing: Any, made: Made) -> None:
    books = Books()
    books.paid_and_issued("A-1", lines=[line(kind="goods")])
    document(books)
    books.close()
    before(books)
    untouched = {each.invoice_id: each for each in books.documents("issued")}

    assert made_by(books, doing) == made

    assert {name: books.world.documents[name] for name in untouched} == untouched
    payments = books.world.payments.values()
    kept = sum(each.paid.total - each.refunded.total for each in payments)
    told = sum(each.amount.total for each in books.documents("issued"))
    assert told == (0 if doing is it_is_a_duplicate else kept), "documents come to what was kept"


def test_all_documents_of_a_pair_come_at_once_or_none() -> None:
    """A correction that cannot be made leaves neither of both."""
    books = Books()
    books.paid_and_issued("A-1", lines=[line(kind="goods")])
    books.close()
    before = dict(books.world.documents)
    with pytest.raises(Exception, match="already"):
        books.correct(standing(books), order(GANADA))
    assert books.world.documents == before
    assert len(books.correct(standing(books), order(OTHER))) == 2


def test_a_number_that_the_partner_tells_is_proposed_and_nothing_is_corrected_by_itself() -> None:
    for document in (a_single, a_merge):
        books = Books()
        books.paid_and_issued("A-1", lines=[line(kind="goods")])
        document(books)
        books.close()
        modified_before(books)
        before = {each.invoice_id: each for each in books.documents("issued")}

        books.take(books.events.partner(number=OTHER, at="2026-12-03T10:00:00+09:00"))

        (proposed,) = books.world.corrections.values()
        assert (proposed.state, proposed.business_number) == ("proposed", OTHER)
        assert {each.invoice_id: each for each in books.documents("issued")} == before
