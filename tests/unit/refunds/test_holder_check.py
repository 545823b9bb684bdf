"""The bank is asked whose an account is: what a refund does meanwhile, and with each answer (golden H2)."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import structlog

from services.refunds.decisions.reviews import BANK_UNAVAILABLE, HolderAnswer, record_holder_answer
from services.refunds.holder_check import HttpHolderCheck
from services.refunds.settings import RefundsSettings
from services.refunds.state import BankAccount, Policy
from shared.settings import WrongSetting, read_settings
from tests.support.bank import Bank, Fault, open_bank
from tests.support.keys import KEY_SETTINGS
from tests.unit.refunds.desk import ACCOUNT, Desk, line, minutes, units
from tests.unit.refunds.test_golden_cases import CASES

H2 = CASES["H2"]
GIVEN = H2["given"]
HELD = BankAccount(GIVEN["bank_code"], GIVEN["account_number"], "가나다 주식회사")


@pytest.fixture
def desk() -> Desk:
    """A desk whose bank is asked, with a paid order."""
    desk = Desk()
    desk.world.policy = Policy(asks_bank=True)
    desk.paid()
    return desk


def bank_says(desk: Desk, answer: HolderAnswer) -> None:
    """The answer, decided about the refund as the agent does it."""
    desk.now += minutes(1)
    answered = record_holder_answer(desk.order, desk.refund, answer, desk.now)
    desk.world.put(answered.state)
    desk.published.extend(answered.events)


def test_the_answers_are_those_of_the_contract() -> None:
    assert list(get_args(HolderAnswer)) == H2["expect"]["answers"]


def test_a_refund_to_an_account_waits_for_the_bank_and_says_so(desk: Desk) -> None:
    desk.asked(40)

    assert desk.refund.state == "held"
    assert desk.last.type == "refund.held.v1"
    assert {name: desk.last.data[name] for name in ("reason", "next", "since", "deadline")} == {
        "reason": "holder_check",
        "next": "bank_answer",
        "since": "2026-10-22T11:00:00+09:00",
        "deadline": "2026-10-27T23:59:59.999999+09:00",
    }


def test_a_match_lets_it_go_on(desk: Desk) -> None:
    desk.asked(40)

    bank_says(desk, "match")

    assert (desk.last.type, desk.refund.state, desk.refund.deadline) == (
        "refund.accepted.v1",
        "accepted",
        None,
    )
    assert desk.story()[-1] == ("accepted", "bank", "holder_confirmed")


def test_a_mismatch_needs_a_proof_and_then_an_operator_and_no_bank(desk: Desk) -> None:
    desk.asked(40)

    bank_says(desk, "mismatch")

    assert (desk.refund.state, desk.refund.why) == ("held", "holder_mismatch")
    assert (desk.last.data["next"], desk.last.data["proof"]) == ("attach_proof", "bankbook_copy")
    desk.proof_attached()
    desk.reviewed("approve")
    assert desk.refund.state == "accepted"


def test_an_account_that_there_is_not_ends_the_request_and_says_what_to_do(desk: Desk) -> None:
    desk.asked(40)

    bank_says(desk, "no_such_account")

    assert desk.last.type == "refund.rejected.v1"
    assert (desk.last.data["reason"], desk.last.data["next"]) == (
        "no_such_account",
        "ask_with_another_account",
    )
    desk.asked(40, request_id="rr-78")
    assert desk.refund.state == "held"


def test_a_bank_that_says_nothing_leaves_it_held_and_it_goes_on_when_the_answer_comes(desk: Desk) -> None:
    desk.asked(40)
    said = len(desk.published)

    bank_says(desk, "unavailable")
    bank_says(desk, "unavailable")

    assert H2["expect"]["unavailable"] == "held, never accepted"
    assert (desk.refund.state, desk.refund.why) == ("held", "holder_check")
    assert desk.story()[-1] == ("held", "bank", BANK_UNAVAILABLE)
    assert len(desk.published) == said
    bank_says(desk, "match")
    assert desk.refund.state == "accepted"


@pytest.mark.parametrize("answer", H2["expect"]["answers"])
def test_an_answer_after_somebody_decided_changes_nothing(desk: Desk, answer: HolderAnswer) -> None:
    desk.asked(40)
    desk.reviewed("reject", note="requester_withdrew")
    before = desk.refund

    bank_says(desk, answer)

    assert desk.refund is before


def test_an_operator_can_go_on_with_a_proof_where_the_bank_never_answers(desk: Desk) -> None:
    desk.asked(40)

    desk.proof_attached()
    desk.reviewed("approve")

    assert desk.refund.state == "accepted"


def test_units_that_are_issued_meanwhile_are_refused_when_the_bank_answers(desk: Desk) -> None:
    desk.asked(40)
    desk.issuance_granted(100)

    bank_says(desk, "match")

    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "issued")


def test_goods_are_awaited_after_the_bank(desk: Desk) -> None:
    goods = Desk()
    goods.world.policy = Policy(asks_bank=True)
    goods.paid(line("1", 2, 10_000, kind="goods"))
    goods.asked(1)
    assert goods.refund.why == "holder_check"

    bank_says(goods, "match")

    assert (goods.refund.why, goods.last.data["next"]) == ("return_awaited", "confirm_return")


def test_another_name_is_held_at_once_and_the_bank_is_not_asked(desk: Desk) -> None:
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})

    assert desk.refund.why == "holder_mismatch"


@pytest.mark.parametrize(
    ("paid", "asked"),
    [
        ({"payment_method": "card", "evidence": "card_slip"}, {}),
        ({"payment_method": "mycash"}, {"destination": {"method": "mycash"}}),
    ],
)
def test_what_goes_to_no_account_waits_for_no_bank(paid: dict[str, Any], asked: dict[str, Any]) -> None:
    desk = Desk()
    desk.world.policy = Policy(asks_bank=True)
    desk.paid(**paid)

    desk.asked(40, **asked)

    assert desk.refund.state == "accepted"


def test_free_units_wait_for_no_bank() -> None:
    desk = Desk()
    desk.world.policy = Policy(asks_bank=True)
    desk.paid(line("1"), line("2", 10, 0))

    desk.asked(lines=[units("2", 4)], destination={"method": "none"})

    assert desk.refund.state == "accepted"


# The adapter


@pytest.fixture
def bank() -> Iterator[Bank]:
    """A bank that knows the account of the golden case."""
    with open_bank() as bank:
        bank.accounts[GIVEN["bank_code"], GIVEN["account_number"]] = GIVEN["business_number"]
        yield bank


async def test_the_adapter_asks_by_account_and_business_number(bank: Bank) -> None:
    check = HttpHolderCheck(bank.url, "secret", 5)

    assert await check.ask(HELD, GIVEN["business_number"]) == "match"
    assert await check.ask(HELD, "1348672683") == "mismatch"
    assert await check.ask(HELD._replace(account_number="110000000000"), "1348672683") == "no_such_account"

    assert bank.asked[0] == GIVEN
    assert bank.tokens == ["Bearer secret"] * 3


async def test_without_a_token_none_is_sent(bank: Bank) -> None:
    assert await HttpHolderCheck(bank.url, "", 5).ask(HELD, GIVEN["business_number"]) == "match"
    assert bank.tokens == [None]


@pytest.mark.parametrize("fault", get_args(Fault))
async def test_what_is_no_answer_is_unavailable_and_no_account_is_logged(bank: Bank, fault: Fault) -> None:
    bank.faults.append(fault)
    check = HttpHolderCheck(bank.url, "", 0.3 if fault == "silent" else 5)

    with structlog.testing.capture_logs() as logs:
        assert await check.ask(HELD, GIVEN["business_number"]) == "unavailable"

    assert len(bank.asked) == 1
    assert len(logs) == 1
    assert GIVEN["account_number"] not in str(logs)


async def test_a_bank_that_is_not_there_is_unavailable() -> None:
    with open_bank() as gone:
        url = gone.url
    assert await HttpHolderCheck(url, "", 1).ask(HELD, GIVEN["business_number"]) == "unavailable"


# The setting


def settings_with(monkeypatch: pytest.MonkeyPatch, **more: str) -> RefundsSettings:
    given = {
        "kafka_bootstrap_servers": "127.0.0.1:9092",
        "database_url": "postgresql://pawl_refunds@127.0.0.1/pawl",
        **KEY_SETTINGS,
        **more,
    }
    for name, value in given.items():
        monkeypatch.setenv(name.upper(), value)
    return read_settings(RefundsSettings)


def test_no_bank_is_asked_unless_somebody_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_with(monkeypatch).policy() == Policy()
    asking = settings_with(monkeypatch, refunds_holder_check_url="https://bank.example/holders")
    assert asking.policy().asks_bank


@pytest.mark.parametrize("url", ["http://bank.example/holders", "bank.example", "ftp://bank.example"])
def test_accounts_go_over_https_only(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(WrongSetting, match="REFUNDS_HOLDER_CHECK_URL"):
        settings_with(monkeypatch, refunds_holder_check_url=url)
