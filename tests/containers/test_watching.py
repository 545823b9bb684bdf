"""The alerts by promtool's own tests, and `pawl up --watch` with the Prometheus of the image."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.stack import docker
from tests.containers.test_environment import ROOT
from tests.support.patience import PATIENCE
from tests.support.watching import answers_of, until_all_are_up

pytestmark = pytest.mark.containers

IMAGE = os.environ.get("PAWL_PROMETHEUS_IMAGE", "prom/prometheus:v3.5.0")


def promtool(*arguments: str) -> str:
    """What promtool says of files of deploy/; it fails the test where they are wrong."""
    mounted = ("--volume", f"{ROOT / 'deploy'}:/deploy:ro", "--workdir", "/deploy", "--network", "none")
    done = subprocess.run(
        ["docker", "run", "--rm", *mounted, "--entrypoint", "promtool", IMAGE, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts/pawl.test.yml")
    assert "SUCCESS" in promtool("check", "rules", "alerts/pawl.rules.yml")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the image, for this machine."""
    file = tmp_path_factory.mktemp("program") / "prometheus"
    container = docker("create", IMAGE).strip()
    try:
        docker("cp", "--follow-link", f"{container}:/bin/prometheus", str(file))
    finally:
        docker("rm", container)
    return file


@pytest.fixture
async def watched(tmp_path: Path, program: Path) -> AsyncIterator[dict[str, Any]]:
    """What `pawl up --watch --json` says of a system of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.pawl", "up", "--watch", "--json", "--dir", str(tmp_path / ".pawl")),
        env={**os.environ, "PAWL_PROMETHEUS": str(program)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    try:
        yield json.loads(line) if line else {}
    finally:
        if process.returncode is None:
            process.terminate()
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()


async def test_an_embedded_system_is_watched(watched: dict[str, Any]) -> None:
    url = watched["prometheus"]

    await until_all_are_up(url)

    assert await answers_of(url, "max by (service) (pawl_todo_read_timestamp_seconds) > 0") == 4
    assert await answers_of(url, 'ALERTS{alertstate="firing"}') == 0
