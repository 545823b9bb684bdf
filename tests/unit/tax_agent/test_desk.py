"""The simulated tax agent: by its seed, in every way that an agent can, in fair shares."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from ops.tax_agent.behaviour import (
    SHARES,
    Behaviour,
    approval_number,
    behaviour_of,
    fault_of,
    state_of_business,
)
from ops.tax_agent.desk import Desk
from shared.kst import KST

AT = datetime(2026, 11, 6, 9, tzinfo=KST)
LATER = AT + timedelta(minutes=2)


def key_of(behaviour: Behaviour, seed: int = 1) -> str:
    return next(
        key for n in range(10_000) if behaviour_of(seed, key := f"2026101168200276{n:06d}") == behaviour
    )


def sent(key: str, total: int = 176_000, **more: Any) -> dict[str, Any]:
    won = {"supply": total - 16_000, "vat": 16_000, "total": total}
    plain = {"written_date": "2026-10-31", "modification": None, "original_approval_number": None}
    half = {"business_number": "1168200276", "name": "가나다", "representative": "이바다"}
    return {"key": key, **won, **plain, "supplier": half, "buyer": half, **more}


def submit(desk: Desk, *documents: dict[str, Any], at: datetime = AT) -> Any:
    body = desk.answer("/documents", {"documents": list(documents)}, at).body
    assert body is not None
    return body["documents"]


def status(desk: Desk, key: str, at: datetime = LATER) -> Any:
    body = desk.answer("/documents/status", {"keys": [key]}, at).body
    assert body is not None
    return body["documents"]


@pytest.fixture
def desk() -> Desk:
    """A desk without faulty calls; its documents go as the seed says."""
    desk = Desk(1)
    desk._fault = lambda: desk.faults.pop(0) if desk.faults else None  # type: ignore[method-assign]
    return desk


def test_every_behaviour_has_its_share_and_the_seed_decides() -> None:
    keys = [f"k{number}" for number in range(20_000)]
    counts = Counter(behaviour_of(7, key) for key in keys)

    assert sum(SHARES.values()) == 100
    for behaviour, share in SHARES.items():
        expected = len(keys) * share / 100
        assert abs(counts[behaviour] - expected) < 5 * expected**0.5, behaviour
    assert [behaviour_of(8, key) for key in keys[:99]] != [behaviour_of(7, key) for key in keys[:99]]
    assert {fault_of(1, number) for number in range(500)} == {
        None,
        "silent",
        "rate_limited",
        "down",
        "garbage",
    }
    assert {state_of_business(1, str(n)) for n in range(2_000)} == {"active", "suspended", "closed"}


def test_most_are_issued_and_then_transmitted_under_one_number(desk: Desk) -> None:
    key = key_of("issued")

    assert submit(desk, sent(key)) == [{"key": key, "answer": "taken"}]
    assert status(desk, key, AT)[0]["standing"] == "working"
    between, after = status(desk, key, AT + timedelta(seconds=5))[0], status(desk, key)[0]
    assert (between["standing"], after["standing"]) == ("issued", "transmitted")
    assert between["approval_number"] == after["approval_number"] == approval_number(1, desk.held[key])
    assert after["approval_number"].startswith("20261031")


def test_a_document_that_is_left_out_was_taken_or_not(desk: Desk) -> None:
    lost, dropped = key_of("lost"), key_of("dropped")

    assert submit(desk, sent(lost), sent(dropped)) == []

    assert [each["key"] for each in status(desk, lost)] == [lost]
    assert status(desk, dropped) == []
    assert submit(desk, sent(dropped)) == [{"key": dropped, "answer": "taken"}]


def test_a_key_has_one_document_unless_that_was_refused(desk: Desk) -> None:
    fine, wrong = key_of("issued"), key_of("refused")
    submit(desk, sent(fine), sent(wrong))

    (again,) = submit(desk, sent(fine))
    assert again == {"key": fine, "answer": "refused", "reason": "duplicate_key"}
    assert status(desk, wrong)[0]["standing"] == "refused"
    assert submit(desk, sent(wrong), at=LATER) == [{"key": wrong, "answer": "taken"}]


def test_a_modified_document_names_the_approval_of_its_original(desk: Desk) -> None:
    (refused,) = submit(desk, sent("k1", modification="supply_value_changed"))
    assert refused["reason"] == "original_unknown"


@pytest.mark.parametrize("name", ["business_number", "name", "representative"])
@pytest.mark.parametrize("half", ["supplier", "buyer"])
def test_a_document_that_lacks_what_the_law_wants_of_both_is_incomplete(
    desk: Desk, half: str, name: str
) -> None:
    key, whole = key_of("issued"), sent(key_of("issued"))
    (refused,) = submit(desk, {**whole, half: {**whole[half], name: ""}})
    assert refused == {"key": key, "answer": "refused", "reason": "incomplete"}
    assert submit(desk, whole) == [{"key": key, "answer": "taken"}]


def test_a_document_is_cancelled_before_its_transmission(desk: Desk) -> None:
    key = key_of("issued")

    def cancel(at: datetime) -> Any:
        body = desk.answer("/documents/cancel", {"key": key}, at).body
        assert body is not None
        return body["answer"]

    assert cancel(AT) == "unknown"
    submit(desk, sent(key))
    assert cancel(LATER) == "too_late"
    assert cancel(AT) == "cancelled"
    assert status(desk, key) == []


def test_a_call_without_an_answer_was_carried_out_and_one_too_many_was_not(desk: Desk) -> None:
    key, other = key_of("issued"), key_of("slow")
    desk.faults = ["silent", "rate_limited"]

    assert desk.answer("/documents", {"documents": [sent(key)]}, AT).body is None
    assert desk.answer("/documents", {"documents": [sent(other)]}, AT).status == 429

    assert list(desk.held) == [key]


@pytest.mark.parametrize(
    ("path", "said", "code"),
    [
        ("/elsewhere", {}, 404),
        ("/documents", {}, 400),
        ("/documents", {"documents": [{}] * 101}, 400),
        ("/documents/status", ["k1"], 400),
    ],
)
def test_what_is_not_of_the_contract_is_refused(desk: Desk, path: str, said: Any, code: int) -> None:
    assert desk.answer(path, said, AT).status == code


def test_what_was_taken_is_kept_for_the_next_desk(desk: Desk) -> None:
    kept: list[Any] = []
    first = Desk(1, is_faultless=True, keep=kept.append)
    submit(first, sent("k1"))

    assert status(Desk(1, is_faultless=True, held=kept), "k1") == status(first, "k1")
