"""A process that does not start because of its schema says why for a while, and then it ends."""

import asyncio
import socket

import pytest
from starlette.testclient import TestClient

from ops.shell.http_client import fetch
from shared.runtime.http import bind
from shared.runtime.refusing import refusal, tell_refusal
from shared.runtime.topic_events import SchemaBehind

BEHIND = SchemaBehind("the schema orders is older than its topics: see pawl recover orders", 12)


def test_health_says_why_and_what_to_do_and_metrics_count_what_the_schema_lacks() -> None:
    client = TestClient(refusal("orders", BEHIND))

    health = client.get("/health")

    assert health.status_code == 503
    assert health.json() == {
        "service": "orders",
        "status": "refused",
        "why": str(BEHIND),
        "todo": "pawl recover orders",
    }
    assert "pawl_schema_behind_events 12.0" in client.get("/metrics").text


def test_nothing_else_is_answered() -> None:
    client = TestClient(refusal("orders", BEHIND))

    assert client.get("/v1/orders/A-1").status_code == 404


@pytest.fixture
def listener() -> socket.socket:
    return bind("127.0.0.1", 0)


async def test_it_answers_on_its_port_until_its_time_is_over(listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/health"
    telling = asyncio.create_task(tell_refusal(listener, "orders", BEHIND, 1.5))

    while (answer := await fetch(url)).status != 503:
        await asyncio.sleep(0.02)

    assert "older than its topics" in answer.text
    await telling
    assert (await fetch(url)).status != 503


async def test_it_ends_at_once_where_nobody_wants_to_hear_it(listener: socket.socket) -> None:
    await tell_refusal(listener, "orders", BEHIND, 0)
    listener.close()
