"""The checks can fail: every planted bug is caught, and the table at the end of the run says by which check.

The unpatched code passes the same seeds in `test_seeds.py`.
"""

import inspect
from collections.abc import Callable

import pytest

from tests.simulation.bug import Bug
from tests.simulation.bugs import PLANTED
from tests.simulation.conftest import CAUGHT
from tests.simulation.matrix import catch, row
from tests.simulation.test_heard import BUGS

CALLED = [bug for bug in (*PLANTED, *BUGS.values()) if callable(getattr(bug.owner, bug.attribute))]


@pytest.mark.parametrize("bug", CALLED, ids=lambda bug: bug.name or bug.attribute)
def test_a_planted_bug_can_be_called_as_what_it_replaces(bug: Bug) -> None:
    """Otherwise it is caught for a TypeError, and proves nothing of the check that is to find it."""
    parameters = inspect.signature(getattr(bug.owner, bug.attribute)).parameters.values()
    by_name = {each.name: None for each in parameters if each.kind is each.KEYWORD_ONLY}
    by_place = [None for each in parameters if each.kind is not each.KEYWORD_ONLY]

    inspect.signature(bug.wrong).bind(*by_place, **by_name)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug, tell: Callable[[str, str], None]) -> None:
    caught = catch(bug)
    tell(CAUGHT, row(caught))

    assert caught.violation is not None, f"{bug.name}: no check noticed it"
