"""A form whose session has ended, or to which no answer came: nothing is done in silence."""

from typing import Any

import pytest

from console.app import routes
from console.reading import Unreadable
from console.routes import get, post
from console.visits import typed_in
from ops.shell.asking import NoAnswer
from ops.shell.problem import Exit, Problem
from tests.support.console_app import DEMO_DOOR, KEY, SessionsInMemory, browser
from tests.unit.console.test_who_may import READER, SIGNER

FORM = {
    "form_key": KEY,
    "key": "k-1",
    "back": "/refund?id=7",
    "reason": "<b>the account</b> is open again",
    "account_number": "110-234-567890",
}


async def test_what_was_typed_is_given_back_to_the_same_person_by_their_own_browser() -> None:
    sessions = SessionsInMemory()
    async with browser(routes(READER, SIGNER, DEMO_DOOR), "operator", sessions) as client:
        sessions.lapse("operator")

        answer = await client.post("/refund/decide", data=FORM)

    assert answer.status_code == 401
    assert "Nothing was done." in answer.text
    assert 'data-path="/refund?id=7" data-person="demo:operator"' in answer.text
    assert "&lt;b&gt;the account&lt;/b&gt; is open again" in answer.text
    assert "110-234-567890" not in answer.text
    assert KEY not in answer.text
    assert 'href="/sign-in?to=%2Frefund%3Fid%3D7"' in answer.text


@pytest.mark.parametrize("form_key", ["", "of somebody else"])
async def test_nobody_keeps_what_cannot_be_told_whose_it_is(form_key: str) -> None:
    sessions = SessionsInMemory()
    async with browser(routes(READER, SIGNER, DEMO_DOOR), "operator", sessions) as client:
        sessions.lapse("operator")

        answer = await client.post("/refund/decide", data={**FORM, "form_key": form_key})

    assert answer.status_code == 401
    assert "data-person" not in answer.text
    assert "nothing of it is kept" in answer.text


async def test_a_form_leads_back_to_a_page_of_ours_only() -> None:
    async with browser(routes(READER, SIGNER, DEMO_DOOR)) as client:
        answer = await client.post("/refund/decide", data={**FORM, "back": "//evil.example/x"})

    assert "evil.example" not in answer.text


@pytest.mark.parametrize(
    "error", [NoAnswer("the service does not answer"), Unreadable("gone"), ConnectionResetError()]
)
async def test_a_form_without_an_answer_is_not_said_to_be_undone(error: Exception) -> None:
    async def breaks(*_: Any) -> Any:
        raise error

    async with browser([post("/breaks", breaks)], "operator") as client:
        answer = await client.post("/breaks", data=FORM)

    assert answer.status_code == 503
    assert "It is not known whether this was done" in answer.text
    assert "Nothing was changed" not in answer.text
    assert 'href="/refund?id=7"' in answer.text
    assert "/audit?actor=demo" in answer.text


async def test_a_refusal_is_no_missing_answer() -> None:
    async def refuses(*_: Any) -> Any:
        raise Problem("This cannot be decided so.", "", Exit.USAGE)

    async with browser([post("/refuses", refuses)], "operator") as client:
        answer = await client.post("/refuses", data=FORM)

    assert (answer.status_code, "not known" in answer.text) == (422, False)


async def test_a_page_that_a_service_does_not_answer_says_that_nothing_was_changed() -> None:
    async def breaks(*_: Any) -> Any:
        raise NoAnswer("The service does not answer at http://refunds")

    async with browser([get("/breaks", breaks)], "viewer") as client:
        answer = await client.get("/breaks")

    assert answer.status_code == 503
    assert "Nothing was changed" in answer.text


@pytest.mark.parametrize("error", [ConnectionRefusedError(), Unreadable("[Errno 111] Connect call failed")])
async def test_a_page_whose_databases_are_away_says_so_in_words(error: Exception) -> None:
    async def breaks(*_: Any) -> Any:
        raise error

    async with browser([get("/breaks", breaks)], "viewer") as client:
        answer = await client.get("/breaks", headers={"accept-language": "en"})

    assert answer.status_code == 503
    assert "The databases do not answer." in answer.text


def test_an_account_and_what_a_page_adds_by_itself_are_not_what_somebody_typed() -> None:
    assert typed_in({**FORM, "empty": ""}) == {"reason": FORM["reason"]}
