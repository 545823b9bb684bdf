"""What an accepted event of checkout must have led to: a place for its won, the end of a case, an answer.

Each kind of event has one query. It gets many events at once and names those that led to nothing, so a page
of a topic costs a statement or two, whatever is in it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from ops.audit.inbound import Inbound
from ops.audit.rules import Rule
from ops.audit.topics.rules import DECIDED, MERGES, PLACED

MOST_WON = 2**63 - 1


class Consequence(NamedTuple):
    """`query` names those of its events without a consequence; `arguments` are an event's part in it.

    They are None for an event that cannot have been accepted, and for one that needs no consequence.
    """

    rule: Rule
    query: str
    arguments: Callable[[Inbound, dict[str, Any]], tuple[Any, ...] | None]
    detail: str


def arguments_of(event: Inbound) -> tuple[Any, ...] | None:
    """What the query of its kind is asked about this event; None where it needs no consequence."""
    consequence = CONSEQUENCES.get(event.type)
    if consequence is None:
        return None
    try:
        data = orjson.loads(event.body)
        return consequence.arguments(event, data)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # only a document that is whole is accepted


def columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """The arguments of many events as the arrays that their query takes."""
    return [list(column) for column in zip(*rows, strict=True)]


def _payment(event: Inbound, data: dict[str, Any]) -> tuple[Any, ...] | None:
    amount = data["amount"]
    if type(amount) is not int or not 0 < amount <= MOST_WON:
        return None
    return _text(data["order_id"]), _text(data["payment_id"]), amount, datetime.fromisoformat(data["paid_at"])


def _decision(event: Inbound, data: dict[str, Any]) -> tuple[Any, ...]:
    named = (data["order_id"], data["payment_id"], data["decision"], event.source, event.event_id)
    return tuple(map(_text, named))


def _merge(event: Inbound, data: dict[str, Any]) -> tuple[Any, ...]:
    return _text(data["partner_id"]), _text(data.get("request_id") or event.event_id)


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError("no text that the database could hold")
    return value


CONSEQUENCES = {
    "payment.completed.v1": Consequence(
        PLACED, "payments_without_a_place", _payment, "its won are on no order and in no case"
    ),
    "quarantine.decided.v1": Consequence(
        DECIDED, "decisions_without_an_end", _decision, "the case of its payment stays open"
    ),
    "merge.requested.v1": Consequence(MERGES, "merges_without_a_trace", _merge, "invoices does not know it"),
    "merge.undone.v1": Consequence(MERGES, "merges_without_a_trace", _merge, "invoices does not know it"),
}
