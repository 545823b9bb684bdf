"""A real PgBouncer in front of a PostgreSQL server, as one child process that listens on 127.0.0.1 only.

It is Debian's package `pgbouncer`, which the tests on containers install.
"""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg

from ops.local.child import Child, last_lines
from ops.local.ports import HOST, Ports
from ops.local.postgres import server_account
from ops.shell.run_directory import RunDirectory
from tests.support.instances import until

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
SETTINGS = """\
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {logins}
pool_mode = {mode}
default_pool_size = 40
"""


@asynccontextmanager
async def pooler(
    folder: RunDirectory, server: str, passwords: Mapping[str, str], mode: str
) -> AsyncIterator[str]:
    """host:port of a pooler of this mode before the server of a URL, for roles with these passwords."""
    account = server_account()
    place = folder.path / f"pgbouncer-{mode}"
    place.mkdir()
    port = Ports(folder.path / "ports-of-poolers.json").take(f"pgbouncer-{mode}")
    logins, settings = place / "logins.txt", place / "pgbouncer.ini"
    logins.write_text("".join(f'"{role}" "{password}"\n' for role, password in passwords.items()))
    settings.write_text(
        SETTINGS.format(host=HOST, port=port, server_port=urlsplit(server).port, logins=logins, mode=mode)
    )
    for path in (place, logins, settings):
        if account is not None:
            os.chown(path, account.uid, account.gid)
    child = Child([PROGRAM, str(settings)], place / "pgbouncer.log", user=account, directory=place)
    role, password = next(iter(passwords.items()))

    async def answers() -> bool:
        assert child.is_alive, last_lines(child.log)
        with suppress(OSError):
            connection = await asyncpg.connect(
                host=HOST, port=port, user=role, password=password, database="pawl", statement_cache_size=0
            )
            connection.terminate()
            return True
        return False

    await until(answers, "PgBouncer answers")
    try:
        yield f"{HOST}:{port}"
    finally:
        await child.stop(signal.SIGINT, 10)


def by_way_of(place: str, url: str) -> str:
    """The same login and database at another host and port."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{place}").geturl()
