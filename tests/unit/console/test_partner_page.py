"""*Partner* in the console: who it is, what keeps it, what is decided about it; addresses are masked."""

from typing import Any

import orjson
import pytest

from console.reading import Reader
from console.screens import partner as screen
from ops.shell.problem import Problem
from ops.shell.system import System
from shared.operators.todo import Thresholds
from tests.support.console_pages import PreparedServices, request_of, text_of, visit_of

NAME = "<script>alert(1)</script> 상사"
BLOCKER = {
    "kind": "unissued_units",
    "order_id": "A-1",
    "line_id": "1",
    "quantity": 100,
    "who": "partner",
    "what_to_do": "have the units issued",
    "what_to_do_ko": "남은 수량을 발급하십시오",
    "command": "pawl order A-1",
    "link": "",
}
TOLD = {"name": "가나다", "business_number": "1168200276", "invoice_email": "tax@ganada.example"}


def found(**wishes: Any) -> dict[str, Any]:
    """A partner as `pawl partner --json` has it."""
    return {
        "partner_id": "P-17",
        **TOLD,
        "name": NAME,
        "is_told": True,
        "money": [{"state": "paid", "count": 1, "paid": 176_000, "remaining": 176_000, "expected": 0}],
        "orders": [{"order_id": "A-1", "state": "paid", "won": 176_000, "at": "2011-03-05T10:00:00+09:00"}],
        "cases": [],
        "refunds": [],
        "numbers": [{"business_number": "1168200276", "since": "2011-03-01T10:00:00+09:00"}],
        "issuances": [
            {
                "grant_id": "0199a0b0-0000-7000-8000-000000000002",
                "order_id": "A-1",
                "product_name": "이용권",
                "quantity": 100,
                "issued": 40,
                "state": "issuing",
                "granted_at": "2011-03-05T10:00:00+09:00",
            }
        ],
        "documents": [
            {"invoice_id": "x", "document_key": None, "state": "draft", "month": "2011-03",
             "business_number": "1168200276", "total": 176_000}
        ],
        "wishes": {
            "merges_every_month": True,
            "since": "2011-03-01T10:00:00+09:00",
            "wants_to_leave": False,
            "left_at": None,
            "purged_at": None,
            "merges": [],
            **wishes,
        },
    }  # fmt: skip


class PreparedReader(Reader):
    """Knows one partner."""

    def __init__(self, known: dict[str, Any] | None) -> None:
        super().__init__(System(directory=None), Thresholds())  # type: ignore[arg-type]
        self._known = known

    async def partner(self, partner_id: str) -> dict[str, Any] | None:
        return self._known


def services(**answers: Any) -> PreparedServices:
    of = "/v1/partners/P-17"
    preflight = {"partner_id": "P-17", "can_withdraw": False, "withdrawn_at": None, "blockers": [BLOCKER]}
    return PreparedServices(
        System(directory=None),  # type: ignore[arg-type]
        lambda person, scope: "token",
        {f"{of}/withdrawal-preflight": preflight, **answers},
    )


async def page(role: Any, known: Any = None, language: Any = "en", **query: str) -> str:
    request = request_of("/partner", id="P-17", **query)
    visit = visit_of(role, language)
    return text_of(await screen.show(PreparedReader(known or found()), services(), request, visit))


@pytest.mark.parametrize(("language", "says"), [("en", "have the units issued"), ("ko", "남은 수량을")])
async def test_a_partner_shows_who_it_is_and_what_keeps_it(language: Any, says: str) -> None:
    html = await page("viewer", language=language)

    assert says in html
    assert "1168200276" in html
    assert "<script>alert" not in html
    for way in ("/order?id=A-1", "/document?id=x", "/issuance?id=0199a0b0-0000-7000-8000-000000000002"):
        assert f'href="{way}"' in html


async def test_a_document_of_late_says_its_month() -> None:
    rows = orjson.loads(await page("viewer", format="json"))["rows"]

    assert [row["says"] for row in rows if row["kind"] == "document"] == ["2011-03"]


async def test_an_address_is_masked_on_the_page_and_in_files() -> None:
    for form in ({}, {"format": "json"}, {"format": "csv"}):
        assert "tax@ganada" not in await page("admin", **form)
    assert screen.in_part("tax@ganada.example") == "t***@ganada.example"
    assert screen.in_part("110-234-567890") == "***890"
    assert screen.in_part(None) == ""


async def test_buttons_are_there_for_whom_they_are() -> None:
    viewer, operator, admin = [await page(role) for role in ("viewer", "operator", "admin")]

    assert '<form method="post" action="/partner' not in viewer
    assert "/partner/forget/try" in operator
    assert "/partner/correct/try" not in operator
    assert "/partner/withdraw/try" in admin
    left = found(left_at="2011-05-01T10:00:00+09:00", purged_at="2016-06-01T10:00:00+09:00")
    assert "/partner/correct/try" not in await page("admin", left)


async def test_nobody_knows_it() -> None:
    answer = await screen.show(
        PreparedReader(None), services(), request_of("/partner", id="P-99"), visit_of("viewer")
    )

    assert answer.status_code == 404
    assert "No service knows this partner." in text_of(answer)


async def test_a_correction_is_shown_without_the_address_then_done_with_a_reason() -> None:
    answer = {
        "before": {**TOLD, "always_merge": False},
        "after": {**TOLD, "invoice_email": "new@ganada.example", "always_merge": True},
        "issued": [],
        "renumbered": [],
        "corrections": [],
        "events": [],
    }
    asked = services(**{"/v1/partners/P-17/correct": answer})
    form = {"id": "P-17", "invoice_email": "new@ganada.example", "always_merge": "yes"}

    tried = text_of(await screen.try_correct(asked, request_of("/partner"), visit_of("admin"), form))
    lines = tried[tried.index("<dl") : tried.index("</dl>")]
    assert "n***@ganada.example" in lines
    assert "new@ganada" not in lines
    done = {**form, "reason": "a letter", "key": "k-1"}
    await screen.correct(PreparedReader(None), asked, request_of("/partner"), visit_of("admin"), done)

    first, told = asked.asked
    assert first.body is not None
    assert first.body["apply"] is False
    said = {"invoice_email": "new@ganada.example", "always_merge": True, "reason": "a letter", "apply": True}
    assert (told.body, told.key, told.scope) == (said, "k-1", "partners:manage")


@pytest.mark.parametrize("form", [{"id": "P-17"}, {"id": "P-17", "business_number": "123-45-67890"}, {}])
async def test_a_correction_of_nothing_or_of_a_wrong_number_asks_nobody(form: dict[str, str]) -> None:
    asked = services()

    with pytest.raises(Problem):
        await screen.try_correct(asked, request_of("/partner"), visit_of("admin"), form)
    assert not asked.asked


async def test_a_partner_that_something_keeps_cannot_be_made_to_leave() -> None:
    answer = {"partner_id": "P-17", "withdrawn_at": None, "blockers": [BLOCKER], "events": []}
    asked = services(**{"/v1/partners/P-17/withdrawal": answer})

    html = text_of(
        await screen.try_withdraw(asked, request_of("/partner"), visit_of("admin"), {"id": "P-17"})
    )

    assert "It cannot leave: 1 things are unfinished." in html
    assert 'action="/partner/withdraw"' not in html
    with pytest.raises(Problem, match="It stays"):
        await screen.withdraw(
            PreparedReader(None),
            asked,
            request_of("/partner"),
            visit_of("admin"),
            {"id": "P-17", "reason": "a letter"},
        )


async def test_whom_a_purge_concerns_is_shown_first() -> None:
    due = {
        "partner_id": "P-9",
        "orders": 3,
        "withdrawn_at": "2016-03-05T10:00:00+09:00",
        "archived_until": "2021-03-05T10:00:00+09:00",
    }
    answer = {"applied": False, "partners": [due], "left": 2, "unfinished": [], "events": []}
    asked = services(**{"/v1/partners/purge": answer})

    html = text_of(await screen.try_purge(asked, request_of("/partner"), visit_of("admin"), {}))

    assert "P-9" in html
    assert "and 2 more" in html
    assert 'action="/partner/purge"' in html


async def test_the_key_of_accounts_is_destroyed_by_who_manages_refunds() -> None:
    answer = {"partner_id": "P-17", "details": 2, "readable_before": 2, "readable": 0}
    asked = services(**{"/v1/partners/P-17/forget": answer})
    form = {"id": "P-17", "reason": "a letter"}

    assert "2 → 0" in text_of(
        await screen.try_forget(asked, request_of("/partner"), visit_of("operator"), form)
    )
    await screen.forget(PreparedReader(None), asked, request_of("/partner"), visit_of("operator"), form)

    assert [call.scope for call in asked.asked] == ["refunds:manage"] * 2
    assert [call.body["apply"] for call in asked.asked if call.body] == [False, True]
