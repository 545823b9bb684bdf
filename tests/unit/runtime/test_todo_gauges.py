"""The gauges of what needs somebody: by cause and by who must act, and only as long as it does."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from shared.operators.todo import Group
from shared.runtime.todo_gauges import FRESH, TodoGauges

NOW = datetime(2026, 11, 29, 3, tzinfo=UTC)


def group(code: str = "quarantine", who: str = "operator", reason: str = "", **more: object) -> Group:
    said = {"count": 1, "won": None, "since": NOW - timedelta(days=1), **more}
    return Group("orders", code, reason, who=who, command="pawl todo", **said)  # type: ignore[arg-type]


class Watched:
    """A registry with the gauges."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.gauges = TodoGauges(self.registry)

    def value(self, name: str, cause: str = "quarantine", who: str = "operator") -> float | None:
        return self.registry.get_sample_value(f"pawl_todo_{name}", {"cause": cause, "who": who})


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_the_groups_of_a_cause_are_added_up(watched: Watched) -> None:
    oldest, next_due = NOW - timedelta(days=9), NOW + timedelta(hours=3)
    first = group(
        reason="second_payment", count=3, won=176_000, overdue=1, due=NOW + timedelta(days=1), since=oldest
    )
    second = group(reason="partly_cancelled", count=2, won=-50_000, due=next_due)

    watched.gauges.show([first, second], NOW)

    assert watched.value("things") == 5
    assert watched.value("overdue") == 1
    assert watched.value("won") == 126_000
    assert watched.value("since_timestamp_seconds") == oldest.timestamp()
    assert watched.value("due_timestamp_seconds") == next_due.timestamp()
    assert watched.registry.get_sample_value("pawl_todo_read_timestamp_seconds") == NOW.timestamp()


def test_who_must_act_tells_groups_apart(watched: Watched) -> None:
    watched.gauges.show([group("refund_overdue", "checkout"), group("refund_overdue", count=4)], NOW)

    assert watched.value("things", "refund_overdue", "checkout") == 1
    assert watched.value("things", "refund_overdue") == 4


def test_what_is_gone_is_not_told_any_more(watched: Watched) -> None:
    watched.gauges.show([group(won=1_000, due=NOW)], NOW)

    watched.gauges.show([group("event_blocked")], NOW)

    names = ("things", "overdue", "won", "since_timestamp_seconds", "due_timestamp_seconds")
    assert [watched.value(name) for name in names] == [None] * 5
    assert watched.value("things", "event_blocked") == 1


def test_without_money_or_a_due_instant_none_is_told(watched: Watched) -> None:
    watched.gauges.show([group()], NOW)

    assert watched.value("won") is None
    assert watched.value("due_timestamp_seconds") is None


async def test_scrapes_that_follow_each_other_read_the_list_once(watched: Watched) -> None:
    reads = 0

    async def read() -> Sequence[Group]:
        nonlocal reads
        reads += 1
        return [group(count=reads)]

    for moment in (NOW, NOW + FRESH / 2, NOW + FRESH * 0.9):
        await watched.gauges.keep_fresh(read, moment)
    assert (reads, watched.value("things")) == (1, 1)

    await watched.gauges.keep_fresh(read, NOW + FRESH)
    assert (reads, watched.value("things")) == (2, 2)


async def test_a_clock_that_was_set_back_does_not_stop_the_reading(watched: Watched) -> None:
    watched.gauges.show([group()], NOW + timedelta(days=1))

    async def read() -> Sequence[Group]:
        return [group(count=2)]

    await watched.gauges.keep_fresh(read, NOW)

    assert watched.value("things") == 2


async def test_a_list_that_cannot_be_read_leaves_what_was_told_and_is_asked_for_again(
    watched: Watched,
) -> None:
    watched.gauges.show([group()], NOW)

    async def away() -> Sequence[Group]:
        raise ConnectionRefusedError

    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await watched.gauges.keep_fresh(away, NOW + FRESH)

    assert watched.value("things") == 1
    assert watched.registry.get_sample_value("pawl_todo_read_timestamp_seconds") == NOW.timestamp()
