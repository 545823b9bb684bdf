"""Rule `ends_once`: each refund request ends once, and each step follows the one before."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ops.audit.history.entries import Entry
from ops.audit.history.explanation import REFUND
from ops.audit.history.key_history import KeyHistory

NEXT_STEPS: Mapping[str, set[str]] = {
    "": {"refund.accepted.v1", "refund.held.v1", "refund.rejected.v1"},
    "refund.held.v1": {"refund.held.v1", "refund.accepted.v1", "refund.rejected.v1"},
    "refund.accepted.v1": {"refund.granted.v1", "refund.denied.v1"},
    "refund.granted.v1": {"refund.payout_requested.v1", "refund.completed.v1"},
    "refund.payout_requested.v1": {"refund.payout_requested.v1", "refund.completed.v1", "refund.failed.v1"},
    "refund.failed.v1": {
        "refund.failed.v1",
        "refund.payout_requested.v1",
        "refund.completed.v1",
        "refund.released.v1",
    },
    "refund.completed.v1": {"refund.bounced.v1"},
    "refund.bounced.v1": {"refund.payout_requested.v1", "refund.repaid.v1"},
    "refund.repaid.v1": {"refund.bounced.v1"},
    "refund.rejected.v1": set(),
    "refund.denied.v1": set(),
    "refund.released.v1": set(),
}
"""What may follow each step of a refund. A failure may be overtaken by a success, never the other way.

Only a refund of nothing is complete without a payout.
"""
AFTER_A_BOUNCE: Mapping[str, set[str]] = {
    "refund.payout_requested.v1": {"refund.payout_requested.v1", "refund.repaid.v1", "refund.failed.v1"},
    "refund.failed.v1": {"refund.payout_requested.v1", "refund.repaid.v1"},
}
"""What may follow the same steps once the money had been out: no second completion, and no release."""
ENDS = frozenset({"refund.completed.v1", "refund.rejected.v1", "refund.denied.v1", "refund.released.v1"})
FIRST_STEPS = ("refund.accepted.v1", "refund.held.v1", "refund.rejected.v1")
STEPS_OF_A_PAYOUT = ("refund.payout_requested.v1", "refund.failed.v1", "refund.released.v1")
WAITING_FOR_A_SERVICE = frozenset({"refund.accepted.v1", "refund.granted.v1"})
"""Steps after which the services themselves have to go on; other steps wait for checkout or an operator."""
UNANSWERED = frozenset({"timeout", "unknown"})
"""Failures after which the money may still be on its way."""
MADE = ("refund.completed.v1", "refund.repaid.v1", "refund.paid_twice.v1")
ANSWERS_OF_ORDERS = frozenset({"refund.granted.v1", "refund.denied.v1"})


def ends_once(history: KeyHistory) -> Iterator[str]:
    """Refunds that take a wrong step, end twice, or stand still."""
    steps: dict[str, list[Entry]] = defaultdict(list)
    for event in history.events:
        if event.type in NEXT_STEPS and event.data.get("refund_id"):
            steps[event.data["refund_id"]].append(event)
    for refund_id, events in steps.items():
        yield from _one_refund(history, refund_id, events)
    yield from _requests_without_a_step(history)


def payouts_told(history: KeyHistory) -> Iterator[str]:
    """Payouts that checkout made and that no event tells, or several do."""
    told = Counter(
        (event.data["refund_id"], event.data.get("payout_id")) for event in history.events_of(*MADE)
    )
    failed = {_payout(request) for request in history.accepted_requests("refund.payout_failed.v1")}
    for (refund_id, payout_id), number in told.items():
        if number > 1 and payout_id is not None:
            yield f"payout {payout_id} of refund {refund_id} is told {number} times"
    for made in dict.fromkeys(_payout(r) for r in history.accepted_requests("refund.paid_out.v1")):
        # What came back before it was heard of is told only where the refund was still owed.
        if history.quiet and not told[made] and made not in failed:
            yield f"payout {made[1]} of refund {made[0]} was made, and no event tells it"


def released_when_failed(history: KeyHistory) -> Iterator[str]:
    """Releases of refunds whose last payout may still be on its way."""
    last: dict[str, Entry] = {}
    for event in sorted(history.events_of(*STEPS_OF_A_PAYOUT), key=lambda event: event.sequence or 0):
        before = last.get(event.data["refund_id"])
        if event.type == "refund.released.v1" and before is not None:
            reason = before.data.get("reason")
            if before.type != "refund.failed.v1" or reason in UNANSWERED:
                why = f"{before.type} {reason or ''}".strip()
                yield f"refund {event.data['refund_id']} is released after {why}"
        last[event.data["refund_id"]] = event


def _payout(request: Entry) -> tuple[str, str]:
    return request.data["refund_id"], request.data["payout_id"]


def _one_refund(history: KeyHistory, refund_id: str, events: Sequence[Entry]) -> Iterator[str]:
    last, was_out = "", False
    for event in sorted(events, key=_place_in_refund):
        following = AFTER_A_BOUNCE.get(last, NEXT_STEPS[last]) if was_out else NEXT_STEPS[last]
        if event.type not in following and not (event.type in ENDS and event.type == last):
            yield f"refund {refund_id}: {event.type} {event.id} follows {last or 'no step'}"
        if last == "refund.granted.v1" and event.type == "refund.completed.v1" and event.data["amount"]:
            yield f"refund {refund_id} of {event.data['amount']} won is complete without a payout"
        last, was_out = event.type, was_out or event.type == "refund.bounced.v1"
    ends = Counter(event.type for event in events if event.type in ENDS)
    if ends.total() > 1:
        all_ends = " and ".join(f"{name} x{times}" for name, times in ends.items())
        yield f"refund {refund_id} ends more than once: {all_ends}"
    if history.quiet and last in WAITING_FOR_A_SERVICE and not history.waits_for_payment():
        yield f"refund {refund_id} stands still after {last}"


def _place_in_refund(event: Entry) -> tuple[int, int]:
    """By the services' own numbers, with the answer of orders between asking and paying out."""
    if event.type in FIRST_STEPS:
        return 0, event.sequence or 0
    return 1 if event.type in ANSWERS_OF_ORDERS else 2, event.sequence or 0


def _requests_without_a_step(history: KeyHistory) -> Iterator[str]:
    first = [event for event in history.events_of(*FIRST_STEPS) if event.sequence in (None, 1)]
    begun = {event.data.get("refund_request_id") for event in first}
    accepted = {request.data.get("refund_request_id") for request in history.accepted_requests(REFUND)}
    if history.quiet and not history.waits_for_payment():
        for request_id in accepted - begun:
            yield f"refund request {request_id} was accepted and came to nothing"
