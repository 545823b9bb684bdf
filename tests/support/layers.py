"""Which layer each test belongs to, said once. The targets of the Makefile select by it (`-m unit`).

Every test belongs to exactly one layer. `containers` and `faults` are marked in the test; the others follow
from the directory under tests/, and from whether a test uses the session's running services.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
MARKED = ("containers", "faults")
OF_DIRECTORY: Mapping[str, str] = {
    "unit": "unit",
    "contracts": "unit",
    "containers": "unit",  # but for what is marked: that needs an engine
    "simulation": "simulation",
    "integration": "integration",
    "security": "integration",
    "cases": "system",
    "scenarios": "system",
    "reliability": "system",
    "browser": "browser",
}
LAYERS = (*dict.fromkeys(OF_DIRECTORY.values()), *MARKED)
SERVERS = ("kafka_server", "postgres_server", "run_directory")


def layer_of(item: pytest.Item) -> str:
    """The layer of a test. Raises UsageError for one in a directory that is in no layer."""
    for name in MARKED:
        if item.get_closest_marker(name):
            return name
    directory = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
    if directory not in OF_DIRECTORY:
        raise pytest.UsageError(
            f"{item.nodeid} is in no layer: tests/support/layers.py names the directories"
        )
    if OF_DIRECTORY[directory] == "integration" and "running" in _fixtures(item):
        return "system"
    return OF_DIRECTORY[directory]


def passed_over(directory: str, selection: str) -> bool:
    """Whether no test of a directory can be in a selection (`-m`), so that its files need not be imported.

    Only selections by layers of directories are understood (`simulation or integration`).
    """
    named = set(re.findall(r"\w+", selection)) - {"or"}
    layer = OF_DIRECTORY.get(directory)
    if layer is None or not named or not named <= set(OF_DIRECTORY.values()):
        return False
    return named.isdisjoint({"integration", "system"} if layer == "integration" else {layer})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the directories of other layers, which takes every process seconds otherwise."""
    is_passed_over = collection_path.parent == TESTS and passed_over(
        collection_path.name, config.getoption("markexpr")
    )
    return True if is_passed_over else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with its layer, and puts those first that leave the least behind.

    The quick tests come first, then those that need a server, then those of the running services: the
    services lead the relays and hold locks in the schemas that the other tests empty and write. A load leaves
    a lot behind for every closing audit, so those tests are the last.
    """
    for item in items:
        item.add_marker(layer_of(item))
    items.sort(key=_leaves_behind)


def _leaves_behind(item: pytest.Item) -> int:
    fixtures = _fixtures(item)
    if "running" in fixtures:
        return 3 if "begin" in fixtures else 2
    return int(any(server in fixtures for server in SERVERS))


def _fixtures(item: pytest.Item) -> tuple[str, ...]:
    return tuple(getattr(item, "fixturenames", ()))
