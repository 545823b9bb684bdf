"""A recorded history is judged right whatever faults the services went through, and each rule finds its bug.

The judge knows topics only. What is planted here stands in the services, not in the recording.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

import services.invoices.decisions.issuing as issuing
import services.invoices.decisions.merging as merging
import services.invoices.decisions.payments as invoices
import services.orders.decisions.payments as payments
import services.orders.decisions.quarantine as quarantine
import services.orders.events as orders_events
import services.refunds.decisions.payouts as payouts
import services.refunds.decisions.reviews as reviews
from services.orders.events import UnnumberedEvent
from services.orders.state import Order
from shared.runtime.decisions import Decided
from tests.simulation.bug import Bug
from tests.simulation.heard import judged

SEEDS, GROUP = 16, 4
MOST_SEEDS = 30


@pytest.mark.parametrize("first", range(1, SEEDS + 1, GROUP))
def test_no_recorded_history_breaks_a_rule(first: int) -> None:
    for seed in range(first, first + GROUP):
        verdict = judged(seed)
        found = [(broken.rule, broken.order_id, broken.detail) for broken in verdict.violations]
        assert found == [], f"seed {seed}"
        assert verdict.undecided == 0, f"seed {seed}"


_set_aside = payments._set_aside
_payment_quarantined = orders_events.payment_quarantined
_quarantine_settled = orders_events.quarantine_settled
_request_merge = merging.request_merge
_modify = invoices._modify


def _second_payment_forgotten(order: Order, data: Any, arrival: Any, reason: str) -> Decided[Order]:
    return Decided(order) if reason == "second_payment" else _set_aside(order, data, arrival, reason)


def _without_proposal(*arguments: Any) -> UnnumberedEvent:
    event = _payment_quarantined(*arguments)
    del event.data["proposal"]
    return event


def _ends_with_a_won_more(*arguments: Any) -> UnnumberedEvent:
    event = _quarantine_settled(*arguments)
    event.data["amount"] += 1
    return event


def _unanswered(*arguments: Any) -> Any:
    decision = _request_merge(*arguments)
    if not isinstance(decision, Decided):
        return decision
    said: Sequence[Any] = [event for event in decision.events if event.type != "merge.answered.v1"]
    return decision._replace(events=said)


def _dated_before_its_original(payment: Any, original: Any, *arguments: Any) -> Any:
    change, (event,) = _modify(payment, original, *arguments)
    event.data["written_date"] = str(original.written_date - timedelta(days=1))
    return Decided(change, (event,))


def _given_up(order: Any, refund: Any, review: Any, *policy: Any) -> Any:
    if refund.state == "unknown" and review.decision in ("retry", "release"):
        return reviews._release(order, refund, review)
    return _review(order, refund, review, *policy)


_review = reviews.review

BUGS = {
    "payments_placed": Bug("", payments, "_set_aside", _second_payment_forgotten),
    "cases_proposed": Bug("", quarantine, "payment_quarantined", _without_proposal),
    "cases_end_as_decided": Bug("", quarantine, "quarantine_settled", _ends_with_a_won_more),
    "payouts_told": Bug("", payouts, "_pay_twice", lambda order, refund, paid: Decided(order)),
    "released_when_failed": Bug("", reviews, "review", _given_up),
    "merges_answered": Bug("", merging, "request_merge", _unanswered),
    "documents_dated": Bug("", invoices, "_modify", _dated_before_its_original),
    "documents_late": Bug("", issuing, "is_late", lambda month, at: True),
}


@pytest.mark.parametrize("rule", BUGS)
def test_a_bug_of_the_services_is_heard_in_the_history(rule: str) -> None:
    with BUGS[rule].planted():
        heard = (broken.rule for seed in range(1, MOST_SEEDS + 1) for broken in judged(seed).violations)
        assert rule in heard
