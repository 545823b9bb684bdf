"""From so many won on, two people approve what is in review; who did first cannot be the second."""

from typing import Any

import pytest

from services.refunds.commands import COMMANDS, ApprovalBody
from services.refunds.policies.holds import next_step
from services.refunds.state import Policy
from shared.runtime.commands import CommandOutcome, Done, Refused
from shared.runtime.decisions import Applied, Context, Reject
from tests.support.commands import Person
from tests.unit.refunds.desk import ACCOUNT, ORDER, Desk, line, minutes

KIM, LEE = "operator:kim", "operator:lee"
WON = 70_400
"""What 40 units cost."""


def in_review(threshold: int = WON) -> Desk:
    """A desk with a refund of `WON` won in review."""
    desk = Desk()
    desk.world.policy = Policy(second_approval_from=threshold)
    desk.paid()
    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})
    desk.proof_attached()
    return desk


def test_the_first_approval_waits_for_a_second_and_says_by_when() -> None:
    desk = in_review()
    desk.now += minutes(30)

    assert isinstance(desk.reviewed("approve", actor=KIM, note="looked at"), Applied)

    refund = desk.refund
    assert (refund.state, refund.why) == ("in_review", "second_approval")
    assert (refund.approved_by, refund.approved_won) == (KIM, WON)
    assert next_step(refund.state, refund.why) == "second_review"
    assert desk.last.type == "refund.held.v1"
    assert {name: desk.last.data[name] for name in ("reason", "next", "since", "deadline")} == {
        "reason": "second_approval",
        "next": "second_review",
        "since": "2026-10-22T11:30:00+09:00",
        "deadline": "2026-10-27T23:59:59.999999+09:00",
    }
    assert desk.story()[-1] == ("in_review", KIM, "second_approval")


def test_somebody_else_approves_it_and_orders_is_asked() -> None:
    desk = in_review()
    desk.reviewed("approve", actor=KIM)

    desk.reviewed("approve", actor=LEE)

    assert (desk.last.type, desk.refund.state) == ("refund.accepted.v1", "accepted")
    assert (desk.refund.approved_by, desk.refund.approved_won, desk.refund.deadline) == (None, None, None)
    assert [(actor, reason) for _, actor, reason in desk.story()[-2:]] == [
        (KIM, "second_approval"),
        (LEE, "approved"),
    ]


def test_who_approved_first_cannot_be_the_second() -> None:
    desk = in_review()
    desk.reviewed("approve", actor=KIM)
    before = desk.refund

    refused = desk.reviewed("approve", actor=KIM)

    assert isinstance(refused, Reject)
    assert (refused.code, refused.pointer) == ("inconsistent", "/actor")
    assert desk.refund is before


@pytest.mark.parametrize(
    ("threshold", "state"), [(0, "accepted"), (WON + 1, "accepted"), (WON, "in_review"), (1, "in_review")]
)
def test_the_threshold_is_in_won_and_none_means_nobody_else(threshold: int, state: str) -> None:
    desk = in_review(threshold)

    desk.reviewed("approve", actor=KIM)

    assert desk.refund.state == state


def test_what_needs_no_review_needs_no_approval() -> None:
    desk = Desk()
    desk.world.policy = Policy(second_approval_from=1)
    desk.paid()

    desk.asked(40)

    assert desk.refund.state == "accepted"


@pytest.mark.parametrize("actor", [KIM, LEE])
def test_either_may_reject_it_after_all(actor: str) -> None:
    desk = in_review()
    desk.reviewed("approve", actor=KIM)

    desk.reviewed("reject", actor=actor)

    assert (desk.refund.state, desk.refund.why, desk.refund.approved_by) == (
        "rejected",
        "review_rejected",
        None,
    )


def used() -> Desk:
    """A desk with a metered service of 33,000 won in review, because it was used."""
    desk = Desk()
    desk.world.policy = Policy(second_approval_from=10_000)
    desk.paid(line("1", 100, 300, kind="metered"))
    desk.used(10)
    desk.asked()
    assert (desk.refund.state, desk.refund.why) == ("in_review", "used")
    return desk


def test_both_approve_the_same_part() -> None:
    desk = used()
    desk.reviewed("approve", actor=KIM, amount=22_000)
    assert (desk.refund.why, desk.refund.approved_won) == ("second_approval", 22_000)

    desk.reviewed("approve", actor=LEE)
    desk.granted()

    assert desk.last.data["amount"] == 22_000


def test_other_won_begin_anew() -> None:
    desk = used()
    desk.reviewed("approve", actor=KIM, amount=22_000)

    desk.reviewed("approve", actor=LEE, amount=11_000)

    assert (desk.refund.state, desk.refund.approved_by, desk.refund.approved_won) == (
        "in_review",
        LEE,
        11_000,
    )
    desk.reviewed("approve", actor=KIM, amount=11_000)
    desk.granted()
    assert desk.last.data["amount"] == 11_000


def test_a_part_below_the_threshold_needs_one_only() -> None:
    desk = used()

    desk.reviewed("approve", actor=KIM, amount=9_900)

    assert desk.refund.state == "accepted"


def test_units_that_were_issued_between_the_two_are_refused() -> None:
    desk = in_review()
    desk.reviewed("approve", actor=KIM)
    desk.issuance_granted(100)

    desk.reviewed("approve", actor=LEE)

    assert (desk.last.type, desk.last.data["reason"]) == ("refund.rejected.v1", "issued")


def command(desk: Desk, sub: str, **said: Any) -> CommandOutcome:
    body = ApprovalBody.model_validate({"reason": "looked at", "apply": True, **said})
    asked = Person(sub).commands("refund.approve", ORDER, body, subject=str(desk.refund.refund_id))
    return COMMANDS["refund.approve"].handle(desk.world, asked, Context(desk._new_id))


def test_over_http_the_token_says_who_it_is() -> None:
    desk = in_review()

    first = command(desk, "kim")
    again = command(desk, "kim")
    second = command(desk, "lee")

    assert isinstance(first, Done)
    assert first.answer["after"] == {"state": "in_review", "why": "second_approval", "won": WON}
    assert isinstance(again, Refused)
    assert again.problem.kind.code == "cannot_decide"
    assert "somebody else" in str(again.problem)
    assert isinstance(second, Done)
    assert second.answer["after"]["state"] == "accepted"
