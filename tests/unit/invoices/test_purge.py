"""A partner that left years ago is named no more; its documents, and every won on them, stay."""

from typing import Any

import pytest
from msgspec.structs import replace

from services.invoices.commands import PARTNER_PURGED, PartnerBody, correct_partner
from services.invoices.state import Partner
from shared.runtime.commands import Command, Refused
from shared.runtime.decisions import Context
from tests.unit.invoices.books import GANADA, OTHER, PARTNER, Books, instant, line

PAID = "2026-10-10T10:00:00+09:00"
TOLD = "2026-10-20T09:00:00+09:00"
PURGED = "2032-01-05T09:00:00+09:00"
LATER = "2032-01-06T09:00:00+09:00"
NOBODY = Partner(PARTNER, "", "", "", False, instant(PURGED), instant(PURGED), instant(PURGED))


def told_and_issued() -> Books:
    """A partner that has told who it is, with an issued tax invoice."""
    books = Books()
    books.take(books.events.partner(at=TOLD))
    books.paid_and_issued("A-1", at=PAID, lines=[line(kind="goods")])
    books.close()
    return books


def test_name_address_and_told_numbers_go_and_the_document_stays_as_it_was_issued() -> None:
    books = told_and_issued()
    documents, payments = dict(books.world.documents), dict(books.world.payments)

    books.take(books.events.purged(at=PURGED))

    assert books.world.partners == {PARTNER: NOBODY}
    assert {number.business_number for number in books.world.numbers.values()} == {""}
    assert (books.world.documents, books.world.payments) == (documents, payments)
    assert [document.business_number for document in documents.values()] == [GANADA]


def test_the_same_purge_again_changes_nothing() -> None:
    books = told_and_issued()
    books.take(books.events.purged(at=PURGED))
    before = dict(books.world.partners)

    books.take(books.events.purged(at=LATER))

    assert books.world.partners == before


def test_what_is_told_of_a_purged_partner_is_not_kept_whether_it_was_known_or_not() -> None:
    for books in (told_and_issued(), Books()):
        books.take(books.events.purged(at=PURGED))

        books.take(books.events.partner(number=OTHER, at=LATER))

        assert books.world.partners == {PARTNER: NOBODY}
        assert all(not number.business_number for number in books.world.numbers.values())


@pytest.mark.parametrize(
    ("told", "is_kept"),
    [
        ({}, True),
        ({"evidence": "cash_receipt"}, False),
        ({"method": "card"}, False),
        ({"unit_price": 0}, False),
    ],
)
def test_who_paid_is_kept_of_a_purged_partner_only_where_a_document_will_say_it(
    told: dict[str, Any], is_kept: bool
) -> None:
    """As when topics are read anew, and the purge is heard of before the payment."""
    books = Books()
    books.take(books.events.purged(at=PURGED))
    sold = line(kind="goods", unit_price=told.get("unit_price", 1_600))
    how = {name: value for name, value in told.items() if name != "unit_price"}

    books.take(books.events.paid("A-1", lines=[sold], **how))

    (snapshot,) = books.world.snapshots
    assert (snapshot.buyer is not None) is is_kept
    assert snapshot.lines[0].product_name == "스터디 이용권 30일"


def test_a_refund_that_is_heard_of_after_the_purge_modifies_the_document_under_its_number() -> None:
    books = told_and_issued()
    books.take(books.events.purged(at=PURGED))

    books.refund("A-1", "R-1", 40, at=LATER)

    assert books.last("invoice.modified").data["business_number"] == GANADA


def test_nothing_of_a_purged_partner_is_corrected() -> None:
    books = told_and_issued()
    event = books.events.purged(at=PURGED)
    books.take(event)
    said = PartnerBody(reason="told by phone", name="가나다 주식회사", apply=True)
    command = Command(**{name: getattr(event, name) for name in event.__struct_fields__} | {"data": said})

    refused = correct_partner(books.world, replace(command, actor="kim"), Context(books.new_id))

    assert isinstance(refused, Refused)
    assert refused.problem.kind == PARTNER_PURGED
    assert books.world.partners == {PARTNER: NOBODY}
