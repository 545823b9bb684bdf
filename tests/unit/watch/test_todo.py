"""What needs somebody: how groups are made, ordered, aged and shown."""

import re
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import get_args

import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from ops import cli
from ops.shell.problem import Exit, Problem
from ops.watch.todo import command
from ops.watch.todo.listing import CAUSES, Todo
from ops.watch.todo.text import age_text, parse_age, print_todo, sums
from services.invoices.todo import late
from services.refunds.todo import due_on, refunds
from shared.operators.every_service import every_service
from shared.operators.reading import EVERY_SERVICE
from shared.operators.settings import TodoSettings
from shared.operators.todo import Group, Moment, Part, Thresholds, Who, add_up, most_urgent_first
from shared.queries import load
from tests.support.guides import ROOT, codes, section, table

NOW = datetime(2026, 12, 8, 1, 0, tzinfo=UTC)
MOMENT = Moment(NOW)
GUIDE = ROOT / "docs" / "operating.md"
REFUND = "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01"


def ago(**age: float) -> datetime:
    return NOW - timedelta(**age)


def group(code: str = "refund_failed", count: int = 1, days: int = 1, **more: object) -> Group:
    fields: dict = {
        "reason": "account_closed",
        "won": 70_400,
        "who": "operator",
        "command": f"pawl x {REFUND}",
    }
    return Group("refunds", code, count=count, since=ago(days=days), **{**fields, **more})


def shown(*groups: Group, with_members: bool = False) -> str:
    console = Console(file=StringIO(), width=80)
    print_todo(console, groups, NOW, with_members)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_parts_add_up_to_a_group_with_the_oldest_first() -> None:
    parts = [
        Part(2, 100, ago(days=1), due=NOW + timedelta(days=2), members=("c",)),
        Part(3, 50, ago(days=9), due=ago(days=6), members=("a", "b")),
        Part(1, None, ago(days=2), due=ago(days=1)),
    ]

    made = add_up("refunds", "refund_failed", "x", "operator", parts, MOMENT)

    assert (made.count, made.won, made.since, made.members) == (6, 150, ago(days=9), ("a", "b", "c"))
    assert (made.overdue, made.overdue_since, made.due) == (4, ago(days=6), NOW + timedelta(days=2))


def test_where_no_money_waits_there_are_no_won() -> None:
    made = add_up("refunds", "x", "", "operator", [Part(1, None, NOW)], MOMENT)
    assert (made.won, made.due, made.overdue, made.overdue_since) == (None, None, 0, None)


def test_no_more_than_twenty_members_are_named() -> None:
    parts = [
        Part(15, None, ago(days=days), members=tuple(f"{days}-{n}" for n in range(15))) for days in (1, 2)
    ]
    made = add_up("refunds", "x", "", "operator", parts, MOMENT)
    assert made.count == 30
    assert len(made.members) == 20
    assert made.members[0] == "2-0"


def test_the_longest_overdue_is_first_then_the_oldest() -> None:
    young, old = group("young", days=1), group("old", days=9)
    late, later = (
        group(code, overdue=1, overdue_since=ago(days=days)) for code, days in (("late", 1), ("later", 5))
    )
    assert [g.code for g in most_urgent_first([young, late, old, later])] == ["later", "late", "old", "young"]


@pytest.mark.parametrize(
    ("requested", "expected", "due"),
    [
        (date(2026, 10, 22), None, date(2026, 10, 27)),
        (date(2026, 10, 22), date(2026, 10, 26), date(2026, 10, 26)),
        (date(2026, 10, 22), date(2026, 11, 20), date(2026, 10, 27)),
        (date(2026, 10, 22), date(2026, 10, 1), date(2026, 10, 27)),
    ],
)
def test_a_refund_is_due_on_the_legal_or_the_expected_day_whichever_is_first(
    requested: date, expected: date | None, due: date
) -> None:
    """Three business days after Thursday are Tuesday. An expected day before a bounce does not count."""
    assert due_on(requested, expected) == due


def refund_row(state: str, day: date, **more: object) -> dict:
    at = datetime(day.year, day.month, day.day, 3, tzinfo=UTC)
    row = {
        "state": state,
        "why": "",
        "day": day,
        "expected_on": None,
        "deadline": None,
        "count": 1,
        "won": 10,
        "amounts": [10],
        "members": ["r"],
    }
    return {**row, "state_since": at, "requested_at": at, **more}


def test_goods_that_did_not_come_back_by_their_deadline_are_overdue() -> None:
    day = date(2026, 12, 7)
    awaited = {"why": "return_awaited", "deadline": NOW - timedelta(seconds=1)}

    (overdue,) = refunds([refund_row("held", day, **awaited)], MOMENT)
    (awaits,) = refunds([refund_row("held", day, **{**awaited, "deadline": NOW})], MOMENT)

    assert (overdue.code, overdue.reason, overdue.overdue) == ("refund_held", "return_awaited", 1)
    assert (awaits.due, awaits.overdue) == (NOW, 0)
    assert overdue.command == "pawl refund show r"


def test_refunds_of_two_days_and_one_reason_are_one_group() -> None:
    rows = [
        refund_row("failed", date(2026, 12, 7), why="account_closed"),
        refund_row("failed", date(2026, 11, 2), why="account_closed", members=["older"]),
        refund_row("failed", date(2026, 12, 7), why="limit"),
    ]

    made = {g.reason: g for g in refunds(rows, MOMENT)}

    assert set(made) == {"account_closed", "limit"}
    assert (made["account_closed"].count, made["account_closed"].overdue) == (2, 1)
    assert made["account_closed"].command == "pawl refund retry older"


def test_what_is_late_owes_interest_of_each_refund_from_its_legal_day() -> None:
    """Requested on 30 October, due on 4 November: 34 days before 8 December."""
    late = refund_row("failed", date(2026, 10, 30), amounts=[176_000, 176_000, 1_000], count=3)
    in_time = refund_row("failed", date(2026, 12, 7), amounts=[176_000])
    ungranted = refund_row("in_review", date(2026, 10, 30), amounts=None)

    assert [each.interest for each in refunds([late], MOMENT)] == [2 * 2_459 + 13]
    assert [each.interest for each in refunds([late, in_time], MOMENT)] == [2 * 2_459 + 13]
    assert [each.interest for each in refunds([in_time], MOMENT)] == [None]
    assert [each.interest for each in refunds([ungranted], MOMENT)] == [None]


def test_what_the_bank_is_asked_is_looked_after_by_an_operator() -> None:
    (waiting,) = refunds([refund_row("held", date(2026, 12, 7), why="holder_check")], MOMENT)

    assert (waiting.code, waiting.who) == ("refund_held", "operator")
    assert waiting.command == "pawl refund show r"


def test_a_second_approval_is_listed_with_its_reason() -> None:
    (waiting,) = refunds([refund_row("in_review", date(2026, 12, 7), why="second_approval")], MOMENT)

    assert (waiting.code, waiting.reason, waiting.who) == ("refund_in_review", "second_approval", "operator")
    assert waiting.command == "pawl refund approve r"


def test_a_payout_on_its_way_is_nobodys_matter_until_its_day_is_over() -> None:
    assert list(refunds([refund_row("paying_out", date(2026, 12, 7))], MOMENT)) == []
    (overdue,) = refunds([refund_row("paying_out", date(2026, 11, 2))], MOMENT)
    assert (overdue.code, overdue.who) == ("refund_overdue", "checkout")


def test_a_document_that_was_never_issued_in_time_costs_two_percent() -> None:
    row = {"month": "2026-05", "count": 1, "one_percent": 1_600, "two_percent": 3_200, "members": ["k"]}
    days = [date(2026, 6, 20), date(2026, 8, 3)]
    rows = [{**row, "day": day, "since": NOW} for day in days]
    moment = Moment(datetime(2026, 7, 1, tzinfo=UTC))

    assert [g.won for g in late(rows[:1], moment)] == [1_600]
    assert [g.won for g in late(rows[1:], moment)] == [3_200]


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-5), "0m"),
        (timedelta(seconds=59), "0m"),
        (timedelta(minutes=59), "59m"),
        (timedelta(hours=23, minutes=59), "23h"),
        (timedelta(days=47), "47d"),
        (timedelta(days=729), "729d"),
        (timedelta(days=731), "2y"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(age: timedelta, text: str) -> None:
    assert age_text(age) == text


def test_an_age_is_read_in_minutes_hours_days_and_weeks() -> None:
    ages = [parse_age(text) for text in ("90m", "12h", "3d", "2w")]
    assert ages == [timedelta(minutes=90), timedelta(hours=12), timedelta(days=3), timedelta(days=14)]


@pytest.mark.parametrize("text", ["", "3", "d", "3 d", "-3d", "3y", "1.5h", "999999d", "٣d"])
def test_what_is_no_age_is_a_usage_error(text: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_age(text)
    assert refused.value.exit_code is Exit.USAGE


def test_the_first_line_sums_up() -> None:
    assert sums([]) == "Nothing needs anybody."
    assert sums([group()]) == "1 thing waits for 1 cause"
    overdue = group(count=2, overdue=1, overdue_since=ago(days=1))
    assert sums([group(), overdue]) == "3 things wait for 2 causes; 1 is overdue"


def test_a_group_is_shown_with_its_number_age_reason_and_next_command() -> None:
    text = shown(
        group(count=12, days=47, overdue=11, overdue_since=ago(days=44), due=NOW + timedelta(hours=5))
    )

    assert text.splitlines() == [
        "12 things wait for 1 cause; 11 are overdue",
        "",
        "   12 refund failed                refunds           ₩70,400   47d  operator",
        "      account_closed; 11 overdue, up to 44d; the next due in 5h",
        f"      pawl x {REFUND}",
    ]


def test_interest_has_a_line_of_its_own() -> None:
    text = shown(group(interest=4_931, overdue=1, overdue_since=ago(days=1)))
    assert "      ₩4,931 of interest, if the buyers are consumers" in text.splitlines()


def test_the_list_fits_eighty_columns() -> None:
    """The longest of everything that is ours; ids of others may be as long as they like."""
    codes = ["document_of_wrong_business", "partner_wants_to_leave", "month_close_interrupted"]
    groups = [
        group(
            code,
            99_999,
            720,
            won=-9_999_999_999_999,
            who=who,
            overdue=9_999,
            overdue_since=ago(days=700),
            interest=10**15,
        )
        for code in codes
        for who in get_args(Who)
    ]
    assert max(cell_len(line) for line in shown(*groups).splitlines()) <= 80


def test_one_cause_is_shown_with_its_members_and_how_many_more_there_are() -> None:
    text = shown(group(count=3, members=("rr-1", "rr-2")), with_members=True)
    assert re.findall(r"^ {8}(.*)$", text, re.MULTILINE) == ["rr-1", "rr-2", "and 1 more"]


def test_a_document_has_whole_seconds_and_times_of_seoul() -> None:
    made = group(days=2, overdue=1, overdue_since=ago(days=1), members=("r",))
    assert made.to_document(NOW) == {
        "service": "refunds",
        "code": "refund_failed",
        "reason": "account_closed",
        "count": 1,
        "won": 70_400,
        "since": "2026-12-06T10:00:00+09:00",
        "age_seconds": 2 * 86_400,
        "who": "operator",
        "due": None,
        "overdue": 1,
        "overdue_seconds": 86_400,
        "interest": None,
        "command": f"pawl x {REFUND}",
        "members": ["r"],
    }


@pytest.mark.parametrize("service", CAUSES)
def test_every_cause_has_its_statement_and_every_statement_its_cause(service: str) -> None:
    of_each = {name for name in EVERY_SERVICE if name.startswith("todo_")}
    own = {name for name in load(f"services.{service}") if name.startswith("todo_")}
    assert {cause.query for cause in CAUSES[service]} == own | of_each
    assert {cause.query for cause in every_service(service)} == of_each


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Todo:
    """What the command reads."""
    found = Todo()

    async def read(*_: object) -> Todo:
        return found

    monkeypatch.setattr(command, "read_everything", read)
    monkeypatch.setattr(command, "now", lambda: NOW)
    monkeypatch.setattr(command, "find_system", lambda *_: None)
    return found


def run(*options: str):
    return CliRunner().invoke(cli.app, ["todo", *options])


def test_the_exit_code_is_for_cron(listed: Todo) -> None:
    assert run().exit_code == Exit.OK

    listed.unreadable = {"orders": "PostgreSQL does not answer"}
    silent = run()
    assert (silent.exit_code, silent.stdout) == (Exit.FAILED, "")
    assert silent.stderr == "pawl: orders could not be read: PostgreSQL does not answer\n"

    listed.groups = [group()]
    assert run().exit_code == Exit.SOMETHING_WAITS


def test_only_what_was_asked_for_is_listed(listed: Todo) -> None:
    every = [group("a", days=1), group("b", days=9, who="finance")]
    for options, left in (
        (["--who", "finance"], ["b"]),
        (["--older-than", "3d"], ["b"]),
        (["--code", "a"], ["a"]),
        (["--who", "finance", "--code", "a"], []),
    ):
        listed.groups = list(every)
        result = run("--json", *options)
        assert [code for code in ("a", "b") if f'"code":"{code}"' in result.stdout] == left
        assert result.exit_code == (Exit.SOMETHING_WAITS if left else Exit.OK)


def test_nobody_in_particular_is_a_usage_error(listed: Todo) -> None:
    result = run("--who", "somebody")
    assert isinstance(result.exception, Problem)
    assert result.exception.exit_code is Exit.USAGE


def test_thresholds_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TodoSettings().thresholds() == Thresholds()
    monkeypatch.setenv("TODO_DEPOSIT_HOURS", "48")
    assert TodoSettings().thresholds().deposit == timedelta(hours=48)

    monkeypatch.setenv("TODO_WAITING_MINUTES", "soon")
    with pytest.raises(Problem, match="TODO_WAITING_MINUTES"):
        command.present_moment()


def test_the_guide_lists_the_thresholds_with_their_defaults() -> None:
    rows = table(section(GUIDE, "When something is listed"))
    assert {row[0].strip("`"): float(row[1]) for row in rows} == {
        name.upper(): field.default for name, field in TodoSettings.model_fields.items()
    }


def test_the_guide_lists_every_cause() -> None:
    sources = [ROOT / "shared/operators/every_service.py", *ROOT.glob("services/*/todo.py")]
    but_columns = r'(?<!\w\[)"([a-z_]+)"'
    texts = set(re.findall(but_columns, "".join(path.read_text() for path in sources)))
    told = {name for row in table(section(GUIDE, "What needs somebody")) for name in codes(row[0])}

    assert told - texts == {"event_blocked", "event_waiting", "event_gap"}
    about = ("quarantine", "deposit_", "partner_", "grant_", "refund_", "document_", "month_", "dead_letter")
    assert {text for text in texts if text.startswith(about)} - told == set()
