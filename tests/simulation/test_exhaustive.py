"""Every interleaving of small orders over the real code; `exhaustive.py` says what a state is."""

from collections.abc import Callable, Sequence

import pytest

from tests.simulation.bugs import PLANTED
from tests.simulation.conftest import WALKED
from tests.simulation.exhaustive import SCENARIOS, Scenario, explore
from tests.simulation.promises import Violation


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_interleaving_breaks_a_promise(scenario: Scenario, tell: Callable[[str, str], None]) -> None:
    found = explore(scenario)

    tell(WALKED, f"{scenario.name}: {found.told}")
    assert found.ends > 0


@pytest.mark.parametrize(
    "name",
    [
        "a refund claim ignores issuing units",
        "an issue claim ignores refunding units",
        "the inbox insert is dropped",
        "a gap is applied out of order",
    ],
)
def test_the_walk_finds_what_is_wrong_and_tells_the_way_there(name: str) -> None:
    (bug,) = (bug for bug in PLANTED if bug.name == name)

    with bug.planted(), pytest.raises(Violation, match=r"1\. checkout says"):
        _explore_all(SCENARIOS[:2])


def _explore_all(scenarios: Sequence[Scenario]) -> None:
    for scenario in scenarios:
        explore(scenario)
