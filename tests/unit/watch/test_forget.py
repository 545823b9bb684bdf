"""`pawl refunds forget`: shown first, and what it did in numbers."""

from typing import Any

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.problem import Exit
from ops.watch.decide.answers import Asker


@pytest.fixture(autouse=True)
def some_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAWL_POSTGRES", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("PAWL_KAFKA", "127.0.0.1:1")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """What the service is asked. It keeps three details of P-17, and none of P-0."""
    said: list[tuple[str, str, dict[str, Any]]] = []

    def ask(self: Asker, service: str, scope: str, path: str, body: dict[str, Any], next_step: str) -> Any:
        said.append((scope, path, body))
        details = 0 if "P-0" in path else 3
        counts = {"details": details, "readable_before": details, "readable": 0, "keys": 1, "dead_letters": 2}
        return {"partner_id": "P-17", "applied": body["apply"], **counts}

    monkeypatch.setattr(Asker, "ask", ask)
    return said


def forget(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["refunds", "forget", *arguments])


def test_without_yes_it_only_shows_what_would_be_unreadable(asked: list[Any]) -> None:
    shown = forget("P-17")

    assert shown.exit_code == Exit.OK, shown.output
    assert asked == [("refunds:manage", "/v1/partners/P-17/forget", {"reason": "only shown", "apply": False})]
    assert "3 bank accounts and messages" in shown.output
    assert "3 → 0 could be read then" in shown.output
    assert "2 refused requests" in shown.output
    assert "nothing was done" in shown.output


def test_with_yes_it_proves_that_nothing_opens(asked: list[Any]) -> None:
    done = forget("a/b", "--reason", "it asked by letter", "--yes")

    assert asked[0][1:] == (
        "/v1/partners/a%2Fb/forget",
        {"reason": "it asked by letter", "apply": True},
    )
    assert "3 → 0 can be read now" in done.output
    assert "nothing was done" not in done.output


def test_a_reason_is_needed(asked: list[Any]) -> None:
    assert forget("P-17", "--yes").exception is not None
    assert asked == []


def test_where_nothing_is_sealed_the_exit_code_says_so(asked: list[Any]) -> None:
    assert forget("P-0").exit_code == Exit.NOTHING_MATCHED
