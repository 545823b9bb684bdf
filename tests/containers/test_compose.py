"""docker-compose.yml: it comes up, a real history goes through it from this machine, and every rule holds."""

import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.embedded.ports import is_free
from ops.provision import SERVICES
from ops.topics import create_topics
from shared.clock import monotonic
from tests.containers.test_environment import ROOT, made
from tests.support.containers import RUN

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

LINES = 700
HEALTHY_SECONDS = 120.0


@dataclass(slots=True, frozen=True)
class Stack:
    """A running project. `environment` is what make-env.sh wrote."""

    project: str
    file: Path
    environment: Mapping[str, str]

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*compose_command(), "--env-file", str(self.file), "-p", self.project, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)

    def up(self) -> None:
        """Everything is started, and every health check is content."""
        done = self.compose("up", "-d")
        assert done.returncode == 0, done.stdout + done.stderr
        deadline = monotonic() + HEALTHY_SECONDS
        while (states := self.health()) != dict.fromkeys(("kafka", "postgres", *SERVICES), "healthy"):
            assert monotonic() < deadline, f"{states}\n{self.compose('logs', '--tail=20').stdout}"

    def health(self) -> dict[str, str]:
        return {
            name: state["State"]["Health"]["Status"]
            for name, state in self.containers().items()
            if "Health" in state["State"]
        }

    def containers(self) -> dict[str, Any]:
        """What the engine knows of each service's container, by the service's name."""
        label = "com.docker.compose.project=" + self.project
        ids = docker("ps", "-aq", "--filter", f"label={label}").split()
        found = json.loads(docker("inspect", *ids))
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def pawl(self, *arguments: str) -> Any:
        """A command on this machine, which finds the project by the environment."""
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments, "--json"],
            cwd=ROOT,
            env=os.environ | dict(self.environment),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def compose_command() -> list[str]:
    """The plugin, or docker-compose 1.29 where that is what there is."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=60, check=False)
    return (
        ["docker", "compose"]
        if plugin.returncode == 0
        else [shutil.which("docker-compose") or "docker-compose"]
    )


def first_free_port() -> int:
    """The first of six neighbours that nobody uses."""
    return next(first for first in range(14_100, 15_000, 6) if all(is_free(first + n) for n in range(6)))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The project of docker-compose.yml under a name of its own, removed with its volumes at the end."""
    project, file = f"pawl-test-{RUN}", tmp_path_factory.mktemp("compose") / "env"
    environment = made(file, "--project", project, "--first-port", str(first_free_port()))
    running = Stack(project, file, environment)
    try:
        running.up()
        yield running
    finally:
        running.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
    assert docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={project}") == ""


@pytest.fixture(scope="module")
def excerpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first lines of the real order history."""
    file = tmp_path_factory.mktemp("replay") / "excerpt.csv"
    with gzip.open(ROOT / "examples" / "online_retail.csv.gz", "rt") as whole:
        file.write_text("".join(itertools.islice(whole, LINES + 1)))
    return file


def test_a_real_history_goes_through_and_every_rule_holds(stack: Stack, excerpt: Path) -> None:
    replayed = stack.pawl("replay", str(excerpt))
    checked = stack.pawl("check")

    assert replayed["check"]["ok"]
    assert replayed["lines"] == LINES
    assert checked["ok"]
    assert checked["orders"] > 20
    assert checked["totals"]["serials"] > 1000
    assert checked["totals"]["invoiced_won"] > 0


async def test_the_topics_are_those_of_the_file(stack: Stack) -> None:
    assert await create_topics(stack.environment["PAWL_KAFKA"]) == []


def test_everything_is_published_on_this_machine_only(stack: Stack) -> None:
    containers = stack.containers()

    bindings = [
        binding["HostIp"]
        for container in containers.values()
        for published in container["NetworkSettings"]["Ports"].values()
        for binding in published or ()
    ]
    assert bindings == ["127.0.0.1"] * 6


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


def test_it_stops_in_order_and_goes_on_where_it_was(stack: Stack, excerpt: Path) -> None:
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
