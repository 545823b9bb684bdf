"""The first two pages: bought, paid, delivered, asked back, decided; when, by whom, and why."""

from dataclasses import replace
from typing import Any

from ops.watch.evidence.collecting import document_of
from ops.watch.evidence.summary import SHOWN
from shared.evidence.entries import Entry
from tests.support import disputed


def answers(document: dict[str, Any], question: int, language: str = "en") -> list[str]:
    """What is answered to a question."""
    asked = document["entries"][0]["details"]["questions"][question]
    return [each[language] for each in asked["answers"]]


def made_of(told: list[tuple[str, Entry]]) -> dict[str, Any]:
    return document_of(disputed.ORDER, told, disputed.TAKEN_AT, at_once=True)


def test_the_summary_answers_what_a_mediator_asks() -> None:
    document = disputed.bundle()

    assert answers(document, 0)[0] == "The buyer is 가나다 주식회사 (P-17)."
    assert answers(document, 1)[0] == "₩176,000 were paid on 2026-10-21 14:03 (pay-9001)."
    assert answers(document, 2)[:2] == [
        "60 of 60 serials of 스터디 이용권 30일 issued, 23 registered.",
        "Serials were handed out on 2026-10-22 14:13.",
    ]
    assert answers(document, 3) == [
        "Asked on 2026-11-10 14:03. Refund request rr-77 (dissatisfied): ₩70,400, completed.",
        "2026-11-11 14:03: Payout po-550 failed (account closed).",
        "2026-11-13 14:03: Payout po-551 of ₩70,400: paid.",
    ]
    assert answers(document, 4, "ko")[2] == (
        "2026-11-10 19:03 finance-kim: 환불 승인, 사유: 통장 사본의 예금주가 같은 회사입니다."
    )
    assert answers(document, 4)[1] == (
        "2026-11-10 18:03 ops-park rejected a refund (refused: cannot_decide); no reason is recorded."
    )
    assert answers(document, 5) == ["Nothing is recorded."]


def test_each_answer_names_the_entries_that_it_stands_on() -> None:
    document = disputed.bundle()
    by_number = {entry["number"]: entry for entry in document["entries"]}

    for question in document["entries"][0]["details"]["questions"]:
        for answer in question["answers"]:
            for number in answer["entries"]:
                assert number in by_number
    paid = document["entries"][0]["details"]["questions"][1]["answers"][0]
    assert by_number[paid["entries"][0]]["kind"] == "payment"


def test_paid_and_never_delivered_is_said() -> None:
    told = [
        each for each in disputed.entries() if each[1].kind not in ("hand_out", "registration", "revocation")
    ]

    assert answers(made_of(told), 2) == [
        "60 of 60 serials of 스터디 이용권 30일 issued, 23 registered.",
        "No hand-out of serials is recorded: nobody has taken any out.",
    ]
    nothing = [each for each in told if each[1].kind != "issuance"]
    assert answers(made_of(nothing), 2) == ["Nothing is recorded."]
    assert answers(made_of(nothing), 2, "ko") == ["기록이 없습니다."]


def test_a_look_up_is_no_delivery() -> None:
    told = [
        each
        for each in disputed.entries()
        if each[1].kind != "hand_out" or each[1].details["form"] == "search"
    ]

    assert "No hand-out of serials is recorded: nobody has taken any out." in answers(made_of(told), 2)


def test_a_refund_that_waits_is_named_with_its_day() -> None:
    def held(entry: Entry) -> Entry:
        details = {**entry.details, "state": "held", "why": "holder_mismatch", "expected_on": None}
        return replace(entry, details=details) if entry.kind == "refund" else entry

    told = [(service, held(entry)) for service, entry in disputed.entries()]

    assert answers(made_of(told), 5) == ["Refund rr-77 is held (due 2026-11-13)."]


def test_many_answers_are_counted_and_stand_in_the_entries() -> None:
    told = disputed.entries()
    decision = next(each for each in told if each[1].kind == "decision")

    last = answers(made_of([*told, *[decision] * 20]), 4)[-1]
    assert last == f"{23 - SHOWN} more stand in the entries."


def test_it_says_what_is_not_in_it() -> None:
    assert "add them for mediation" in answers(disputed.bundle(), 6)[0]


def test_what_stands_comes_first_and_then_what_happened_in_the_order_of_its_record() -> None:
    entries = disputed.bundle()["entries"]
    recorded = [entry["recorded_at"] for entry in entries]
    happened = [at for at in recorded if at is not None]

    assert entries[0]["kind"] == "summary"
    assert recorded.index(happened[0]) == len(recorded) - len(happened)
    assert happened == sorted(happened)
