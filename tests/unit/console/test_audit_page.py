"""*Audit log* in the console: who changed what, of one person or about one thing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.reading import Reader
from console.screens import audit
from ops.shell.problem import Problem
from ops.shell.system import System
from ops.watch.audit_log import Audited, Entry
from shared.operators.todo import Thresholds
from tests.support.console_pages import request_of, text_of, visit_of

ENTRY = Entry(
    "refunds",
    datetime(2026, 11, 30, 3, 0, tzinfo=UTC),
    "0199a0b0-0000-7000-8000-000000000001",
    "demo:operator",
    "refund.retry",
    "rr-77",
    "<b>the account is open again</b>",
    "done",
    "req-1",
    None,
    None,
)


class ReaderOf(Reader):
    """Reads what a test gives, and keeps what it was asked."""

    def __init__(self, audited: Audited) -> None:
        super().__init__(System(directory=Path()), Thresholds())
        self.found, self.asked = audited, ("", "")

    async def audited(
        self,
        actor: str | None,
        target: str | None,
        most: int,
        since: datetime | None = None,
        before: datetime | None = None,
        only: str | None = None,
    ) -> Audited:
        self.asked = (actor or "", target or "")
        self.asked_times, self.asked_service = (since, before), only
        return self.found


async def test_an_entry_says_who_did_what_to_what_and_why() -> None:
    html = text_of(await audit.show(ReaderOf(Audited([ENTRY])), request_of("/audit"), visit_of("viewer")))

    for said in ("demo:operator", "refund retry", "rr-77", "2026-11-30 12:00:00 KST"):
        assert said in html
    assert "&lt;b&gt;the account is open again&lt;/b&gt;" in html


async def test_an_address_asks_for_one_person_or_one_thing() -> None:
    reader = ReaderOf(Audited([]))

    html = text_of(await audit.show(reader, request_of("/audit", target="rr-77"), visit_of("viewer")))

    assert reader.asked == ("", "rr-77")
    assert "Nobody has changed anything like that." in html


async def test_a_time_is_asked_for_by_days_in_seoul_and_a_service_by_its_name() -> None:
    reader = ReaderOf(Audited([ENTRY]))
    asked = {"since": "2026-11-01", "until": "2026-11-30", "service": "refunds"}

    html = text_of(await audit.show(reader, request_of("/audit", **asked), visit_of("viewer")))

    assert reader.asked_times == (
        datetime(2026, 10, 31, 15, tzinfo=UTC),
        datetime(2026, 11, 30, 15, tzinfo=UTC),
    )
    assert reader.asked_service == "refunds"
    assert "?since=2026-11-01&amp;until=2026-11-30&amp;service=refunds&amp;format=csv" in html


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "0001-01-01", "9999-12-31"])
async def test_what_is_no_day_is_said(day: str) -> None:
    with pytest.raises(Problem, match="is no day"):
        await audit.show(ReaderOf(Audited([])), request_of("/audit", until=day), visit_of("viewer"))


async def test_an_entry_leads_to_what_it_was_done_to_and_to_who_did_it() -> None:
    html = text_of(await audit.show(ReaderOf(Audited([ENTRY])), request_of("/audit"), visit_of("viewer")))

    assert 'href="/find?word=rr-77"' in html
    assert 'href="/audit?actor=demo%3Aoperator"' in html


@pytest.mark.parametrize(
    ("target", "way"),
    [
        ("rr-77", "/find?word=rr-77"),
        ("A 10", "/find?word=A+10"),
        ("A-1 0199a0b0-0000-7000-8000-000000000001", "/find?word=0199a0b0-0000-7000-8000-000000000001"),
        ("2026-10 D-1", "/find?word=D-1"),
        ("2026-10", "/month?month=2026-10"),
        ("", ""),
    ],
)
def test_a_target_leads_to_what_it_names(target: str, way: str) -> None:
    assert audit.way_to(target) == way


async def test_a_service_that_could_not_be_read_is_named() -> None:
    reader = ReaderOf(Audited([ENTRY], {"invoices": "it is away"}))

    html = text_of(await audit.show(reader, request_of("/audit"), visit_of("viewer", "ko")))

    assert "it is away" in html
