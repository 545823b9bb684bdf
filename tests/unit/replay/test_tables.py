"""What a person reads: every figure of the document is there, and the lines add up."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ops.replay.driver import Progress
from ops.replay.outcomes import OrderEnd, Surprise
from ops.replay.progress import shown_progress
from ops.replay.run import read_plan
from ops.replay.summary import Summary, summarise
from ops.replay.tables import MEANINGS, print_summary
from ops.shell.problem import Exit, Problem
from tests.unit.replay.test_driver import drive, story
from tests.unit.replay.toy_system import ToySystem


async def summary(check: dict[str, Any]) -> Summary:
    plan = story(close_months=True)
    return summarise(plan, await drive(plan, ToySystem()), published=9, seconds=2.0, check=check)


def printed(told: Summary) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_summary(console, told)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_end_that_the_file_decides_and_every_end_of_an_order_is_explained() -> None:
    with_reasons = {OrderEnd.QUARANTINED, OrderEnd.REJECTED}
    assert {*Surprise, *OrderEnd} - with_reasons <= MEANINGS.keys()


async def test_the_tables_show_lines_won_months_and_the_verdict() -> None:
    text = printed(await summary({"ok": True, "orders": 2, "violations": []}))
    for part in (
        "refund_rejected_issued",
        "lines read",
        "2011-03",
        "1 orders/s",
        "8 units/s",
        "holds for 2 orders",
    ):
        assert part in text


async def test_a_broken_rule_is_named_with_its_order() -> None:
    broken = {"rule": "units", "order_id": "1001", "detail": "one too many"}
    text = printed(await summary({"ok": False, "orders": 2, "violations": [broken]}))
    assert "units  1001  one too many" in text


def test_progress_that_nobody_watches_is_a_line_now_and_then_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 4.0, 5.5])
    monkeypatch.setattr("ops.replay.progress.monotonic", lambda: next(now))
    progress = Progress(steps=5, of_steps=10, doing="replaying 2011-03")
    with shown_progress(plain=True) as show:
        show(progress)
        show(progress)
    assert capsys.readouterr().err == "replaying 2011-03, 5 of 10 events settled\n"


def test_a_file_that_is_no_history_is_a_problem_of_usage(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(Problem, match="no column InvoiceNo") as problem:
        read_plan(path, close_months=True)
    assert problem.value.exit_code is Exit.USAGE
