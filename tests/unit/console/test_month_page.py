"""*Month* in the console: what blocks a close, and the close with a reason."""

from typing import Any

import pytest

from console.reading import Reader
from console.screens import month as screen
from ops.shell.problem import Problem
from ops.shell.system import System
from shared.operators.todo import Thresholds
from tests.support.console_pages import PreparedServices, request_of, text_of, visit_of

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


async def page(role: Any) -> str:
    answer = await screen.show(reader(), services(), request_of("/month", month="2011-03"), visit_of(role))
    return text_of(answer)


async def test_an_open_month_says_what_it_would_issue_and_finance_may_close_it(shown: dict[str, Any]) -> None:
    html = await page("finance")

    assert "It would issue 3 documents of ₩110,000." in html
    assert 'name="action" value="close"' in html
    assert "1168200276" in html


async def test_a_viewer_sees_the_month_and_no_button(shown: dict[str, Any]) -> None:
    html = await page("viewer")

    assert "₩110,000" in html
    assert "Your role closes no month." in html
    assert "/month/close" not in html


async def test_a_blocker_leads_to_what_blocks(shown: dict[str, Any]) -> None:
    shown["blockers"] = [BLOCKER]

    html = await page("finance")

    assert html.count(f'href="/refund?id={REFUND_ID}"') == 2
    assert 'name="despite"' in html


async def test_where_two_persons_close_a_month_it_has_two_steps(shown: dict[str, Any]) -> None:
    shown["in_steps"] = True

    html = await page("finance")

    assert 'value="approve"' in html
    assert 'value="issue"' in html
    assert 'value="close"' not in html


@pytest.mark.parametrize("state", ["running", "closed"])
async def test_a_month_that_runs_or_is_closed_has_nothing_to_close(shown: dict[str, Any], state: str) -> None:
    shown["state"] = state

    assert "/month/close" not in await page("finance")


async def test_a_close_is_told_to_invoices_with_its_reason() -> None:
    asked = services(**{"/v1/months/2011-03/close": {}})
    form = {"month": "2011-03", "action": "close", "reason": "all partners have confirmed"}

    answer = await screen.close(reader(), asked, request_of("/month"), visit_of("finance"), form)

    (told,) = asked.asked
    assert told.body == {"reason": "all partners have confirmed", "at": None, "despite_open_refunds": False}
    assert (told.who, told.scope) == ("demo:finance", "invoices:approve")
    assert answer.headers["location"] == "/month?month=2011-03"


@pytest.mark.parametrize(
    "form",
    [
        {"month": "2011-03", "action": "close", "reason": ""},
        {"month": "2011-13", "action": "close", "reason": "why"},
        {"month": "2011-03", "action": "merge", "reason": "why"},
    ],
)
async def test_without_a_reason_a_month_and_a_step_nothing_is_asked(form: dict[str, str]) -> None:
    asked = services()

    with pytest.raises(Problem):
        await screen.close(reader(), asked, request_of("/month"), visit_of("finance"), form)
    assert not asked.asked
