"""Another run of pytest, for tests of how the tests run."""

import subprocess
import sys
from pathlib import Path

from tests.support.patience import PATIENCE_WITH_A_START

ROOT = Path(__file__).parent.parent.parent


def run_pytest(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs pytest as the Makefile does, in a process of its own, and returns when nobody writes any more."""
    command = (sys.executable, "-m", "pytest", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"))
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_WITH_A_START,
        check=False,
    )
