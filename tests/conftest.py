"""Fixtures for every test; the servers start only for tests that ask for them."""

import pytest

pytest_plugins = ["tests.support.servers", "tests.support.scenario"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the running services come last: the services lead the relays and hold locks in the schemas
    that the other tests empty and write by themselves.
    """
    items.sort(key=lambda item: "running" in getattr(item, "fixturenames", ()))
