"""Fixtures for every test; the servers start only for tests that ask for them."""

pytest_plugins = [
    "tests.support.reaper",
    "tests.support.layers",
    "tests.support.sampling",
    "tests.support.shards",
    "tests.support.servers",
    "tests.support.scenario",
    "tests.support.instances",
]
