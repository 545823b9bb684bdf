"""Rules `caused` and `right_decisions`: somebody asked for each decision, and the model explains them all."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ops.audit.history.decisions import OPERATIONS, decide, outcome_of
from ops.audit.history.entries import CASE_DECIDED, REQUEST_CANCELLED, Entry
from ops.audit.history.key_history import KeyHistory
from ops.audit.history.model import WAITS_FOR_MONEY, Operation, Order, units_of
from ops.audit.history.search import Explained, Observed, explain

PAYMENT, CANCELLATION = "payment.completed.v1", "payment.cancelled.v1"
REFUND, ISSUE = "refund.requested.v1", "issuance.requested.v1"
REVIEW = "refund.reviewed.v1"
ByCause = Mapping[str, Sequence[Entry]]


def caused(history: KeyHistory) -> Iterator[str]:
    """Decisions of orders that nobody asked for."""
    asked = (*history.requests, *history.events, *history.commands)
    known = {entry.id for entry in asked}
    for event in history.events:
        if event.process == "orders" and event.type != "order.expired.v1" and event.cause not in known:
            cause = event.cause or "nothing"
            yield f"orders published {event.type} {event.id}, caused by {cause}, which nobody published"


def right_decisions(history: KeyHistory) -> tuple[list[str], bool]:
    """Decisions that no order of the requests explains; and whether the search gave up undecided."""
    observed, silent = _operations(history)
    explained = explain(observed)
    return list(_unexplained(history, explained, silent)), explained.undecided


def _unexplained(history: KeyHistory, explained: Explained, silent: Sequence[Operation]) -> Iterator[str]:
    if explained.undecided:
        return
    if not explained.finals:
        yield explained.why or "no order of the requests explains the events"
    elif history.quiet:
        unfinished = [_without_effect(order, silent) for order in explained.finals]
        if all(unfinished):
            yield unfinished[0]


def _without_effect(order: Order, silent: Sequence[Operation]) -> str:
    """An operation without any event that neither waits nor changes nothing; empty when there is none."""
    left = list(silent)
    progress = True
    while progress:
        progress = False
        for operation in list(left):
            after = next((state for state, outcome in decide(order, operation) if not outcome), None)
            if after is not None:
                order, progress = after, True
                left.remove(operation)
    for operation in left:
        waits = order.status in WAITS_FOR_MONEY and operation.kind != "payment.completed.v1"
        if not waits and any(True for _ in decide(order, operation)):
            what = f"{operation.kind} {operation.id}"
            return f"{what} was accepted and nothing followed; the order is {order.status}"
    return ""


def _operations(history: KeyHistory) -> tuple[list[Observed], list[Operation]]:
    """The operations that something followed (and releases, which move units unseen), and the silent ones."""
    by_cause: dict[str, list[Entry]] = defaultdict(list)
    by_clock = {event.id for event in _expired_by_clock(history)}
    # By their numbers: a relay that repeats may have let a later event arrive first.
    for event in sorted(history.events, key=lambda event: event.sequence or 0):
        if event.process == "orders" and event.id not in by_clock:
            by_cause[event.cause].append(event)
    observed, silent = [], []
    for entry in _asked(history):
        events = by_cause.get(entry.id, [])
        operation = Operation(entry.type, entry.id, _data(history, entry))
        if events or entry.type == "refund.released.v1":
            observed.append(_observed(history, operation, entry, events))
        else:
            silent.append(operation)
    return [*observed, *_expiries(history), *_rejections(history)], silent


def _asked(history: KeyHistory) -> Iterator[Entry]:
    """The requests, commands and events that ask orders for something, each once."""
    seen = set()
    cancelled = _cancelled(history)
    for request in history.requests:
        is_asked = request.type in OPERATIONS and request.identity in history.accepted
        if request.id in cancelled.values():
            continue
        if is_asked and request.identity not in seen:
            seen.add(request.identity)
            yield request
    yield from (command for command in history.commands if command.type == CASE_DECIDED)
    yield from (command for command in history.commands if command.id in cancelled)
    yield from history.events_of(
        *("refund.accepted.v1", "refund.released.v1", "refund.paid_twice.v1"),
        *("refund.overpaid.v1", "refund.underpaid.v1"),
    )


def _cancelled(history: KeyHistory) -> Mapping[str, str]:
    """The requests to issue that an operator has cancelled: their ids by those of the commands."""
    requests = {request.id for request in history.accepted_requests(ISSUE)}
    return {
        command.id: command.data["event_id"]
        for command in history.commands
        if command.type == REQUEST_CANCELLED and command.data["event_id"] in requests
    }


def _observed(history: KeyHistory, operation: Operation, entry: Entry, events: Sequence[Entry]) -> Observed:
    outcome = outcome_of([(event.type, event.data) for event in events])
    if operation.data.get("entangled"):
        outcome = tuple(each for each in outcome if each[0] != "payment.quarantined")
    end = min((event.time for event in events), default=None)
    return Observed(operation, entry.time, end, outcome, history.quiet)


def _data(history: KeyHistory, entry: Entry) -> Mapping[str, Any]:
    if entry.type == "refund.accepted.v1":
        return {**entry.data, "everything": _is_everything(history, entry)}
    if entry.type == REQUEST_CANCELLED:
        asked = next(r for r in history.accepted_requests(ISSUE) if r.id == entry.data["event_id"])
        return asked.data
    if entry.type == CANCELLATION:
        return {**entry.data, "entangled": _is_entangled(history, entry.data["payment_id"])}
    if entry.type != PAYMENT:
        return entry.data
    partner = (entry.data.get("partner") or {}).get("partner_id")
    return {
        **entry.data,
        "withdrawn": partner in history.across.withdrawn,
        "cancelled": any(
            request.data.get("payment_id") == entry.data["payment_id"]
            for request in history.accepted_requests(CANCELLATION)
        ),
    }


def _is_entangled(history: KeyHistory, payment_id: str) -> bool:
    """Whether a payment came or went several times, went before it came, or an operator decided about it.

    What is missing of it then follows from instants and decisions that the model does not know.
    """
    came, went = _said(history, PAYMENT, payment_id), _said(history, CANCELLATION, payment_id)
    decided = [c for c in history.commands if c.type == CASE_DECIDED and c.data["payment_id"] == payment_id]
    if len(came) > 1 or len(went) > 1 or decided or _said(history, "quarantine.decided.v1", payment_id):
        return True
    instants = [(r.data["paid_at"], c.data["cancelled_at"]) for r in came.values() for c in went.values()]
    return any(datetime.fromisoformat(paid) > datetime.fromisoformat(gone) for paid, gone in instants)


def _said(history: KeyHistory, type_name: str, payment_id: str) -> dict[tuple[Any, ...], Entry]:
    """What was said about a payment by accepted requests of this type, once each; no echoes of refunds."""
    told = ("paid_at", "cancelled_at", "amount", "decision")
    return {
        tuple(request.data.get(name) for name in told): request
        for request in history.accepted_requests(type_name)
        if request.data.get("payment_id") == payment_id and request.data.get("refund_id") is None
    }


def _is_everything(history: KeyHistory, accepted: Entry) -> bool:
    """Whether the request named no units, and no operator has approved an amount for them.

    The request says so; where requests of that id differ, refunds does.
    """
    reviews = [*history.accepted_requests(REVIEW), *history.commands]
    if any(r.id == accepted.cause and r.data.get("amount") is not None for r in reviews):
        return False
    request_id = accepted.data["refund_request_id"]
    requests = [r for r in history.accepted_requests(REFUND) if r.data.get("refund_request_id") == request_id]
    names_no_units = {not r.data.get("lines") for r in requests}
    if len(names_no_units) == 1:
        return names_no_units.pop()
    return bool(accepted.data.get("everything"))


def _expiries(history: KeyHistory) -> Iterator[Observed]:
    for event in _expired_by_clock(history):
        operation = Operation(event.type, event.id, {})
        yield Observed(operation, history.entries[0].time, event.time, (("order.expired",),))


def _expired_by_clock(history: KeyHistory) -> list[Entry]:
    """Deposits that ran out by the clock, not by a payment that came too late."""
    payments = {r.id for r in history.requests if r.type == PAYMENT}
    return [event for event in history.events_of("order.expired.v1") if event.cause not in payments]


def _rejections(history: KeyHistory) -> Iterator[Observed]:
    requests = {r.data.get("refund_request_id"): r for r in reversed(history.requests) if r.type == REFUND}
    claimed = Counter[str]()
    for event in history.events_of("refund.accepted.v1"):
        claimed.update(dict(units_of(event.data)))
    for event in history.events_of("refund.rejected.v1"):
        request = requests.get(event.data.get("refund_request_id"))
        if request is not None:
            data = {**request.data, "rejected": event.data["reason"], "asked": claimed}
            operation = Operation(event.type, request.id, data)
            outcome = (("refund.rejected", event.data["reason"]),)
            yield Observed(operation, request.time, event.time, outcome)
