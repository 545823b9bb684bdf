"""The orders service in memory: documents in, events out, so that a test reads as a story of checkout."""

from collections import Counter
from itertools import count
from typing import Any
from uuid import UUID

from services.orders.handlers import ROUTES, refuse_late
from services.orders.state import Blocker, Case, Order, World
from shared.events.catalogue import TYPES
from shared.events.fields import Data
from shared.runtime.decisions import Applied, Context, Event, Outcome, Position, Reject, Wait
from tests.unit.orders.builders import AT

TYPE_OF = {kind.model: name for name, kind in TYPES.items()}


class Shop:
    """Takes documents one after another; what has to wait is tried again after each of them.

    `said` are type (without version) and data of all events so far.
    """

    def __init__(self) -> None:
        self.world = World()
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.waiting: list[Event[Any]] = []
        self._numbers = count(1)
        self._sequences: Counter[str] = Counter()

    @property
    def order(self) -> Order:
        return self.world.orders["A-1"]

    @property
    def types(self) -> list[str]:
        return [name for name, _ in self.said]

    @property
    def cases(self) -> list[tuple[str, str, int, str | None]]:
        """Payment, reason, won and end of each case of the order."""
        return [_told(case) for case in self.order.cases.values()]

    @property
    def held(self) -> int:
        """The won of the open cases."""
        return sum(case.amount for case in self.order.cases.values() if case.is_open)

    def take(self, document: Data, at: Any = AT, order_id: str = "A-1") -> Outcome:
        """Handles one document; the events that follow are in `said`."""
        if getattr(document, "order_id", order_id) != order_id:
            document = document.model_copy(update={"order_id": order_id})
        event = self._event(document, at)
        outcome = self._handle(event)
        if isinstance(outcome, Wait):
            self.waiting.append(event)
        elif isinstance(outcome, Applied):
            self._retry()
        return outcome

    def hear(self, *documents: Data) -> list[str]:
        """The types of what follows from these documents, none of which may be refused."""
        before = len(self.said)
        for document in documents:
            outcome = self.take(document)
            assert not isinstance(outcome, Reject), outcome
        return self.types[before:]

    def hold_back(self, document: Data) -> None:
        """A document waits, though nothing is missing for it: an earlier one of its key was blocked."""
        self.waiting.append(self._event(document, AT))

    def begin_another_batch(self, **blockers: list[Blocker]) -> list[str]:
        """Everything is kept; what waits is tried again. These are the types of what follows."""
        before = len(self.said)
        world = self.world
        world.stored_orders, world.stored_partners = dict(world.orders), dict(world.partners)
        world.blockers = blockers
        self._retry()
        return self.types[before:]

    def _retry(self) -> None:
        for event in list(self.waiting):
            outcome = self._handle(event)
            if isinstance(outcome, Reject):
                outcome = refuse_late(self.world, event, outcome, self._context())
            if isinstance(outcome, Applied):
                self.waiting.remove(event)

    def _handle(self, event: Event[Any]) -> Outcome:
        outcome = ROUTES[event.type].handle(self.world, event, self._context())
        if isinstance(outcome, Applied):
            for new in outcome.events:
                self._sequences[new.subject] += 1
                assert new.sequence == self._sequences[new.subject], (
                    f"{new.type} is not the next of its subject"
                )
            self.said += [(new.type.removesuffix(".v1"), new.data) for new in outcome.events]
        return outcome

    def _context(self) -> Context:
        waiting = tuple(self.waiting)
        return Context(self._new_id, lambda key: [event for event in waiting if event.key == key])

    def _new_id(self) -> UUID:
        return UUID(int=next(self._numbers))

    def _event(self, document: Data, at: Any) -> Event[Any]:
        name, number = TYPE_OF[type(document)], next(self._numbers)
        key = getattr(document, TYPES[name].key_field)
        content = number.to_bytes(16, "big")
        place = Position("test", 0, number)
        return Event("test", f"evt-{number}", name, key, key, at, key, None, content, document, place)


def _told(case: Case) -> tuple[str, str, int, str | None]:
    return case.payment_id, case.reason, case.amount, case.decision
