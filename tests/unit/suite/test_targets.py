"""Every test belongs to a target of the Makefile, and what CI leaves out is named as it is."""

import re
import subprocess

import pytest

from tests.support.layers import OF_DIRECTORY, TESTS
from tests.support.nested import ROOT, run_pytest
from tests.support.sampling import SAMPLES

SELECTION = re.compile(r' -m ("[^"]+"|\w+)(?= )')


def selections() -> set[str]:
    """By which markers `make test-all` selects, in all that it runs."""
    told = subprocess.run(
        ["make", "-n", "test-all"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    told += (TESTS / "containers" / "run.sh").read_text()
    lines = (line for line in told.splitlines() if "pytest -m" in line or line.lstrip().startswith("part "))
    found = {name.strip('"') for line in lines for name in SELECTION.findall(line)}
    return found - {"pytest"}


def test_every_test_is_run_by_make_test_all() -> None:
    selected = selections()
    assert {"unit", "system", "faults and alone", "containers"} <= selected

    nowhere = " and ".join(f"not ({selection})" for selection in sorted(selected))
    left = run_pytest("--collect-only", "-q", "-m", nowhere)

    assert left.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, left.stdout
    assert re.search(r"no tests collected \(\d{4,} deselected\)", left.stdout), left.stdout


def test_every_directory_of_tests_is_in_a_layer() -> None:
    directories = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}

    assert directories == set(OF_DIRECTORY)


def test_every_family_that_ci_samples_is_there() -> None:
    sources = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))

    assert [name for name in SAMPLES if f"def {name}(" not in sources] == []
