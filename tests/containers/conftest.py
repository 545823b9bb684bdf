"""Tests on Docker. Whoever asks for them wants them to run: a test that is skipped fails the run."""

import os

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With PAWL_TEST_SERVERS=containers nothing may pass by being skipped."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if os.environ.get("PAWL_TEST_SERVERS") == "containers" and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
