"""Rules about money that came in: it is on one order or in a case, and each case is told to its end."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ops.audit.history.entries import CASE_DECIDED, Entry
from ops.audit.history.key_history import KeyHistory, payments_of

PAYMENT, DECISION = "payment.completed.v1", "quarantine.decided.v1"
OPENED, ENDED = "payment.quarantined.v1", "quarantine.settled.v1"
MISSING = frozenset(
    {
        "cancelled_after_issue",
        "cancelled_after_refund",
        "partly_cancelled",
        "payout_twice",
        "used_after_refund",
    }
)
"""Reasons of cases about money that is not here, so that none can be given back."""
DECIDED = frozenset({"returned", "kept", "applied"})
"""Ends of a case that an operator decides; the others follow from payments."""


class Case(NamedTuple):
    """What makes two events speak of the same case; equal cases are counted."""

    payment_id: str
    reason: str
    amount: int


def payments_placed(history: KeyHistory) -> Iterator[str]:
    """Accepted payments whose won are neither on their order nor in a case, nor went back before that."""
    if not history.quiet:
        return
    placed = _places(history)
    for request in history.accepted_requests(PAYMENT):
        payment_id, amount = request.data["payment_id"], request.data["amount"]
        is_placed = amount in placed[payment_id] or sum(placed[payment_id]) == amount
        if amount and not is_placed and not _went_back(history, request.data):
            came = f"{amount} won came as payment {payment_id} ({request.id})"
            yield f"{came} and are on no order and in no case"


def one_payment_one_order(history: KeyHistory) -> Iterator[str]:
    """Payments that pay this order and another one."""
    for event in history.events_of("order.paid.v1"):
        for payment_id in payments_of(event.data):
            for other in sorted(history.across.orders_paid_by(payment_id) - {history.key}):
                yield f"payment {payment_id} pays order {history.key} and order {other}"


def cases_proposed(history: KeyHistory) -> Iterator[str]:
    """Cases without a proposal, or with one that gives back something else than is there."""
    for event in history.events_of(OPENED):
        case, proposal = _case(event), event.data.get("proposal")
        if proposal is None:
            if history.across.is_of_contract_2(event):
                yield f"the case of {case.amount} won of payment {case.payment_id} has no proposal"
            continue
        owed = 0 if case.reason in MISSING else case.amount
        if proposal.get("refund") != owed or (owed and not proposal.get("destination")):
            where = proposal.get("destination") or "nowhere"
            told = f"{proposal.get('refund')} won back to {where}"
            yield f"the case {case.reason} of {case.amount} won of payment {case.payment_id} proposes {told}"


def cases_end_as_decided(history: KeyHistory) -> Iterator[str]:
    """Ends of no open case, ends that nobody decided, and decisions that ended nothing."""
    decisions = {each.id: each for each in history.accepted_requests(DECISION)}
    decisions |= {each.id: each for each in history.commands if each.type == CASE_DECIDED}
    open_cases: Counter[Case] = Counter()
    told = sorted(history.events_of(OPENED, ENDED), key=lambda event: event.sequence or 0)
    for place, event in enumerate(told):
        case = _case(event)
        if event.type == OPENED:
            open_cases[case] += 1
            continue
        yield from _one_end(event, case, open_cases, decisions)
        open_cases[case] -= 1
        is_last = place + 1 == len(told) or told[place + 1].cause != event.cause
        if is_last and event.data.get("decision") in ("returned", "kept"):
            yield from _left_open(event, open_cases)
    if history.quiet:
        yield from _without_an_end(told, open_cases, decisions)


def _places(history: KeyHistory) -> dict[str, list[int]]:
    """The won that each payment has on the order, in cases, or in missing money that it made good."""
    placed: dict[str, list[int]] = defaultdict(list)
    for event in history.events_of("order.paid.v1"):
        for payment_id in payments_of(event.data):
            placed[payment_id].append(event.data["amount"])
    for event in history.events_of(OPENED):
        if event.data["reason"] not in MISSING and event.data["reason"] != "bonus_after_refund":
            placed[event.data["payment_id"]].append(event.data["amount"])
    for event in history.events_of(ENDED):
        if event.data.get("decision") == "reinstated":
            placed[event.data["payment_id"]].append(-event.data["amount"])
    return placed


def _went_back(history: KeyHistory, payment: Mapping[str, Any]) -> bool:
    """Whether upstream took all of this payment back; then it may have come after that."""
    went = [
        request.data.get("amount", payment["amount"])
        for request in history.accepted_requests("payment.cancelled.v1")
        if request.data.get("payment_id") == payment["payment_id"]
        and request.data.get("refund_id") is None
        and datetime.fromisoformat(request.data["cancelled_at"]) >= datetime.fromisoformat(payment["paid_at"])
    ]
    return bool(went) and sum(went) >= payment["amount"]


def _case(event: Entry) -> Case:
    return Case(event.data["payment_id"], event.data["reason"], event.data["amount"])


def _one_end(
    event: Entry, case: Case, open_cases: Mapping[Case, int], decisions: Mapping[str, Entry]
) -> Iterator[str]:
    what = f"the case {case.reason} of {case.amount} won of payment {case.payment_id}"
    decision = event.data.get("decision")
    if open_cases.get(case, 0) < 1:
        yield f"{what} ends as {decision} and was not open"
    decided = decisions.get(event.cause)
    if decision in DECIDED and (decided is None or decided.data.get("decision") != decision):
        said = "nobody decided it" if decided is None else f"{decided.data.get('decision')} was decided"
        yield f"{what} ends as {decision}, {said}"


def _left_open(event: Entry, open_cases: Mapping[Case, int]) -> Iterator[str]:
    payment_id = event.data["payment_id"]
    for case, count in open_cases.items():
        if count > 0 and case.payment_id == payment_id:
            yield f"payment {payment_id} was {event.data['decision']}, its case {case.reason} stays open"


def _without_an_end(
    told: list[Entry], open_cases: Mapping[Case, int], decisions: Mapping[str, Entry]
) -> Iterator[str]:
    ended = {(event.data["payment_id"], event.data.get("decision")) for event in told if event.type == ENDED}
    for request in decisions.values():
        payment_id, decision = request.data["payment_id"], request.data["decision"]
        was_known = any(
            open_cases[_case(event)] > 0 and event.time < request.time
            for event in told
            if event.type == OPENED and event.data["payment_id"] == payment_id
        )
        if was_known and (payment_id, decision) not in ended:
            yield f"payment {payment_id} was decided as {decision} ({request.id}), its case stays open"
