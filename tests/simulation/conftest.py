"""What the checks found is printed at the end of the run, also when several processes share the tests."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.matrix import HEAD

CAUGHT, WALKED = "planted bug", "walked"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Adds a line to what is printed at the end: `tell(CAUGHT, line)`."""
    return record_property


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The walks with their sizes, and the table of planted bugs."""
    told = [
        (name, line)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, line in getattr(report, "user_properties", ())
        if getattr(report, "when", "") == "call"
    ]
    walks = [line for name, line in told if name == WALKED]
    rows = [line for name, line in told if name == CAUGHT]
    if walks:
        terminalreporter.section("every interleaving of small orders")
        terminalreporter.write_line("\n".join(sorted(walks)))
    if rows:
        terminalreporter.section("planted bugs, and the check that caught each")
        terminalreporter.write_line("\n".join([*HEAD, *rows]))
