"""What may be published together, what waits for what, and when a month may be closed."""

import pytest

from ops.replay.plan import Plan, Step, StepKind
from ops.replay.schedule import Schedule
from tests.unit.replay.histories import line, planned

ORDER = "1001"
BUYER = "12584"  # one without a wish about invoices
PAYMENT, REFUND, ISSUANCE = StepKind.DOCUMENT, StepKind.REFUND, StepKind.ISSUANCE


def an_order(*cancelled: tuple[str, int, str], close_months: bool = False) -> Plan:
    """An order of 10 of each of two products on 1 March, and cancellations of (product, units, day)."""
    bought = [line(customer=BUYER), line(product="21724", customer=BUYER)]
    cancels = [
        line(f"C{place}", product, -units, at=f"2011-{day}T10:00", customer=BUYER)
        for place, (product, units, day) in enumerate(cancelled)
    ]
    return planned(*bought, *cancels, close_months=close_months)


def kinds(steps: list[Step]) -> list[StepKind]:
    return [step.kind for step in steps]


def settle(schedule: Schedule, steps: list[Step]) -> None:
    for step in steps:
        schedule.settle(step)


def test_refunds_of_one_order_that_follow_each_other_go_together() -> None:
    days = [("22728", 1, "03-02"), ("22728", 2, "03-03"), ("21724", 1, "03-04"), ("21724", 1, "03-09")]

    schedule = Schedule(an_order(*days).history)

    assert kinds(schedule.take(ORDER)) == [PAYMENT]
    assert kinds(schedule.take(ORDER)) == [REFUND, REFUND, REFUND]
    assert kinds(schedule.take(ORDER)) == [ISSUANCE]
    assert kinds(schedule.take(ORDER)) == [REFUND]
    assert schedule.take(ORDER) == []


def test_what_an_order_does_after_the_cut_off_of_its_month_waits_for_the_close() -> None:
    days = [("22728", 1, "04-05"), ("21724", 1, "04-06"), ("21724", 1, "04-07")]
    schedule = Schedule(an_order(*days, close_months=True).history)
    for _ in range(2):
        settle(schedule, schedule.take(ORDER))
    before = schedule.take(ORDER)
    assert kinds(before) == [REFUND]
    schedule.ready.clear()

    assert schedule.take(ORDER) == []
    assert schedule.due == [], "a refund of the month is on its way"
    settle(schedule, before)
    assert [close.month for close in schedule.due] == ["2011-03"]
    schedule.close()

    assert list(schedule.ready) == [ORDER]
    assert kinds(schedule.take(ORDER)) == [REFUND, REFUND]
    assert schedule.next_close is None


def test_without_closes_nothing_waits_for_the_cut_off() -> None:
    schedule = Schedule(an_order(("22728", 1, "04-05"), ("22728", 1, "04-06")).history)
    for _ in range(2):
        schedule.take(ORDER)
    assert kinds(schedule.take(ORDER)) == [REFUND, REFUND]


@pytest.mark.parametrize(("settled", "closes"), [("1001", ["2011-03"]), ("2001", [])])
def test_a_month_waits_for_its_own_orders_and_for_the_months_before(settled: str, closes: list[str]) -> None:
    later = line("2001", at="2011-04-20T10:00", customer=BUYER)
    plan = planned(line(customer=BUYER), later, close_months=True)
    schedule = Schedule(plan.history)
    for _ in range(2):
        settle(schedule, schedule.take(settled))
    assert [close.month for close in schedule.due] == closes
