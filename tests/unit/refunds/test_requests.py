"""Asking for money back: what is accepted, refused, held, and what waits (domain.md section 4)."""

from datetime import datetime
from uuid import UUID

import pytest
from msgspec import structs

from services.refunds.decisions.judging import Refusal, is_eaten, why_nothing
from services.refunds.policies.reasons import REASONS
from services.refunds.policies.rules import Answer
from shared.kst import KST, wire_time
from shared.runtime.decisions import Applied, Reject, Wait
from tests.unit.refunds.desk import ACCOUNT, ORDER, Desk, line, minutes, units


def test_a_partner_asks_for_forty_of_a_hundred_units() -> None:
    desk = Desk()
    desk.paid()

    desk.asked(40)

    assert desk.types() == ["refund.accepted"]
    assert desk.last.data == {
        "order_id": ORDER,
        "refund_id": str(desk.refund.refund_id),
        "refund_request_id": "rr-77",
        "lines": [units("1", 40)],
    }
    assert desk.refund.state == "accepted"
    assert desk.story() == [
        ("requested", "P-17", "financial_burden"),
        ("accepted", "refunds", "until_issued"),
    ]


def test_the_reference_of_an_account_follows_from_the_refund() -> None:
    """Recovery knows the refund from the topic when it handles the request, and the reference only later."""
    one, other = Desk(), Desk()
    for desk in (one, other):
        desk.paid()
    one.asked(40)
    drawn = iter((one.refund.refund_id, UUID(int=9_001), UUID(int=9_002)))
    other._new_id = lambda: next(drawn)  # type: ignore[method-assign]
    other.asked(40)

    assert other.refund.refund_id == one.refund.refund_id
    assert other.refund.destination.reference == one.refund.destination.reference
    assert other.refund.destination.reference != other.refund.refund_id


def test_a_request_waits_until_its_order_is_known_and_paid() -> None:
    desk = Desk()
    assert desk.asked(40) == Wait("order A-1001 to be paid")

    desk.registered(payment_method="virtual_account")
    assert isinstance(desk.asked(40), Wait)

    desk.paid(payment_method="virtual_account")
    assert isinstance(desk.asked(40), Applied)


def test_a_request_about_an_expired_order_is_refused() -> None:
    desk = Desk()
    desk.registered()
    desk.expired()
    ended_at = desk.now
    desk.now += minutes(5)

    desk.asked(40)

    assert desk.types() == ["refund.rejected"]
    assert (desk.last.data["reason"], desk.last.data["at"]) == ("order_expired", wire_time(ended_at))


def test_a_request_about_a_cancelled_order_is_refused_since_its_end() -> None:
    desk = Desk()
    desk.paid()
    desk.cancelled()
    ended_at = desk.now
    desk.now += minutes(5)

    desk.asked(40)

    assert (desk.last.data["reason"], desk.last.data["at"]) == ("order_cancelled", wire_time(ended_at))


def test_a_late_payment_never_resurrects_an_expired_order() -> None:
    desk = Desk()
    desk.registered()
    desk.expired()

    desk.paid()

    assert desk.order.state == "expired"


def test_the_same_request_again_changes_nothing() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)

    again = desk.asked(40)

    assert again == Applied(())
    assert len(desk.refunds) == 1


def test_other_content_under_a_known_request_id_is_a_fault() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)

    outcome = desk.asked(41)

    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("duplicate_request", "/refund_request_id")


def test_a_line_that_the_order_does_not_have_is_a_fault_of_the_document() -> None:
    desk = Desk()
    desk.paid()

    outcome = desk.asked(lines=[units("1", 1), units("9", 1)])

    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/lines/1/line_id")


def test_a_fault_found_only_after_the_request_had_waited_becomes_an_event() -> None:
    desk = Desk()
    desk.paid()
    event = desk.event(
        "refund.requested.v1",
        {
            "refund_request_id": "rr-9",
            "requested_by": "P-17",
            "role": "partner",
            "lines": [units("9", 1)],
            "reason": "financial_burden",
            "message": "m",
            "destination": ACCOUNT,
        },
    )
    fault = desk.handle(event)
    assert isinstance(fault, Reject)

    desk.refuse_late(event, fault)

    assert desk.types() == ["refund.rejected"]
    assert desk.last.data["reason"] == "unknown_line"
    assert desk.handle(event) == Applied(()), "the request is known now, and answered the same again"


def test_a_late_duplicate_is_rejected_and_does_not_take_over_the_request() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40)
    first = desk.refund
    event = desk.event("refund.requested.v1", {**_request(), "message": "other content"})
    fault = desk.handle(event)
    assert isinstance(fault, Reject)

    desk.refuse_late(event, fault)

    assert desk.last.data["reason"] == "duplicate_request"
    assert desk.asked(40) == Applied(()), "the request id still stands for the first refund"
    assert desk.order.refunds[first.refund_id] is first


def test_everything_refundable_is_what_no_other_refund_has_asked_for() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", quantity=10))
    desk.asked(40)

    desk.asked(request_id="rr-78")

    assert desk.last.data["lines"] == [units("1", 60), units("2", 10)]
    assert desk.last.data["everything"] is True


def test_orders_may_grant_less_than_everything() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2", quantity=10))
    desk.asked()

    desk.granted(lines=[units("1", 40)])

    assert desk.types() == ["refund.accepted", "refund.payout_requested"]
    assert desk.last.data["amount"] == 40 * 1_760
    desk.issuance_granted(60)
    desk.issuance_granted(10, "2")
    desk.paid_out()
    assert desk.last.data["lines"] == [units("1", 40)]
    assert desk.order.lines["2"].refunded == 0


def test_an_approved_amount_is_for_all_of_its_units_or_none() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()

    desk.reviewed("approve", amount=176_000)

    assert desk.last.data["lines"] == [units("1", 100)]
    assert "everything" not in desk.last.data


def test_everything_approved_without_an_amount_may_become_less() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()

    desk.reviewed("approve")

    assert desk.last.data["everything"] is True


def test_everything_refundable_of_an_issued_order_says_when_the_last_unit_was_lost() -> None:
    desk = Desk()
    desk.paid()
    desk.issuance_granted(60)
    desk.now += minutes(5)
    desk.issuance_granted(40)
    desk.now += minutes(5)

    desk.asked()

    assert desk.last.data["reason"] == "issued"
    assert desk.last.data["at"] == "2026-10-22T11:05:00+09:00"


@pytest.mark.parametrize("lines", [("1", "2"), ("2", "1")])
def test_of_several_lines_that_were_lost_the_last_loss_is_the_reason(lines: tuple[str, str]) -> None:
    desk = Desk()
    desk.paid(line("1", quantity=10), line("2", quantity=10))
    for line_id in lines:
        desk.issuance_granted(10, line_id)
        lost_at = desk.now
        desk.now += minutes(5)

    desk.asked()

    assert (desk.last.data["reason"], desk.last.data["at"]) == ("issued", wire_time(lost_at))


AT = datetime(2026, 10, 22, 11, tzinfo=KST)


def test_the_reason_that_says_most_is_the_reason_for_nothing() -> None:
    vague, busy, clear = (
        Answer(0, reason=reason) for reason in (None, "refund_in_progress", "not_supported")
    )
    assert why_nothing([], AT) == Refusal("nothing_left", AT)
    assert why_nothing([vague], AT) == Refusal("nothing_left", AT)
    for answers in ([vague, busy, clear], [clear, busy, vague]):
        assert why_nothing(answers, AT) == Refusal("not_supported", AT)
    for answers in ([vague, busy], [busy, vague]):
        assert why_nothing(answers, AT) == Refusal("refund_in_progress", AT)


def test_a_fee_of_all_that_is_owed_leaves_nothing() -> None:
    assert [is_eaten(won, fee) for won, fee in [(1, 1), (1, 0), (0, 0), (2, 1)]] == [
        True,
        False,
        False,
        False,
    ]


def test_nothing_is_left_after_everything_was_refunded() -> None:
    desk = Desk()
    desk.paid()
    desk.asked()
    desk.asked(request_id="rr-78")
    assert desk.last.data["reason"] == "refund_in_progress"
    first = desk.refunds[0]
    desk.granted(first)
    desk.paid_out(of=first)

    desk.asked(request_id="rr-79")

    assert desk.last.data["reason"] == "nothing_left"


@pytest.mark.parametrize(
    ("issued", "refunding", "refunded", "asked", "reason"),
    [
        (70, 0, 0, 40, "issued"),
        (0, 70, 0, 40, "refund_in_progress"),
        (0, 0, 70, 40, "already_refunded"),
        (10, 0, 88, 5, "already_refunded"),
        (0, 0, 0, 101, "more_than_paid"),
    ],
)
def test_what_is_surely_lost_is_refused_without_asking_orders(
    issued: int, refunding: int, refunded: int, asked: int, reason: str
) -> None:
    desk = Desk()
    desk.paid()
    if issued:
        desk.issuance_granted(issued)
    if refunded:
        desk.asked(refunded, "rr-1")
        desk.granted()
        desk.paid_out()
    if refunding:
        desk.asked(refunding, "rr-2")
        desk.granted()

    desk.asked(asked, "rr-3")

    assert desk.last.data["reason"] == reason
    left = 100 - issued - refunding - refunded
    assert desk.last.data["lines"] == [{**units("1", asked), "left": left}]


def test_what_may_still_be_won_is_left_to_orders() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(70, "rr-1")

    desk.asked(70, "rr-2")

    assert desk.types() == ["refund.accepted", "refund.accepted"]


def test_all_lines_are_refused_when_one_cannot_be_refunded() -> None:
    desk = Desk()
    desk.paid(line("1"), line("2"))
    desk.issuance_granted(100, "2")

    desk.asked(lines=[units("1", 1), units("2", 1)])

    assert desk.last.data["reason"] == "issued"
    assert [row["left"] for row in desk.last.data["lines"]] == [100, 0]


def test_an_app_store_payment_is_pointed_to_its_store() -> None:
    desk = Desk()
    desk.paid(payment_method="app_store")

    desk.asked(40)

    assert (desk.last.data["reason"], desk.last.data["next"]) == ("app_store", "ask_app_store")
    assert desk.last.data["detail"].startswith("This payment was made through an app store")


@pytest.mark.parametrize("reason", ["terminated_by_operator", "직권해지"])
def test_only_an_operator_may_terminate(reason: str) -> None:
    desk = Desk()
    desk.paid()

    desk.asked(40, "rr-1", reason=reason)
    assert desk.last.data["reason"] == "operator_only"

    desk.asked(40, "rr-2", reason=reason, role="operator", requested_by="operator:kim")
    assert desk.types()[-1] == "refund.accepted"


def test_a_reason_that_is_not_on_the_list_is_refused_at_the_door_with_the_list() -> None:
    desk = Desk()

    answer = desk.asked(40, reason="그냥")

    assert isinstance(answer, Reject), "also where the order is not known yet"
    assert (answer.code, answer.pointer) == ("out_of_range", "/reason")
    assert all(word in answer.detail for pair in REASONS.items() for word in pair)


@pytest.mark.parametrize("name", REASONS.values())
def test_a_reason_is_given_by_name(name: str) -> None:
    desk = Desk()
    desk.paid()

    desk.asked(1, reason=name, role="operator")

    assert desk.refund.reason == name
    assert desk.types() == ["refund.accepted"]


@pytest.mark.parametrize(("korean", "name"), REASONS.items())
def test_a_reason_is_given_in_korean_whatever_its_spacing(korean: str, name: str) -> None:
    desk = Desk()
    desk.paid()

    desk.asked(1, "rr-1", reason=korean, role="operator")
    desk.asked(1, "rr-2", reason=f" {korean.replace(' ', '')} ", role="operator")

    assert [refund.reason for refund in desk.refunds] == [name, name]


def test_a_request_of_before_the_list_is_still_known_by_its_id() -> None:
    """Its reason was kept as it was given; the same document under a new event id is the same request."""
    desk = Desk()
    desk.paid()
    desk.asked(40)
    (known,) = desk.refunds
    again = desk.event("refund.requested.v1", {**_request(), "reason": "그냥", "lines": [units("1", 40)]})
    old = structs.replace(known, reason="그냥", content=again.content)
    desk.world.put(structs.replace(desk.order, refunds={known.refund_id: old}))

    assert desk.handle(again) == Applied(())
    assert desk.refund.reason == "그냥"


def test_a_request_that_waited_with_a_reason_of_before_the_list_is_rejected_by_an_event() -> None:
    desk = Desk()
    desk.paid()
    event = desk.event("refund.requested.v1", {**_request(), "reason": "그냥"})
    fault = desk.handle(event)
    assert isinstance(fault, Reject)

    desk.refuse_late(event, fault)

    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "unknown_reason")


def test_an_account_in_another_name_is_held_until_a_proof_is_reviewed() -> None:
    desk = Desk()
    desk.paid()

    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    assert desk.types() == ["refund.held"]
    assert desk.last.data["reason"] == "holder_mismatch"
    assert desk.last.data["next"] == "attach_proof"
    assert desk.last.data["since"] == "2026-10-22T11:00:00+09:00"

    desk.proof_attached()
    assert desk.refund.state == "in_review"

    desk.reviewed("approve", amount=70_400, note="예금주 확인")
    assert desk.types() == ["refund.held", "refund.accepted"]
    assert desk.story()[2:] == [
        ("in_review", "P-17", "bankbook_copy"),
        ("accepted", "operator:kim", "approved"),
    ]


@pytest.mark.parametrize("holder", ["가나다 주식회사", " 가나다  주식회사 ", "\u1100\u1161나다 주식회사"])
def test_the_own_name_is_recognised_whatever_its_spacing_and_form(holder: str) -> None:
    desk = Desk()
    desk.paid()

    desk.asked(40, destination={**ACCOUNT, "holder": holder})

    assert desk.types() == ["refund.accepted"]


def test_a_review_may_reject() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()

    desk.reviewed("reject")

    assert desk.last.data["reason"] == "review_rejected"
    assert desk.refund.state == "rejected"


def test_a_requester_takes_its_request_back() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})

    desk.reviewed("reject", actor="P-17", note="requester_withdrew")

    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "requester_withdrew")
    assert desk.story()[-1] == ("rejected", "P-17", "requester_withdrew")


def test_units_issued_during_the_review_are_not_asked_for() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()
    desk.issuance_granted(61)

    desk.reviewed("approve", amount=70_400)

    assert desk.last.data["reason"] == "issued"


def test_a_review_of_another_amount_than_the_units_are_worth_is_a_fault() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()

    outcome = desk.reviewed("approve", amount=70_000)

    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/amount")


def test_a_held_request_cannot_be_approved_without_a_proof() -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})

    outcome = desk.reviewed("approve", amount=70_400)

    assert isinstance(outcome, Reject)
    assert outcome.pointer == "/decision"


def test_a_bank_payment_needs_a_bank_account() -> None:
    desk = Desk()
    desk.paid()

    desk.asked(40, destination={"method": "original_card"})

    assert desk.last.data["reason"] == "destination_missing"


@pytest.mark.parametrize(("method", "kind"), [("card", "original_card"), ("mycash", "mycash")])
def test_card_and_own_cash_go_back_whence_they_came_whatever_was_asked(method: str, kind: str) -> None:
    desk = Desk()
    desk.paid(payment_method=method)

    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.granted()

    assert desk.last.type == "refund.payout_requested.v1"
    assert desk.last.data["destination"]["method"] == kind


@pytest.mark.parametrize("in_review", [False, True])
def test_the_payment_taken_back_ends_what_was_held_or_in_review(in_review: bool) -> None:
    desk = Desk()
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    if in_review:
        desk.proof_attached()
    desk.now = datetime(2026, 10, 23, 9, 0, tzinfo=KST)

    desk.cancelled()

    assert desk.refund.state == "rejected"
    assert desk.last.data["reason"] == "order_cancelled"
    assert desk.last.data["at"] == "2026-10-23T09:00:00+09:00"
    desk.asked(1, "rr-2")
    assert desk.last.data["reason"] == "order_cancelled"


def _request() -> dict[str, object]:
    return {
        "refund_request_id": "rr-77",
        "requested_by": "P-17",
        "role": "partner",
        "reason": "financial_burden",
        "message": "m",
        "destination": ACCOUNT,
    }
