"""Rules `issued_once`, `issued_xor_refunded` and `refunded_won`: units and won are given once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ops.audit.history.key_history import KeyHistory
from ops.audit.history.model import units_of


def issued_once(history: KeyHistory) -> Iterator[str]:
    """Grants that are issued twice, in part or never, and units that nobody granted."""
    granted = {grant["grant_id"]: grant["quantity"] for grant in _grants(history, "issuance.granted.v2")}
    issued = _grants(history, "serials.issued.v2")
    for grant in issued:
        grant_id, units = grant["grant_id"], grant["quantity"]
        if grant_id not in granted and history.quiet:
            yield f"{units} units are issued for grant {grant_id}, which nobody made"
        elif granted.get(grant_id, units) != units:
            yield f"grant {grant_id} of {granted[grant_id]} units is issued with {units}"
    times = Counter(grant["grant_id"] for grant in issued)
    for grant_id, number in times.items():
        if number > 1:
            yield f"grant {grant_id} is issued {number} times"
    if history.quiet:
        for grant_id in granted.keys() - times.keys():
            yield f"grant {grant_id} of {granted[grant_id]} units is not issued"


def issued_xor_refunded(history: KeyHistory) -> Iterator[str]:
    """Lines of which more units are issued or refunded than were paid."""
    paid = {
        line["line_id"]: line["quantity"]
        for event in history.events_of("order.paid.v1")
        for line in event.data["lines"]
    }
    if not paid and not history.quiet:
        return
    gone = Counter[str]()
    for grant in _grants(history, "serials.issued.v2"):
        gone[grant["line_id"]] += grant["quantity"]
    for event in history.events_of("refund.completed.v1"):
        gone.update(dict(units_of(event.data)))
    for line_id, units in gone.items():
        most = paid.get(line_id, 0)
        if units > most:
            yield f"line {line_id}: {units} units are issued or refunded, {most} were paid"


def refunded_won(history: KeyHistory) -> Iterator[str]:
    """Refunds that pay something else than was granted, and orders that give back more than was paid."""
    granted = {event.data["refund_id"]: event.data for event in history.events_of("refund.granted.v1")}
    completed = history.events_of("refund.completed.v1")
    for event in completed:
        yield from _paid_as_granted(event.data, granted.get(event.data["refund_id"]))
    back = sum(event.data["supply"] + event.data["vat"] for event in completed)
    back += sum(event.data["amount"] for event in history.events_of("order.cancelled.v1"))
    paid = sum(event.data["amount"] for event in history.events_of("order.paid.v1"))
    if back > paid and (paid or history.quiet):
        yield f"{back} won went back, {paid} were paid"


def _grants(history: KeyHistory, type_name: str) -> list[Mapping[str, Any]]:
    return [grant for event in history.events_of(type_name) for grant in event.data["grants"]]


def _paid_as_granted(refund: Mapping[str, Any], grant: Mapping[str, Any] | None) -> Iterator[str]:
    supply, vat, fee = refund["supply"], refund["vat"], refund["fee"]
    if refund["amount"] != supply + vat - fee:
        yield f"refund {refund['refund_id']} pays {refund['amount']} won for {supply} + {vat} - {fee}"
    if grant is not None and (grant["supply"], grant["vat"]) != (supply, vat):
        granted = f"{grant['supply']} + {grant['vat']}"
        yield f"refund {refund['refund_id']} was granted {granted} won and completed with {supply} + {vat}"
