"""The points at which fault tests crash or halt a service, and how they are asked for."""

import os
import signal

import pytest

from shared import faults
from shared.faults import Point, reach_with, unharmed


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that this process would have got."""
    numbers: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert pid == os.getpid()
        numbers.append(number)

    monkeypatch.setattr(faults, "kill", kill)
    return numbers


def test_nothing_happens_unless_it_is_asked_for() -> None:
    assert reach_with("", "") is unharmed


def test_a_process_dies_at_the_point_and_time_asked_for(sent: list[int]) -> None:
    reach = reach_with("before_commit:3", "")

    for _ in range(2):
        reach(Point.BEFORE_COMMIT)
        reach(Point.AFTER_COMMIT)
    assert sent == []
    reach(Point.BEFORE_COMMIT)
    assert sent == [signal.SIGKILL]


def test_a_process_halts_at_one_point_and_dies_at_another(sent: list[int]) -> None:
    reach = reach_with("after_mark", "before_mark")

    reach(Point.BEFORE_MARK)
    reach(Point.AFTER_MARK)
    reach(Point.BEFORE_MARK)

    assert sent == [signal.SIGSTOP, signal.SIGKILL]


@pytest.mark.parametrize(
    "text", ["before_lunch", "before_commit:soon", "before_commit:0", "before_commit:-1"]
)
def test_a_point_that_does_not_exist_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(ValueError, match="after_claim, before_commit"):
        faults.parse(text)
