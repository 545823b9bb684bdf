"""Ending many dead letters: a list that does not change, a typed count, one first, a stop at failures."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.problem import Exit, Problem
from ops.watch.dead.bulk import Plan, Result, confirm, read_list, run, save
from ops.watch.dead.names import Name
from ops.watch.dead.text import diff_lines, print_edit, print_groups

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def listed(*rows: int, hindrance: str = "") -> list[dict[str, Any]]:
    return [
        {
            "name": f"orders:{row}",
            "type": "payment.completed.v1",
            "code": "not_supported",
            "pointer": "",
            "key": f"A-{row}",
            "hindrance": hindrance,
        }
        for row in rows
    ]


def plan(*rows: int, hindered: Iterable[int] = ()) -> Plan:
    return Plan.of("replay", "replayed", [*listed(*rows), *listed(*hindered, hindrance="its key is blocked")])


async def ended(plan: Plan, failing: Iterable[int] = (), stop_at: int = 1) -> tuple[Result, list[str]]:
    """What became of a plan of which these fail, and what was said meanwhile."""
    told: list[str] = []

    async def act(name: Name) -> dict[str, Any]:
        return {
            "name": str(name),
            "replayed": name.row not in failing,
            "code": "x",
            "pointer": "",
            "detail": "",
        }

    return await run(plan, act, stop_at, told.append), told


class TestTheRun:
    async def test_one_goes_first_and_the_others_follow(self) -> None:
        result, told = await ended(plan(1, 2, 3))

        assert result.counts() == {"replayed": 3, "failed": 0, "not_tried": 0, "not_eligible": 0}
        assert told == ["orders:1 was replayed; the other 2 follow"]

    async def test_where_the_first_fails_no_other_is_tried_however_many_may_fail(self) -> None:
        result, _ = await ended(plan(1, 2, 3), failing=[1], stop_at=10)

        assert [outcome["name"] for outcome in result.failures] == ["orders:1"]
        assert result.untried == ["orders:2", "orders:3"]

    @pytest.mark.parametrize(("stop_at", "tried"), [(1, 2), (2, 4), (3, 5)])
    async def test_it_stops_at_so_many_failures(self, stop_at: int, tried: int) -> None:
        result, _ = await ended(plan(1, 2, 3, 4, 5), failing=[2, 4], stop_at=stop_at)

        assert len(result.outcomes) == tried

    async def test_one_that_cannot_be_tried_is_a_failure_with_its_reason(self) -> None:
        async def act(name: Name) -> dict[str, Any]:
            raise Problem(f"{name}: dead letter 1 was resolved by kim")

        result = await run(plan(1), act, 1, lambda said: None)

        assert result.outcomes == [
            {"name": "orders:1", "replayed": False, "detail": "orders:1: dead letter 1 was resolved by kim"}
        ]


class TestThePlan:
    def test_what_cannot_be_ended_is_named_and_left_out(self) -> None:
        shown = plan(1, hindered=[2])

        assert [row["name"] for row in shown.eligible] == ["orders:1"]
        assert shown.lines()[-1] == "not orders:2: its key is blocked"

    def test_a_long_list_is_shortened_and_says_by_how_much(self) -> None:
        assert plan(*range(1, 61)).lines()[-1] == "and 10 more"

    def test_nothing_to_end_is_told(self) -> None:
        with pytest.raises(Problem) as nothing:
            Plan.of("replay", "replayed", [])

        assert nothing.value.exit_code is Exit.NOTHING_MATCHED

    def test_a_list_that_was_saved_is_read_again_in_its_order(self, tmp_path: Path) -> None:
        save(plan(3, 1, hindered=[2]), tmp_path / "list")

        assert list(map(str, read_list(tmp_path / "list"))) == ["orders:3", "orders:1"]

    def test_a_list_that_is_none_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "list").write_text("nothing here\n")

        for file in (tmp_path / "list", tmp_path / "none"):
            with pytest.raises(Problem) as wrong:
                read_list(file)
            assert wrong.value.exit_code is Exit.USAGE


class TestTheCount:
    def test_the_right_one_is_taken(self) -> None:
        confirm(plan(1, 2, hindered=[3]), 2)

    def test_another_one_does_nothing(self) -> None:
        with pytest.raises(Problem, match="There are 2 by now, not 3"):
            confirm(plan(1, 2), 3)

    def test_without_a_terminal_it_has_to_be_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("2\n"))

        with pytest.raises(Problem) as refused:
            confirm(plan(1, 2), None)

        assert refused.value.exit_code is Exit.USAGE

    @pytest.mark.parametrize(("typed", "is_taken"), [("2\n", True), ("1\n", False)])
    def test_at_a_terminal_it_is_typed(
        self, typed: str, is_taken: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        terminal = io.StringIO(typed)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", terminal)

        if is_taken:
            confirm(plan(1, 2), None)
        else:
            with pytest.raises(Problem):
                confirm(plan(1, 2), None)


@pytest.mark.parametrize(
    "words",
    [
        ["dead", "replay", "--reason", "x"],
        ["dead", "resolve", "orders:1", "--all", "--reason", "x"],
        ["dead", "resolve", "orders:1"],
        ["dead", "resolve", "--all", "--reason", "x", "--url", "http://127.0.0.1:1"],
        ["dead", "edit", "orders:p1", "--set", "/a=1"],
        ["dead", "edit", "orders:1", "--set", "/a=1", "--yes"],
    ],
)
def test_what_is_not_asked_for_right_is_a_usage_error(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)

    assert isinstance(result.exception, Problem)
    assert result.exception.exit_code is Exit.USAGE


def test_the_members_of_a_cause_are_named_with_what_is_left_out() -> None:
    member = {"name": "orders:9", "key": "A-9", "sender": None, "since": "2026-11-29T18:00:00+09:00"}
    group = {
        "service": "orders",
        "kind": "dead",
        "state": "open",
        "code": "out_of_range",
        "pointer": "/lines",
        "type": "payment.completed.v1",
        "count": 3,
        "newest": "2026-11-29T18:00:00+09:00",
        "example": "orders:9",
        "members": [member],
        "left_out": 2,
    }

    text = printed(lambda console: print_groups(console, [group, {**group, "state": "edited"}], NOW))

    assert "orders:9         3h  key A-9  from an unknown sender" in text
    assert "and 2 more; see them with --limit" in text
    assert " 3 dead " in text
    assert " 3 edited " in text


def test_a_difference_is_shown_line_by_line() -> None:
    lines = list(diff_lines({"quantity": -5}, {"quantity": 5}))

    assert '-  "quantity": -5' in lines
    assert '+  "quantity": 5' in lines


def test_what_an_edit_would_do_is_shown_with_the_command_that_does_it() -> None:
    outcome = {
        "applied": False,
        "event": {
            "id": "0199",
            "type": "issuance.requested.v1",
            "key": "A-1",
            "source": "/pawl/orders/edited",
        },
        "rows": [{"table": "claims", "added": 1, "changed": 0, "removed": 0}],
        "events": [{"type": "issuance.granted.v2", "key": "A-1"}],
        "waits": None,
    }

    text = printed(lambda console: print_edit(console, Name("orders", 17, False), outcome, "pawl dead edit"))

    assert "claims: 1 added" in text
    assert "issuance.granted.v2 of A-1" in text
    assert "Nothing was done. Do it with: pawl dead edit" in text
    assert "0199" not in text


def printed(show: Any) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    show(console)
    return console.export_text()
