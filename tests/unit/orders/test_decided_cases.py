"""Money in quarantine that an operator decides about by command, as `quarantine.decided` does."""

from datetime import timedelta
from typing import Any

import pytest

from services.orders.commands import COMMANDS, CaseBody
from services.orders.state import OrderState
from shared.runtime.commands import CommandOutcome, Done, Refused
from shared.runtime.decisions import Applied, Context
from tests.support.commands import Person
from tests.unit.orders.builders import AT, decision, payment, pending
from tests.unit.orders.shop import Shop

KIM = Person("operator:kim")
HOUR = timedelta(hours=1)


def decide(shop: Shop, payment_id: str, decided: str, order_id: str = "A-1", **said: Any) -> CommandOutcome:
    body = CaseBody.model_validate({"decision": decided, "reason": "looked at", "apply": True, **said})
    command = KIM.commands(
        "quarantine.decide", order_id, body, reason=body.reason, at=AT + HOUR, subject=payment_id
    )
    return COMMANDS[command.type].handle(shop.world, command, Context(shop._new_id))


def paid_twice() -> Shop:
    shop = Shop()
    shop.hear(payment(), payment(payment_id="pay-2"))
    return shop


def refusal(outcome: CommandOutcome) -> dict[str, Any]:
    assert isinstance(outcome, Refused)
    return outcome.problem.document()


@pytest.mark.parametrize("decided", ["returned", "kept"])
def test_a_decision_ends_the_cases_of_its_payment_and_says_what_that_changes(decided: str) -> None:
    shop = paid_twice()

    outcome = decide(shop, "pay-2", decided)

    assert isinstance(outcome, Done)
    assert shop.cases == [("pay-2", "second_payment", 176_000, decided)]
    assert outcome.before == {"order": "paid", "open_cases": 1, "won": 176_000}
    assert outcome.after == {
        "order": "paid",
        "open_cases": 0,
        "won": 0,
        "ruling": decided,
        "ended": [{"reason": "second_payment", "won": 176_000, "decision": decided, "payment_id": "pay-2"}],
    }
    assert [event["type"] for event in outcome.answer["events"]] == ["quarantine.settled.v1"]
    assert shop.order.cases[0].settled_at == AT + HOUR


def test_two_transfers_that_come_to_what_the_order_costs_are_applied_together() -> None:
    shop = Shop()
    shop.hear(pending(), payment(payment_id="d-1", amount=100_000), payment(payment_id="d-2", amount=76_000))

    outcome = decide(shop, "d-1", "applied")

    assert isinstance(outcome, Done)
    assert shop.order.state is OrderState.PAID
    assert (outcome.before["order"], outcome.after["order"]) == ("pending_deposit", "paid")
    assert [case["payment_id"] for case in outcome.after["ended"]] == ["d-1", "d-2"]
    types = [event["type"] for event in outcome.answer["events"]]
    assert types == ["quarantine.settled.v1", "quarantine.settled.v1", "order.paid.v1"]


def test_what_cannot_be_applied_says_why_and_what_is_possible() -> None:
    shop = Shop()
    shop.hear(pending(), payment(payment_id="d-1", amount=100_000))
    before = shop.order

    problem = refusal(decide(shop, "d-1", "applied"))

    assert problem["code"] == "cannot_decide"
    assert "come to 100000 won, the order costs 176000" in problem["detail"]
    assert "possible now: returned, kept;" in problem["detail"]
    assert shop.order is before


def test_a_payment_without_an_open_case_takes_no_decision() -> None:
    shop = paid_twice()
    decide(shop, "pay-2", "returned")

    other, never = refusal(decide(shop, "pay-2", "kept")), refusal(decide(shop, "pay-9", "kept"))
    unknown = refusal(decide(shop, "pay-2", "kept", "B-1"))

    assert "it ended as returned" in other["detail"]
    assert "possible now: nothing;" in other["detail"]
    assert never["code"] == "cannot_decide"
    assert unknown["code"] == "not_found"


def test_the_same_decision_again_changes_nothing() -> None:
    shop = paid_twice()
    decide(shop, "pay-2", "returned")

    again = decide(shop, "pay-2", "returned")

    assert isinstance(again, Done)
    assert (list(again.events), again.after["ended"]) == ([], [])


def test_the_event_of_a_decision_tells_the_audit_log_who_why_before_and_after() -> None:
    shop = paid_twice()

    said, again = shop.take(decision("pay-2")), shop.take(decision("pay-2"))

    assert isinstance(said, Applied)
    assert said.by_person is not None
    assert said.by_person[:4] == ("op-kim", "quarantine.decide", "A-1 pay-2", "looked at")
    assert (said.by_person.before["won"], said.by_person.after["ruling"]) == (176_000, "returned")
    assert isinstance(again, Applied)
    assert again.by_person is None
