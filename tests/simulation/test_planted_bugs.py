"""The checks can fail: every planted bug is caught, and the table at the end of the run says by which check.

The unpatched code passes the same seeds in `test_seeds.py`.
"""

from collections.abc import Callable

import pytest

from tests.simulation.bug import Bug
from tests.simulation.bugs import PLANTED
from tests.simulation.conftest import CAUGHT
from tests.simulation.matrix import catch, row


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug, tell: Callable[[str, str], None]) -> None:
    caught = catch(bug)
    tell(CAUGHT, row(caught))

    assert caught.violation is not None, f"{bug.name}: no check noticed it"
