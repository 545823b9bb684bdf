"""The scripts around the tests: a step ends in time, and CI fails when anything of it has failed."""

import os
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest

from tests.support.nested import ROOT
from tests.support.patience import PATIENCE

STEP = ROOT / "tests" / "support" / "step.sh"


def run(*command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAWL_")}
    return subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("exit 0", 0, "passed"),
        ("exit 3", 3, "FAILED with code 3"),
        ("exec sleep 600", 124, "STOPPED: its 1 s are over"),
    ],
)
def test_a_step_says_how_it_ended_and_writes_it_down(
    tmp_path: Path, script: str, code: int, said: str
) -> None:
    bound = "1" if code == 124 else "60"

    ended = run(STEP, "a step", bound, "sh", "-c", script, PAWL_STEPS=str(tmp_path / "steps"))

    assert ended.returncode == code
    assert f"step: a step: {said}" in ended.stderr
    written = orjson.loads((tmp_path / "steps").read_text())
    assert (written["step"], written["code"]) == ("a step", code)


class Machine:
    """A tree with CI's script in it, on a machine whose `make` and whose engine do what a test says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in (".ci/run", "tests/support/step.sh"):
            (root / path).parent.mkdir(parents=True)
            shutil.copy(ROOT / path, root / path)
        self.script("deploy/images/engine.sh", "exit 0")
        self.script("tests/browser/chromium.sh", "exit 0")
        self.script("bin/make", f'echo "$@" >>{root}/made')

    def script(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def ci(self, **environment: str) -> "subprocess.CompletedProcess[str]":
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return run(self.root / ".ci" / "run", PATH=path, PAWL_CI_SAMPLE="abc", **environment)

    @property
    def made(self) -> set[str]:
        return set((self.root / "made").read_text().splitlines())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_everything_runs_from_the_command_of_the_readme_to_the_containers(machine: Machine) -> None:
    ended = machine.ci()

    assert ended.returncode == 0, ended.stderr
    sample = "test-faults PYTEST_ARGS=--sample abc"
    assert machine.made == {"venv", "images", "test", sample, "test-smoke"}
    assert "everything passed" in ended.stderr


@pytest.mark.parametrize("target", ["venv", "images", "test", "test-faults", "test-smoke"])
def test_whatever_fails_fails_the_run(machine: Machine, target: str) -> None:
    machine.script("bin/make", f'echo "it is broken"; [ "$1" != {target} ]')

    ended = machine.ci()

    assert ended.returncode == 1
    assert "FAILED: " in ended.stderr
    assert "it is broken" in ended.stdout + ended.stderr
    assert "everything passed" not in ended.stderr


def test_without_an_engine_the_run_fails_and_tells_what_was_said_in_the_background(machine: Machine) -> None:
    machine.script("deploy/images/engine.sh", "echo 'no engine here' >&2; exit 1")

    ended = machine.ci()

    assert ended.returncode == 1
    assert "no engine here" in ended.stderr
    assert "FAILED: no Docker engine can be had on this machine" in ended.stderr


def test_without_a_browser_the_run_fails_and_tells_what_is_missing(machine: Machine) -> None:
    machine.script("tests/browser/chromium.sh", "echo 'missing: chromium' >&2; exit 1")

    ended = machine.ci()

    assert ended.returncode == 1
    assert "missing: chromium" in ended.stderr
    assert "FAILED: no browser can be had on this machine" in ended.stderr
    assert "test" not in machine.made


def test_containers_can_be_left_out(machine: Machine) -> None:
    ended = machine.ci(PAWL_CI_CONTAINERS="0")

    assert ended.returncode == 0, ended.stderr
    assert machine.made == {"venv", "test"}
    assert "switched off" in ended.stderr
