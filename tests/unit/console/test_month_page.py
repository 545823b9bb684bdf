"""*Month* in the console: what blocks a close, and the close with a reason."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import orjson
import pytest

from console.reading import Reader
from console.screens import month as screen
from ops.shell.http_client import Answer
from ops.shell.problem import Problem
from ops.shell.system import System
from shared.operators.todo import Thresholds
from tests.support.console_pages import PreparedServices, bytes_of, request_of, text_of, visit_of
from tests.unit.watch.test_hometax import HEARD, a_list, approval

REFUND_ID = "0199a0b0-0000-7000-8000-000000000077"
SUMS = {
    "documents": 3,
    "payments": 4,
    "supply": 100_000,
    "vat": 10_000,
    "total": 110_000,
    "late": 0,
    "penalty": 0,
}
BLOCKER = {
    "code": "open_refund",
    "count": 1,
    "won": 27_500,
    "who": "operator",
    "detail": "a refund is in progress",
    "command": f"pawl refund show {REFUND_ID}",
    "members": [{"refund_id": REFUND_ID, "payment_id": "pay-1", "partner_id": "P-17", "won": 27_500}],
}


def month(**changed: Any) -> dict[str, Any]:
    """A month that is over and not closed."""
    return {
        "month": "2011-03",
        "state": "open",
        "at": "2011-04-05T18:00:00+09:00",
        "due_on": "2011-04-11",
        "closed_at": None,
        "in_steps": False,
        "four_eyes": False,
        "with_agent": False,
        "closes": [],
        "issued": {**SUMS, "documents": 0, "total": 0},
        "to_be": {**SUMS, "single": 2, "merged": 1, "failed": 0},
        "merges": [
            {
                "business_number": "1168200276",
                "partners": ["P-17"],
                "payments": 2,
                "payment_ids": ["a"],
                "total": 60_000,
            }
        ],
        "left_out": [],
        "blockers": [],
        "warnings": [],
        **changed,
    }


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What invoices says of the month; a test may change it."""
    found = month()

    async def read(url: str, name: str, at: None, limit: int, token: str) -> dict[str, Any]:
        assert (url, name, token) == (
            "http://invoices.test",
            "2011-03",
            "token of demo:finance or demo:viewer",
        )
        return found

    monkeypatch.setattr(screen, "read_month", read)
    return found


def services(**answers: Any) -> PreparedServices:
    return PreparedServices(
        System(directory=None),  # type: ignore[arg-type]
        lambda person, scope: "token of demo:finance or demo:viewer",
        answers,
    )


def reader() -> Reader:
    return Reader(System(directory=None), Thresholds())  # type: ignore[arg-type]


BOARD = [
    {"state": "review", "businesses": 1, "documents": 2, "won": 60_000},
    {"state": "issue_failed", "businesses": 1, "documents": 1, "won": 50_000},
]


def business(**changed: Any) -> dict[str, Any]:
    """A business that is approved by finance."""
    return {
        "business_number": "1168200276",
        "partners": ["P-17"],
        "state": "approved",
        "drafts": 0,
        "approved": 2,
        "issue_failed": 0,
        "issued": 0,
        "to_issue": 60_000,
        "total": 0,
        "approved_by": {"actor": "demo:finance", "at": "2011-04-05T18:00:00+09:00", "reason": "checked"},
        "issued_by": None,
        "drift": None,
        "due_on": "2011-04-11",
        **changed,
    }


def of_month(**answers: Any) -> PreparedServices:
    """What invoices answers about the month beside its preview."""
    return services(
        **{
            "/v1/months/2011-03": {"board": BOARD},
            "/v1/months/2011-03/businesses?limit=200": {"items": [business()], "next": None},
            "/v1/months/2011-03/businesses?limit=1000": {"items": [business()], "next": None},
            "/v1/months/2011-03/businesses?limit=1000&state=approved": {"items": [business()], "next": None},
            "/v1/months/2011-03/businesses/1168200276": business(),
            **answers,
        }
    )


async def page(role: Any, **query: str) -> str:
    asked = request_of("/month", month="2011-03", **query)
    return text_of(await screen.show(reader(), of_month(), asked, visit_of(role)))


async def step_page(role: Any, action: str, **query: str) -> str:
    asked = request_of("/month/step", month="2011-03", action=action, **query)
    return text_of(await screen.show_step(of_month(), asked, visit_of(role)))


async def test_the_board_shows_the_whole_path_and_what_failed(shown: dict[str, Any]) -> None:
    html = await page("viewer")

    places = [html.index(f"<h2>{state}</h2>") for state in ("collecting", "in review", "approved", "issued")]
    assert places == sorted(places)
    assert "₩60,000 · 2 documents" in html
    assert "issue failed" in html
    assert 'href="/business?month=2011-03&amp;number=1168200276"' in html


async def test_the_businesses_are_a_file_too(shown: dict[str, Any]) -> None:
    html = await page("viewer", format="csv")

    assert html.splitlines()[1].startswith("1168200276,P-17,approved,2,60000,,demo:finance")


async def test_partners_of_a_business_are_ids_and_shown_in_full(shown: dict[str, Any]) -> None:
    many = {"items": [business(partners=["P-8812345678", "P-18"])], "next": None}
    asked = request_of("/month", month="2011-03")
    of = of_month(**{"/v1/months/2011-03/businesses?limit=200": many})

    html = text_of(await screen.show(reader(), of, asked, visit_of("viewer")))

    assert "P-8812345678, P-18" in html


async def test_a_month_without_invoices_leads_to_documents_that_modify_others(shown: dict[str, Any]) -> None:
    nothing = dict.fromkeys(shown["to_be"], 0)
    shown.update(to_be=nothing, issued=dict.fromkeys(shown["issued"], 0), closed_at=None)

    html = await page("viewer")

    assert "No payment of this month was or will be invoiced." in html
    assert 'href="/documents?month=2011-03"' in html


async def test_a_close_is_first_shown_and_finance_may_do_it(shown: dict[str, Any]) -> None:
    assert 'href="/month/step?month=2011-03&amp;action=close"' in await page("finance")

    html = await step_page("finance", "close")

    assert "₩110,000" in html
    assert 'action="/month/step"' in html
    assert 'name="action" value="close"' in html


async def test_a_viewer_sees_the_month_and_no_button(shown: dict[str, Any]) -> None:
    html = await page("viewer")

    assert "₩110,000" in html
    assert "Your role closes no month." in html
    assert "/month/step" not in html


async def test_whoever_approved_is_told_before_any_button_that_somebody_else_issues(
    shown: dict[str, Any],
) -> None:
    shown["four_eyes"] = shown["in_steps"] = True

    own, other = await step_page("finance", "issue"), await step_page("admin", "issue")
    own_business = await step_page("finance", "issue", business="116-82-00276")

    assert "You approved 1 of them" in own
    assert 'action="/month/step"' not in own
    assert 'action="/month/step"' in other
    assert "You approved this business" in own_business
    assert 'action="/month/step"' not in own_business


async def test_one_person_may_do_both_where_nobody_asks_for_two(shown: dict[str, Any]) -> None:
    assert 'action="/month/step"' in await step_page("finance", "issue")


async def test_a_blocker_leads_to_what_blocks(shown: dict[str, Any]) -> None:
    shown["blockers"] = [BLOCKER]

    html = await page("finance")

    assert html.count(f'href="/refund?id={REFUND_ID}"') == 1
    assert 'name="despite"' in await step_page("finance", "close")


async def test_where_two_persons_close_a_month_it_has_two_steps(shown: dict[str, Any]) -> None:
    shown["in_steps"] = True

    html = await page("finance")

    assert "action=approve" in html
    assert "action=issue" in html
    assert "action=close" not in html


@pytest.mark.parametrize("state", ["running", "closed"])
async def test_a_month_that_runs_or_is_closed_has_nothing_to_close(shown: dict[str, Any], state: str) -> None:
    shown["state"] = state

    assert "/month/step" not in await page("finance")


async def test_a_close_is_told_to_invoices_with_its_reason() -> None:
    asked = services(**{"/v1/months/2011-03/close": {}})
    form = {"month": "2011-03", "action": "close", "reason": "all partners have confirmed"}

    answer = await screen.step(reader(), asked, request_of("/month"), visit_of("finance"), form)

    (told,) = asked.asked
    assert told.body == {"reason": "all partners have confirmed", "at": None, "despite_open_refunds": False}
    assert (told.who, told.scope) == ("demo:finance", "invoices:approve")
    assert answer.headers["location"] == "/month?month=2011-03&done=close"


async def test_a_step_of_one_business_names_it_alone() -> None:
    asked = services(**{"/v1/months/2011-03/approve": {}})
    form = {"month": "2011-03", "action": "approve", "business": "116-82-00276", "reason": "why"}

    answer = await screen.step(reader(), asked, request_of("/month"), visit_of("finance"), form)

    (told,) = asked.asked
    assert told.body is not None
    assert told.body["businesses"] == ["1168200276"]
    assert answer.headers["location"] == "/business?month=2011-03&number=1168200276&done=approve"


@pytest.mark.parametrize(
    "form",
    [
        {"month": "2011-03", "action": "close", "reason": ""},
        {"month": "2011-13", "action": "close", "reason": "why"},
        {"month": "2011-03", "action": "merge", "reason": "why"},
        {"month": "2011-03", "action": "close", "business": "1168200276", "reason": "why"},
        {"month": "2011-03", "action": "issue", "business": "x", "reason": "why"},
    ],
)
async def test_without_a_reason_a_month_and_a_step_nothing_is_asked(form: dict[str, str]) -> None:
    asked = services()

    with pytest.raises(Problem):
        await screen.step(reader(), asked, request_of("/month"), visit_of("finance"), form)
    assert not asked.asked


@pytest.mark.parametrize(
    ("kind", "path", "media_type", "name"),
    [
        (
            "xlsx",
            "/v1/months/2011-03.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "invoices-2011-03.xlsx",
        ),
        ("hometax", "/v1/months/2011-03/hometax.zip", "application/zip", "hometax-2011-03.zip"),
    ],
)
async def test_a_file_of_the_month_comes_through_with_the_token_of_the_person(
    kind: str, path: str, media_type: str, name: str
) -> None:
    asked = services(**{path: ({}, b"PK whole")})

    answer = await screen.take(
        asked, request_of("/month/file", month="2011-03", kind=kind), visit_of("viewer")
    )

    assert await bytes_of(answer) == b"PK whole"
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert [(call.who, call.scope) for call in asked.asked] == [("demo:viewer", "invoices:read")]


async def test_results_in_csv_are_shown_then_told_with_a_reason() -> None:
    key = "2011-03-1168200276-000001"
    asked = services(**{"/v1/months/2011-03/transmit": {"told": 1, "refused": []}})
    file = f"document_key,approval_number\r\n{key},201103311234567890123456\r\n".encode()

    tried = await screen.try_results(
        asked,
        request_of("/month"),
        visit_of("finance"),
        {"month": "2011-03", "file": file.decode("latin-1")},
    )
    assert key in text_of(tried)
    assert not asked.asked
    said = orjson.dumps([{"document_key": key, "approval_number": "201103311234567890123456"}]).decode()
    form = {"month": "2011-03", "results": said, "reason": "Hometax says so"}
    told = await screen.tell_results(reader(), asked, request_of("/month"), visit_of("finance"), form)

    assert "1 results are new and kept." in text_of(told)
    (call,) = asked.asked
    assert (call.scope, call.body) == (
        "invoices:manage",
        {"results": orjson.loads(said), "reason": "Hometax says so"},
    )


@pytest.mark.parametrize("content", [b"", b"PK no workbook", b"a,b\r\n1,2\r\n", b"\xff\xfe\x00"])
async def test_a_file_that_is_no_list_says_so_and_tells_nothing(content: bytes) -> None:
    form = {"month": "2011-03", "file": content.decode("latin-1")}

    with pytest.raises(Problem):
        await screen.try_results(services(), request_of("/month"), visit_of("finance"), form)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '[{"written_date": "x"}]'])
async def test_lines_that_somebody_has_changed_by_hand_tell_nothing(text: str) -> None:
    form = {"month": "2011-03", "lines": text, "reason": "why"}
    asked = services()

    with pytest.raises(Problem):
        await screen.tell_results(reader(), asked, request_of("/month"), visit_of("finance"), form)
    assert not asked.asked


async def test_the_list_of_hometax_is_shown_then_told_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = approval(1)
    file = a_list(
        tmp_path / "list.xlsx",
        ("2026-10-31", number, "116-82-00276", 176_000),
        ("2026-09-30", approval(2), "116-82-00276", 1),
    )
    told: list[Any] = []

    async def fetch(url: str, body: bytes, *_: Any, **__: Any) -> Answer:
        told.append((url, orjson.loads(body)))
        return Answer(200, orjson.dumps(HEARD).decode())

    monkeypatch.setattr("ops.shell.asking.fetch", fetch)
    form = {"month": "2026-10", "file": file.read_bytes().decode("latin-1")}

    tried = text_of(await screen.try_results(services(), request_of("/month"), visit_of("finance"), form))
    assert number in tried
    assert "1 lines are of other months." in tried
    said = re.search(r'name="lines" value="([^"]+)"', tried)
    assert said is not None
    assert not told
    done = {"month": "2026-10", "lines": unescape(said[1]), "reason": "Hometax says so"}
    heard = await screen.tell_results(reader(), services(), request_of("/month"), visit_of("finance"), done)

    ((url, body),) = told
    assert url == "http://invoices.test/v1/months/2026-10/hometax"
    assert (body["lines"][0]["approval_number"], body["reason"]) == (number, "Hometax says so")
    assert "7 issued documents wait for a number." in text_of(heard)
