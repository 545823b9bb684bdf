"""Commands for tests: of the toy kind, and one that claims units of an order as an event would."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.orders.handlers import ROUTES
from shared.clock import now
from shared.events.checkout import IssuanceRequested
from shared.events.fields import Data, Id, LineUnits, Quantity
from shared.ids import uuid7
from shared.runtime.commands import Command, CommandOutcome, CommandRoute, Done, Refused, new_command
from shared.runtime.decisions import Applied, Context
from shared.web.callers import Caller, Origin
from shared.web.problems import CONFLICT, Problem


class Note(Data):
    """A command that says something about an order; `wish` sets how it ends."""

    text: Id
    wish: Id = "done"


def take_note(world: Any, command: Command[Note], context: Context) -> CommandOutcome:
    """Answers with a number of its own, so that a second decision would be seen."""
    match command.data.wish:
        case "refuse":
            return Refused(Problem(CONFLICT, detail="it is refused"))
        case "raise":
            raise RuntimeError("nobody foresaw this")
    return Done({"text": command.data.text, "decided": str(uuid7())}, after={"text": command.data.text})


class Units(Data):
    """Issue units of line 1."""

    request_id: Id
    quantity: Quantity


def issue_units(world: Any, command: Command[Units], context: Context) -> CommandOutcome:
    """Claims units by the decision that `issuance.requested` has."""
    said = IssuanceRequested(
        order_id=command.key,
        request_id=command.data.request_id,
        lines=[LineUnits(line_id="1", quantity=command.data.quantity)],
    )
    event = Command(**{name: getattr(command, name) for name in command.__struct_fields__} | {"data": said})
    outcome = ROUTES["issuance.requested.v1"].handle(world, event, context)
    if not isinstance(outcome, Applied):
        return Refused(Problem(CONFLICT, detail=str(outcome)))
    return Done({"types": [each.type for each in outcome.events]}, outcome.events)


COMMANDS = {
    "order.note": CommandRoute(take_note),
    "order.look": CommandRoute(take_note, is_audited=False),
    "units.issue": CommandRoute(issue_units),
}


@dataclass(slots=True)
class Person:
    """Somebody who sends commands."""

    sub: str = "kim"
    partner_id: str | None = None

    def asks(self, key: str | None = None, *, language: Any = "en", correlation: str = "req-1") -> Origin:
        return Origin(Caller(self.sub, frozenset(), self.partner_id), key, None, correlation, language)

    def notes(
        self, text: str, key: str | None = None, *, order: str = "A-1", wish: str = "done", **more: Any
    ) -> Command[Any]:
        name = more.pop("name", "order.note")
        return self.commands(name, order, Note(text=text, wish=wish), key, **more)

    def issues(self, order: str, quantity: int, request: str) -> Command[Any]:
        return self.commands("units.issue", order, Units(request_id=request, quantity=quantity), request)

    def commands(
        self,
        name: str,
        order: str,
        data: Data,
        key: str | None = None,
        reason: str = "",
        at: datetime | None = None,
        command_id: UUID | None = None,
        subject: str = "",
    ) -> Command[Any]:
        return new_command(
            name,
            order,
            data,
            self.asks(key),
            command_id=command_id or uuid7(),
            at=at or now(),
            reason=reason,
            subject=subject,
        )
