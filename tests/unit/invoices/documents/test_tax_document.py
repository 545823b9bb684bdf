"""What invoices knows becomes a document to be shown."""

from collections.abc import Iterable
from uuid import UUID

import pytest
from msgspec.structs import replace

from services.invoices.decisions.corrections import Order
from services.invoices.decisions.lines import PrintedLine, lines_of_payment, lines_of_refund, sum_of
from services.invoices.documents.tax_document import (
    NOT_KEPT,
    CannotShow,
    Original,
    Party,
    TaxDocument,
    buyer_of,
    corrected,
    cut,
    plain,
    tax_document,
    way_to_tell,
)
from services.invoices.state import BusinessRegistration, Correction, Document, Partner, RightBuyer, Snapshot
from shared.money import Money
from tests.unit.invoices.books import GANADA, OTHER, PAID_AT, Books, instant, line
from tests.unit.invoices.documents.samples import SUPPLIER, printed
from tests.unit.invoices.test_golden_cases import expected, given


def sold(books: Books) -> list[Snapshot]:
    return list(books.world.snapshots)


def shown(books: Books, document: Document, lines: Iterable[PrintedLine], **more: Original) -> TaxDocument:
    return tax_document(document, lines, SUPPLIER, buyer_of(document, sold(books), None), **more)


def lines_of(books: Books) -> list[PrintedLine]:
    found: list[PrintedLine] = []
    for snapshot in sold(books):
        found += lines_of_payment(books.world.payments[snapshot.order_id].paid, snapshot, [])
    return found


def test_a_merge_of_one_product_is_one_line_under_its_buyer() -> None:
    books = Books()
    for number in range(3):
        books.paid_and_issued(f"A-{number}")
    books.take(books.events.merge())
    books.close()
    (document,) = books.documents("issued")

    value = shown(books, document, lines_of(books))

    assert [(each.quantity, each.amount) for each in value.lines] == [(300, Money(480_000, 48_000))]
    assert sum_of(value.lines) == value.amount == document.amount
    assert value.buyer == Party(GANADA, "가나다 주식회사", email="tax@ganada.example")
    assert (str(value.written_date), value.remarks) == ("2026-10-31", ())
    assert len(value.agent_key) == expected("K1")["length"]


def test_more_lines_than_fit_are_folded_and_come_to_the_document() -> None:
    count = given("M2")["distinct_lines"]
    lines = [printed(f"상품 {number}", given("M2")["each_supply"], 1) for number in range(count)]
    books = Books()
    books.paid("A-1", lines=[line("1", "goods", 1_000, count)])
    books.close()
    (document,) = books.documents("issued")

    value = shown(books, document, lines)

    assert len(value.lines) == expected("M2")["lines"]
    assert value.lines[-1].name == expected("M2")["last_line"]["name"]
    assert sum_of(value.lines) == document.amount


def test_lines_that_do_not_come_to_the_document_are_one_line_over_it() -> None:
    books = Books()
    books.paid("A-1")
    books.close()
    (document,) = books.documents("issued")
    value = shown(books, document, [printed("이용권", 1_600, 99)])
    assert [(each.name, each.amount) for each in value.lines] == [(NOT_KEPT, document.amount)]


def test_a_modified_document_says_when_its_original_was_written() -> None:
    books = Books()
    books.paid("A-1", at="2026-10-31T09:00:00+09:00")
    books.close()
    books.refund("A-1", "r-1", 100, at=given("D1")["refund"]["completed_at"])
    (original,) = (each for each in books.documents("issued") if each.kind == "payment")
    (back,) = (each for each in books.documents("issued") if each.kind == "modified")
    assert original.document_key is not None
    assert original.written_date is not None
    lines = lines_of_refund(sold(books)[0], books.world.refunds["r-1"])

    value = shown(books, back, lines, original=Original(original.document_key, original.written_date))

    assert value.remarks == ("당초 작성일자 2026-10-31",)
    assert (value.amount, value.modification) == (Money(-160_000, -16_000), expected("D1")["modification"])
    assert [(each.quantity, each.unit_price) for each in value.lines] == [(-100, 1_600)]
    with pytest.raises(CannotShow, match="original"):
        shown(books, back, lines)


def test_what_is_not_issued_is_not_shown() -> None:
    books = Books()
    books.paid("A-1")
    (draft,) = books.documents("draft")
    with pytest.raises(CannotShow, match="not issued"):
        shown(books, draft, lines_of(books))


def test_the_buyer_is_the_one_of_the_latest_payment_that_told_one() -> None:
    books = Books()
    books.paid("A-1")
    books.close()
    (document,) = books.documents("issued")
    (told,) = sold(books)
    assert told.buyer is not None
    later = replace(told, buyer=told.buyer._replace(representative="이도윤", branch_number="0001"))
    silent = replace(told, buyer=None)
    buyer = buyer_of(document, [told, later, silent], None)
    assert (buyer.representative, buyer.branch_number) == ("이도윤", "0001")


def test_a_corrected_document_names_the_business_that_the_partner_tells() -> None:
    books = Books()
    books.paid("A-1")
    books.close()
    (document,) = books.documents("issued")
    books.correct(document, Order(OTHER, False, "wrong", "kim", instant("2026-12-03T10:00:00+09:00")))
    (right,) = (each for each in books.documents("issued") if each.business_number == OTHER)
    at = instant(PAID_AT)
    partner = Partner("P-17", OTHER, "다라마 주식회사", "tax@darama.example", True, at, at)

    assert buyer_of(right, sold(books), partner).name == "다라마 주식회사"
    # Of the business that the payment named nothing is taken over but who paid.
    assert buyer_of(right, sold(books), None) == Party(OTHER, "가나다 주식회사", email="tax@ganada.example")
    assert buyer_of(right, [], None) == Party(OTHER, "")


def test_what_a_partner_tells_of_its_business_fills_what_its_payments_did_not_tell() -> None:
    books = Books()
    books.paid("A-1")
    books.close()
    (document,) = books.documents("issued")
    (told,) = sold(books)
    books.take(books.events.partner(representative="이바다", address="서울", at="2026-11-20T10:00:00+09:00"))
    books.take(books.events.partner(at="2026-11-21T10:00:00+09:00"))
    books.take(books.events.partner(representative="옛사람", at="2026-11-01T10:00:00+09:00"))
    registered = books.world.registrations["P-17", GANADA]

    buyer = buyer_of(document, [told], None, registered)
    assert (buyer.representative, buyer.address, buyer.email) == ("이바다", "서울", "tax@ganada.example")
    assert told.buyer is not None
    named = replace(told, buyer=told.buyer._replace(representative="이도윤"))
    assert buyer_of(document, [named], None, registered).representative == "이도윤"
    assert buyer_of(document, [told], None).missing == ("representative",)


def test_a_business_of_the_same_name_under_its_right_number_has_the_same_representative() -> None:
    books = Books()
    books.paid("A-1")
    books.close()
    (document,) = books.documents("issued")
    (told,) = sold(books)
    assert told.buyer is not None
    named = [replace(told, buyer=told.buyer._replace(representative="이도윤"))]
    right = replace(document, business_number=OTHER)
    at = instant(PAID_AT)

    def partner(name: str) -> Partner:
        return Partner("P-17", OTHER, name, "tax@ganada.example", True, at, at)

    assert buyer_of(right, named, None).representative == "이도윤"
    assert buyer_of(right, named, partner("가나다 주식회사")).representative == "이도윤"
    assert buyer_of(right, named, partner("다라마 주식회사")).representative == ""
    other = BusinessRegistration("P-17", OTHER, at, representative="박하루")
    assert buyer_of(right, named, partner("가나다 주식회사"), other).representative == "박하루"


def test_the_command_that_tells_what_is_missing_names_the_number() -> None:
    assert way_to_tell("P-17", Party(OTHER, "다라마")) == (
        f"pawl partner correct P-17 --representative NAME --of {OTHER} --reason WHY --yes"
    )
    assert way_to_tell("P-17", Party(OTHER, "", "이바다")).startswith("pawl partner correct P-17 --name NAME")


def test_a_corrected_document_says_what_its_corrections_say_the_latest_first() -> None:
    """Both names were wrong; the address, and what was said of another business, stay aside."""
    party, other = Party(OTHER, "다라마", representative="홍길동", address="서울"), "1234567891"
    made = [
        Correction(UUID(int=place), "P-17", "2026-10", said, "corrected", instant(PAID_AT), buyer=buyer)
        for place, (said, buyer) in enumerate(
            (
                (OTHER, RightBuyer(name="다라마 주식회사")),
                (OTHER, RightBuyer(name="다라 주식회사", representative="이도윤")),
                (other, RightBuyer(address="부산")),
                (OTHER, None),
            )
        )
    ]
    assert corrected(party, made) == Party(OTHER, "다라마 주식회사", representative="이도윤", address="서울")
    assert corrected(party, []) == party


def test_texts_are_one_line_of_characters() -> None:
    assert plain(" 가\x00나\u200b다\n라\ufeff ") == "가 나 다 라"
    assert (cut("가나다", 3), cut("가나다라", 3)) == ("가나다", "가나…")
