"""`tests/browser/chromium.sh` uses a browser that runs, installs one on Debian, and says what is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "tests/browser/chromium.sh"
TOOLS = ("sh", "dirname", "date", "id", "tail", "grep", "flock", "cat", "chmod")
RUNS = "#!/bin/sh\necho Chromium 131.0\n"
IS_A_SNAP = "#!/bin/sh\necho 'Command requires the chromium snap to be installed.' >&2\nexit 10\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with a shell and little else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return folder


def put(path: Path, name: str, script: str) -> None:
    (path / name).write_text(script)
    (path / name).chmod(0o755)


def apt_get_that_brings(path: Path, browser: str) -> None:
    """As root on Debian or Ubuntu: `apt-get install` puts this browser on the PATH."""
    (path / "id").unlink()
    put(path, "id", "#!/bin/sh\necho 0\n")
    (path.parent / "browser").write_text(browser)
    put(
        path,
        "apt-get",
        '#!/bin/sh\ncase "$*" in *install*) '
        f"cat {path.parent}/browser > {path}/chromium; chmod +x {path}/chromium ;; esac\n",
    )


def run(path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "PAWL_CHROMIUM_LOG": str(path.parent / "log")}
    return subprocess.run(
        [str(path / "sh"), str(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_browser_that_runs_is_used(path: Path) -> None:
    put(path, "google-chrome", RUNS)

    assert run(path).returncode == 0


def test_on_debian_one_is_installed(path: Path) -> None:
    apt_get_that_brings(path, RUNS)

    assert run(path).returncode == 0
    assert os.access(path / "chromium", os.X_OK)


@pytest.mark.parametrize("is_there_before", [True, False])
def test_a_browser_that_does_not_run_is_no_browser(path: Path, is_there_before: bool) -> None:
    if is_there_before:
        put(path, "chromium-browser", IS_A_SNAP)
    apt_get_that_brings(path, IS_A_SNAP)

    ended = run(path)

    assert ended.returncode == 1
    said = ended.stderr.splitlines()[-1]
    assert "snap" in said
    assert "Install Google Chrome" in said
    assert "requires the chromium snap" in (path.parent / "log").read_text()


def test_without_root_it_says_what_is_missing(path: Path) -> None:
    (path / "id").unlink()
    put(path, "id", "#!/bin/sh\necho 1000\n")

    ended = run(path)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith(
        "missing: chromium. Install it, or run this as root on Debian."
    )
