"""Account numbers that cannot be are refused at the door, and only those."""

import pytest

from services.refunds.policies.accounts import BANKS, MOST, wrong_account
from shared.runtime.decisions import Applied, Reject
from tests.unit.refunds.desk import ACCOUNT, Desk

REAL = [
    ("002", "01312345678901"),
    ("003", "010-1234-5678"),
    ("004", "123456-78-901234"),
    ("004", "12345678901"),
    ("011", "301-1234-5678-91"),
    ("020", "1002-123-456789"),
    ("023", "123-45-678901"),
    ("031", "1234567"),
    ("045", "9002-1234-5678-9"),
    ("071", "123456-12-123456"),
    ("081", "123-456789-01234"),
    ("088", "110-123-456789"),
    ("088", "00000000000000"),
    ("089", "100-100-123456"),
    ("090", "3333-01-1234567"),
    ("092", "1000 1234 5678"),
]
WRONG = [
    ("004", "123456789", "has 10..14 digits"),
    ("088", "1101234567890123", "has 10..14 digits"),
    ("090", "3333-01", "has 10..14 digits"),
    ("031", "123456", "has 7..14 digits"),
    ("088", "110-123-45678O", "has digits only"),
    ("088", "１１０１２３４５６７８９", "has digits only"),
    ("020", "---", "has digits only"),
    (" 088 ", "95", "has 10..14 digits"),
]


@pytest.mark.parametrize(("bank_code", "number"), REAL)
def test_a_number_as_banks_give_them_may_be(bank_code: str, number: str) -> None:
    assert wrong_account(bank_code, number) is None


@pytest.mark.parametrize(("bank_code", "number", "why"), WRONG)
def test_a_number_that_cannot_be_is_named_by_its_rule_alone(bank_code: str, number: str, why: str) -> None:
    wrong = wrong_account(bank_code, number)

    assert wrong is not None
    assert wrong.endswith(why)
    assert number not in wrong


@pytest.mark.parametrize(("bank_code", "number"), [("999", "1"), ("KB", "12"), ("", "abc")])
def test_of_a_bank_that_is_not_listed_nothing_is_certain(bank_code: str, number: str) -> None:
    assert wrong_account(bank_code, number) is None


def test_codes_have_three_digits_and_every_shortest_number_is_shorter_than_the_longest() -> None:
    for code, bank in BANKS.items():
        assert len(code) == 3
        assert code.isdigit()
        assert 0 < bank.least <= MOST


def wrong() -> dict[str, str]:
    return {**ACCOUNT, "account_number": "1234"}


def test_a_request_with_such_an_account_is_a_wrong_document() -> None:
    desk = Desk()
    desk.paid()

    refused = desk.asked(40, destination=wrong())

    assert isinstance(refused, Reject)
    assert (refused.code, refused.pointer) == ("out_of_range", "/destination/account_number")
    assert "1234" not in refused.detail
    assert desk.refunds == []


def test_of_a_card_payment_no_account_is_looked_at() -> None:
    desk = Desk()
    desk.paid(payment_method="card", evidence="card_slip")

    assert isinstance(desk.asked(40, destination=wrong()), Applied)


def test_a_request_that_had_waited_with_such_an_account_ends_and_says_why() -> None:
    desk = Desk()
    desk.registered()
    asked = {
        "refund_request_id": "rr-77",
        "requested_by": "P-17",
        "role": "partner",
        "reason": "financial_burden",
        "message": "잘못 주문했습니다",
        "destination": wrong(),
    }
    event = desk.event("refund.requested.v1", asked)
    desk.paid()
    refused = desk.handle(event)
    assert isinstance(refused, Reject)

    desk.refuse_late(event, refused)

    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "wrong_account")
