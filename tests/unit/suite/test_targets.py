"""Every test belongs to a target of the Makefile, and what CI leaves out is named as it is."""

import re
import subprocess
from collections.abc import Set

import pytest

from tests.support.layers import LAYERS, OF_DIRECTORY, TESTS, passed_over
from tests.support.nested import ROOT
from tests.support.sampling import SAMPLES

MARKS = (*LAYERS, "alone", "smoke")
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


def selects(selection: str, marks: Set[str]) -> bool:
    """Whether `-m selection` takes a test with these marks."""
    return bool(eval(selection, {}, {name: name in marks for name in MARKS}))


def test_every_test_is_run_by_make_test_all() -> None:
    selected = selections()
    assert {"unit", "system", "faults and alone", "containers"} <= selected

    kinds = [{layer, *also} for layer in LAYERS for also in ((), ("alone",), ("smoke",), ("alone", "smoke"))]

    assert [marks for marks in kinds if not any(selects(each, marks) for each in selected)] == []


@pytest.mark.parametrize("layer", sorted(set(OF_DIRECTORY.values())))
def test_no_directory_is_passed_over_that_may_have_tests_of_the_layer(layer: str) -> None:
    """A run by layer does not import the others' files; whatever else is asked for, every file is read."""
    of_layer = {name for name, its in OF_DIRECTORY.items() if its == layer}
    if layer == "system":
        of_layer |= {name for name, its in OF_DIRECTORY.items() if its == "integration"}

    assert {name for name in OF_DIRECTORY if not passed_over(name, layer)} == of_layer
    assert not any(passed_over(name, f"not {layer}") for name in OF_DIRECTORY)
    assert not any(passed_over(name, f"{layer} and smoke") for name in OF_DIRECTORY)


def test_two_layers_read_the_directories_of_both() -> None:
    assert not passed_over("security", "simulation or integration")
    assert not passed_over("simulation", "simulation or integration")
    assert passed_over("unit", "simulation or integration")
    assert not any(passed_over(name, selection) for name in OF_DIRECTORY for selection in ("", "faults"))


def test_every_directory_of_tests_is_in_a_layer() -> None:
    directories = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}

    assert directories == set(OF_DIRECTORY)


def test_every_family_that_ci_samples_is_there() -> None:
    sources = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))

    assert [name for name in SAMPLES if f"def {name}(" not in sources] == []
