"""Cancelling what waits: by the name of a request or an event, and never what happened."""

from functools import partial
from typing import Any

import pytest

from shared.runtime.batch import BLOCKED, GAP, WAITING, Batch, Parked, PriorState
from shared.runtime.cancelling import CANCEL, CancelBody, cancel_waiting
from shared.runtime.commands import CommandOutcome, CommandRoute, Done, Refused
from shared.runtime.decisions import Applied, ByOperator, Event, NewEvent, Route
from shared.runtime.outgoing import OutboxRows
from tests.support.commands import Person
from tests.support.toy import CONTEXT, SAID, World, message, record_it, said, toy

KIM = Person("kim")
PARTITIONS = {"checkout.events": 12, "orders.events": 12, "checkout.feedback": 12}
DENIED = NewEvent(
    "order.expired.v1", "A-1", 1, {"order_id": "A-1", "expired_at": "2026-10-21T14:03:07+09:00"}
)


def cancel_it(world: Any, event: Event[Any], by: ByOperator, context: Any) -> Applied:
    """What follows in the toy service; it keeps what it was told."""
    world.applied.append(f"{event.id} cancelled by {by.actor}: {by.reason}")
    return Applied([DENIED])


ROUTES = {SAID: Route(record_it, cancel=cancel_it)}


def parked(*payments: str, kind: str = WAITING) -> PriorState:
    """Events that wait, each with its payment and an id of its own."""
    waiting = [
        Parked(message(said(payment, event_id=f"evt-{row}")), kind, "order A-1 to be paid", row)
        for row, payment in enumerate(payments, start=1)
    ]
    return PriorState(parked={"A-1": waiting})


def cancel(prior: PriorState, request: str, routes: Any = ROUTES) -> tuple[Batch, CommandOutcome]:
    batch = Batch(toy(), World(), prior, OutboxRows("orders", PARTITIONS), CONTEXT)
    body = CancelBody(key="A-1", request=request, reason="by mistake", apply=True)
    command = KIM.commands(CANCEL, "A-1", body, reason=body.reason, subject=request)
    return batch, batch.decide(command, CommandRoute(partial(cancel_waiting, routes)))


def code(outcome: CommandOutcome) -> str:
    assert isinstance(outcome, Refused)
    return outcome.problem.kind.code


@pytest.mark.parametrize("name", ["pay-2", "evt-2"])
def test_what_waits_under_a_name_is_cancelled_and_the_rest_goes_on(name: str) -> None:
    batch, outcome = cancel(parked("pay-1", "pay-2"), name)

    assert isinstance(outcome, Done)
    assert batch.world.applied == ["evt-2 cancelled by kim: by mistake", "pay-1"]
    assert batch.settled_rows() == [1, 2]
    assert [row[8] for row in batch.rows.rows] == [batch.rows.rows[0][8], "evt-1"]
    assert outcome.answer["cancelled"]["event_id"] == "evt-2"
    assert outcome.answer["events"] == [{"type": DENIED.type, "data": DENIED.data}]


def test_what_happened_is_not_cancelled() -> None:
    batch, outcome = cancel(parked("pay-1"), "pay-1", {SAID: Route(record_it)})

    assert code(outcome) == "cannot_cancel"
    assert "payment.cancelled.v1 evt-1 tells what happened" in str(outcome.problem)
    assert batch.settled_rows() == []


def test_several_of_one_name_are_told_apart_by_their_events() -> None:
    batch, outcome = cancel(parked("pay-1", "pay-1"), "pay-1")

    assert code(outcome) == "cannot_cancel"
    assert "evt-1, evt-2" in str(outcome.problem)
    assert batch.settled_rows() == []


@pytest.mark.parametrize("kind", [WAITING, GAP])
def test_what_does_not_wait_for_another_event_is_not_found(kind: str) -> None:
    _, outcome = cancel(parked("pay-1", kind=kind), "pay-1" if kind is GAP else "pay-9")

    assert code(outcome) == "not_found"


def test_a_blocked_key_is_an_operators_first() -> None:
    _, outcome = cancel(parked("pay-1", kind=BLOCKED), "pay-1")

    assert code(outcome) == "key_blocked"
