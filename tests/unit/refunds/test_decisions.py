"""What operators decide by command: as the event of checkout does, in each state, and refused in the same."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import pytest

from services.refunds.commands import COMMANDS, ApprovalBody, DecisionBody, ProofBody
from services.refunds.state import RefundState
from shared.operators.deciding import OF_REFUND, RefundDecision
from shared.runtime.commands import CommandOutcome, Done, Refused
from shared.runtime.decisions import Applied, Context, Reject
from tests.support.commands import Person
from tests.unit.refunds.desk import ACCOUNT, ORDER, Desk

KIM = Person("operator:kim")
BODIES = {"proof": ProofBody, "approve": ApprovalBody}
DECISIONS = get_args(RefundDecision)


def held(desk: Desk) -> None:
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})


def in_review(desk: Desk) -> None:
    held(desk)
    desk.proof_attached()


def accepted(desk: Desk) -> None:
    desk.paid()
    desk.asked(40)


def paying_out(desk: Desk) -> None:
    accepted(desk)
    desk.granted()


def unknown(desk: Desk) -> None:
    paying_out(desk)
    desk.payout_failed("timeout")


def failed(desk: Desk) -> None:
    paying_out(desk)
    desk.payout_failed()


def completed(desk: Desk) -> None:
    paying_out(desk)
    desk.paid_out()


def bounced(desk: Desk) -> None:
    completed(desk)
    desk.payout_failed()


def repaying(desk: Desk) -> None:
    bounced(desk)
    desk.reviewed("retry")


def rejected(desk: Desk) -> None:
    in_review(desk)
    desk.reviewed("reject")


def denied(desk: Desk) -> None:
    accepted(desk)
    desk.denied(desk.now)


def released(desk: Desk) -> None:
    failed(desk)
    desk.reviewed("release")


STATES: Mapping[str, Callable[[Desk], None]] = {
    make.__name__: make
    for make in (
        held,
        in_review,
        accepted,
        paying_out,
        unknown,
        failed,
        completed,
        bounced,
        repaying,
        rejected,
        denied,
        released,
    )
}


def desk_in(state: str) -> Desk:
    desk = Desk()
    STATES[state](desk)
    assert desk.refund.state == state
    return desk


def decide(desk: Desk, decision: str, **said: Any) -> CommandOutcome:
    """What the command of a decision comes to."""
    body = BODIES.get(decision, DecisionBody).model_validate({"reason": "looked at", "apply": True, **said})
    subject = str(desk.refund.refund_id)
    command = KIM.commands(
        f"refund.{decision}", ORDER, body, reason=body.reason, at=desk.now, subject=subject
    )
    return COMMANDS[command.type].handle(desk.world, command, Context(desk._new_id))


def done(outcome: CommandOutcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


def test_every_state_that_is_kept_is_tried() -> None:
    assert set(STATES) == set(get_args(RefundState)) - {"requested", "granted"}
    assert set(OF_REFUND) <= set(STATES)


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("state", STATES)
def test_a_state_takes_the_decisions_of_the_table_and_names_them_where_it_refuses(
    state: str, decision: str
) -> None:
    desk = desk_in(state)
    before = desk.order

    outcome = decide(desk, decision)

    allowed = OF_REFUND.get(state, ())
    if decision in allowed:
        assert desk.refund.state == done(outcome).after["state"] != ""
        assert done(outcome).before["state"] == state
        assert desk.refund.changes[-1].actor == "operator:kim"
        return
    assert isinstance(outcome, Refused)
    problem = outcome.problem.document()
    assert (problem["code"], problem["status"]) == ("cannot_decide", 409)
    assert f"possible now: {', '.join(allowed) or 'nothing'};" in problem["detail"]
    assert desk.order is before


@pytest.mark.parametrize("decision", ["approve", "reject", "retry", "release"])
@pytest.mark.parametrize("state", STATES)
def test_a_command_decides_as_the_event_does(state: str, decision: str) -> None:
    by_event, by_command = desk_in(state), desk_in(state)

    said = by_event.reviewed(decision, note="looked at")
    outcome = decide(by_command, decision)

    assert isinstance(outcome, Refused) == isinstance(said, Reject)
    assert by_command.refund == by_event.refund
    if isinstance(said, Applied):
        assert [(e.type, e.data) for e in done(outcome).events] == [(e.type, e.data) for e in said.events]


def test_an_answer_says_what_changes_and_what_follows() -> None:
    desk = desk_in("in_review")

    outcome = done(decide(desk, "approve"))

    assert outcome.answer == {
        "refund_id": str(desk.refund.refund_id),
        "refund_request_id": "rr-77",
        "order_id": ORDER,
        "decision": "approve",
        "applied": True,
        "before": {"state": "in_review", "why": "holder_mismatch", "won": 70_400},
        "after": {"state": "accepted", "why": None, "won": 70_400},
        "events": [{"type": "refund.accepted.v1", "data": outcome.events[0].data}],
    }


def test_an_approved_amount_is_what_the_units_are_worth() -> None:
    wrong, right = desk_in("in_review"), desk_in("in_review")

    refused = decide(wrong, "approve", amount=70_000)
    outcome = done(decide(right, "approve", amount=70_400))

    assert isinstance(refused, Refused)
    assert refused.problem.document()["pointer"] == "/amount"
    assert "70400 won, not 70000" in str(refused.problem)
    assert outcome.after["approved"] == 70_400


def test_units_that_were_issued_meanwhile_end_a_refund_at_its_approval() -> None:
    desk = desk_in("in_review")
    desk.issuance_granted(80)

    outcome = done(decide(desk, "approve"))

    assert outcome.before == {"state": "in_review", "why": "holder_mismatch", "won": None}
    assert (outcome.after["state"], outcome.after["why"]) == ("rejected", "issued")
    assert [event["type"] for event in outcome.answer["events"]] == ["refund.rejected.v1"]


def test_what_the_requester_wants_no_more_ends_for_that_reason_and_keeps_the_note() -> None:
    desk = desk_in("held")

    outcome = done(decide(desk, "withdraw"))

    last = desk.refund.changes[-1]
    assert (last.state, last.reason, last.note) == ("rejected", "requester_withdrew", "looked at")
    assert outcome.events[0].data["reason"] == "requester_withdrew"


def test_a_proof_keeps_its_kind_and_where_it_is() -> None:
    desk = desk_in("held")

    done(decide(desk, "proof", kind="bankbook", reference="s3://proofs/77"))

    last = desk.refund.changes[-1]
    assert (last.state, last.actor, last.reason, last.note) == (
        "in_review",
        "operator:kim",
        "bankbook",
        "s3://proofs/77",
    )


def test_the_event_of_a_decision_tells_the_audit_log_who_why_before_and_after() -> None:
    desk = desk_in("in_review")

    said = desk.reviewed("reject", note="no proof")

    assert isinstance(said, Applied)
    assert said.by_person is not None
    assert said.by_person._asdict() == {
        "actor": "operator:kim",
        "action": "refund.reject",
        "target": f"{ORDER} {desk.refund.refund_id}",
        "reason": "no proof",
        "before": {"state": "in_review", "why": "holder_mismatch", "won": 70_400},
        "after": {"state": "rejected", "why": "review_rejected", "won": 70_400},
    }


def test_a_proof_that_nobody_signed_is_the_requesters() -> None:
    desk = desk_in("held")

    said = desk.proof_attached(note="copy of the bankbook")

    assert isinstance(said, Applied)
    assert said.by_person is not None
    assert (said.by_person.actor, said.by_person.action, said.by_person.reason) == (
        "P-17",
        "refund.proof",
        "copy of the bankbook",
    )


def test_a_document_that_is_refused_tells_nothing_of_a_person() -> None:
    desk = desk_in("completed")

    assert isinstance(desk.reviewed("approve"), Reject)
