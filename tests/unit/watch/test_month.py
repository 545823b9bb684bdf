"""`pawl month`: what it asks, what it shows in 80 columns, and the code it ends with."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.http_client import Answer
from ops.shell.problem import Exit, Problem
from ops.shell.system import System
from ops.watch.month import asking
from ops.watch.month.asking import exit_code_of, read_elsewhere
from ops.watch.month.text import print_month
from ops.watch.todo.listing import Todo
from shared.operators.todo import Group, Moment

NOW = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
UUID = "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01"
LONG = "P-" + "1234567890" * 2
NOTHING = {"documents": 0, "payments": 0, "supply": 0, "vat": 0, "total": 0, "merged": 0}
TO_BE = {
    "documents": 812,
    "payments": 1_930,
    "supply": 402_116_000,
    "vat": 40_211_600,
    "total": 442_327_600,
    "single": 412,
    "merged": 400,
    "failed": 1,
    "late": 0,
    "penalty": 0,
}
MERGE = {
    "partners": [LONG],
    "business_number": "1168200276",
    "payments": 5,
    "payment_ids": ["pay-1", "pay-2", "pay-3", "pay-4"],
    "supply": 320_000,
    "vat": 32_000,
    "total": 352_000,
}
LEFT_OUT = {
    "reason": "units_not_issued",
    "count": 1,
    "won": 176_000,
    "payments": [{"payment_id": "pay-9", "order_id": "A-9", "partner_id": "P-17", "won": 176_000}],
}
OPEN_REFUND = {
    "code": "open_refund",
    "count": 2,
    "won": 352_000,
    "who": "operator",
    "command": f"pawl refund show {UUID}",
    "members": [{"refund_id": UUID, "payment_id": "pay-7", "partner_id": "P-17", "won": 176_000}],
    "detail": "its payment is issued whole only with --despite-open-refunds",
}
WARNINGS = [
    {
        "code": "document_not_issued",
        "count": 1,
        "won": 176_000,
        "who": "partner",
        "command": "pawl partner correct --business-number NUMBER --reason WHY P-19",
        "members": [{"invoice_id": UUID, "partner_id": "P-19", "business_number": "1234567890", "won": 176}],
        "detail": "the business number is wrong; issued when it is corrected",
    },
    {
        "code": "event_blocked",
        "count": 1,
        "won": None,
        "who": "operator",
        "command": "pawl dead replay invoices:p7",
        "members": [{"event": "invoices:p7"}],
        "detail": "may be about this month",
    },
    {
        "code": "document_of_wrong_business",
        "count": 1,
        "won": None,
        "who": "finance",
        "command": "pawl close 2026-10 status",
        "members": [{"document_key": "2026-10-1168200276-000001", "right_number": "1348672683"}],
        "detail": "",
    },
]
CLOSED_AT = "2026-11-02T10:00:00+09:00"
CLOSE = {"at": CLOSED_AT, "step": "close", "actor": "finance-kim", "reason": "all have confirmed"}


def a_month(**more: Any) -> dict[str, Any]:
    return {
        "month": "2026-10",
        "state": "open",
        "at": "2026-11-02T10:00:00+09:00",
        "due_on": "2026-11-10",
        "closed_at": None,
        "closes": [],
        "issued": {**NOTHING, "late": 0, "penalty": 0},
        "to_be": TO_BE,
        "merges": [],
        "left_out": [],
        "blockers": [],
        "warnings": [],
        **more,
    }


def everything(**more: Any) -> dict[str, Any]:
    elsewhere = {"code": "refund_in_review", "count": 2, "won": 70_400, "who": "operator"}
    return a_month(
        merges=[MERGE],
        left_out=[LEFT_OUT],
        blockers=[OPEN_REFUND],
        warnings=WARNINGS,
        elsewhere=[{**elsewhere, "command": f"pawl refund show {UUID}"}],
        **more,
    )


def shown(month: dict[str, Any]) -> list[str]:
    console = Console(file=StringIO(), width=80)
    print_month(console, month)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_a_month_is_shown_in_eighty_columns() -> None:
    lines = shown(everything())
    assert max(map(cell_len, lines)) <= 80
    assert lines == [
        "2026-10 is over and not closed; its documents are due on 2026-11-10, in 8d",
        "",
        "                            documents     payments                  won",
        "  to be issued                    812        1,930         ₩442,327,600",
        f"{'supply ₩402,116,000, VAT ₩40,211,600':>71}",
        "    of single payments            412",
        "    merged by month               400",
        "",
        "merged",
        f"  {LONG} 1168200276       5 payments           ₩352,000",
        "    pay-1, pay-2, pay-3 and 2 more",
        "  and 399 more",
        "",
        "left out of a merge",
        "  units not issued                         1 payment           ₩176,000",
        "    pay-9 of P-17",
        "",
        "this blocks the close",
        "      2 open refund                                ₩352,000  operator",
        "        its payment is issued whole only with --despite-open-refunds",
        f"        {UUID}  pay-7, P-17  ₩176,000",
        "        and 1 more",
        f"        pawl refund show {UUID}",
        "",
        "to know",
        "      1 document not issued                        ₩176,000  partner",
        "        the business number is wrong; issued when it is corrected",
        "        P-19  1234567890  ₩176",
        "        pawl partner correct --business-number NUMBER --reason WHY P-19",
        "      1 event blocked                                        operator",
        "        may be about this month",
        "        invoices:p7",
        "        pawl dead replay invoices:p7",
        "      1 document of wrong business                           finance",
        "        2026-10-1168200276-000001 should be under 1348672683",
        "        pawl close 2026-10 status",
        "",
        "waits in other services, and may concern this month",
        "      2 refund in review                            ₩70,400  operator",
        f"        pawl refund show {UUID}",
    ]


def test_a_closed_month_says_what_was_issued_who_closed_it_and_why() -> None:
    issued = {**TO_BE, "late": 3, "penalty": 1_600}
    to_be = dict.fromkeys(TO_BE, 0)
    lines = shown(a_month(state="closed", closes=[CLOSE], issued=issued, to_be=to_be))
    assert lines[:3] == [
        "2026-10 is closed; its documents are due on 2026-11-10, in 8d",
        "  closed on 2026-11-02 10:00 by finance-kim",
        "    all have confirmed",
    ]
    assert lines[5] == "  issued                          812        1,930         ₩442,327,600"
    assert lines[7] == f"{'3 late; estimated penalty ₩1,600':>71}"
    assert not any("to be issued" in line for line in lines)


def test_a_month_of_which_was_issued_says_by_whom() -> None:
    assert "  issued on 2026-11-02 10:00 by finance-kim" in shown(a_month(closes=[CLOSE | {"step": "issue"}]))


@pytest.mark.parametrize(
    ("at", "when"),
    [
        ("2026-11-10T23:59:00+09:00", "today"),
        ("2026-11-09T23:59:00+09:00", "in 1d"),
        ("2026-11-12T00:30:00+09:00", "since 1d"),
    ],
)
def test_the_countdown_is_that_of_the_due_day(at: str, when: str) -> None:
    assert shown(a_month(at=at))[0].endswith(f"due on 2026-11-10, {when}")


def test_the_exit_code_says_whether_it_can_be_closed() -> None:
    empty = a_month(to_be=dict.fromkeys(TO_BE, 0))
    blocked = a_month(blockers=[OPEN_REFUND])
    assert exit_code_of(a_month(warnings=WARNINGS)) == Exit.OK
    assert exit_code_of(blocked) == Exit.SOMETHING_WAITS
    assert exit_code_of(blocked, despite_open_refunds=True) == Exit.OK
    early = {**OPEN_REFUND, "code": "month_not_over"}
    assert exit_code_of(a_month(blockers=[early]), despite_open_refunds=True) == Exit.SOMETHING_WAITS
    assert exit_code_of(empty) == Exit.NOTHING_MATCHED
    assert exit_code_of({**empty, "closed_at": "2026-11-05T18:00:00+09:00"}) == Exit.OK
    assert exit_code_of({**empty, "to_be": {**empty["to_be"], "failed": 1}}) == Exit.OK


# What waits elsewhere


def waits(service: str, code: str) -> Group:
    return Group(service, code, "", 1, None, NOW - timedelta(days=1), "operator", "pawl x")


async def test_of_other_services_only_that_is_told_which_may_change_a_month(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = [
        waits("orders", "quarantine"),
        waits("orders", "deposit_expires"),
        waits("refunds", "refund_held"),
        waits("invoices", "event_blocked"),
    ]

    async def read(where: Any, moment: Moment) -> Todo:
        return Todo(groups, {"serials": "away", "invoices": "away"})

    monkeypatch.setattr(asking, "read_everything", read)
    found = await read_elsewhere(System(Path()), Moment(NOW))

    assert [each["code"] for each in found["elsewhere"]] == ["quarantine", "refund_held"]
    assert found["unreadable"] == {"serials": "away"}


async def test_without_a_database_it_is_said_that_nobody_was_asked() -> None:
    assert await read_elsewhere(None, Moment(NOW)) == {
        "elsewhere": [],
        "unreadable": {"the other services": "their database is not known"},
    }


# The command


class Service:
    """The invoices service, as far as `pawl month` asks it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = Answer(200, "{}")

    async def fetch(self, url: str, body: bytes | None, timeout: float, token: str) -> Answer:
        assert body is None
        self.asked.append(url)
        return self.answer


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("PAWL_TOKEN", "a-token")
    service = Service()
    with patch("ops.shell.asking.fetch", service.fetch):
        yield service


def run(service: Service, month: dict[str, Any], *arguments: str) -> Any:
    service.answer = Answer(200, orjson.dumps(month).decode())
    return CliRunner().invoke(app, ["month", "2026-10", *arguments, "--invoices", "http://invoices/"])


def test_a_month_that_can_be_closed_says_how(service: Service) -> None:
    result = run(service, a_month())
    assert service.asked == ["http://invoices/v1/months/2026-10/preview?limit=10"]
    assert "Close it: pawl close 2026-10 --reason WHY --yes" in result.stdout
    assert "the other services could not be read: their database is not known" in result.stderr
    assert result.exit_code == 0


def test_a_month_that_takes_two_steps_says_both(service: Service) -> None:
    said = run(service, a_month(in_steps=True)).stdout
    assert "Approve it: pawl close 2026-10 approve --reason WHY --yes" in said
    assert "Then issue it: pawl close 2026-10 issue --reason WHY --yes" in said
    assert "Close it" not in said


@pytest.mark.parametrize("state", ["running", "closed"])
def test_a_month_that_cannot_be_closed_now_does_not_say_how(service: Service, state: str) -> None:
    assert "Close it" not in run(service, a_month(state=state)).stdout


def test_json_has_everything_as_of_the_instant(service: Service) -> None:
    month = a_month(blockers=[OPEN_REFUND])
    result = run(service, month, "--json", "--at", "2026-11-05T18:00:00+09:00")
    assert service.asked == [
        "http://invoices/v1/months/2026-10/preview?limit=1000&at=2026-11-05T18%3A00%3A00%2B09%3A00"
    ]
    assert orjson.loads(result.stdout).items() >= month.items()
    assert result.exit_code == 5


def test_an_empty_month_is_no_month(service: Service) -> None:
    result = run(service, a_month(to_be=dict.fromkeys(TO_BE, 0)))
    assert isinstance(result.exception, Problem)
    assert result.exception.exit_code == Exit.NOTHING_MATCHED


def test_a_month_without_invoices_may_have_documents_that_modify_others(service: Service) -> None:
    result = run(service, a_month(to_be=dict.fromkeys(TO_BE, 0)))
    assert isinstance(result.exception, Problem)
    assert result.exception.message == "No payment of 2026-10 was or will be invoiced."
    assert "pawl close 2026-10 status" in result.exception.hint


@pytest.mark.parametrize("arguments", [["2026-13"], ["2026-10", "--at", "now"], ["2026-10", "--limit", "0"]])
def test_a_wrong_command_asks_nothing(service: Service, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["month", *arguments, "--invoices", "http://invoices"])
    assert result.exit_code != 0
    assert service.asked == []
