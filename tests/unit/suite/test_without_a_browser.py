"""Where no browser is to be had the tests that need one fail, with what to do; none is skipped."""

import pytest

from tests.support import browsing


def test_without_a_browser_a_test_fails_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing.shutil, "which", lambda name: None)

    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        browsing.chromium()
