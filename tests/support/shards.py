"""How tests are dealt out to the processes of `-n`: each process starts the servers that its tests ask for.

The tests of a file stay together, because they share what its fixtures made. Where nothing is shared, or only
what a session shares, each test is dealt out by itself, so that no process ends long before the others.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Mapping[str, str] = {
    "tests/reliability/test_lost_answers.py": "file",  # one system behind two proxies
    "tests/cases/": "test",
    "tests/reliability/": "test",
    "tests/scenarios/": "test",
    "tests/simulation/": "test",
    "tests/security/": "directory",  # one system with logins
}
"""What stays together under a path; the first that fits counts, and everywhere else it is the file."""


def kept_together(nodeid: str) -> str:
    """The name of what a test must not be separated from."""
    file = nodeid.partition("::")[0]
    for path, together in TOGETHER.items():
        if file.startswith(path):
            return {"file": file, "test": nodeid, "directory": path}[together]
    return file


ENOUGH = 2
"""A process begins a test only when it knows the next one, to tear down what that one does not need."""


class ByWhatIsShared(LoadScopeScheduling):
    """Deals out tests in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return kept_together(nodeid)

    def _reschedule(self, node: Any) -> None:
        """Gives a process the next tests only when it needs them: the one that it runs and one more.

        Nobody then waits at the end for another who still has a long fault before him.
        """
        if not self.workqueue or self._pending_of(self.assigned_work[node]) < ENOUGH:
            super()._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWhatIsShared:
    """For every `-n` with the usual `--dist`."""
    config.option.loadscopereorder = False
    return ByWhatIsShared(config, log)
