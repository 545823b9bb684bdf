"""The checks can fail: every planted bug is caught, and the table says by which check.

The unpatched code passes the same seeds in `test_seeds.py`.
"""

from collections.abc import Iterator

import pytest

from tests.simulation.bugs import PLANTED, Bug
from tests.simulation.matrix import Caught, catch, table


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Iterator[list[Caught]]:
    """Collects what was caught, and prints the table when all bugs have had their turn."""
    caught: list[Caught] = []
    yield caught
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print(f"\n\n{table(caught)}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug, matrix: list[Caught]) -> None:
    caught = catch(bug)
    matrix.append(caught)

    assert caught.violation is not None, f"{bug.name}: no check noticed it"
