"""docker-compose.yml: it comes up, a real history goes through it from this machine, and every rule holds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.setup.topics import create_topics
from shared.events.catalogue import SERVICES
from tests.containers.stack import Stack, excerpt, running
from tests.support.watching import answers_of, queries_of_dashboards, rules_of, until_all_are_up

pytestmark = pytest.mark.containers

LINES = 700


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
