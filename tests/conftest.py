"""Fixtures for every test; the servers start only for tests that ask for them."""

import pytest

pytest_plugins = ["tests.support.servers", "tests.support.scenario", "tests.support.instances"]

SERVERS = ("kafka_server", "postgres_server", "run_directory")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick tests come first, then those that need a server, then those of the running services:
    the services lead the relays and hold locks in the schemas that the other tests empty and write. A load
    leaves a lot behind for every closing audit, so those tests are the last.
    """
    items.sort(key=_needs)


def _needs(item: pytest.Item) -> int:
    fixtures = getattr(item, "fixturenames", ())
    if "running" in fixtures:
        return 3 if "begin" in fixtures else 2
    return int(any(server in fixtures for server in SERVERS))
