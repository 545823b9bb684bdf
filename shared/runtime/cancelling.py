"""Cancelling what waits: a request or a decision of somebody, never what happened. One command for all."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.events.fields import Id, Text
from shared.runtime.commands import Command, CommandOutcome, Done, Refused, told
from shared.runtime.decisions import ByOperator, Context, Event, Route
from shared.web.fields import Body
from shared.web.problems import NOT_FOUND, Kind, Problem

CANCEL: Final = "request.cancel"
NAMES: Final = ("request_id", "refund_request_id", "refund_id", "payment_id")
"""The fields of documents by which a person may name what waits, beside the id of its event."""

CANNOT_CANCEL: Final = Kind(
    "cannot_cancel",
    409,
    "This cannot be cancelled",
    "{why}; nothing was changed",
    "취소할 수 없습니다",
    "변경된 것은 없습니다 ({why})",
)


class CancelBody(Body):
    """Cancel what waits with a key under this request id, or event id; only shown unless `apply`."""

    key: Id
    request: Id
    reason: Text
    apply: bool = False


def cancel_waiting(
    routes: Mapping[str, Route], world: Any, command: Command[CancelBody], context: Context
) -> CommandOutcome:
    """Cancels the one event of this name that waits with the key; another event says what became of it."""
    said = command.data
    found = list(_named(said.request, context.waiting(command.key)))
    if not found:
        what = f"nothing of {command.key} waits here under {said.request}; see pawl order {command.key}"
        return Refused(Problem(NOT_FOUND, what=what))
    if len(found) > 1:
        names = ", ".join(event.id for event in found)
        return Refused(Problem(CANNOT_CANCEL, why=f"several events wait under it, name one: {names}"))
    (event,) = found
    route = routes.get(event.type)
    if route is None or route.cancel is None:
        why = f"{event.type} {event.id} tells what happened, and only what was asked or decided is cancelled"
        return Refused(Problem(CANNOT_CANCEL, why=why))
    by = ByOperator(command.actor, command.reason, command.time)
    applied = route.cancel(world, event, by, context)
    cancelled = {"type": event.type, "event_id": event.id, "source": event.source}
    answer = {
        "key": command.key,
        "request": said.request,
        "applied": said.apply,
        "cancelled": cancelled,
        "events": told(applied.events),
    }
    after = {"state": "cancelled", "events": [each.type for each in applied.events]}
    return Done(answer, applied.events, {**cancelled, "state": "waiting"}, after, settles=(event,))


def _named(name: str, waiting: Any) -> Iterator[Event[Any]]:
    """The waiting events of this id, or about it."""
    for event in waiting:
        if name == event.id or any(getattr(event.data, field, None) == name for field in NAMES):
            yield event
