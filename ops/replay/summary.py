"""The result of a replay in counts and won: all of it from the answers of the system, none from the plan."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ops.replay.ends import outcome
from ops.replay.ledger import Ledger
from ops.replay.plan import Plan
from ops.replay.states import OrderState, RefundState
from shared.money import Money


@dataclass(slots=True, frozen=True)
class Summary:
    """The result of a replay. Won are integers, `seconds` wall time, `check` the auditor's report as JSON.

    `document` is the JSON document of `pawl replay --json`; the other fields are for the tables only.
    """

    document: dict[str, Any]
    invoices: dict[str, int]
    events: dict[str, int]


def summarise(
    plan: Plan, ledger: Ledger, published: int, seconds: float, check: dict[str, Any] | None
) -> Summary:
    """Counts everything. Raises AssertionError when a source line has no outcome."""
    outcomes = count_outcomes(plan, ledger)
    paid = sum(order.paid is not None for order in ledger.orders.values())
    units = count_units(plan, ledger)
    document = {
        "lines": len(plan.fates),
        "outcomes": outcomes,
        "orders": paid,
        "units": units,
        "refunds": count_refunds(plan, ledger),
        "won": count_won(ledger),
        "months": months(plan, ledger),
        "seconds": round(seconds, 3),
        "orders_per_second": _rate(paid, seconds),
        "events_per_second": _rate(published + ledger.records, seconds),
        "units_per_second": _rate(units["paid"], seconds),
        "check": check,
    }
    return Summary(document, count_invoices(ledger), {"published": published, "read": ledger.records})


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0


def count_outcomes(plan: Plan, ledger: Ledger) -> dict[str, int]:
    """How many source lines ended how, most frequent first. They add up to the lines read."""
    counts = Counter(outcome(ledger, fate) for fate in plan.fates.values())
    assert counts.total() == len(plan.fates)
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    # Plain text for JSON: some of the names are members of an enumeration.
    return {str(name): count for name, count in most_first}


def count_units(plan: Plan, ledger: Ledger) -> dict[str, int]:
    """Units of paid orders: paid = issued + refunded + open. Units of charges (postage ...) stay open."""
    paid = issued = refunded = 0
    for order_id, order in ledger.orders.items():
        if order.paid is None:
            continue
        for line_id, units in plan.orders[order_id].units.items():
            paid += units
            issued += order.line(line_id).units_issued
            refunded += order.refunded(line_id)
    return {"paid": paid, "issued": issued, "refunded": refunded, "open": paid - issued - refunded}


def count_refunds(plan: Plan, ledger: Ledger) -> dict[str, Any]:
    """Refund requests by how they ended; `granted` counts the claims that orders gave.

    A request refused on checkout.feedback counts as rejected: which of the two it is depends on whether the
    order was known when it came.
    """
    refunds = [refund for order in ledger.orders.values() for refund in order.refunds.values()]
    refused = [ledger.verdicts[step_id].code for step_id in _refused_requests(plan, ledger)]
    return {
        "requested": len(refunds) + len(refused),
        "granted": sum(bool(refund.granted) for refund in refunds),
        "completed": _count(refunds, "completed"),
        "denied": _reasons(refunds, "denied"),
        "rejected": _reasons(refunds, "rejected", refused),
        "open": sum(not refund.over for refund in refunds),
    }


def _refused_requests(plan: Plan, ledger: Ledger) -> list[str]:
    asked = {
        f"{order}:{request}"
        for fate in plan.fates.values()
        for order, request in getattr(fate, "requests", ())
    }
    return [
        step_id for step_id in asked if step_id in ledger.verdicts and not ledger.verdicts[step_id].accepted
    ]


def _count(refunds: list[RefundState], state: str) -> int:
    return sum(refund.state == state for refund in refunds)


def _reasons(refunds: list[RefundState], state: str, others: Iterable[str] = ()) -> dict[str, int]:
    counts = Counter(refund.reason for refund in refunds if refund.state == state)
    counts.update(others)
    return dict(sorted(counts.items()))


def count_won(ledger: Ledger) -> dict[str, int]:
    """Won in, won out, and what the tax documents of these orders add up to."""
    paid = sum(order.paid.total for order in ledger.orders.values() if order.paid is not None)
    refunded = sum(refund.amount for order in ledger.orders.values() for refund in order.refunds.values())
    books = ledger.books
    invoiced = sum(money.total for _, money in books.issued.values())
    modified = sum(money.total for money in books.modified.values())
    return {"paid": paid, "refunded": refunded, "invoiced": invoiced + modified, "modified": modified}


def count_invoices(ledger: Ledger) -> dict[str, int]:
    """Tax invoices issued for one payment and merged by month, modified ones, and those that failed."""
    books = ledger.books
    merged = books.issued.keys() & books.merged.keys()
    return {
        "per payment": len(books.issued) - len(merged),
        "merged by month": len(merged),
        "payments in merged ones": sum(len(books.issued[document][0]) for document in merged),
        "modified": len(books.modified),
        "failed": len(books.failed),
    }


def months(plan: Plan, ledger: Ledger) -> dict[str, dict[str, int]]:
    """Each month as it was closed; an open one shows what was paid and not refunded, and no documents."""
    open_months: dict[str, Counter[str]] = {}
    for order_id, order in ledger.orders.items():
        if order.paid is not None:
            drafts = open_months.setdefault(plan.orders[order_id].month, Counter())
            drafts.update(_draft(order, order.paid))
    names = ("payments", "documents", "supply", "vat", "total")
    return {
        month: {name: ledger.books.closed.get(month, drafts)[name] for name in names}
        for month, drafts in sorted(open_months.items())
    }


def _draft(order: OrderState, paid: Money) -> dict[str, int]:
    back = [refund.money for refund in order.refunds.values()]
    supply = paid.supply - sum(money.supply for money in back)
    vat = paid.vat - sum(money.vat for money in back)
    return {"payments": 1, "documents": 0, "supply": supply, "vat": vat, "total": supply + vat}


def most_interesting(ledger: Ledger) -> str | None:
    """An order worth a look: something refunded, something refused as issued, the rest issued."""

    def interest(order_id: str) -> tuple[int, int]:
        order = ledger.orders[order_id]
        states = {refund.state for refund in order.refunds.values()}
        issued = any(line.issued for line in order.lines.values())
        stories = ("completed" in states) * 2 + bool(states & {"rejected", "denied"}) * 2 + issued
        return stories, -len(order.lines)

    paid = [order_id for order_id, order in ledger.orders.items() if order.paid is not None]
    return max(paid, key=interest, default=None)
