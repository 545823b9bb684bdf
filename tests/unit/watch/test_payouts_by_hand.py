"""`pawl refund payouts` and `paid`: accounts leave only into a file that its owner alone can read."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.problem import Exit, Problem
from ops.watch.decide import payouts as by_hand
from ops.watch.decide.answers import Asker
from ops.watch.decide.transfers import Transferred
from tests.unit.watch.test_transfers import ACCOUNT, payout, result

PLAIN = "00110123456"


@pytest.fixture(autouse=True)
def some_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAWL_POSTGRES", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("PAWL_KAFKA", "127.0.0.1:1")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the service is asked; it has one payout."""
    bodies: list[dict[str, Any]] = []

    def ask(self: Asker, service: str, scope: str, path: str, body: dict[str, Any], next_step: str) -> Any:
        bodies.append(body)
        secret = {} if body["apply"] else dict.fromkeys(("bank_code", "account_number", "holder"))
        found = [] if body["reason"] == "none" else [payout(**secret)]
        counts = {"left": 0, "taken_before": 2, "forgotten": 1}
        return {"applied": body["apply"], "payouts": found, "amount": 70_400, **counts}

    monkeypatch.setattr(Asker, "ask", ask)
    return bodies


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("name", ["payouts.csv", "payouts.xlsx"])
def test_accounts_are_in_the_file_and_nowhere_else(
    name: str, options: list[str], asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / name

    taken = CliRunner().invoke(app, ["refund", "payouts", "-o", str(file), "--reason", "today", *options])

    assert taken.exit_code == Exit.OK, taken.output
    assert asked == [{"reason": "today", "apply": True, "again": False}]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PLAIN not in taken.output
    assert ACCOUNT not in taken.output
    assert "088-*****3456" in taken.output
    assert name.endswith(".xlsx") or PLAIN in file.read_text()


def test_without_a_file_payouts_are_only_shown(asked: list[dict[str, Any]]) -> None:
    shown = CliRunner().invoke(app, ["refund", "payouts"])

    assert shown.exit_code == Exit.OK
    assert [body["apply"] for body in asked] == [False]
    assert "1 payouts, ₩70,400" in shown.output
    assert "2 were taken out before" in shown.output
    assert "1 have no account any more" in shown.output


def test_no_file_is_left_where_no_payout_waits(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "payouts.csv"

    refused = CliRunner().invoke(app, ["refund", "payouts", "-o", str(file), "--reason", "none"]).exception

    assert isinstance(refused, Problem)
    assert refused.exit_code is Exit.NOTHING_MATCHED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("options", "published"), [([], 0), (["--yes"], 1)])
def test_a_result_is_shown_first_and_said_with_yes(
    options: list[str], published: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Transferred] = []

    async def publish(system: Any, transfers: list[Transferred]) -> None:
        said.extend(transfers)

    monkeypatch.setattr(by_hand, "_publish", publish)
    file = tmp_path / "result.csv"
    file.write_bytes(result(처리결과="정상"))

    told = CliRunner().invoke(app, ["refund", "paid", str(file), "--json", *options])

    assert json.loads(told.stdout) == {
        "applied": bool(published),
        "paid": 1,
        "failed": 0,
        "unknown": 0,
        "amount": 70_400,
    }
    assert len(said) == published


def test_a_sheet_that_cannot_be_read_is_a_usage_error_that_repeats_nothing_of_it(tmp_path: Path) -> None:
    file = tmp_path / "result.csv"
    file.write_bytes(result(처리결과=ACCOUNT))

    refused = CliRunner().invoke(app, ["refund", "paid", str(file), "--yes"]).exception

    assert isinstance(refused, Problem)
    assert refused.exit_code is Exit.USAGE
    assert "row 2" in refused.message
    assert ACCOUNT not in str(refused)
