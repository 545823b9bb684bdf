"""What a recording says about one key (an order, or a partner), sorted into requests, answers and events."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ops.audit.history.entries import CHECKOUT, ENDED, OPERATOR, REPLAYED, SINCE, Entry
from shared.events.successors import SUCCESSORS, newest

ORDER_OF_OPS = {"invoke": 0, "ok": 1, "fail": 1, "info": 2}
NEW_IN_CONTRACT_2 = frozenset(
    {"merge.answered.v1", "quarantine.settled.v1", *(new.type for new in SUCCESSORS.values())}
)
"""Events that services say only since contract 2."""


@dataclass(slots=True)
class AcrossKeys:
    """What the judgement of one key must know of all others.

    `withdrawn` are partners that have left, `answered` the hashed identities of requests that were answered
    under any key, `paid` the order that each payment pays first, `paid_again` all orders of a payment that
    pays several. `contract_1`: services spoke the events of contract 1; `contract_2_since` is when they spoke
    those of contract 2 for the first time. `issued_by_clock_since`: what an event issues is issued when it is
    handled since then; None where the recording does not know that, nor which document a command issued.
    """

    withdrawn: set[str] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)
    paid: dict[str, str] = field(default_factory=dict)
    paid_again: dict[str, set[str]] = field(default_factory=dict)
    contract_1: bool = False
    contract_2_since: datetime | None = None
    issued_by_clock_since: datetime | None = None

    def note(self, entry: Entry) -> None:
        """Takes in one entry of the recording."""
        if entry.type == ENDED and SINCE in entry.data:
            self.issued_by_clock_since = datetime.fromisoformat(entry.data[SINCE])
        elif entry.type == "order.paid.v1":
            self._note_paid(entry)
        elif entry.type == "partner.withdrawn.v1":
            self.withdrawn.add(entry.key)
        elif entry.op in ("ok", "fail"):
            if not answers_a_place(entry):
                self.answered.add(hash(entry.identity))
        elif entry.type in SUCCESSORS:
            self.contract_1 = True
        elif entry.type in NEW_IN_CONTRACT_2 or entry.data.get("proposal"):
            since = self.contract_2_since
            self.contract_2_since = entry.time if since is None else min(since, entry.time)

    def _note_paid(self, paid: Entry) -> None:
        for payment_id in payments_of(paid.data):
            first = self.paid.setdefault(payment_id, paid.key)
            if first != paid.key:
                self.paid_again.setdefault(payment_id, {first}).add(paid.key)

    def orders_paid_by(self, payment_id: str) -> set[str]:
        """The orders that a payment pays, where they are several."""
        return self.paid_again.get(payment_id, set())

    def is_of_contract_2(self, entry: Entry) -> bool:
        """Whether services kept contract 2 at that moment; they are updated together."""
        since = self.contract_2_since
        return not self.contract_1 or (since is not None and entry.time >= since)


class KeyHistory:
    """The entries of one key, without repeats and in the order of time.

    `quiet`: nothing was on its way at the end, so that what is missing is lost. `events` are those of the
    services, told as the types that are said today, `commands` what operators had done over HTTP. `partial`:
    the order begins before the recording.
    """

    def __init__(self, key: str, entries: Sequence[Entry], quiet: bool, across: AcrossKeys) -> None:
        self.key, self.entries, self.quiet, self.across = key, entries, quiet, across
        self.requests = [entry for entry in entries if entry.op == "invoke"]
        self.answers = [entry for entry in entries if entry.op in ("ok", "fail")]
        self.events = [
            _as_said_today(e) for e in entries if e.op == "info" and e.process not in (OPERATOR, CHECKOUT)
        ]
        self.commands = [e for e in entries if e.process == OPERATOR and e.type != REPLAYED]
        self.accepted = {entry.identity for entry in self.answers if entry.op == "ok"}
        answered_at = {entry.at for entry in self.answers if entry.op == "ok"}
        self._accepted_as = {r.identity: r.content for r in self.requests if r.at in answered_at}
        first = next((event.sequence for event in self.events if event.process == "orders"), 1)
        self.partial = first is not None and first > 1

    def events_of(self, *types: str) -> list[Entry]:
        """The events of these types."""
        return [event for event in self.events if event.type in types]

    def accepted_requests(self, type_name: str) -> list[Entry]:
        """The requests of this type that were accepted; not another use of the id of one."""
        return [
            request
            for request in self.requests
            if request.type == type_name
            and request.identity in self.accepted
            and request.content == self._accepted_as.get(request.identity, request.content)
        ]

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


def numbered_once(history: KeyHistory) -> Iterator[str]:
    """Events that stand at the same place of the same subject.

    Under contract 1 an order and a partner of one id were one subject.
    """
    first: dict[tuple[str, str, int], Entry] = {}
    for event in history.events:
        is_partner = event.type.startswith("partner.")
        if event.sequence is None or (is_partner and not history.across.is_of_contract_2(event)):
            continue
        other = first.setdefault((event.source, event.subject, event.sequence), event)
        if other.id != event.id:
            both = f"{other.type} {other.id} and {event.type} {event.id}"
            yield f"{both} are both number {event.sequence} of {event.subject} from {event.source}"


def payments_of(paid: Mapping[str, Any]) -> list[str]:
    """The payments that pay an order, by its `order.paid`."""
    return paid.get("payment_ids") or [payment for payment in [paid.get("payment_id")] if payment]


def answers_a_place(answer: Entry) -> bool:
    """Whether it answers one record, not an event: it has no identity, or its identity is what is wrong."""
    return not answer.id or not answer.source or answer.code == "duplicate_id"
