"""The tax agent over HTTP: what it is sent, what its answers say, and what no answer is taken for."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from ops.tax_agent.desk import Desk
from ops.tax_agent.run import open_tax_agent
from services.invoices.business_registry import HttpBusinessRegistry
from services.invoices.decisions.lines import PrintedLine
from services.invoices.documents.tax_document import Original, Party, TaxDocument
from services.invoices.posting import NoAnswer, Poster, RateLimited
from services.invoices.settings import InvoicesSettings
from services.invoices.tax_agent import HttpTaxAgent, Taken, document_of
from shared.kst import KST
from shared.money import Money
from tests.support.web import OF_A_SERVICE

KEY = "2026-10-1168200276-000001"
OTHER_KEY = "2026-10-1168200276-000002"
SUPPLIER = Party("1188120586", "주식회사 스터디웍스", "김하늘")
BUYER = Party("1168200276", "가나다 주식회사", "이바다", email="tax@ganada.example")
WHOLE = {
    "invoices_supplier_number": "118-81-20586",
    "invoices_supplier_name": "주식회사 스터디웍스",
    "invoices_supplier_representative": "김하늘",
}


def document(key: str = KEY, **more: Any) -> TaxDocument:
    line = PrintedLine("1", "스터디 이용권 30일", 1_600, 100, Money(160_000, 16_000))
    of = {
        "document_key": key,
        "month": "2026-10",
        "partner_id": "P-17",
        "supplier": SUPPLIER,
        "buyer": BUYER,
        "written_date": date(2026, 10, 31),
        "issued_at": datetime(2026, 11, 6, 9, tzinfo=KST),
        "lines": (line,),
        "amount": Money(160_000, 16_000),
    }
    return TaxDocument(**{**of, **more})


@pytest.fixture
def desk() -> Desk:
    return Desk(1, pace=0.0, is_faultless=True)


@pytest.fixture
def url(desk: Desk) -> Iterator[str]:
    with open_tax_agent(desk) as url:
        yield url


def agent_at(url: str, seconds: float = 5.0) -> HttpTaxAgent:
    return HttpTaxAgent(Poster(url, lambda: "secret", seconds))


def test_a_document_goes_by_its_key_without_hyphens_and_says_all_that_stands_on_it() -> None:
    said = document_of(
        document(
            modification="supply_value_changed",
            original=Original(OTHER_KEY, date(2026, 10, 20), "202610204100000012345678"),
        )
    )
    assert said["key"] == "2026101168200276000001"
    assert len(said["key"]) == 22
    assert said["buyer"]["representative"] == "이바다"
    assert (said["supply"], said["vat"], said["total"]) == (160_000, 16_000, 176_000)
    assert said["lines"] == [
        {"name": "스터디 이용권 30일", "quantity": 100, "unit_price": 1_600, "supply": 160_000, "vat": 16_000}
    ]
    assert said["original_key"] == "2026101168200276000002"
    assert said["original_approval_number"] == "202610204100000012345678"
    assert said["remarks"] == ["당초 작성일자 2026-10-20", "당초 승인번호 202610204100000012345678"]


async def test_documents_are_taken_then_issued_then_transmitted(desk: Desk, url: str) -> None:
    desk.pace = 1_000.0
    agent = agent_at(url)
    assert await agent.submit([document(), document(OTHER_KEY)]) == [Taken(KEY), Taken(OTHER_KEY)]
    assert [each.standing for each in await agent.status([KEY])] == ["working"]

    desk.pace = 0.0
    transmitted, unknown = await agent.status([KEY, "2026-10-1168200276-000009"])
    assert (transmitted.document_key, transmitted.standing, transmitted.total) == (
        KEY,
        "transmitted",
        176_000,
    )
    assert str(transmitted.approval_number).startswith("20261031")
    assert transmitted.at is not None
    assert transmitted.at <= datetime.now(UTC)
    assert unknown.standing == "unknown"


async def test_a_key_that_is_sent_again_is_a_duplicate(url: str) -> None:
    agent = agent_at(url)
    await agent.submit([document()])
    assert await agent.submit([document()]) == [Taken(KEY, "duplicate_key")]


async def test_a_document_is_cancelled_until_it_is_transmitted(desk: Desk, url: str) -> None:
    agent = agent_at(url)
    assert await agent.cancel(KEY) == "unknown"
    await agent.submit([document()])
    assert await agent.cancel(KEY) == "too_late"
    desk.pace = 1_000.0
    assert await agent.cancel(KEY) == "cancelled"


async def test_no_answer_says_nothing_of_what_became_of_the_call(desk: Desk, url: str) -> None:
    agent = agent_at(url)
    desk.faults = ["silent"]
    with pytest.raises(NoAnswer):
        await agent_at(url, seconds=0.05).submit([document()])
    assert [each.standing for each in await agent.status([KEY])] == ["transmitted"], "it was taken"

    desk.faults = ["down", "garbage"]
    for _ in range(2):
        with pytest.raises(NoAnswer):
            await agent.submit([document(OTHER_KEY)])


async def test_an_agent_that_is_asked_too_often_says_how_long_to_wait(desk: Desk, url: str) -> None:
    desk.faults = ["rate_limited"]
    with pytest.raises(RateLimited) as limited:
        await agent_at(url).submit([document()])
    assert limited.value.seconds == 3
    assert desk.held == {}


async def test_an_agent_that_is_not_there_is_no_answer(url: str) -> None:
    with pytest.raises(NoAnswer):
        await agent_at("http://127.0.0.1:1").status([KEY])
    with pytest.raises(NoAnswer):
        await agent_at(f"{url}/elsewhere").status([KEY])


class Said:
    """A poster that answers with what a test says."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    async def post(self, path: str, said: Any) -> dict[str, Any]:
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"documents": "?"},
        {"documents": [1]},
        {"documents": [{"key": ["a", "list"], "standing": "issued"}]},
        {"documents": [{"key": KEY.replace("-", ""), "standing": "?"}]},
    ],
)
async def test_a_status_that_is_none_of_the_contract_is_no_answer(answer: dict[str, Any]) -> None:
    with pytest.raises(NoAnswer):
        await HttpTaxAgent(Said(answer)).status([KEY])  # type: ignore[arg-type]


async def test_the_registry_says_how_businesses_stand_and_stands_in_nobodys_way(desk: Desk, url: str) -> None:
    registry = HttpBusinessRegistry(Poster(f"{url}/businesses", lambda: "", 5.0))
    assert await registry.look_up(["1168200276"]) == {"1168200276": "active"}

    desk.faults = ["down", "garbage"]
    assert await registry.look_up(["1168200276"]) == {}
    assert await registry.look_up(["1168200276"]) == {}


def settings(**more: Any) -> InvoicesSettings:
    return InvoicesSettings(**OF_A_SERVICE, **more)


def test_there_is_no_agent_unless_it_is_said() -> None:
    assert not settings().policy().tax_agent
    assert settings(**WHOLE, invoices_tax_agent_url="https://agent.example/v1").policy().tax_agent


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"invoices_tax_agent_url": "https://agent.example"}, "INVOICES_SUPPLIER_NUMBER"),
        ({**WHOLE, "invoices_tax_agent_url": "http://agent.example"}, "https"),
        ({**WHOLE, "invoices_business_status_url": "http://agent.example"}, "https"),
        ({"invoices_tax_agent_token_file": "/nowhere/token"}, "cannot be read"),
    ],
)
def test_a_wrong_agent_stops_the_service(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        settings(**more)


def test_its_token_is_read_for_each_question_and_said_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    token = settings(invoices_tax_agent_token_file=str(file)).agent_token()
    assert token() == "first"
    file.write_text("second\n")
    assert token() == "second"
    assert settings(invoices_business_status_token="third").registry_token()() == "third"
    with pytest.raises(ValueError, match="one of the two"):
        settings(invoices_tax_agent_token="x", invoices_tax_agent_token_file=str(file))
