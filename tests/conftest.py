"""Fixtures for every test; the servers start only for tests that ask for them."""

from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")

pytest_plugins = [
    "tests.support.reaper",
    "tests.support.layers",
    "tests.support.names",
    "tests.support.sampling",
    "tests.support.shards",
    "tests.support.servers",
    "tests.support.scenario",
    "tests.support.instances",
]
