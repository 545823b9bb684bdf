"""`pawl explain`: what it asks, what it shows in both languages, and the code it ends with."""

from collections.abc import Iterator
from io import StringIO
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
from ops.watch import explain
from ops.watch.explain import exit_code_of, print_explanation

KEY = "2026-10-1168200276-000001"
URL = "http://invoices"
WON = {"supply": 96_000, "vat": 9_600, "total": 105_600}
PARTS = [
    {"says": {"ko": "스터디 100개, 단가 ₩1,600: ₩176,000", "en": "100 of Study at ₩1,600: ₩176,000"}},
    {"says": {"ko": "환불 r-1, 스터디 40개: -₩70,400", "en": "40 of Study with refund r-1: -₩70,400"}},
]
EVENT = {
    "event_id": "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01",
    "type": "invoice.issued.v1",
    "time": "2026-11-05T18:00:01+09:00",
    "cause": "evt-9",
    "says": {"ko": "세금계산서가 발행되었습니다", "en": "a tax invoice was issued"},
}
MISSING = {
    "cause": "not_explained",
    "supply": -64_000,
    "vat": -6_400,
    "total": -70_400,
    "names": ["r-1"],
    "says": {"ko": "설명되지 않는 금액입니다", "en": "nothing accounts for these won"},
}


def a_document(**more: Any) -> dict[str, Any]:
    return {
        "invoice_id": EVENT["event_id"],
        "document_key": KEY,
        **WON,
        "says": {"ko": f"문서 {KEY}의 금액", "en": f"₩105,600 on document {KEY}"},
        "count": 3,
        "payments": [
            {"payment_id": "pay-1", "order_id": "A-1", **WON, "parts": PARTS, "events": []},
        ],
        "others": {"payments": 0, "supply": 0, "vat": 0, "total": 0},
        "missing": [],
        "related": [{"document_key": "K-2", "invoice_id": "x", "relation": "modified_by", "total": -35_200}],
        "events": [EVENT],
        "events_since": None,
        **more,
    }


class Service:
    """The invoices service, as far as `pawl explain` asks it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {}

    async def fetch(
        self, url: str, body: bytes | None = None, timeout: float = 5.0, token: str = ""
    ) -> Answer:
        path = url.removeprefix(URL)
        self.asked.append(path)
        found = self.answers.get(path.partition("?")[0])
        if found is None:
            return Answer(404, orjson.dumps({"code": "not_found", "detail": "there is none"}).decode())
        return Answer(200, orjson.dumps(found).decode())


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("PAWL_TOKEN", "a-token")
    service = Service()
    with patch("ops.shell.asking.fetch", service.fetch):
        yield service


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["explain", *arguments, "--invoices", URL])


def shown(found: dict[str, Any], language: Any = "en") -> str:
    console = Console(file=StringIO(), width=80)
    print_explanation(console, found, language)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_document_says_under_which_key_the_tax_agent_has_it_and_which_was_given_up() -> None:
    given_up = {"document_key": KEY, "why": "duplicate_key", "at": "2026-11-06T09:00:00+09:00"}
    at_agent = {"document_key": "K-9", "state": "sent", "why": None, "given_up": [given_up]}
    out = StringIO()
    print_explanation(Console(file=out, width=200), a_document(at_agent=at_agent))
    said = [" ".join(each.split()) for each in out.getvalue().splitlines()]
    assert "tax agent K-9 sent" in said
    assert f"given up {KEY} 2026-11-06 09:00 duplicate key" in said


def test_a_document_is_shown_part_by_part(service: Service) -> None:
    service.answers[f"/v1/documents/{KEY}/explain"] = a_document()

    result = run(KEY)

    assert result.exit_code == Exit.OK
    assert service.asked == [f"/v1/documents/{KEY}/explain?limit=20"]
    for text in (
        f"₩105,600 on document {KEY}",
        "40 of Study with refund r-1: -₩70,400",
        "a tax invoice was issued",
        "because of  evt-9",
        "and 2 more payments",
        "-₩35,200  pawl explain K-2",
        "pawl order A-1",
    ):
        assert text in result.output


def test_it_speaks_korean(service: Service) -> None:
    service.answers[f"/v1/documents/{KEY}/explain"] = a_document()

    output = run(KEY, "--ko").output

    for text in ("환불 r-1, 스터디 40개: -₩70,400", "공급가액 ₩96,000, 세액 ₩9,600", "외 결제 2건", "원인"):
        assert text in output


def test_a_line_fits_eighty_columns() -> None:
    for language in ("en", "ko"):
        for text in shown(a_document(missing=[MISSING]), language).splitlines():
            assert cell_len(text) <= 80, text


def test_a_payment_is_found_by_its_order(service: Service) -> None:
    stands = [{"says": {"ko": "세금계산서", "en": f"tax invoice {KEY}"}, **WON}]
    service.answers["/v1/orders/A-1/explain"] = a_document(stands=stands, parts=PARTS)

    result = run("A-1")

    assert service.asked == ["/v1/documents/A-1/explain?limit=20", "/v1/orders/A-1/explain"]
    assert f"tax invoice {KEY}" in result.output


def test_json_is_what_the_service_says(service: Service) -> None:
    service.answers[f"/v1/documents/{KEY}/explain"] = a_document()

    result = run(KEY, "--json")

    assert orjson.loads(result.stdout) == a_document()
    assert service.asked == [f"/v1/documents/{KEY}/explain?limit=1000"]


def test_missing_won_end_with_a_code_of_their_own(service: Service) -> None:
    service.answers[f"/v1/documents/{KEY}/explain"] = a_document(missing=[MISSING])

    result = run(KEY)

    assert result.exit_code == Exit.RULE_BROKEN
    assert "-₩70,400: nothing accounts for these won" in result.output
    known = {**MISSING, "cause": "after_taken_back"}
    assert exit_code_of(a_document(missing=[known])) == Exit.SOMETHING_WAITS
    assert exit_code_of(a_document()) == Exit.OK


def test_nothing_of_that_name_says_where_to_look(service: Service) -> None:
    result = run("nobody")

    assert isinstance(result.exception, Problem)
    assert result.exception.exit_code == Exit.NOTHING_MATCHED
    assert "pawl find nobody" in result.exception.hint


def test_what_is_forgotten_and_what_others_have_is_said() -> None:
    text = shown(
        a_document(
            events_since="2026-10-01T09:00:00+09:00",
            others={"payments": 2, "supply": 10, "vat": 1, "total": 11},
        )
    )

    assert "from before 2026-10-01 09:00 may be forgotten" in text
    assert "₩11 of 2 more payments" in text


async def test_the_id_of_a_payment_is_looked_up_where_the_database_is_known(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def order_of(system: Any, payment_id: str) -> str | None:
        return "A-1" if payment_id == "pay-1" else None

    monkeypatch.setattr(explain, "_order_of", order_of)
    service.answers["/v1/orders/A-1/explain"] = a_document(stands=[])

    found = await explain.read_explanation(URL, "pay-1", 20, "token", object())  # type: ignore[arg-type]

    assert found is not None
    assert service.asked[-1] == "/v1/orders/A-1/explain"
