"""Since when a line can be used, several lines of one refund, and what the history of a refund keeps."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.refunds.policies.rules import Answer, Question
from shared.kst import KST
from shared.runtime.decisions import Applied, Outcome, Reject, Wait
from tests.unit.refunds.desk import ACCOUNT, PAID_AT, Desk, line, minutes, units
from tests.unit.refunds.rules import planted

LATER = PAID_AT + timedelta(days=1)

PROOF = {"reference": "s3://proofs/1.pdf", "kind": "passport"}


def tell(desk: Desk, name: str, line_id: str = "1", at: datetime | None = None) -> Outcome:
    return {"activated": desk.activated, "delivered": desk.delivered}[name](line_id, at)


def recorded(desk: Desk, name: str) -> datetime | None:
    instant: datetime | None = getattr(desk.order.lines["1"], f"{name}_at")
    return instant


BOTH = pytest.mark.parametrize("name", ["activated", "delivered"])


@BOTH
def test_an_instant_of_a_line_is_kept_and_answered(name: str) -> None:
    desk = Desk()
    desk.paid(line("1", kind="metered"), line("2", kind="goods"))
    assert recorded(desk, name) is None

    assert tell(desk, name, at=LATER) == Applied(())

    assert recorded(desk, name) == LATER
    assert getattr(desk.order.lines["2"], f"{name}_at") is None


@BOTH
def test_without_an_instant_that_of_the_payment_counts(name: str) -> None:
    desk = Desk()
    desk.paid()

    tell(desk, name)

    assert recorded(desk, name) == PAID_AT


@BOTH
def test_the_earliest_instant_counts_in_whatever_order_they_are_told(name: str) -> None:
    for instants in permutations([LATER, LATER + minutes(1), LATER - minutes(1)]):
        desk = Desk()
        desk.paid()
        for at in instants:
            tell(desk, name, at=at)
        assert recorded(desk, name) == LATER - minutes(1)


@BOTH
def test_an_instant_waits_for_its_order_to_be_paid(name: str) -> None:
    desk = Desk()
    assert isinstance(tell(desk, name), Wait)

    desk.registered()
    assert isinstance(tell(desk, name), Wait)

    desk.paid()
    assert tell(desk, name) == Applied(())


@BOTH
def test_an_instant_before_the_payment_is_refused_where_it_stands(name: str) -> None:
    desk = Desk()
    desk.paid()

    answer = tell(desk, name, at=PAID_AT - timedelta(microseconds=1))

    assert isinstance(answer, Reject)
    assert (answer.code, answer.pointer) == ("out_of_range", f"/{name}_at")
    assert tell(desk, name, at=PAID_AT) == Applied(())


@BOTH
def test_a_line_that_the_order_does_not_have_is_a_fault(name: str) -> None:
    desk = Desk()
    desk.paid()

    answer = tell(desk, name, "9")

    assert isinstance(answer, Reject)
    assert (answer.code, answer.pointer) == ("inconsistent", "/line_id")


@BOTH
def test_an_instant_of_an_order_that_was_never_paid_changes_nothing(name: str) -> None:
    desk = Desk()
    desk.registered()
    desk.expired()

    assert tell(desk, name, at=LATER) == Applied(())
    assert recorded(desk, name) is None


def test_a_rule_is_asked_with_both_instants_of_its_line() -> None:
    asked: list[Question] = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer(0, reason="used")

    desk = Desk()
    desk.paid(line("1", kind="goods"))
    desk.activated(at=LATER)
    desk.delivered(at=LATER + minutes(1))
    with planted("goods", ask):
        desk.asked(1)

    (question,) = asked
    assert (question.line.activated_at, question.line.delivered_at) == (LATER, LATER + minutes(1))


# The snapshot of the payment is the order


def test_an_order_is_what_was_paid_whatever_was_registered() -> None:
    desk = Desk()
    desk.registered(line("1"), line("2"), payment_method="virtual_account", vat_mode="inclusive")

    partner = {"partner_id": "P-18", "business_number": "1348672683", "name": "나래 상사"}
    desk.paid(
        line("9", 5, 2_400),
        payment_method="card",
        partner={**partner, "invoice_email": "tax@narae.example"},
    )

    order = desk.order
    assert [(li.line_id, li.unit_price, li.paid) for li in order.lines.values()] == [("9", 2_400, 5)]
    assert (order.payment_method, order.vat_mode) == ("card", "exclusive")
    assert (order.partner_id, order.partner_name) == ("P-18", "나래 상사")
    assert order.paid.total == 13_200


# Several lines of one refund


def test_every_line_of_a_refund_is_claimed_and_then_refunded() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", 10), line("3", 7))
    desk.asked(lines=[units("1", 40), units("2", 3), units("3", 7)])

    desk.granted()
    assert [(li.refunding, li.refunded) for li in desk.order.lines.values()] == [(40, 0), (3, 0), (7, 0)]

    desk.paid_out()
    assert [(li.refunding, li.refunded) for li in desk.order.lines.values()] == [(0, 40), (0, 3), (0, 7)]
    assert desk.last.data["lines"] == [units("1", 40), units("2", 3), units("3", 7)]


def test_every_line_of_a_released_refund_is_open_and_unlocked_again() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", 10))
    desk.issuance_granted(60, "1")
    desk.issuance_granted(7, "2")
    desk.asked(lines=[units("1", 40), units("2", 3)])
    desk.granted()
    assert [li.locked for li in desk.order.lines.values()] == [True, True]

    desk.payout_failed()
    desk.reviewed("release")

    assert [(li.open, li.locked) for li in desk.order.lines.values()] == [(40, False), (3, False)]
    assert desk.order.remaining == desk.order.paid


def test_every_line_counts_what_a_payment_taken_back_took_with_it() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", 10))
    desk.issuance_granted(60, "1")
    desk.asked(lines=[units("2", 3)])
    desk.granted()

    desk.cancelled()

    assert [li.taken_back for li in desk.order.lines.values()] == [40, 7]
    desk.payout_failed()
    desk.reviewed("release")
    assert [li.taken_back for li in desk.order.lines.values()] == [40, 10]


# What the history keeps


def test_every_step_keeps_its_time_its_actor_and_what_was_noted() -> None:
    desk = Desk()
    desk.paid()
    times = [datetime(2026, 10, day, 9, 0, tzinfo=KST) for day in range(22, 30)]
    steps = iter(times)

    def at_next() -> Desk:
        desk.now = next(steps)
        return desk

    at_next().asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    at_next().proof_attached()
    at_next().reviewed("approve", note="예금주 확인")
    at_next().granted()
    at_next().payout_failed(payout_id="po-1")
    at_next().reviewed("retry", actor="operator:lee", note="계좌 확인")
    at_next().paid_out("po-2")
    at_next().payout_failed(payout_id="po-2")

    kept = [(step.position, step.state, step.at, step.actor, step.note) for step in desk.refund.changes]
    assert kept == [
        (1, "requested", times[0], "P-17", None),
        (2, "held", times[0], "refunds", None),
        (3, "in_review", times[1], "P-17", "s3://proofs/rr-77/bankbook.pdf"),
        (4, "accepted", times[2], "operator:kim", "예금주 확인"),
        (5, "granted", times[3], "orders", None),
        (6, "paying_out", times[3], "refunds", None),
        (7, "failed", times[4], "checkout", "po-1"),
        (8, "paying_out", times[5], "operator:lee", "계좌 확인"),
        (9, "completed", times[6], "checkout", "po-2"),
        (10, "bounced", times[7], "checkout", "po-2"),
    ]


def test_a_rejection_and_a_release_keep_who_decided_and_what_was_noted() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.now += minutes(1)
    desk.reviewed("reject", note="증빙이 없음")
    rejected = desk.refund.changes[-1]
    assert (rejected.at, rejected.actor, rejected.note) == (desk.now, "operator:kim", "증빙이 없음")

    desk.asked(40, "rr-78")
    desk.granted()
    desk.payout_failed()
    desk.now += minutes(1)
    desk.reviewed("release", note="requester_withdrew")
    released = desk.refund.changes[-1]
    assert (released.at, released.actor, released.note) == (desk.now, "operator:kim", "requester_withdrew")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"proof": PROOF, "actor": "operator:lee"}, ("operator:lee", "passport", "s3://proofs/1.pdf")),
        ({"proof": PROOF, "note": "a copy"}, ("P-17", "passport", "s3://proofs/1.pdf")),
        ({"note": "shown at the counter"}, ("P-17", "proof", "shown at the counter")),
    ],
)
def test_a_proof_is_kept_with_who_handed_it_in_and_what_it_is(
    said: dict[str, Any], kept: tuple[str, ...]
) -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached(**said)
    attached = desk.refund.changes[-1]
    assert (attached.actor, attached.reason, attached.note) == kept


def test_an_approval_that_comes_too_late_keeps_who_gave_it() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()
    desk.issuance_granted(100)
    desk.reviewed("approve", note="예금주 확인")
    rejected = desk.refund.changes[-1]
    assert (rejected.state, rejected.reason) == ("rejected", "issued")
    assert (rejected.actor, rejected.note) == ("operator:kim", "예금주 확인")


def test_what_ends_with_its_payment_was_ended_by_orders() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.now += minutes(1)
    desk.cancelled()
    ended = desk.refund.changes[-1]
    assert (ended.state, ended.at, ended.actor, ended.reason) == (
        "rejected",
        desk.now,
        "orders",
        "order_cancelled",
    )
