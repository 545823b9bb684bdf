"""Any won is traced to payment, line, units and refund; the sum is the document, or says what is missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.invoices.decisions.corrections import Order
from services.invoices.decisions.explaining import (
    Explanation,
    PaymentExplanation,
    explain_document,
    explain_payment,
)
from services.invoices.explained import told_document, told_payment
from services.invoices.state import Document
from shared.money import NOTHING, Money, refund_money
from tests.unit.invoices.books import OTHER, PAID_AT, Books, instant, line
from tests.unit.invoices.tracing import sources_of, sources_of_payment

REFUNDED_AT = "2026-11-12T10:00:00+09:00"
CORRECTED = instant("2026-12-20T10:00:00+09:00")
GOODS = line(kind="goods")


def explained(books: Books, document: Document) -> Explanation:
    return explain_document(sources_of(books.world, document))


def payment_explained(books: Books, order_id: str) -> PaymentExplanation:
    return explain_payment(sources_of_payment(books.world, books.world.payments[order_id]))


def won_of_parts(explanation: Explanation) -> list[tuple[str, str | None, int | None, int]]:
    return [
        (part.what, None if part.line is None else part.line.line_id, part.units, part.amount.total)
        for contribution in explanation.contributions
        for part in contribution.parts
    ]


def only(documents: Sequence[Document]) -> Document:
    (document,) = documents
    return document


def test_a_document_is_its_lines_less_what_went_back_before_the_issue() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS, line("2", "goods", 500, 3)])
    books.refund("A-1", "r-1", 40)
    books.close()

    found = explained(books, only(books.documents("issued")))

    assert won_of_parts(found) == [
        ("sold", "1", 100, 176_000),
        ("sold", "2", 3, 1_650),
        ("refunded", "1", 40, -70_400),
    ]
    assert (found.explained, found.missing) == (found.document.amount, [])


def test_a_refund_after_the_issue_is_on_a_document_of_its_own() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS])
    books.close()
    books.refund("A-1", "r-1", 40, at=REFUNDED_AT)

    original = only([d for d in books.documents("issued") if d.kind == "payment"])
    modified = only([d for d in books.documents("issued") if d.kind == "modified"])

    assert won_of_parts(explained(books, original)) == [("sold", "1", 100, 176_000)]
    assert won_of_parts(explained(books, modified)) == [("refunded", "1", 40, -70_400)]
    told = told_document(explained(books, original), explained(books, original).contributions, None, None)
    assert [each["relation"] for each in told["related"]] == ["modified_by"]
    found = payment_explained(books, "A-1")
    assert (found.amount.total, found.explained.total, found.missing) == (105_600, 105_600, [])
    assert [each.amount.total for each in found.stands if each.amount is not None] == [176_000, -70_400]


def test_each_document_of_a_correction_is_explained_and_so_is_what_was_corrected() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS])
    books.paid("A-2", lines=[GOODS])
    books.take(books.events.merge())
    books.close()
    books.refund("A-1", "r-1", 40, at=REFUNDED_AT)
    merged = only([d for d in books.documents("issued") if d.kind == "merged"])
    books.correct(merged, Order(OTHER, False, "wrong", "kim", CORRECTED))

    totals = {}
    for document in books.documents("issued"):
        found = explained(books, document)
        assert (found.explained, found.missing) == (document.amount, []), document
        totals[document.kind, document.modification, document.refund_id] = found.explained.total

    assert totals["merged", None, None] == 352_000
    assert totals["modified", "correction", None] == -352_000
    assert totals["merged", "correction", None] == 352_000
    found = payment_explained(books, "A-1")
    assert found.missing == []
    assert sorted(each.amount.total for each in found.stands if each.amount is not None) == [
        -176_000,
        -70_400,
        -70_400,
        70_400,
        176_000,
        176_000,
    ]


def test_a_draft_whose_payment_is_in_a_merge_stands_for_nothing_and_says_where_it_is() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS])
    books.paid("A-2", lines=[GOODS])
    books.take(books.events.merge())

    own = books.documents("in_merge")[0]
    told = told_document(explained(books, own), [], None, None)

    assert (told["total"], told["is_whole"], told["count"]) == (0, True, 0)
    (merged,) = told["related"]
    assert (merged["relation"], merged["kind"], merged["total"]) == ("stands_on", "merged", 352_000)


def test_a_refund_of_a_duplicate_is_missing_and_it_says_why() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS])
    books.close()
    document = only(books.documents("issued"))
    books.correct(document, Order(None, True, "twice", "kim", CORRECTED))
    assert explained(books, document).missing == []
    books.refund("A-1", "r-1", 40, at=REFUNDED_AT)

    found, payment = explained(books, document), payment_explained(books, "A-1")

    (missing,) = found.missing
    assert (missing.cause, missing.amount.total, missing.names) == ("after_taken_back", 70_400, ("r-1",))
    assert found.explained.plus(missing.amount) == document.amount
    assert [(each.cause, each.amount.total) for each in payment.missing] == [("on_another_document", 105_600)]


def test_won_that_nothing_accounts_for_are_named() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS])
    books.refund("A-1", "r-1", 40)
    books.close()
    told = sources_of(books.world, only(books.documents("issued")))

    (missing,) = explain_document(told._replace(refunds=())).missing
    lost = explain_document(told._replace(payments=()))

    assert (missing.cause, missing.amount) == ("not_explained", Money(-64_000, -6_400))
    assert [(each.cause, each.amount) for each in lost.missing] == [("not_explained", told.document.amount)]


def test_the_refund_of_a_modified_document_that_was_not_kept_is_missing() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS])
    books.close()
    books.refund("A-1", "r-1", 40, at=REFUNDED_AT)
    modified = only([d for d in books.documents("issued") if d.kind == "modified"])

    found = explain_document(sources_of(books.world, modified)._replace(refunds=()))

    assert [(e.cause, e.amount, e.names) for e in found.missing] == [
        ("refund_not_kept", modified.amount, ("r-1",))
    ]


def test_lines_that_do_not_come_to_what_was_paid_are_missing_won() -> None:
    books = Books()
    payment = books.paid("A-1")
    told = sources_of(books.world, only(books.documents("draft")))
    more = replace(payment, paid=payment.paid.plus(Money(10, 1)))
    document = replace(told.document, amount=more.paid)

    found = explain_document(told._replace(payments=(more,), document=document))

    assert [(e.cause, e.amount, e.names) for e in found.missing] == [
        ("lines_differ", Money(10, 1), ("pay-A-1",))
    ]


def test_a_partner_sees_its_own_payments_and_what_the_others_come_to() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS])
    books.paid("B-1", lines=[GOODS], partner="P-18")
    books.merge_business()
    books.close()
    document = only(books.documents("issued"))

    found = explain_document(sources_of(books.world, document), lambda partner_id: partner_id == "P-18")

    assert [contribution.payment.order_id for contribution in found.contributions] == ["B-1"]
    assert found.others == (1, Money(160_000, 16_000))
    assert found.explained == document.amount


def test_a_receipt_stands_for_what_is_left() -> None:
    books = Books()
    books.paid("A-1", lines=[GOODS], evidence="cash_receipt")
    books.refund("A-1", "r-1", 40)

    told = told_payment(payment_explained(books, "A-1"))

    assert (told["total"], told["is_whole"]) == (105_600, True)
    assert [(each["invoice_id"], each["total"]) for each in told["stands"]] == [(None, 105_600)]


def test_what_is_told_has_a_sentence_in_both_languages() -> None:
    books = Books()
    books.paid("A-1", lines=[line(kind="goods", discount=10_000)])
    books.refund("A-1", "r-1", 40)
    document = only(books.documents("draft"))
    found = explained(books, document)

    told = told_document(found, found.contributions, None, None)

    assert told["says"]["en"] == f"Document {told['invoice_id']}: ₩94,600, all explained by 1 payment."
    sold, back = told["payments"][0]["parts"]
    assert sold["says"]["en"] == "100 of 스터디 이용권 30일 at ₩1,600 less ₩10,000: ₩165,000"
    assert back["says"]["ko"] == "환불 r-1, 스터디 이용권 30일 40개: -₩70,400"
    for says in _sentences(told):
        assert says["ko"]
        assert says["en"]


def _sentences(told: Any) -> list[Mapping[str, str]]:
    """Every sentence in a document of JSON."""
    if isinstance(told, list):
        return [says for each in told for says in _sentences(each)]
    if not isinstance(told, dict):
        return []
    own = [told["says"]] if "says" in told else []
    return own + [says for each in told.values() for says in _sentences(each)]


@given(
    prices=st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 500)), min_size=1, max_size=6),
    vat_mode=st.sampled_from(["exclusive", "inclusive"]),
    kept=st.integers(0, 6),
)
def test_what_is_missing_is_to_the_won_what_was_lost(
    prices: list[tuple[int, int]], vat_mode: str, kept: int
) -> None:
    """Lines may be forgotten without losing a won; a payment that is lost is what is missing."""
    books = Books()
    for number, (price, quantity) in enumerate(prices):
        sold = [line(kind="goods", unit_price=price, quantity=quantity)]
        books.paid(f"A-{number}", lines=sold, vat_mode=vat_mode)
    books.take(books.events.merge())
    for document in books.documents("draft", "void"):
        told = sources_of(books.world, document)
        lost = NOTHING
        for payment in told.payments[kept:]:
            lost = lost.plus(payment.standing)

        found = explain_document(told._replace(payments=told.payments[:kept], snapshots={}))

        assert explain_document(told).missing == []
        assert [each.amount for each in found.missing] == ([] if lost == NOTHING else [lost])


REFUNDS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20)), max_size=4)


@given(
    sold=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 90_000)), min_size=2, max_size=4),
    vat_mode=st.sampled_from(["exclusive", "inclusive"]),
    before=REFUNDS,
    merges=st.booleans(),
    after=REFUNDS,
    corrected=st.sampled_from([None, "number", "twice"]),
    later=REFUNDS,
)
def test_every_document_of_a_random_month_is_explained_to_the_won(
    sold: list[tuple[int, int]],
    vat_mode: str,
    before: list[tuple[int, int]],
    merges: bool,
    after: list[tuple[int, int]],
    corrected: str | None,
    later: list[tuple[int, int]],
) -> None:
    """Payments with discounts are refunded, merged, issued, refunded, corrected and refunded again."""
    books = Books()
    for number, (price, discount) in enumerate(sold):
        goods = line(kind="goods", unit_price=price, quantity=100, discount=min(discount, price * 100))
        books.paid(f"A-{number}", lines=[goods, line("2", "metered", 10, 10)], vat_mode=vat_mode)
    give_back(books, before, vat_mode, "before")
    if merges:
        books.take(books.events.merge())
    books.close()
    give_back(books, after, vat_mode, "after", at=REFUNDED_AT)
    if corrected is not None:
        for document in [d for d in books.documents("issued") if d.kind != "modified"]:
            right = OTHER if corrected == "number" else None
            books.correct(document, Order(right, corrected == "twice", "wrong", "kim", CORRECTED))
    give_back(books, later, vat_mode, "later", at="2026-12-22T10:00:00+09:00")

    for document in books.world.documents.values():
        found = explained(books, document)
        causes = [each.cause for each in found.missing]
        assert found.amount == (NOTHING if document.state == "in_merge" else document.amount)
        assert causes == [] or (causes == ["after_taken_back"] and corrected == "twice" and bool(later))
        assert causes != [] or found.explained == found.amount
    for order_id, payment in books.world.payments.items():
        told = payment_explained(books, order_id)
        assert told.explained == payment.paid.minus(payment.refunded)
        assert {each.cause for each in told.missing} <= {"on_another_document"}
        assert told.missing == [] or corrected == "twice"


def give_back(
    books: Books, refunds: list[tuple[int, int]], vat_mode: str, name: str, *, at: str = PAID_AT
) -> None:
    """So many units of the first line of these payments go back, as far as there are won left."""
    for number, (place, units) in enumerate(refunds):
        payment = books.world.payments.get(f"A-{place}")
        if payment is None:
            continue
        left = payment.paid.minus(payment.refunded)
        whole = left.supply if vat_mode == "exclusive" else left.total
        if back := whole * units // 100:
            money = refund_money(vat_mode, left, back)
            order_id, refund_id = payment.order_id, f"{name}-{number}"
            books.take(books.events.completed(order_id, refund_id, units, money.supply, money.vat, at=at))
