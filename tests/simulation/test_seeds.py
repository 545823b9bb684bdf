"""Seeded histories of the whole system, with every fault that the contract allows."""

from collections.abc import Callable, Iterable, Iterator

import orjson
import pytest

from services.invoices.tax_agent import STANDINGS
from tests.simulation.__main__ import describe
from tests.simulation.agent import FATES, REASONS, SUSPENDED
from tests.simulation.engine import ORDERS, Simulation
from tests.simulation.in_steps import InSteps
from tests.simulation.memory import Row, Table
from tests.simulation.seeds import IN_STEPS, TAMPERED_EACH, run_seed
from tests.simulation.tampering import SHORT, SYSTEMIC, Tampered

SEEDS, GROUP = 200, 20


@pytest.mark.parametrize("first", range(1, SEEDS + 1, GROUP))
def test_no_history_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + GROUP):
        outcome = run_seed(seed)
        assert outcome.violation is None, describe(outcome, ORDERS)


@pytest.mark.parametrize(
    ("seed", "orders"),
    [
        pytest.param(
            202611301421, 8, id="a part goes from other money under the id of a payment that is gone"
        ),
        pytest.param(34, ORDERS, id="the agent's last answer closes a month, and is a refusal"),
    ],
)
def test_a_history_that_broke_a_promise_once_keeps_it(seed: int, orders: int) -> None:
    outcome = run_seed(seed, orders)
    assert outcome.violation is None, describe(outcome, orders)


def test_a_seed_always_makes_the_same_history() -> None:
    one, other = Simulation(7), Simulation(7)

    assert one.run() == other.run()
    for name, site in one.system.sites.items():
        assert site.database.content() == other.system.sites[name].database.content()


def test_the_histories_reach_what_they_are_meant_to_reach() -> None:
    """A generator that never draws a refund would prove nothing about refunds."""
    seen: set[str] = set()
    for seed in range(1, SEEDS + 1):
        if seen >= EVERYTHING:
            break
        simulation = Simulation(seed)
        simulation.run()
        for site in simulation.system.sites.values():
            tables = site.database.tables
            seen |= {row["type"] for row in tables["outbox"].values()}
            seen |= set(_of_kinds(tables))
            seen |= {str(row["code"]) for row in tables["dead_letters"].values()}
            seen |= {str(row.get("reason")) for row in tables["quarantine"].values()}
            seen |= {f"{row['reason']}={row['decision']}" for row in tables["quarantine"].values()}
            seen |= {f"late={row['late']}" for row in tables["documents"].values()}
            seen |= {f"{row['state']} over partners" for row in tables["documents"].values() if row["also"]}
            seen |= {str(row["modification"]) for row in tables["documents"].values()}
            seen |= {str(row["reason"]) for row in tables["merge_explanations"].values()}

    assert seen >= EVERYTHING, EVERYTHING - seen


def _of_kinds(tables: dict[str, Table]) -> Iterator[str]:
    """What has become of refunds by the rules of the kinds."""
    for row in tables["outbox"].values():
        if row["type"] in ("refund.held.v1", "refund.rejected.v1"):
            yield f"{row['type'].removesuffix('.v1')}={orjson.loads(row['data'])['reason']}"
    for refund in tables["refunds"].values() if "refund_history" in tables else ():
        is_paid = refund["state"] == "completed"
        if is_paid and refund["fee"]:
            yield "a fee"
        if is_paid and refund["reviewed_at"] and refund["consumed"] not in ("{}", {}):
            yield "a part approved"
        if refund["state"] == "rejected" and refund["returned_at"]:
            yield "a return after the end"
        if is_paid and refund["everything"] and refund["returned_at"] and _has_open_goods(tables, refund):
            yield "goods back in part"


def _has_open_goods(tables: dict[str, Table], refund: Row) -> bool:
    lines = (row for row in tables["order_lines"].values() if row["order_id"] == refund["order_id"])
    claims = ("granted", "refunding", "refunded", "taken_back")
    return any(row["kind"] == "goods" and row["paid"] > sum(row[name] for name in claims) for row in lines)


DECIDED = (
    *("second_payment", "wrong_amount", "late_deposit", "told_late", "order_closed"),
    *("payment_conflict", "cancelled_after_issue", "partly_cancelled"),
)
"""The reasons of cases that operators decide often enough to be seen in a few histories."""
EVERYTHING = {
    *("order.registered.v1", "order.paid.v1", "order.expired.v1", "order.cancelled.v1"),
    *("issuance.granted.v2", "issuance.denied.v1", "refund.granted.v1", "refund.denied.v1"),
    *("payment.quarantined.v1", "partner.withdrawn.v1", "partner.withdrawal_refused.v1"),
    *("issuance.progressed.v1", "serials.issued.v2"),
    *("refund.locked.v2", "refund.accepted.v1", "refund.held.v1", "refund.rejected.v1"),
    *("refund.payout_requested.v1", "refund.completed.v1", "refund.failed.v1", "refund.released.v1"),
    *("refund.bounced.v1", "refund.repaid.v1", "refund.paid_twice.v1", "payout_twice"),
    *("refund.overpaid.v1", "used_after_refund", "refund.underpaid.v1", "bonus_after_refund"),
    *(f"refund.held={why}" for why in ("holder_mismatch", "used", "window_over", "return_awaited")),
    *(f"refund.rejected={why}" for why in ("window_over", "whole_balance_only", "balance_too_small")),
    *("a fee", "a part approved", "goods back in part", "a return after the end"),
    *("invoice.drafted.v1", "invoice.merged.v1", "invoice.issued.v1", "invoice.issue_failed.v1"),
    *("invoice.modified.v1", "month.closed.v1", "event.accepted.v1", "event.rejected.v1"),
    *("unreadable", "unknown_type", "missing_field", "wrong_key", "duplicate_id", "duplicate_request"),
    *("second_payment", "wrong_amount", "late_deposit", "order_closed", "cancelled_after_issue", "late=True"),
    *("told_late", "payment_conflict", "payment_used", "partly_cancelled", "cancelled_after_refund"),
    *(f"{reason}={decision}" for reason in DECIDED for decision in ("returned", "kept")),
    *("wrong_amount=applied", "second_payment=taken_back", "cancelled_after_issue=reinstated"),
    *("issued over partners", "undone over partners", "invoice.unmerged.v1"),
    *("correction", "issued_twice", "contract_cancelled", "supply_value_changed"),
}


def reached(
    simulate: Callable[[int], Tampered | InSteps], seeds: Iterable[int], wanted: set[str]
) -> set[str]:
    """What histories of these seeds reach, until they have reached all that is wanted."""
    seen: set[str] = set()
    for seed in seeds:
        if seen >= wanted:
            break
        simulation = simulate(seed)
        simulation.run()
        seen |= simulation.reached
    return seen


def test_what_is_tampered_with_is_reached() -> None:
    """A history in which nobody restores anything would prove nothing about restores."""
    seen = reached(Tampered, range(TAMPERED_EACH, SEEDS * TAMPERED_EACH, TAMPERED_EACH), TAMPERED)

    assert seen >= TAMPERED, TAMPERED - seen


TAMPERED = {
    *(error.__name__ for error in (*SYSTEMIC, *SHORT)),
    *("gap=moved", "gap=deleted", "restored=forward", "restored=from the WAL"),
    *("a topic created anew", "a place repeated", "an event set aside"),
}


def test_what_finance_and_its_agent_do_is_reached() -> None:
    """A history in which nobody answers late or twice would prove nothing about asking."""
    seen = reached(InSteps, range(IN_STEPS, SEEDS * TAMPERED_EACH, TAMPERED_EACH), STEPS)

    assert seen >= STEPS, STEPS - seen


STEPS = {
    *("approve: done", "issue: done", "transmit: done", "recall: done", "amid", "drifted", "approved again"),
    *("issue: FourEyes", "issued by another person", "issued by the same person"),
    *("recall: AgentSilent", "recall: NotWithAgent", "transmission failed"),
    *("issue failed: business_number_invalid", "issue failed: wrong_number", "issue failed: cancelled"),
    *(f"failed: {why}" for why in (*REASONS, SUSPENDED, "cancelled", "recalled")),
    *(f"sent: {fate}" for fate in FATES),
    *(f"asked: {standing}" for standing in STANDINGS),
    "asked: the number of another document",
}
