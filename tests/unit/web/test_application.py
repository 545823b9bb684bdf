"""One shape for all services: tokens before bodies, problems for what goes wrong, limits, ids, metrics."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import BaseModel, Field
from structlog.testing import capture_logs

from shared.events.fields import Id, Instant, Quantity
from shared.web.application import RouteNotDeclared
from shared.web.callers import Origin
from shared.web.fields import Body as Fields
from shared.web.fields import WireInstant
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import Kind, Problem
from shared.web.routes import Asking, Requested, RequestedOnce, get, post
from tests.support.tokens import Provider
from tests.support.web import app_of, client_of

PROVIDER = Provider()
NO_WAY = Kind("no_way", 409, "No way", "{what} cannot be", "안 됩니다", "{what}: 안 됩니다")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Line(Fields):
    line_id: Id
    quantity: Quantity


class Said(Fields):
    at: Instant
    lines: list[Line] = Field(default_factory=list)


class Shown(BaseModel):
    at: WireInstant
    sub: str


class Endpoints:
    """What a service might answer with."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self.go_on = asyncio.Event()

    async def show(self, caller: Asking) -> Any:
        return {"at": "2026-10-21T05:03:07Z", "sub": caller.sub}

    async def write(self, thing: Id, body: Said, origin: Requested) -> Any:
        self.origins.append(origin)
        return {"at": body.at, "sub": origin.caller.sub}

    async def write_once(self, body: Said, origin: RequestedOnce) -> Any:
        self.origins.append(origin)
        return {"at": body.at, "sub": origin.caller.sub}

    async def some(self, limit: Limit = USUAL, cursor: Cursor = None) -> Any:
        (behind,) = after(cursor, (0,))
        rows = [number for number in range(1, 8) if number > behind][: limit + 1]
        return page_of(rows, limit, lambda number: (number,))

    async def refuse(self) -> None:
        raise Problem(NO_WAY, pointer="/x", retry_after=7, what="this")

    async def fail(self) -> None:
        raise ValueError("secret 4999-1234")

    async def database_away(self) -> None:
        raise ConnectionRefusedError

    async def wait(self) -> Any:
        await self.go_on.wait()
        return {"at": "2026-10-21T05:03:07Z", "sub": "x"}

    async def stream(self) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await self.go_on.wait()
            yield b"last"

        return StreamingResponse(parts())

    def routes(self) -> list[Any]:
        return [
            get("/health", self.show_open),
            get("/v1/things", self.some, "ops:read", answers=Page[int]),
            get("/v1/shown", self.show, "ops:read", answers=Shown, partners=True),
            get("/v1/still", self.show, "ops:read", answers=Shown, partners=True, after_leaving=True),
            post("/v1/things/{thing}", self.write, "ops:write", answers=Shown),
            post("/v1/once", self.write_once, "ops:write", answers=Shown),
            get("/v1/refuse", self.refuse, "ops:read", problems=[NO_WAY]),
            get("/v1/fail", self.fail, "ops:read"),
            get("/v1/away", self.database_away, "ops:read"),
            get("/v1/wait", self.wait, "ops:read", answers=Shown, seconds=0.05),
            get("/v1/stream", self.stream, "ops:read", seconds=0.05),
        ]

    async def show_open(self) -> Any:
        return {"status": "ok"}


@pytest.fixture
def endpoints() -> Endpoints:
    return Endpoints()


@pytest.fixture
def client(endpoints: Endpoints) -> httpx.AsyncClient:
    app = app_of(endpoints.routes(), PROVIDER.tokens(), at_once=2)
    return client_of(app, PROVIDER.allowing("ops:read ops:write"))


async def test_an_answer_has_its_instants_in_seoul(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/shown")

    assert answer.json() == {"at": "2026-10-21T14:03:07+09:00", "sub": "kim"}
    assert answer.headers["cache-control"] == "no-store"


async def test_a_parameter_that_is_misspelt_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/things?limitt=2")

    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_parameter")
    assert "limitt" in answer.json()["detail"]
    assert "cursor, limit" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["0123-4567-89AB-CDE4", "0123456789abcde4", "abcdefghjkmnpqrs", "x" * 500])
async def test_what_may_be_a_secret_in_the_place_of_a_name_is_not_repeated(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.get(f"/v1/things?{name}=1")

    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_parameter")
    assert name[:12] not in answer.text


async def test_what_is_open_needs_no_token(client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]

    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/v1/shown")).status_code == 401


async def test_without_keys_everything_under_v1_is_closed(endpoints: Endpoints) -> None:
    client = client_of(app_of(endpoints.routes(), None), PROVIDER.allowing("ops:read"))

    answer = await client.get("/v1/shown")

    assert (answer.status_code, answer.json()["code"]) == (503, "tokens_not_configured")
    assert (await client.get("/health")).status_code == 200


async def test_a_missing_scope_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/once", headers=PROVIDER.allowing("ops:read"), json={})

    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert 'scope="ops:write"' in answer.headers["www-authenticate"]


async def test_a_token_of_a_partner_asks_only_where_that_is_thought_of(client: httpx.AsyncClient) -> None:
    client.headers.update(PROVIDER.allowing("ops:read", partner_id="P-17"))

    assert (await client.get("/v1/shown")).status_code == 200
    assert (await client.get("/v1/things")).json()["code"] == "limited_to_partner"


async def test_a_partner_that_has_left_finds_nothing_but_what_goes_on_after_it(endpoints: Endpoints) -> None:
    async def has_left(partner_id: str) -> bool:
        return partner_id == "P-17"

    app = app_of(endpoints.routes(), PROVIDER.tokens(), has_left=has_left)
    gone, stays, operator = (
        client_of(app, PROVIDER.allowing("ops:read", **claims))
        for claims in ({"partner_id": "P-17"}, {"partner_id": "P-18"}, {})
    )

    hidden = await gone.get("/v1/shown")

    assert (hidden.status_code, hidden.json()["code"]) == (404, "not_found")
    assert (await gone.get("/v1/still")).status_code == 200
    assert (await stays.get("/v1/shown")).status_code == 200
    assert (await operator.get("/v1/shown")).status_code == 200


async def test_the_token_is_looked_at_before_the_body(client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]

    answer = await client.post("/v1/once", content=b"{" * 100_000, headers={"content-type": "text/plain"})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ('{"at": "2026-10-21T14:03:07"}', 422, "time_without_offset", "/at"),
        ("{}", 422, "missing_field", "/at"),
        ('{"lines": 10000000000000000000000000}', 422, "wrong_type", "/lines"),
        ('{"lines": "\\ud800"}', 422, "missing_field", "/at"),
        ('{"at": 5}', 422, "wrong_type", "/at"),
        ('{"at": "2026-10-21T14:03:07Z", "linse": []}', 422, "out_of_range", "/linse"),
        (
            '{"at": "2026-10-21T14:03:07Z", "lines": [{"line_id": "1", "quantity": -5}]}',
            422,
            "out_of_range",
            "/lines/0/quantity",
        ),
        ("[]", 400, "unreadable", ""),
        ("not json", 400, "unreadable", ""),
        ('{"at": "\xff', 400, "unreadable", ""),
        ("", 400, "unreadable", ""),
        ("[" * 100_000, 400, "unreadable", ""),
    ],
)
async def test_a_fault_has_the_code_and_pointer_that_feedback_would_give_it(
    client: httpx.AsyncClient, body: str, status: int, code: str, pointer: str
) -> None:
    answer = await client.post(
        "/v1/things/a", content=body.encode("latin-1"), headers={"content-type": "application/json"}
    )

    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert (problem["code"], problem["pointer"]) == (code, pointer)
    assert problem["type"] == f"docs/errors.md#{code}"


async def test_all_faults_of_a_document_are_listed(client: httpx.AsyncClient) -> None:
    lines = [{"line_id": "", "quantity": 0}, {"quantity": "1"}]

    problem = (await client.post("/v1/things/a", json={"lines": lines, "at": 5})).json()

    pointers = [fault["pointer"] for fault in problem["faults"]]
    assert pointers == [
        "/lines/0/line_id",
        "/lines/0/quantity",
        "/lines/1/quantity",
        "/lines/1/line_id",
        "/at",
    ]


@pytest.mark.parametrize(
    ("accept", "title"),
    [
        ("ko", "안 됩니다"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "안 됩니다"),
        ("en,ko;q=0.5", "No way"),
        ("", "No way"),
    ],
)
async def test_a_problem_is_told_in_the_language_that_is_preferred(
    client: httpx.AsyncClient, accept: str, title: str
) -> None:
    answer = await client.get("/v1/refuse", headers={"accept-language": accept})

    assert answer.status_code == 409
    assert (answer.json()["title"], answer.json()["code"]) == (title, "no_way")
    assert (answer.json()["pointer"], answer.json()["retry_after"]) == ("/x", 7)
    assert answer.headers["retry-after"] == "7"


async def test_a_fault_is_told_in_korean_too(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/things/a", json={}, headers={"accept-language": "ko"})

    assert answer.json()["title"] == "필수 항목이 없습니다"
    assert "/at" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/shown", 405, "method_not_allowed"),
        ("GET", "/v1/things?limit=0", 400, "wrong_parameter"),
        ("GET", "/v1/things?limit=1001", 400, "wrong_parameter"),
        ("GET", "/v1/things?cursor=nonsense", 400, "wrong_parameter"),
        ("GET", "/v1/things?cursor=WyJhIl0", 400, "wrong_parameter"),
        ("GET", "/v1/fail", 500, "internal"),
        ("GET", "/v1/away", 503, "unavailable"),
    ],
)
async def test_whatever_goes_wrong_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_pages_follow_each_other_to_the_end(client: httpx.AsyncClient) -> None:
    found: list[int] = []
    page = (await client.get("/v1/things", params={"limit": 3})).json()
    while page["next"]:
        found += page["items"]
        page = (await client.get("/v1/things", params={"limit": 3, "cursor": page["next"]})).json()

    assert found + page["items"] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "idempotency_key_missing"),
        ({"idempotency-key": ""}, "idempotency_key_wrong"),
        ({"idempotency-key": "with space"}, "idempotency_key_wrong"),
        ({"idempotency-key": "x" * 129}, "idempotency_key_wrong"),
    ],
)
async def test_a_write_that_is_not_idempotent_needs_a_key(
    client: httpx.AsyncClient, headers: dict[str, str], code: str
) -> None:
    answer = await client.post("/v1/once", json={"at": "2026-10-21T14:03:07Z"}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_an_endpoint_learns_where_a_request_comes_from(
    client: httpx.AsyncClient, endpoints: Endpoints
) -> None:
    headers = {"idempotency-key": "k-1", "traceparent": TRACE, "x-correlation-id": "case-7"}

    answer = await client.post("/v1/once", json={"at": "2026-10-21T14:03:07Z"}, headers=headers)

    (origin,) = endpoints.origins
    assert (origin.caller.sub, origin.idempotency_key) == ("kim", "k-1")
    assert (origin.traceparent, origin.correlation) == (TRACE, "case-7")
    assert answer.headers["traceparent"] == TRACE
    assert answer.headers["x-correlation-id"] == "case-7"


async def test_a_trace_context_that_is_none_begins_anew(
    client: httpx.AsyncClient, endpoints: Endpoints
) -> None:
    wrong = {"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "idempotency-key": "k"}

    answer = await client.post("/v1/once", json={"at": "2026-10-21T14:03:07Z"}, headers=wrong)

    assert endpoints.origins[0].traceparent is None
    assert answer.headers["traceparent"] != wrong["traceparent"]
    assert answer.headers["x-correlation-id"] == answer.headers["traceparent"].split("-")[1]


@pytest.mark.parametrize("code", ["7KQ2-M0ZV-3XWJ-AB9T", "7KQ2M0ZV3XWJAB9T", "7kq2.m0zv.3xwj.ab9t"])
async def test_a_correlation_id_that_may_be_a_bought_code_is_not_kept(
    client: httpx.AsyncClient, endpoints: Endpoints, code: str
) -> None:
    headers = {"x-correlation-id": code, "idempotency-key": "k"}

    answer = await client.post("/v1/once", json={"at": "2026-10-21T14:03:07Z"}, headers=headers)

    assert answer.headers["x-correlation-id"] == answer.headers["traceparent"].split("-")[1]
    assert endpoints.origins[0].correlation != code


async def test_a_body_has_at_most_a_million_bytes_also_when_nobody_announces_it(
    client: httpx.AsyncClient,
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    json = {"content-type": "application/json"}
    announced = await client.post("/v1/things/a", content=b" " * 1_000_001, headers=json)
    streamed = await client.post("/v1/things/a", content=parts(), headers=json)

    assert [answer.json()["code"] for answer in (announced, streamed)] == ["too_large"] * 2
    assert announced.status_code == streamed.status_code == 413


async def test_a_body_is_json_and_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/things/a", content=b"a=b", headers={"content-type": "text/plain"})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_more_requests_at_once_than_allowed_are_sent_away(
    endpoints: Endpoints, client: httpx.AsyncClient
) -> None:
    streams = [asyncio.create_task(client.get("/v1/stream")) for _ in range(2)]
    await asyncio.sleep(0)
    while (answer := await client.get("/v1/shown")).status_code == 200:
        await asyncio.sleep(0)

    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/health")).status_code == 200
    endpoints.go_on.set()
    assert [each.status_code for each in await asyncio.gather(*streams)] == [200, 200]
    assert (await client.get("/v1/shown")).status_code == 200


async def test_an_answer_that_does_not_begin_in_time_is_given_up_and_a_stream_goes_on(
    endpoints: Endpoints, client: httpx.AsyncClient
) -> None:
    streaming = asyncio.create_task(client.get("/v1/stream"))

    late = await client.get("/v1/wait")

    assert (late.status_code, late.json()["code"]) == (503, "timed_out")
    endpoints.go_on.set()
    assert (await streaming).content == b"firstlast"


async def test_the_log_names_route_and_caller_and_nothing_that_was_said(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await client.post("/v1/things/SECRET-1", json={"at": "SECRET-2"}, headers={"x-correlation-id": "c-1"})
        await client.get("/v1/things?cursor=SECRET-3")
        await client.get("/v1/fail")

    told = [line for line in lines if line["event"] == "request"]
    assert {name: told[0][name] for name in ("method", "route", "status", "sub", "correlation")} == {
        "method": "POST",
        "route": "/v1/things/{thing}",
        "status": 422,
        "sub": "kim",
        "correlation": "c-1",
    }
    text = repr(lines)
    assert "SECRET" not in text
    assert "4999" not in text
    assert PROVIDER.token()[:20] not in text


async def test_requests_are_counted_by_route_template_and_status(endpoints: Endpoints) -> None:
    registry = CollectorRegistry()
    app = app_of(endpoints.routes(), PROVIDER.tokens(), registry=registry)
    client = client_of(app, PROVIDER.allowing("ops:read"))

    for path in ("/v1/things/1", "/v1/things/2", "/v1/shown", "/nothing/1"):
        await client.get(path)
    await client.request("BREW", "/nothing/2")

    text = generate_latest(registry).decode()
    assert 'pawl_http_requests_total{method="GET",route="/v1/shown",status="200"} 1.0' in text
    assert 'route="unmatched",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert "/nothing" not in text


@pytest.mark.parametrize(
    "route", [get("/v1/open", Endpoints.refuse), get("/elsewhere", Endpoints.refuse, "ops:read")]
)
def test_a_route_under_v1_names_a_scope_and_no_other_does(route: Any) -> None:
    with pytest.raises(RouteNotDeclared):
        app_of([route], None)


async def test_the_openapi_document_names_scopes_and_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    assert document["openapi"].startswith("3.1")
    once = document["paths"]["/v1/once"]["post"]
    assert once["security"] == [{"token": ["ops:write"]}]
    assert "422" not in once["responses"]
    assert "Idempotency-Key" in orjson.dumps(once["parameters"]).decode()
    assert "no_way" in document["paths"]["/v1/refuse"]["get"]["responses"]["409"]["description"]
    assert "security" not in document["paths"]["/health"]["get"]


@pytest.mark.parametrize("path", ["/docs", "/asyncapi"])
async def test_the_pages_take_nothing_from_elsewhere(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path)

    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "//" not in page.text.replace("<!doctype html>", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "page.css", "favicon.png"):
        assert (await client.get(f"/docs/assets/{name}")).status_code == 200
    assert (await client.get("/docs/assets/nothing.js")).status_code == 404
