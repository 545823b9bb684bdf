"""Backups of an embedded server by PostgreSQL's own programs, which lie beside it and have its version."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ops.local.child import Child, last_lines
from ops.local.postgres import EmbeddedPostgres, reachable_binaries, server_account
from ops.setup.provision import DATABASE
from shared.environment import environment_of_children
from tests.support.patience import PATIENCE


class Backups:
    """What is dumped or copied of a server, in a folder that the account of the server may write."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path) -> None:
        self.postgres, self.folder = postgres, folder
        self._account = server_account()
        self._log = folder / "programs.log"
        self._own(folder)
        self.archive = folder / "archive"
        self._own(self.archive)

    def _own(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True, mode=0o755)
        if self._account:
            os.chown(folder, self._account.uid, self._account.gid)

    async def version(self, program: str) -> str:
        """The version that a program says it has, as `18.1`."""
        await self.run(program, "--version")
        return last_lines(self._log, 1).split()[-1]

    async def dump(self, name: str, *options: str) -> Path:
        """pg_dump of the database, or of a part of it."""
        file = self.folder / name
        await self.run("pg_dump", "--format=custom", f"--file={file}", *options, DATABASE)
        return file

    async def restore_schema(self, file: Path) -> None:
        """pg_restore of a schema in the place of the one that there is. It ends at the first error."""
        drop = f"DROP SCHEMA {file.stem} CASCADE"
        await self.run("psql", "--set=ON_ERROR_STOP=1", f"--dbname={DATABASE}", f"--command={drop}")
        await self.run("pg_restore", "--exit-on-error", f"--dbname={DATABASE}", str(file))

    async def restore_database(self, file: Path, into: EmbeddedPostgres | None = None) -> None:
        """pg_restore of the database in the place of the one that there is. It ends at the first error."""
        options = ["--exit-on-error", "--clean", "--if-exists", "--create", "--dbname=postgres"]
        await self.run("pg_restore", *options, str(file), server=into)

    async def base(self) -> Path:
        """pg_basebackup of the whole server, with the WAL of the time that it takes."""
        folder = self.folder / "base"
        await self.run("pg_basebackup", "-D", str(folder), "-X", "stream", "-c", "fast")
        return folder

    async def run(self, program: str, *options: str, server: EmbeddedPostgres | None = None) -> None:
        """Runs one of PostgreSQL's programs against the server. Raises AssertionError with what it says."""
        binary = reachable_binaries(self._account) / program
        environment = environment_of_children() | {"LC_ALL": "C"} | _login(server or self.postgres)
        child = Child([str(binary), *options], self._log, environment, self._account, directory=self.folder)
        assert await child.wait(PATIENCE), f"{program} does not end"
        assert child.exit_code == 0, f"{program} fails:\n{last_lines(self._log)}"

    @property
    def archiving(self) -> Mapping[str, str]:
        """The settings of a server that archives its WAL, as docs/backup.md has them."""
        copy = f"test ! -f {self.archive}/%f && cp %p {self.archive}/%f"
        return {"archive_mode": "on", "archive_command": copy}

    def restored(
        self, base: Path, target: Mapping[str, str], settings: Mapping[str, str]
    ) -> EmbeddedPostgres:
        """The server anew from a base backup and the archive, at its old address; it has to be started.

        `target` says up to where, as recovery_target_... do.
        """
        data = self.postgres.data
        shutil.rmtree(data)
        shutil.copytree(base, data, symlinks=True)
        (data / "recovery.signal").touch()
        for path in (data, *data.rglob("*")):
            if self._account:
                os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)
        data.chmod(0o700)
        recovery = {"restore_command": f"cp {self.archive}/%f %p", **target}
        return EmbeddedPostgres(
            self.postgres.directory,
            self.postgres._ports,
            port=self.postgres.port,
            settings={**settings, **recovery},
        )


def _login(server: EmbeddedPostgres) -> dict[str, str]:
    """How PostgreSQL's programs get to a server."""
    url = urlsplit(server.url())
    return {
        "PGHOST": url.hostname or "",
        "PGPORT": str(url.port),
        "PGUSER": unquote(url.username or ""),
        "PGPASSWORD": unquote(url.password or ""),
    }
