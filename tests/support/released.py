"""A release of before as its own processes: its tree beside ours, run with the same virtual environment.

A run directory has a link, `version`, to the tree whose code a service starts with, as a deployment that
unpacks each release beside the last one and moves a link has it. What runs keeps the code it began with.
"""

import asyncio
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import ops.local.running
from devtools.releases import ROOT, Release
from ops.local.running import RunningSystem, Wanted, run_system
from ops.setup.provision import Database
from ops.shell.run_directory import RunDirectory
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE, PATIENCE_WITH_A_START

PARTS = ("services", "shared", "ops", "deploy")
"""What a release needs to run."""
START = 'cd "$0" && exec "$1" -m "services.$2"'


def unpack(release: Release, folder: Path) -> Path:
    """The tree of a release, from the history of this clone."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", release.commit, *PARTS]
    archive = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    said = archive.stderr.decode()
    assert archive.returncode == 0, f"{said}This clone lacks {release.version}: git fetch --unshallow"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


class Trees:
    """Which tree the services of a run directory start with."""

    def __init__(self, folder: RunDirectory, before: Path) -> None:
        self.before = before
        self._folder = folder
        self._link = folder.path / "version"

    def use(self, tree: Path) -> None:
        """Whatever starts from now on starts with this tree."""
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(tree)

    def command(self, service: str) -> Sequence[str]:
        """The command line of a service."""
        return ["sh", "-c", START, str(self._link), sys.executable, service]

    async def migrate_as_before(self, database: Database, kafka: str) -> None:
        """Applies the migrations and the rights of the release of before, and no others."""
        its_own = self._folder.path / "migrating"  # the folder itself belongs to the system that runs
        its_own.mkdir(exist_ok=True)
        shutil.copy(self._folder.passwords, its_own / self._folder.passwords.name)
        where = ["--postgres", database.admin_url, "--kafka", kafka, "--dir", str(its_own)]
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "ops.pawl", "migrate", *where],
            cwd=self.before,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@asynccontextmanager
async def services_of_before(
    folder: RunDirectory, trees: Trees, kafka: str, postgres: str
) -> AsyncIterator[tuple[RunningSystem, Checkout]]:
    """The four services of the release of before over its own schemas, and a checkout that listens."""

    async def migrate(database: Database) -> dict[str, list[str]]:
        await trees.migrate_as_before(database, kafka)
        return {}

    wanted = Wanted(
        folder.path,
        kafka=kafka,
        postgres=postgres,
        environment={"LOG_LEVEL": "warning"},
        command=trees.command,
        ready_seconds=PATIENCE_WITH_A_START,
    )
    trees.use(trees.before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops.local.running, "migrate", migrate)
        async with run_system(wanted) as system:
            checkout = Checkout(kafka, system.database)
            await checkout.start()
            yield system, checkout
            await checkout.stop()
