"""What a recording says about one key (an order, or a partner), sorted into requests, answers and events."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ops.audit.history.entries import CHECKOUT, OPERATOR, Entry
from shared.events.successors import newest

ORDER_OF_OPS = {"invoke": 0, "ok": 1, "fail": 1, "info": 2}


@dataclass(slots=True)
class AcrossKeys:
    """What the judgement of one key must know of all others.

    `withdrawn` are partners that have left, `answered` the hashed identities of requests that were answered
    under any key.
    """

    withdrawn: set[str] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)

    def note(self, entry: Entry) -> None:
        """Takes in one entry of the recording."""
        if entry.type == "partner.withdrawn.v1":
            self.withdrawn.add(entry.key)
        elif entry.op in ("ok", "fail") and not answers_a_place(entry):
            self.answered.add(hash(entry.identity))


class KeyHistory:
    """The entries of one key, without repeats and in the order of time.

    `quiet`: nothing was on its way at the end, so that what is missing is lost. `events` are those of the
    services, told as the types that are said today. `partial`: the order begins before the recording.
    """

    def __init__(self, key: str, entries: Sequence[Entry], quiet: bool, across: AcrossKeys) -> None:
        self.key, self.entries, self.quiet, self.across = key, entries, quiet, across
        self.requests = [entry for entry in entries if entry.op == "invoke"]
        self.answers = [entry for entry in entries if entry.op in ("ok", "fail")]
        self.events = [
            _as_said_today(e) for e in entries if e.op == "info" and e.process not in (OPERATOR, CHECKOUT)
        ]
        self.accepted = {entry.identity for entry in self.answers if entry.op == "ok"}
        first = next((event.sequence for event in self.events if event.process == "orders"), 1)
        self.partial = first is not None and first > 1

    def events_of(self, *types: str) -> list[Entry]:
        """The events of these types."""
        return [event for event in self.events if event.type in types]

    def accepted_requests(self, type_name: str) -> list[Entry]:
        """The requests of this type that were accepted."""
        return [r for r in self.requests if r.type == type_name and r.identity in self.accepted]

    def waits_for_payment(self) -> bool:
        """Whether the order was neither paid nor ended."""
        return not self.events_of("order.paid.v1", "order.expired.v1", "order.cancelled.v1")


def _as_said_today(event: Entry) -> Entry:
    type_name, data = newest(event.type, event.data)
    return event if type_name == event.type else replace(event, type=type_name, data=data)


def without_repeats(entries: list[Entry]) -> list[Entry]:
    """In the order of time, without what the broker holds twice. A request comes before its consequences."""
    entries.sort(key=lambda entry: (entry.time, ORDER_OF_OPS[entry.op], entry.sequence or 0))
    seen: set[tuple[str, str]] = set()
    kept = []
    for entry in entries:
        name = entry.at if entry.op == "invoke" else entry.answer or f"{entry.source} {entry.id}"
        if not name.strip() or (entry.op, name) not in seen:
            seen.add((entry.op, name))
            kept.append(entry)
    return kept


def answers_a_place(answer: Entry) -> bool:
    """Whether it answers one record, not an event: it has no identity, or its identity is what is wrong."""
    return not answer.id or not answer.source or answer.code == "duplicate_id"
