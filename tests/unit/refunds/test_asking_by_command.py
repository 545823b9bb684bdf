"""A refund is asked for over HTTP: same rules and same content as the event, and an answer at once."""

from itertools import count
from typing import Any
from uuid import UUID

import orjson

from services.refunds.commands import COMMANDS, REQUEST, RequestBody
from shared.events.canonical import content_hash
from shared.events.checkout import RefundRequested
from shared.runtime.commands import Command, CommandOutcome, Done, Refused, new_command
from shared.runtime.decisions import Applied, Context, Reject
from shared.web.callers import Caller, Origin
from tests.unit.refunds.desk import ACCOUNT, ORDER, Desk, line, units

_numbers = count(1_000)


def document(quantity: int | None = 40, **changes: Any) -> dict[str, Any]:
    """What is sent, as an event or as a body."""
    named = {} if quantity is None else {"lines": [units("1", quantity)]}
    return {
        "order_id": ORDER,
        "refund_request_id": "rr-77",
        "requested_by": "P-17",
        "role": "partner",
        "reason": "financial_burden",
        "message": "수량을 잘못 주문했습니다",
        "destination": ACCOUNT,
        **named,
        **changes,
    }


def ask(desk: Desk, said: dict[str, Any], partner: str | None = None) -> CommandOutcome:
    caller = Caller("shop", frozenset({"refunds:request"}), partner)
    body = RequestBody(
        request=RefundRequested.model_validate_json(orjson.dumps(said)),
        content=content_hash("refund.requested.v1", orjson.dumps(said)).hex(),
    )
    command: Command[Any] = new_command(
        REQUEST,
        said["order_id"],
        body,
        Origin(caller, None, None, "c-1"),
        command_id=UUID(int=next(_numbers)),
        at=desk.now,
        subject=said["refund_request_id"],
    )
    return COMMANDS[REQUEST].handle(desk.world, command, Context(lambda: UUID(int=next(_numbers))))


def answer(outcome: CommandOutcome) -> dict[str, Any]:
    assert isinstance(outcome, Done), outcome
    return dict(outcome.answer)


def problem(outcome: CommandOutcome) -> tuple[int, str, str | None]:
    assert isinstance(outcome, Refused), outcome
    return outcome.problem.kind.status, outcome.problem.kind.code, outcome.problem.pointer


def paid() -> Desk:
    desk = Desk()
    desk.paid(line("1"))
    return desk


def test_it_is_accepted_and_says_what_comes_next() -> None:
    desk = paid()

    said = answer(ask(desk, document()))

    assert (said["state"], said["why"], said["next"], said["who"]) == ("accepted", None, "grant_units", None)
    assert [event["type"] for event in said["events"]] == ["refund.accepted.v1"]
    assert said["refund_id"] == str(desk.refund.refund_id)
    assert ACCOUNT["account_number"] not in str(said)


def test_the_same_request_again_changes_nothing_whichever_way_it_comes() -> None:
    desk = paid()
    first = answer(ask(desk, document()))

    again = answer(ask(desk, document()))
    by_event = desk.deliver("refund.requested.v1", document())

    assert (again["refund_id"], again["events"]) == (first["refund_id"], [])
    assert isinstance(by_event, Applied)
    assert len(desk.refunds) == 1


def test_what_came_as_an_event_is_known_over_http() -> None:
    desk = paid()
    desk.deliver("refund.requested.v1", document(quantity=40))

    said = answer(ask(desk, document(quantity=40)))

    assert (said["refund_id"], said["events"]) == (str(desk.refund.refund_id), [])


def test_other_content_under_the_same_id_is_refused_whichever_way_it_comes() -> None:
    desk = paid()
    ask(desk, document())

    by_event = desk.deliver("refund.requested.v1", document(quantity=41))

    assert problem(ask(desk, document(quantity=41))) == (422, "duplicate_request", "/refund_request_id")
    assert isinstance(by_event, Reject)


def test_a_refusal_by_a_rule_is_an_answer_with_its_reason_in_words() -> None:
    desk = paid()

    said = answer(ask(desk, document(quantity=101)))

    assert (said["state"], said["why"], said["next"]) == ("rejected", "more_than_paid", None)
    assert said["why_text"] == "more units than were paid"
    assert [event["type"] for event in said["events"]] == ["refund.rejected.v1"]


def test_a_wrong_document_has_the_code_and_the_pointer_of_the_event() -> None:
    desk = paid()

    assert problem(ask(desk, document(reason="because"))) == (422, "out_of_range", "/reason")
    unknown = document(lines=[units("9", 1)])
    assert problem(ask(desk, unknown)) == (422, "inconsistent", "/lines/0/line_id")
    assert desk.order.refunds == {}


def test_nobody_waits_for_a_payment_over_http() -> None:
    desk = Desk()
    desk.registered(line("1"))

    assert problem(ask(desk, document())) == (409, "not_paid", None)


def test_an_order_of_somebody_else_is_as_unknown_as_one_that_there_is_not() -> None:
    desk = paid()

    assert problem(ask(desk, document(), partner="P-99")) == (404, "not_found", None)
    assert problem(ask(desk, document(order_id="A-9"))) == (404, "not_found", None)
    assert answer(ask(desk, document(), partner="P-17"))["state"] == "accepted"
