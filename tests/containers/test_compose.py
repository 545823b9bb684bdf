"""docker-compose.yml: it comes up, a real history goes through it from this machine, and every rule holds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ops.setup.topics import create_topics
from shared.clock import monotonic
from shared.events.catalogue import SERVICES
from tests.containers.stack import Stack, excerpt, running
from tests.support.patience import PATIENCE, PATIENCE_WITH_A_START
from tests.support.watching import answers_of, queries_of_dashboards, rules_of, until_all_are_up

pytestmark = pytest.mark.containers

LINES = 700
PROXY_HEADER = "X-Forwarded-User"
ASKED_OF_SERVICES = ("/refunds", "/month?month=2010-12", "/documents?month=2010-12")
"""Pages for which the console asks a service, with a token of whoever looks."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The profile that .env names, without logins."""
    with running("pawl-test", tmp_path_factory.mktemp("compose")) as stack:
        yield stack


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first lines of the real order history."""
    return excerpt(tmp_path_factory.mktemp("replay") / "excerpt.csv", LINES)


def test_a_real_history_goes_through_and_every_rule_holds(stack: Stack, history: Path) -> None:
    replayed = stack.pawl("replay", str(history))
    checked = stack.pawl("check")

    assert replayed["check"]["ok"]
    assert replayed["lines"] == LINES
    assert checked["ok"]
    assert checked["orders"] > 20
    assert checked["totals"]["serials"] > 1000
    assert checked["totals"]["invoiced_won"] > 0


async def test_the_profile_watch_scrapes_it_and_knows_every_query(stack: Stack) -> None:
    started = stack.compose("up", "-d", "--no-deps", "prometheus")
    assert started.returncode == 0, started.stdout + started.stderr
    url = f"http://127.0.0.1:{stack.environment['PAWL_PROMETHEUS_PORT']}"

    await until_all_are_up(url)

    assert "PawlMonthDueSoon" in await rules_of(url)
    asked = {query: await answers_of(url, query) for query in queries_of_dashboards()}
    assert len(asked) > 30
    assert asked["sum by (service) (pawl_lag_events)"] == 4
    assert await answers_of(url, "max by (service) (pawl_todo_read_timestamp_seconds) > 0") == 4


@pytest.fixture
def console(stack: Stack) -> Iterator[str]:
    """The address of the console, before which this machine stands as a proxy that knows people."""
    url = f"http://127.0.0.1:{stack.environment['PAWL_CONSOLE_PORT']}"
    gateway = stack.containers()["orders"]["NetworkSettings"]["Networks"].values()
    proxies = ",".join(network["Gateway"] for network in gateway)
    named = {"CONSOLE_URL": url, "CONSOLE_PROXY_HEADER": PROXY_HEADER, "CONSOLE_PROXIES": proxies}
    beside = replace(stack, environment={**stack.environment, **named})
    started = beside.compose("up", "-d", "--no-deps", "console")
    assert started.returncode == 0, started.stdout + started.stderr
    deadline = monotonic() + PATIENCE_WITH_A_START
    while (state := stack.health()["console"]) != "healthy":
        assert monotonic() < deadline, f"{state}\n{stack.compose('logs', '--tail=20', 'console').stdout}"
    yield url
    beside.compose("rm", "--stop", "--force", "console")


async def test_the_profile_console_reads_what_is_there_and_asks_services_with_tokens_that_they_take(
    stack: Stack, console: str
) -> None:
    headers = {PROXY_HEADER: "kim", "X-Forwarded-Groups": "viewer", "Origin": console}
    async with httpx.AsyncClient(base_url=console, headers=headers, timeout=PATIENCE) as browser:
        before = await browser.get("/needs")
        await browser.post("/sign-in", data={"to": "/needs"})
        read = await browser.get("/needs?format=json")
        asked = {path: (await browser.get(path)).status_code for path in ASKED_OF_SERVICES}

    assert before.headers["location"].startswith("/sign-in")
    assert read.status_code == 200
    assert isinstance(read.json()["rows"], list)
    assert asked == dict.fromkeys(ASKED_OF_SERVICES, 200)
    told = dict(each.split("=", 1) for each in stack.containers()["console"]["Config"]["Env"])
    assert urlsplit(told["PAWL_POSTGRES"]).username == "pawl_ops"
    assert urlsplit(told["DATABASE_URL"]).username == "pawl_console"


async def test_the_topics_are_those_of_the_file(stack: Stack) -> None:
    assert await create_topics(stack.environment["PAWL_KAFKA"]) == []


def test_everything_is_published_on_this_machine_only(stack: Stack) -> None:
    assert set(stack.bindings()) == {"127.0.0.1"}


def test_a_service_has_no_rights_and_writes_nothing(stack: Stack) -> None:
    containers = stack.containers()

    for service in SERVICES:
        settings = containers[service]["HostConfig"]
        assert containers[service]["Config"]["User"] == "10001:10001"
        assert settings["ReadonlyRootfs"]
        assert settings["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in settings["SecurityOpt"]
        assert settings["RestartPolicy"]["Name"] == "unless-stopped"


def test_only_serials_knows_the_keys_of_serials(stack: Stack) -> None:
    containers = stack.containers()

    knowing = {
        name
        for name, container in containers.items()
        if any(variable.startswith("SERIAL_") for variable in container["Config"]["Env"])
    }
    assert knowing == {"serials"}


def test_it_stops_in_order_and_goes_on_where_it_was(stack: Stack) -> None:
    before = stack.pawl("check")

    stack.compose("stop")
    ended = {service: stack.containers()[service]["State"]["ExitCode"] for service in SERVICES}
    stack.up()
    after = stack.pawl("check")

    assert ended == dict.fromkeys(SERVICES, 0)
    assert (after["ok"], after["orders"], after["totals"]) == (True, before["orders"], before["totals"])


def test_without_its_environment_it_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("")
    stack = Stack("pawl-nothing", tmp_path / "env", {})

    said = stack.compose("config")

    assert said.returncode != 0
    assert "run deploy/compose/make-env.sh first" in said.stdout + said.stderr
