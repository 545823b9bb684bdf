"""What the simulated payment gateway says: by its seed, in every way that a gateway can, in fair shares."""

from collections import Counter
from datetime import datetime, timedelta

import orjson
import pytest

from ops.gateway.answers import (
    LATE,
    REASONS,
    SHARES,
    SOON,
    TIMEOUT,
    Answer,
    Behaviour,
    PayoutRequest,
    answers_to,
    behaviour_of,
)
from shared.events.checkout import RefundPaidOut, RefundPayoutFailed
from shared.kst import KST

AT = datetime(2026, 10, 21, 14, 3, tzinfo=KST)
MODELS = {"refund.paid_out.v1": RefundPaidOut, "refund.payout_failed.v1": RefundPayoutFailed}


def asked(key: str, attempt: int = 1, later: timedelta = timedelta(0)) -> PayoutRequest:
    return PayoutRequest("A-1", key.partition("/")[0], key, 55_000, AT, AT + later, attempt)


def key_of(behaviour: Behaviour, seed: int = 1) -> str:
    return next(key for number in range(10_000) if behaviour_of(seed, key := f"r{number}") == behaviour)


def words(answers: list[Answer] | tuple[Answer, ...]) -> list[str]:
    return [answer.data.get("reason", "paid") for answer in answers]


def test_the_same_seed_says_the_same_and_another_one_something_else() -> None:
    keys = [f"r{number}" for number in range(200)]

    said = {seed: [answers_to(seed, asked(key)) for key in keys] for seed in (1, 2)}

    assert said[1] == [answers_to(1, asked(key)) for key in keys]
    assert said[1] != said[2]


def test_every_behaviour_has_its_share() -> None:
    payouts = 20_000
    counts = Counter(behaviour_of(7, f"r{number}") for number in range(payouts))

    assert sum(SHARES.values()) == 100
    for behaviour, share in SHARES.items():
        expected = payouts * share / 100
        assert abs(counts[behaviour] - expected) < 5 * expected**0.5, behaviour


@pytest.mark.parametrize("behaviour", SHARES)
def test_answers_are_documents_of_their_type_in_the_order_of_their_time(behaviour: Behaviour) -> None:
    answers = answers_to(1, asked(key_of(behaviour)))

    for answer in answers:
        said = MODELS[answer.type].model_validate_json(orjson.dumps(answer.data))
        assert (said.order_id, answer.order_id) == ("A-1", "A-1")
        assert answer.time == AT + answer.delay
        if isinstance(said, RefundPaidOut):
            assert said.amount == 55_000
            assert said.paid_out_at is not None
            assert AT < said.paid_out_at <= answer.time
    assert [answer.time for answer in answers] == sorted(answer.time for answer in answers)


def test_most_payouts_are_answered_soon_and_some_late() -> None:
    (soon,), (late,) = answers_to(1, asked(key_of("paid"))), answers_to(1, asked(key_of("slow")))

    assert SOON[0] <= soon.delay.total_seconds() <= SOON[1]
    assert LATE[0] <= late.delay.total_seconds() <= LATE[1]


def test_a_time_out_after_success_names_a_payout_that_had_been_made_before() -> None:
    lost, found = answers_to(1, asked(key_of("timed_out")))

    assert (lost.data["reason"], lost.delay.total_seconds()) == ("timeout", TIMEOUT)
    assert datetime.fromisoformat(found.data["paid_out_at"]) < lost.time < found.time
    assert found.data["payout_id"] == lost.data["payout_id"]


def test_a_duplicate_comes_word_for_word_and_under_another_event_id() -> None:
    first, repeat, other = answers_to(1, asked(key_of("duplicated")))

    assert repeat == first
    assert other.id != first.id
    assert other.data == first.data


def test_a_contradiction_is_a_failure_of_a_payout_that_was_made() -> None:
    wrong, right = answers_to(1, asked(key_of("contradicted")))

    assert words([wrong, right]) == ["unavailable", "paid"]
    assert wrong.data["payout_id"] == right.data["payout_id"]


def test_a_bounce_gives_a_sure_reason_after_the_payout() -> None:
    paid, back = answers_to(1, asked(key_of("bounced")))

    assert paid.data["payout_id"] == back.data["payout_id"]
    assert back.data["reason"] in REASONS


def test_money_that_leaves_twice_has_two_payout_ids() -> None:
    first, second = answers_to(1, asked(key_of("paid_twice")))

    assert first.data["payout_id"] != second.data["payout_id"]


@pytest.mark.parametrize("behaviour", [each for each in SHARES if each != "failed"])
def test_asked_again_under_the_same_key_it_names_the_payout_that_was_made(behaviour: Behaviour) -> None:
    key = key_of(behaviour)
    made = next(answer for answer in answers_to(1, asked(key)) if answer.type == "refund.paid_out.v1")

    (again,) = answers_to(1, asked(key, attempt=2, later=timedelta(days=1)))

    assert again.data == made.data
    assert again.id != made.id


def test_a_payout_that_failed_is_made_when_it_is_asked_for_again() -> None:
    key = key_of("failed")
    (failed,) = answers_to(1, asked(key))

    (paid,) = answers_to(1, asked(key, attempt=2, later=timedelta(days=1)))

    assert failed.data["reason"] in REASONS
    assert datetime.fromisoformat(paid.data["paid_out_at"]) > AT + timedelta(days=1)
