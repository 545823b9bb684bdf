"""The points at which fault tests crash or halt a service, and how they are asked for."""

import os
import signal

import pytest

from shared import crash_points
from shared.crash_points import CrashPoint, crash_at_points, ignore_crash_point


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that this process would have got."""
    numbers: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert pid == os.getpid()
        numbers.append(number)

    monkeypatch.setattr(crash_points, "kill", kill)
    return numbers


def test_nothing_happens_unless_it_is_asked_for() -> None:
    assert crash_at_points("", "") is ignore_crash_point


def test_a_process_dies_at_the_point_and_time_asked_for(sent: list[int]) -> None:
    on_crash_point = crash_at_points("before_commit:3", "")

    for _ in range(2):
        on_crash_point(CrashPoint.BEFORE_COMMIT)
        on_crash_point(CrashPoint.AFTER_COMMIT)
    assert sent == []
    on_crash_point(CrashPoint.BEFORE_COMMIT)
    assert sent == [signal.SIGKILL]


def test_a_process_halts_at_one_point_and_dies_at_another(sent: list[int]) -> None:
    on_crash_point = crash_at_points("after_mark", "before_mark")

    on_crash_point(CrashPoint.BEFORE_MARK)
    on_crash_point(CrashPoint.AFTER_MARK)
    on_crash_point(CrashPoint.BEFORE_MARK)

    assert sent == [signal.SIGSTOP, signal.SIGKILL]


@pytest.mark.parametrize(
    "text", ["before_lunch", "before_commit:soon", "before_commit:0", "before_commit:-1"]
)
def test_a_point_that_does_not_exist_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(ValueError, match="after_claim, before_commit"):
        crash_points.parse(text)
