"""Under which business number a payment is invoiced, and what becomes of documents under a wrong one."""

import pytest

from services.invoices.decisions.corrections import CannotCorrect, Order
from services.invoices.state import Correction, Document, RightBuyer
from tests.unit.invoices.books import GANADA, OTHER, PARTNER, THIRD, WRONG, Books, instant, line

JUNE = "2026-10-10T10:00:00+09:00"
TOLD = "2026-10-20T09:00:00+09:00"
AFTER = "2026-11-20T09:00:00+09:00"


def order(number: str | None = None, *, twice: bool = False) -> Order:
    return Order(number, twice, "another company", "operator:kim", instant("2026-12-03T10:00:00+09:00"))


def issued_books(*orders: str) -> Books:
    books = Books()
    for order_id in orders:
        books.paid_and_issued(order_id, at=JUNE, lines=[line(kind="goods")])
    if len(orders) > 1:
        books.take(books.events.merge())
    books.close()
    return books


def original(books: Books) -> Document:
    return next(document for document in books.documents("issued") if document.modification is None)


def proposals(books: Books) -> list[Correction]:
    return [each for each in books.world.corrections.values() if each.state == "proposed"]


def numbers_issued(books: Books) -> list[str]:
    return [e.data["business_number"] for e in books.published if e.type == "invoice.issued.v1"]


# Drafts


def test_a_draft_takes_the_number_that_its_partner_tells() -> None:
    books = Books()
    books.paid_and_issued("A-1", at=JUNE)
    books.take(books.events.partner(number=OTHER, at=TOLD))
    drafted = books.last("invoice.drafted")
    assert (drafted.data["business_number"], drafted.sequence) == (OTHER, 2)
    books.close()
    assert numbers_issued(books) == [OTHER]
    assert proposals(books) == []


def test_the_order_of_the_payment_and_the_change_makes_no_difference() -> None:
    books = Books()
    books.take(books.events.partner(number=OTHER, at=TOLD))
    books.paid_and_issued("A-1", at=JUNE)
    books.close()
    assert numbers_issued(books) == [OTHER]


def test_a_late_payment_takes_the_number_too() -> None:
    books = Books()
    books.take(books.events.partner(number=OTHER, at=TOLD))
    books.close()
    books.paid_and_issued("A-1", at=JUNE)
    assert numbers_issued(books) == [OTHER]


def test_a_number_that_the_partner_had_told_before_the_payment_stays() -> None:
    """The business has moved on; what it bought before it bought under its old number."""
    books = Books()
    books.take(books.events.partner(number=GANADA, at="2026-10-01T00:00:00+09:00"))
    for order_id, number, at in (("A-1", GANADA, JUNE), ("A-2", GANADA, JUNE), ("A-3", OTHER, TOLD)):
        books.paid_and_issued(order_id, number=number, at=at)
    books.take(books.events.partner(number=OTHER, at="2026-10-18T00:00:00+09:00"))
    books.close()
    assert sorted(numbers_issued(books)) == [GANADA, OTHER]
    books.take(books.events.partner(number=THIRD, at=AFTER))
    assert proposals(books) == []


def test_a_number_that_the_partner_tells_again_after_the_payment_stays() -> None:
    books = Books()
    books.paid_and_issued("A-1", at=JUNE)
    books.take(books.events.partner(number=GANADA, at=TOLD), books.events.partner(number=OTHER, at=AFTER))
    books.close(at="2026-11-21T00:00:00+09:00")
    assert numbers_issued(books) == [GANADA]


def test_an_overtaken_change_still_says_what_the_number_was() -> None:
    books = Books()
    books.take(books.events.partner(number=OTHER, at=TOLD))
    books.take(books.events.partner(number=GANADA, at="2026-10-01T00:00:00+09:00"))
    books.paid_and_issued("A-1", at=JUNE)
    books.close()
    assert numbers_issued(books) == [GANADA]


def test_a_merged_draft_moves_as_a_whole_with_the_wish_that_made_it() -> None:
    books = Books()
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id, at=JUNE)
    books.take(books.events.merge(), books.events.partner(number=OTHER, at=TOLD, always_merge=False))
    assert books.last("invoice.merged").data["business_number"] == OTHER
    books.paid_and_issued("A-3", at="2026-10-25T10:00:00+09:00", number=OTHER)
    (merged, issued) = books.close()
    assert merged.data["payment_ids"] == issued.data["payment_ids"] == ["pay-A-1", "pay-A-2", "pay-A-3"]
    assert numbers_issued(books) == [OTHER]


def test_a_merge_of_which_only_some_payments_move_is_taken_apart() -> None:
    books = Books()
    books.paid_and_issued("A-1", at="2026-10-05T10:00:00+09:00")
    books.paid_and_issued("A-2", at="2026-10-25T10:00:00+09:00")
    books.take(books.events.merge(), books.events.partner(number=OTHER, at=TOLD, always_merge=False))
    assert "invoice.unmerged" in books.types()
    books.close()
    assert sorted(numbers_issued(books)) == [GANADA, OTHER]


# Issued documents


def test_a_correction_is_proposed_for_an_issued_document_and_changes_nothing() -> None:
    books = issued_books("A-1")
    before = original(books)
    books.take(books.events.partner(number=OTHER, at=AFTER), books.events.partner(number=OTHER, at=AFTER))
    (proposal,) = proposals(books)
    assert (proposal.invoice_id, proposal.business_number) == (before.invoice_id, OTHER)
    assert original(books) == before
    assert "invoice.modified" not in books.types()


def test_a_proposal_is_withdrawn_when_the_number_was_right_after_all() -> None:
    books = issued_books("A-1")
    books.take(books.events.partner(number=OTHER, at=AFTER))
    books.take(books.events.partner(number=GANADA, at="2026-10-01T09:00:00+09:00"))
    assert proposals(books) == []


def test_a_wrong_check_digit_proposes_nothing() -> None:
    books = issued_books("A-1")
    books.take(books.events.partner(number=WRONG, at=AFTER))
    assert proposals(books) == []


def test_a_correction_takes_the_document_back_and_says_it_again() -> None:
    books = issued_books("A-1")
    wrong = original(books)
    books.take(books.events.partner(number=OTHER, at=AFTER))
    back, again = (event.data for event in books.correct(wrong, order()))
    assert (back["business_number"], back["total"]) == (GANADA, -176_000)
    assert (again["business_number"], again["total"]) == (OTHER, 176_000)
    for each in (back, again):
        assert each["modification"] == "correction"
        assert each["original_document_key"] == wrong.document_key
        assert (each["written_date"], each["payment_id"]) == ("2026-10-10", "pay-A-1")
        assert each["reason"] == "another company"
    assert original(books) == wrong
    (decided,) = books.world.corrections.values()
    assert (decided.state, decided.reason, decided.actor) == ("corrected", "another company", "operator:kim")


def test_a_refund_after_a_correction_modifies_the_right_document() -> None:
    books = issued_books("A-1")
    _, again = books.correct(original(books), order(OTHER))
    books.refund("A-1", "r-1", 100, at="2026-12-04T10:00:00+09:00")
    modified = books.last("invoice.modified").data
    assert modified["original_document_key"] == again.data["document_key"]
    assert (modified["business_number"], modified["modification"]) == (OTHER, "contract_cancelled")


def test_what_has_modified_a_document_is_corrected_with_it() -> None:
    """Every document under the wrong number is taken back on its own day, and said again on that day."""
    books = issued_books("A-1")
    books.refund("A-1", "r-1", 40, at="2026-11-12T10:00:00+09:00")
    events = [event.data for event in books.correct(original(books), order(OTHER))]
    assert [(e["business_number"], e["total"], e["written_date"]) for e in events] == [
        (GANADA, -176_000, "2026-10-10"),
        (OTHER, 176_000, "2026-10-10"),
        (GANADA, 70_400, "2026-11-12"),
        (OTHER, -70_400, "2026-11-12"),
    ]
    assert [e["document_key"] for e in events] == [
        f"2026-10-{GANADA}-000003",
        f"2026-10-{OTHER}-000001",
        f"2026-11-{GANADA}-000004",
        f"2026-11-{OTHER}-000002",
    ]
    assert events[3]["original_document_key"] == events[1]["document_key"]
    for number, won in ((GANADA, 0), (OTHER, 105_600)):
        documents = [d for d in books.documents("issued") if d.business_number == number]
        assert sum(d.amount.total for d in documents) == won


def test_a_corrected_document_can_be_corrected_again() -> None:
    books = issued_books("A-1", "A-2")
    books.refund("A-1", "r-1", 40, at="2026-11-12T10:00:00+09:00")
    books.correct(original(books), order(OTHER))
    (second,) = (d for d in books.documents("issued") if d.kind == "merged" and d.modification)
    books.correct(second, order(THIRD))
    for number, won in ((GANADA, 0), (OTHER, 0), (THIRD, 281_600)):
        documents = [d for d in books.documents("issued") if d.business_number == number]
        assert sum(d.amount.total for d in documents) == won


def test_a_duplicate_is_only_taken_back() -> None:
    books = issued_books("A-1")
    (back,) = books.correct(original(books), order(twice=True))
    assert (back.data["modification"], back.data["total"]) == ("issued_twice", -176_000)
    books.refund("A-1", "r-1", 40, at="2026-12-04T10:00:00+09:00")
    assert books.types()[-1] == "invoice.modified"  # the one from above: nothing is left to be modified
    assert sum(d.amount.total for d in books.documents("issued")) == 0


def test_a_duplicate_is_taken_back_with_what_has_modified_it() -> None:
    books = issued_books("A-1")
    books.refund("A-1", "r-1", 40, at="2026-11-12T10:00:00+09:00")
    books.correct(original(books), order(twice=True))
    assert sum(d.amount.total for d in books.documents("issued")) == 0
    assert books.world.payments["A-1"].standing == (96_000, 9_600)


def test_what_cannot_be_corrected_says_why_and_changes_nothing() -> None:
    books = issued_books("A-1")
    document = original(books)
    for wrong, why in ((order(), "proposed"), (order(WRONG), "no valid"), (order(GANADA), "already")):
        with pytest.raises(CannotCorrect, match=why):
            books.correct(document, wrong)
    books.correct(document, order(OTHER))
    with pytest.raises(CannotCorrect, match="before"):
        books.correct(document, order(THIRD))
    modified = next(d for d in books.documents("issued") if d.kind == "modified")
    with pytest.raises(CannotCorrect, match="original"):
        books.correct(modified, order(THIRD))


def test_a_draft_cannot_be_corrected() -> None:
    books = Books()
    books.paid("A-1")
    (draft,) = books.documents("draft")
    with pytest.raises(CannotCorrect, match="issued"):
        books.correct(draft, order(OTHER))
    assert draft.partner_id == PARTNER


# Other data of the buyer

RENAMED = RightBuyer(name="가나다라 주식회사", representative="이도윤")


def test_a_wrong_name_is_corrected_by_a_pair_under_the_same_number_dated_as_the_original() -> None:
    books = issued_books("A-1")
    books.refund("A-1", "r-1", 40, at=AFTER)
    wrong = original(books)
    told = books.correct(wrong, order()._replace(buyer=RENAMED))
    dated = [
        (e.data["modification"], e.data["business_number"], e.data["total"], e.data["written_date"])
        for e in told
    ]
    assert dated == [
        ("correction", GANADA, -176_000, "2026-10-10"),
        ("correction", GANADA, 176_000, "2026-10-10"),
        ("correction", GANADA, 70_400, "2026-11-20"),
        ("correction", GANADA, -70_400, "2026-11-20"),
    ]
    kept = books.world.corrections[wrong.invoice_id]
    assert (kept.state, kept.business_number, kept.buyer) == ("corrected", GANADA, RENAMED)
    stands = books.world.document_of(books.world.payments["A-1"])
    assert stands is not None
    assert (stands.kind, stands.original_id) == (wrong.kind, wrong.invoice_id)


def test_a_wrong_name_takes_the_proposed_number_too() -> None:
    books = issued_books("A-1")
    books.take(books.events.partner(number=OTHER, at=AFTER))
    told = books.correct(original(books), order()._replace(buyer=RENAMED))
    assert [event.data["business_number"] for event in told] == [GANADA, OTHER]


def test_a_duplicate_says_nothing_of_its_buyer() -> None:
    books = issued_books("A-1")
    with pytest.raises(CannotCorrect, match="only taken back"):
        books.correct(original(books), order(twice=True)._replace(buyer=RENAMED))


def test_what_mends_a_modified_document_is_said() -> None:
    """There is one for each refund: whatever doubles it was made elsewhere; its data are its original's."""
    books = issued_books("A-1")
    books.refund("A-1", "r-1", 40, at=AFTER)
    modified = next(d for d in books.documents("issued") if d.kind == "modified")
    with pytest.raises(CannotCorrect, match="where it was issued"):
        books.correct(modified, order(twice=True))
    with pytest.raises(CannotCorrect, match="amend that one"):
        books.correct(modified, order(OTHER))
