"""Whether services live, and everything in ten lines."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from ops import cli
from ops.shell.http_client import Answer
from ops.shell.problem import Exit
from ops.shell.run_directory import RunDirectory, Verdict
from ops.shell.system import Endpoint, System
from ops.watch import lag as lag_command
from ops.watch import living, status
from ops.watch.lag import Backlog, ServiceLag
from ops.watch.living import ALIVE, Life, life_of, read_lives
from ops.watch.status import Status, due_on, print_status
from ops.watch.todo.listing import Todo
from shared import tax_documents
from shared.events.catalogue import SERVICES
from shared.operators.todo import Group

NOW = datetime(2026, 12, 8, 1, 0, tzinfo=UTC)
WELL = dict.fromkeys(SERVICES, Life(ALIVE))
QUIET = {name: ServiceLag(Backlog(0.0, 0), {}, 0, {"t": Backlog(0.0, 0)}) for name in SERVICES}


def waits(code: str, reason: str = "", **more: object) -> Group:
    fields: dict = {"count": 2, "won": 10, "since": NOW, "who": "operator", "command": "pawl x", **more}
    return Group("invoices", code, reason, **fields)


def well(**more: object) -> Status:
    fields: dict = {"todo": Todo(), "lives": WELL, "behind": QUIET, "has_topics": True, **more}
    return Status(NOW, **fields)


def shown(found: Status) -> list[str]:
    console = Console(file=StringIO(), width=80)
    print_status(console, found)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("answer", "life"),
    [
        (Answer(200, '{"status": "ok", "why": ""}'), Life(ALIVE)),
        (Answer(503, '{"status": "stalled", "why": "no progress"}'), Life("stalled", "no progress")),
        (Answer(503, '{"status": "starting", "why": ""}'), Life("starting")),
        (Answer(0, "Connection refused"), Life("silent", "Connection refused")),
        (Answer(502, "<html>"), Life("silent", "it answers 502")),
        (Answer(502, "[]"), Life("silent", "it answers 502")),
    ],
)
def test_a_service_lives_when_it_says_so(answer: Answer, life: Life) -> None:
    assert life_of(answer) == life


async def test_a_service_without_an_address_is_unknown_and_the_others_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fetch(url: str, timeout: float) -> Answer:
        return Answer(200, "{}") if url == "http://o/health" else Answer(0, "away")

    monkeypatch.setattr(living, "fetch", fetch)
    system = System(Path(), services={n: Endpoint(n, f"http://{n[0]}") for n in ("orders", "refunds")})

    lives = await read_lives(system)

    assert {name: life.status for name, life in lives.items()} == {
        "orders": "alive",
        "serials": "unknown",
        "refunds": "silent",
        "invoices": "unknown",
    }


def test_when_all_is_well_it_takes_eight_lines() -> None:
    assert shown(well(verdict=Verdict(NOW - timedelta(hours=8), True, 0)))[1:] == [
        "orders    alive     nothing to read  nothing to publish",
        "serials   alive     nothing to read  nothing to publish",
        "refunds   alive     nothing to read  nothing to publish",
        "invoices  alive     nothing to read  nothing to publish",
        "to do     nothing",
        "auditor   every rule held, 8h ago",
        "month     2026-12 is running, its documents are due on 2027-01-11, in 34d",
    ]


def test_whatever_is_wrong_it_takes_ten_lines_of_eighty_columns() -> None:
    long = "PostgreSQL does not answer at postgresql://pawl_ops@database.example:5432/pawl: refused"
    groups = [waits("month_not_closed", month) for month in ("2026-11", "2026-10")]
    groups += [
        waits("x", who=who, overdue=1, overdue_since=NOW) for who in ("finance", "partner", "checkout")
    ]
    lines = shown(
        well(
            lives=dict.fromkeys(SERVICES, Life("silent", long)),
            behind={},
            trouble=long,
            todo=Todo(groups, dict.fromkeys(SERVICES, long)),
            verdict=Verdict(NOW - timedelta(days=3), False, 12_345, topics=True),
        )
    )
    assert len(lines) == 10
    assert max(cell_len(line) for line in lines) <= 80
    assert lines[7] == "          operator 4, finance 2, partner 2, checkout 2"
    assert lines[8] == "auditor   12,345 violations, 3d ago: pawl check --topics"
    assert lines[9] == "month     2026-10 is not closed, due 2026-11-10, since 27d: pawl month 2026-10"


def test_the_due_day_is_the_one_that_invoices_reckons() -> None:
    months = [f"{year}-{month:02}" for year in (2025, 2026, 2027) for month in range(1, 13)]
    assert [due_on(month) for month in months] == [tax_documents.due_on(month) for month in months]


def test_the_verdict_of_the_auditor_is_kept_where_a_system_was_started(tmp_path: Path) -> None:
    verdict = Verdict(NOW, False, 2)
    nowhere, folder = RunDirectory(tmp_path / "nothing"), RunDirectory(tmp_path)

    nowhere.note_verdict(verdict)
    assert (nowhere.read_verdict(), folder.read_verdict()) == (None, None)
    assert not nowhere.path.exists()

    folder.note_verdict(verdict)
    assert folder.read_verdict() == verdict

    (tmp_path / "check.json").write_text("[]")
    assert folder.read_verdict() is None


def test_what_the_auditor_found_in_the_topics_stays_until_it_reads_them_again(tmp_path: Path) -> None:
    folder = RunDirectory(tmp_path)
    found = Verdict(NOW, False, 3, topics=True)
    folder.note_verdict(found)

    folder.note_verdict(Verdict(NOW, True, 0))
    assert folder.read_verdict() == found

    held = Verdict(NOW, True, 0, topics=True)
    folder.note_verdict(held)
    assert folder.read_verdict() == held


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (well(), Exit.OK),
        (well(todo=Todo([waits("x")])), Exit.SOMETHING_WAITS),
        (well(lives={**WELL, "orders": Life("stalled", "x")}, todo=Todo([waits("x")])), Exit.FAILED),
        (well(lives=dict.fromkeys(SERVICES, Life("unknown"))), Exit.OK),
        (well(todo=Todo(unreadable={"orders": "x"})), Exit.FAILED),
        (well(trouble="the broker is away"), Exit.FAILED),
    ],
)
def test_the_exit_code_says_whether_all_is_well(
    found: Status, code: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: object) -> Status:
        return found

    monkeypatch.setattr(status, "read_status", read)
    monkeypatch.setattr(status, "find_system", lambda *_: None)

    result = CliRunner().invoke(cli.app, ["status", "--json"])

    assert result.exit_code == code
    assert json.loads(result.stdout)["services"]["orders"]["status"] == found.lives["orders"].status


def test_lag_says_who_does_not_live_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(*_: object) -> tuple:
        return {**WELL, "refunds": Life("silent", "Connection refused")}, QUIET

    monkeypatch.setattr(lag_command, "_read", read)
    monkeypatch.setattr(lag_command, "find_system", lambda *_: System(Path(), kafka="k:1", ops_url="u"))

    result = CliRunner().invoke(cli.app, ["lag"])

    assert result.exit_code == Exit.FAILED
    lines = result.stdout.splitlines()
    assert lines[0].startswith("orders   alive    0.0 s, 0 events unread")
    assert lines[2].startswith("refunds  silent ")
    assert lines[3] == "          Connection refused"
