"""A running project of docker-compose.yml, under a name of its own, driven as people drive it."""

import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.local.ports import is_free
from ops.shell.system import KAFKA_CHECKOUT
from shared.clock import monotonic
from shared.events.catalogue import SERVICES
from tests.containers.test_environment import ROOT, made
from tests.support.containers import RUN
from tests.support.patience import PATIENCE, PATIENCE_WITH_A_START


@dataclass(slots=True, frozen=True)
class Stack:
    """A running project.

    `environment` is what make-env.sh wrote; `suffix` ends the names of the profile's services.
    """

    project: str
    file: Path
    environment: Mapping[str, str]
    options: tuple[str, ...] = ()
    suffix: str = ""

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        project = ("--env-file", str(self.file), "-p", self.project, *self.options)
        return self._run(*compose_command(), *project, *arguments, timeout=PATIENCE_WITH_A_START)

    def _run(self, *command: str, timeout: float) -> subprocess.CompletedProcess[str]:
        # What somebody's shell knows of another project would win over the file.
        inherited = {name: value for name, value in os.environ.items() if name != KAFKA_CHECKOUT}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=inherited | dict(self.environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self) -> None:
        """Everything is started, and every health check is content."""
        done = self.compose("up", "-d")
        assert done.returncode == 0, done.stdout + done.stderr
        deadline = monotonic() + PATIENCE_WITH_A_START
        while (states := self.health()) != dict.fromkeys(("kafka", "postgres", *SERVICES), "healthy"):
            assert monotonic() < deadline, f"{states}\n{self.compose('logs', '--tail=20').stdout}"

    def health(self) -> dict[str, str]:
        return {
            name: state["State"]["Health"]["Status"]
            for name, state in self.containers().items()
            if "Health" in state["State"]
        }

    def containers(self) -> dict[str, Any]:
        """What the engine knows of each container, by the name that it has in both profiles."""
        label = "com.docker.compose.project=" + self.project
        ids = docker("ps", "-aq", "--filter", f"label={label}").split()
        found = json.loads(docker("inspect", *ids))
        names = (each["Config"]["Labels"]["com.docker.compose.service"] for each in found)
        return {name.removesuffix(self.suffix): each for name, each in zip(names, found, strict=True)}

    def bindings(self) -> list[str]:
        """The addresses of this machine on which something is published."""
        return [
            binding["HostIp"]
            for container in self.containers().values()
            for published in container["NetworkSettings"]["Ports"].values()
            for binding in published or ()
        ]

    def pawl(self, *arguments: str) -> Any:
        """A command on this machine, which finds the project by the environment."""
        done = self._run(
            sys.executable, "-m", "ops.pawl", *arguments, "--json", timeout=PATIENCE_WITH_A_START
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout


def compose_command() -> list[str]:
    """The plugin, or docker-compose 1.29 where that is what there is."""
    plugin = subprocess.run(
        ["docker", "compose", "version"], capture_output=True, timeout=PATIENCE, check=False
    )
    return (
        ["docker", "compose"]
        if plugin.returncode == 0
        else [shutil.which("docker-compose") or "docker-compose"]
    )


def first_free_port() -> int:
    """The first of nine neighbours that nobody uses. Processes of `-n` do not look at the same ones."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    begin = 14_000 + 120 * worker
    return next(first for first in range(begin, begin + 117, 9) if all(is_free(first + n) for n in range(9)))


@contextmanager
def running(name: str, folder: Path, *, secure: bool = False) -> Iterator[Stack]:
    """A project that is up and healthy, and removed with its volumes at the end."""
    project, file = f"{name}-{RUN}", folder / "env"
    arguments = ("--project", project, "--first-port", str(first_free_port()))
    # Who replays a history closes its months alone (docs/replay.md).
    alone = {"INVOICES_FOUR_EYES": "false"}
    environment = {**made(file, *arguments, *(("--secure",) if secure else ())), **alone}
    profile = (("--profile", "secure"), "-secure") if secure else ()
    stack = Stack(project, file, environment, *profile)
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
    assert docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={project}") == ""


def excerpt(file: Path, lines: int) -> Path:
    """The first lines of the real order history, written to the file."""
    with gzip.open(ROOT / "examples" / "online_retail.csv.gz", "rt") as whole:
        file.write_text("".join(itertools.islice(whole, lines + 1)))
    return file
