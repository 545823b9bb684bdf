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
from ops.watch.dead.listing import names_fault_of_database
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


@pytest.mark.parametrize(
    ("reason", "passes"),
    [
        ("InsufficientPrivilegeError: permission denied for table order_lines", True),
        ('UndefinedColumnError: column "product_name" does not exist', True),
        ("DiskFullError: could not extend file", True),
        ("TransactionTimeoutError: terminating connection due to transaction timeout", True),
        ("CheckViolationError: violates check constraint", True),
        ("Contradiction: order A-1 has no draft", False),
        ("", False),
    ],
)
def test_what_the_database_has_refused_is_told_by_its_reason(reason: str, passes: bool) -> None:
    assert names_fault_of_database(reason) is passes


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


class TestTheEditor:
    """Its service is played: what it is sent, and what is left for who goes on."""

    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
        """The bodies that go to the service, which takes everything; there is a terminal."""
        bodies: list[dict[str, Any]] = []
        shown = {
            "state": "open",
            "topic": "checkout.events",
            "code": "out_of_range",
            "value": None,
            "document": {"lines": [{"quantity": -5}], "account_number": "***"},
        }

        async def fetch(*arguments: Any) -> dict[str, Any]:
            return shown

        async def edit(base: str, name: Name, token: str, body: dict[str, Any]) -> dict[str, Any]:
            bodies.append(body)
            event = {"id": "0199", "type": "t", "key": "A-1", "source": "/pawl/orders/edited"}
            return {"applied": body["apply"], "event": event, "rows": [], "events": [], "waits": None}

        monkeypatch.setattr("ops.watch.dead.edit.fetch_one", fetch)
        monkeypatch.setattr("ops.watch.dead.edit.edit_one", edit)
        monkeypatch.setattr("ops.watch.dead.edit.is_at_terminal", lambda: True)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setenv("PAWL_TOKEN", "a token")
        return bodies

    def edit(self, *words: str, editor: str = "true") -> Any:
        command = ["dead", "edit", "orders:17", "--url", "http://127.0.0.1:1", *words]
        return CliRunner(env={"VISUAL": "", "EDITOR": editor}).invoke(app, command)

    def test_what_was_written_there_is_tried_and_kept_for_its_owner(
        self, sent: list[dict[str, Any]], tmp_path: Path
    ) -> None:
        tried = self.edit(editor="sed -i s/-5/5/")

        (file,) = tmp_path.glob("pawl-orders-17-*.json")
        assert [(body["document"]["lines"], body["apply"]) for body in sent] == [([{"quantity": 5}], False)]
        assert f"pawl dead edit orders:17 --file {file} --reason WHY --yes" in tried.output
        assert file.stat().st_mode & 0o777 == 0o600

        self.edit("--file", str(file), "--reason", "a typo", "--yes")

        assert [body["apply"] for body in sent] == [False, False, True]
        assert sent[-1]["reason"] == "a typo"
        assert sent[-1]["document"]["account_number"] == "***"

    def test_nothing_changed_is_told_and_nothing_sent(
        self, sent: list[dict[str, Any]], tmp_path: Path
    ) -> None:
        unchanged = self.edit()

        assert "Nothing was changed" in str(unchanged.exception)
        assert (sent, list(tmp_path.iterdir())) == ([], [])

    def test_what_was_sent_leaves_no_file(self, sent: list[dict[str, Any]], tmp_path: Path) -> None:
        self.edit("--reason", "a typo", "--yes", editor="sed -i s/-5/5/")

        assert [body["apply"] for body in sent] == [False, True]
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("editor", ["sed -i s/-5/,,/", "false", "/no/such/editor", "'"])
    def test_what_an_editor_spoils_is_told_with_what_to_do(
        self, sent: list[dict[str, Any]], editor: str
    ) -> None:
        spoilt = self.edit(editor=editor)

        assert isinstance(spoilt.exception, Problem)
        assert spoilt.exception.hint
        assert sent == []

    @pytest.mark.parametrize(
        ("words", "document"),
        [
            (("--set", "/lines/0/quantity=5"), {"lines": [{"quantity": 5}], "account_number": "***"}),
            (("--set", "/name=가나다", "--remove", "/lines"), {"account_number": "***", "name": "가나다"}),
            (("--type", "payment.failed.v1"), {"lines": [{"quantity": -5}], "account_number": "***"}),
        ],
    )
    def test_options_need_no_editor(
        self, sent: list[dict[str, Any]], words: tuple[str, ...], document: dict[str, Any]
    ) -> None:
        assert self.edit(*words, editor="false").exit_code == 0

        assert sent[0]["document"] == document

    @pytest.mark.parametrize(
        "words", [("--set", "/lines/7/quantity=5"), ("--set", "lines"), ("--remove", "x")]
    )
    def test_a_pointer_that_leads_nowhere_is_a_usage_error(
        self, sent: list[dict[str, Any]], words: tuple[str, ...]
    ) -> None:
        wrong = self.edit(*words)

        assert isinstance(wrong.exception, Problem)
        assert (wrong.exception.exit_code, sent) == (Exit.USAGE, [])


def printed(show: Any) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    show(console)
    return console.export_text()
