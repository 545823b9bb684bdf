"""*Document* in the console: its fields, its steps, why it comes to its won, and what corrects it."""

from typing import Any

import pytest

from console.reading import Reader
from console.screens import document as screen
from ops.shell.problem import Problem
from ops.shell.system import System
from shared.operators.todo import Thresholds
from tests.support.console_pages import PreparedServices, bytes_of, request_of, text_of, visit_of

KEY = "2011-03-1168200276-000001"
WON = {"supply": 160_000, "vat": 16_000, "total": 176_000}
NAME = '<img src=x onerror="alert(1)"> 이용권'
SAYS = {"ko": "전액이 설명됩니다.", "en": "all explained."}
PART = {
    "what": "sold",
    "line_id": "1",
    "product_id": "p",
    "name": NAME,
    "unit_price": 1_600,
    "units": 100,
    "refund_id": None,
    "is_cancellation": False,
    "consumed": 0,
    **WON,
    "says": {"ko": f"{NAME} 100개", "en": f"100 of {NAME}"},
}
EVENT = {
    "event_id": "e-1",
    "type": "invoice.issued.v1",
    "time": "2011-04-05T18:00:00+09:00",
    "cause": "c-1",
    "says": SAYS,
}


def explained(**changed: Any) -> dict[str, Any]:
    """Why the document comes to its won."""
    payment = {"payment_id": "pay-1", "order_id": "A-1", "partner_id": "P-17", "parts": [PART]}
    return {
        "month": "2011-03",
        **WON,
        "explained": WON,
        "is_whole": True,
        "says": SAYS,
        "payments": [{**payment, "events": [EVENT]}],
        "next": None,
        "others": {"payments": 0, "supply": 0, "vat": 0, "total": 0},
        "missing": [],
        "related": [],
        "events": [EVENT],
        "events_since": None,
        **changed,
    }


def issued(**changed: Any) -> dict[str, Any]:
    """An issued document of two persons."""
    return {
        "invoice_id": "0199a0b0-0000-7000-8000-000000000001",
        "document_key": KEY,
        "kind": "payment",
        "state": "issued",
        "month": "2011-03",
        "partner_id": "P-17",
        "business_number": "1168200276",
        "written_date": "2011-03-05",
        "issued_at": "2011-04-05T18:00:00+09:00",
        "modification": None,
        "late": False,
        **WON,
        "lines": [{"name": NAME, "quantity": 100, "unit_price": 1_600, "supply": 160_000, "vat": 16_000}],
        "steps": [
            {
                "step": "approved",
                "at": "2011-04-04T18:00:00+09:00",
                "actor": "kim",
                "reason": "checked",
                "note": KEY,
            }
        ],
        "agent": None,
        "refusal": None,
        **changed,
    }


def services(document: dict[str, Any] | None = None, why: dict[str, Any] | None = None) -> PreparedServices:
    return PreparedServices(
        System(directory=None),  # type: ignore[arg-type]
        lambda person, scope: "token",
        {
            f"/v1/documents/{KEY}/explain?limit=1000": why or explained(),
            f"/v1/months/2011-03/documents/{KEY}": document or issued(),
            f"/v1/documents/{KEY}.pdf": ({}, b"%PDF-1.7"),
            "/v1/months/2011-03/amend": {
                "documents": [
                    {
                        "modification": "correction",
                        "business_number": "1168200276",
                        "written_date": "2011-03-05",
                        "total": -176_000,
                    }
                ]
            },
            "/v1/months/2011-03/transmit": {"told": 1, "refused": []},
            "/v1/months/2011-03/recall": {},
        },
    )


def reader() -> Reader:
    return Reader(System(directory=None), Thresholds())  # type: ignore[arg-type]


async def page(role: Any = "viewer", language: Any = "en", asked: Any = None, **query: str) -> str:
    request = request_of("/document", id=KEY, **query)
    return text_of(await screen.show(asked or services(), request, visit_of(role, language)))


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_a_document_shows_its_fields_its_steps_and_each_won_explained(language: Any) -> None:
    html = await page(language=language)

    assert SAYS[language] in html
    assert "kim: checked" in html
    assert html.count("₩160,000") >= 3
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


async def test_what_explains_it_is_a_file_too() -> None:
    rows = (await page(format="csv")).splitlines()

    assert rows[0].lstrip("\ufeff").startswith("payment_id,order_id,says,units")
    assert rows[1].startswith("pay-1,A-1,")


async def test_won_that_nobody_explains_are_said() -> None:
    missing = {"cause": "not_explained", **WON, "names": ["pay-9"], "says": SAYS}
    html = await page(asked=services(why=explained(is_whole=False, missing=[missing])))

    assert 'class="notice bad"' in html
    assert "pay-9" in html


async def test_a_refused_document_says_why_and_what_mends_it() -> None:
    refusal = {"why": "business_closed", "next": "correct_partner", "command": "pawl partner correct P-17"}
    html = await page(asked=services(issued(state="issue_failed", issued_at=None, refusal=refusal)))

    assert "business closed" in html
    assert "its partner has to say what is right" in html
    assert 'href="/partner?id=P-17"' in html


async def test_a_viewer_has_no_button_and_finance_may_correct_and_take_back() -> None:
    sent = {
        "state": "sent",
        "actor": "lee",
        "next_at": "2011-04-05T18:00:00+09:00",
        "tries": 1,
        "approval_number": None,
        "detail": "",
    }
    approved = issued(state="approved", issued_at=None, agent=sent)

    assert "/document/amend" not in await page("viewer")
    assert "/document/amend/try" in await page("finance")
    assert "/document/recall/try" in await page("finance", asked=services(approved))
    assert "/document/recall" not in await page("operator", asked=services(approved))


async def test_a_file_is_an_attachment_with_its_type_and_a_harmless_name() -> None:
    asked = services()
    answer = await screen.take(asked, request_of("/document/file", id=KEY, kind="pdf"), visit_of("viewer"))

    assert await bytes_of(answer) == b"%PDF-1.7"
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == f'attachment; filename="{KEY}.pdf"'
    with pytest.raises(Problem):
        await screen.take(asked, request_of("/document/file", id=KEY, kind="exe"), visit_of("viewer"))


async def test_a_correction_is_shown_then_made_with_a_reason_under_its_key() -> None:
    asked, form = services(), {"month": "2011-03", "id": KEY, "number": "", "twice": "yes"}

    tried = await screen.try_amend(asked, request_of("/document"), visit_of("finance"), form)
    assert "−₩176,000" in text_of(tried)
    done = {**form, "reason": "a duplicate", "key": "k-1"}
    answer = await screen.amend(reader(), asked, request_of("/document"), visit_of("finance"), done)

    first, told = asked.asked
    assert first.body == {"document": KEY, "twice": True, "reason": "only shown", "apply": False}
    assert told.body == {"document": KEY, "twice": True, "reason": "a duplicate", "apply": True}
    assert told.key == "k-1"
    assert answer.headers["location"] == f"/document?id={KEY}&done=amended"


@pytest.mark.parametrize(
    "form",
    [
        {"approval_number": "", "failed": ""},
        {"approval_number": "1", "failed": "business_closed"},
    ],
)
async def test_the_authority_says_one_thing_of_a_document(form: dict[str, str]) -> None:
    with pytest.raises(Problem):
        await screen.try_result(
            services(), request_of("/document"), visit_of("finance"), {"month": "2011-03", "id": KEY, **form}
        )


async def test_what_the_authority_says_is_kept_with_a_reason() -> None:
    asked = services()
    form = {"month": "2011-03", "id": KEY, "failed": "business_closed", "reason": "Hometax says so"}

    await screen.tell_result(reader(), asked, request_of("/document"), visit_of("finance"), form)

    (told,) = asked.asked
    result = {"document_key": KEY, "failed": "business_closed"}
    assert told.body == {"results": [result], "reason": "Hometax says so"}


async def test_without_a_name_the_page_asks_for_one() -> None:
    answer = await screen.show(services(), request_of("/document"), visit_of("viewer"))

    assert "The key of the document, or its id" in text_of(answer)


def test_the_issue_stands_among_the_steps_where_it_happened() -> None:
    later = {
        "step": "transmitted",
        "at": "2011-04-05T18:00:01+09:00",
        "actor": "x",
        "reason": "",
        "note": "1",
    }
    document = issued()
    document["steps"] = [*document["steps"], later]

    steps = [step["step"] for step in screen.steps_of(document)]

    assert steps == ["approved", "issued", "transmitted"]
