"""What a request over HTTP hands to the fold: its document, and the hash that the same event would have."""

import json
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from services.refunds.asking import asking_routes
from services.refunds.commands import REQUEST, RequestBody
from services.refunds.store import Store
from shared.events.canonical import content_hash
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from tests.support.tokens import Provider
from tests.support.web import SEALER, app_of, client_of
from tests.unit.refunds.test_asking_by_command import document

PROVIDER = Provider()
ANSWER = {"refund_id": "r-1"}


class Fold:
    """What is sent to it."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, RequestBody, dict[str, Any]]] = []

    async def send(self, name: str, key: str, data: RequestBody, origin: Any, **said: Any) -> Response:
        self.taken.append((name, key, data, said))
        return JSONResponse(ANSWER)


@pytest.fixture
def fold() -> Fold:
    return Fold()


def client(fold: Fold, scope: str = "refunds:request", **claims: Any) -> httpx.AsyncClient:
    surroundings = Surroundings(None, Outbox("refunds", {}), send=fold.send)
    routes = asking_routes(surroundings, Store(SEALER), card_is_slip=True)
    return client_of(app_of(routes, PROVIDER.tokens(), "refunds"), PROVIDER.allowing(scope, **claims))


async def test_the_content_is_that_of_the_event_with_what_nobody_knows_and_in_any_spelling(
    fold: Fold,
) -> None:
    said = {"campaign": {"share": 1.50, "n": 2**70}, **document()}
    spelt = json.dumps(dict(reversed(said.items())), indent=3, ensure_ascii=True).encode()

    async with client(fold) as shop:
        answer = await shop.post("/v1/refunds", content=spelt, headers={"content-type": "application/json"})

    ((name, key, data, more),) = fold.taken
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert (name, key) == (REQUEST, "A-1001")
    assert data.content == content_hash("refund.requested.v1", json.dumps(said).encode()).hex()
    assert data.request.model_dump(exclude_unset=True)["message"] == said["message"]
    assert more == {"reason": "financial_burden", "subject": "rr-77"}


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"lines": [{"line_id": "1", "quantity": 1}] * 2}, "inconsistent", "/lines/1/line_id"),
        ({"destination": {"method": "bank_account"}}, "missing_field", "/destination/bank_code"),
        ({"role": "shop"}, "out_of_range", "/role"),
        ({"message": ""}, "out_of_range", "/message"),
    ],
)
async def test_a_wrong_document_has_the_code_and_pointer_of_the_event(
    fold: Fold, changes: dict[str, Any], code: str, pointer: str
) -> None:
    async with client(fold) as shop:
        answer = await shop.post("/v1/refunds", json=document(**changes))

    said = answer.json()
    assert (answer.status_code, said["code"], said["pointer"]) == (422, code, pointer)
    assert fold.taken == []


async def test_nothing_of_an_account_is_repeated_where_it_is_wrong(fold: Fold) -> None:
    account = {"method": "bank_account", "bank_code": "088", "account_number": 110123456789, "holder": "가"}

    async with client(fold) as shop:
        answer = await shop.post("/v1/refunds", json=document(destination=account))

    assert answer.status_code == 422
    assert "110123456789" not in answer.text


async def test_who_asks_as_an_operator_may_decide_about_refunds_and_is_no_partner(fold: Fold) -> None:
    body = document(role="operator")

    async with (
        client(fold) as shop,
        client(fold, "refunds:request refunds:manage", partner_id="P-17") as partner,
        client(fold, "refunds:request refunds:manage") as operator,
    ):
        answers = [await each.post("/v1/refunds", json=body) for each in (shop, partner, operator)]

    assert [answer.status_code for answer in answers] == [403, 403, 200]
    assert [answer.json().get("code") for answer in answers[:2]] == [
        "insufficient_scope",
        "limited_to_partner",
    ]
    assert len(fold.taken) == 1
