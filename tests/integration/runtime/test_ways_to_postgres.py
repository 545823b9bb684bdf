"""How a service gets to PostgreSQL: one host of several, certificates of its own CA, logins that change."""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.local.child import Child, last_lines
from ops.local.ports import HOST, Ports
from ops.local.postgres import EmbeddedPostgres, server_account, wipe
from ops.setup.provision import Database
from ops.shell.run_directory import RunDirectory
from shared.login import FilePassword
from shared.postgres import Postgres, connect, open_pool
from shared.runtime.retry import TRANSIENT, meaning_of_trouble
from tests.support.certificates import Authority
from tests.support.instances import until
from tests.support.keys import KEY_SETTINGS
from tests.support.servers import FOR_TESTS, new_run_directory


@pytest.fixture(scope="module")
async def beside() -> AsyncIterator[tuple[RunDirectory, Authority, EmbeddedPostgres]]:
    """A second server, with certificates of a CA of its own."""
    with new_run_directory() as folder:
        authority = Authority(folder.path, "authority", server_account())
        signed = authority.sign("server")
        settings = {"ssl": "on", "ssl_cert_file": str(signed.cert), "ssl_key_file": str(signed.key)}
        server = EmbeddedPostgres(folder.postgres, Ports(folder.ports), settings={**FOR_TESTS, **settings})
        try:
            await server.start()
            yield folder, authority, server
        finally:
            await server.stop()
            wipe(folder.postgres)


def verified(server: EmbeddedPostgres, ca: Path, host: str = HOST) -> str:
    url = server.url().replace(f"@{HOST}:", f"@{host}:")
    return f"{url}?sslmode=verify-full&sslrootcert={ca}"


async def test_of_several_hosts_the_one_that_is_there_is_used(database: Database) -> None:
    listed = database.service_url("orders").replace("@", f"@{HOST}:1,", 1)

    connection = await connect(listed, "orders")

    assert await connection.fetchval("SELECT current_schema()") == "orders"
    await connection.close()


async def test_of_several_hosts_the_one_that_takes_writes_is_used(
    beside: tuple[RunDirectory, Authority, EmbeddedPostgres],
) -> None:
    folder, _, primary = beside
    standby = EmbeddedPostgres(folder.path / "standby", Ports(folder.path / "p.json"), settings=FOR_TESTS)
    await standby.start()
    await standby.stop()
    (standby.data / "standby.signal").touch()
    await standby.start()
    try:
        there = await asyncpg.connect(standby.url(), ssl=False)
        assert await there.fetchval("SELECT pg_is_in_recovery()")
        await there.close()
        place = f"{HOST}:{standby.port}"
        with pytest.raises(asyncpg.TargetServerAttributeNotMatched) as alone:
            await connect(primary.url().replace(f"{HOST}:{primary.port}", place), "public")

        both = primary.url().replace(f"{HOST}:{primary.port}", f"{place},{HOST}:{primary.port}")
        pool = await open_pool(both, "public", 2)
        assert await pool.fetchval("SELECT inet_server_port()") == primary.port
        await pool.close()
    finally:
        await standby.stop()
        wipe(folder.path / "standby")
    meaning = meaning_of_trouble(alone.value)
    assert isinstance(alone.value, TRANSIENT)
    assert meaning is not None
    assert meaning.wrong == "the database is read-only"


async def test_a_server_is_known_by_our_own_ca_also_when_both_are_renewed(
    beside: tuple[RunDirectory, Authority, EmbeddedPostgres], tmp_path: Path
) -> None:
    folder, authority, server = beside
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.ca.read_bytes())
    pool = await open_pool(verified(server, trusted), "public", 2)
    encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert await pool.fetchval(encrypted) is True

    renewed = Authority(folder.path, "renewed", server_account())
    renewed.sign("server")
    await pool.execute("SELECT pg_reload_conf()")

    async def is_renewed() -> bool:
        try:
            connection = await connect(verified(server, renewed.ca), "public")
        except ssl.SSLCertVerificationError:
            return False
        await connection.close()
        return True

    await until(is_renewed, "the server shows its new certificate")
    await pool.expire_connections()
    with pytest.raises(ssl.SSLCertVerificationError):
        await pool.fetchval(encrypted)
    trusted.write_bytes(renewed.ca.read_bytes())
    assert await pool.fetchval(encrypted) is True
    await pool.close()
    authority.sign("server")
    again = await asyncpg.connect(server.url(), ssl=False)
    await again.execute("SELECT pg_reload_conf()")
    await again.close()


@pytest.mark.parametrize(
    ("host", "own_ca", "said"),
    [(HOST, False, "certificate"), ("localhost", True, "mismatch")],
)
async def test_a_service_that_does_not_trust_its_server_says_so_and_does_not_start(
    beside: tuple[RunDirectory, Authority, EmbeddedPostgres],
    kafka: str,
    host: str,
    own_ca: bool,
    said: str,
) -> None:
    folder, authority, server = beside

    async def is_shown() -> bool:
        try:
            await (await connect(verified(server, authority.ca), "public")).close()
        except ssl.SSLCertVerificationError:
            return False
        return True

    await until(is_shown, "the server shows a certificate of its first CA")
    ca = authority.ca if own_ca else Authority(folder.path, "stranger").ca
    environment: dict[str, Any] = {
        **os.environ,
        **KEY_SETTINGS,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "DATABASE_URL": verified(server, ca, host),
    }
    log = folder.path / f"{host}.log"
    child = Child([sys.executable, "-m", "services.refunds"], log, environment)

    async def has_ended() -> bool:
        return not child.is_alive

    await until(has_ended, "the service ends")
    assert child.exit_code == 1
    assert "PostgreSQL shows a certificate that is not trusted" in last_lines(log)
    assert said in last_lines(log)
    assert "sslrootcert" in last_lines(log)


async def test_a_password_that_is_changed_counts_for_the_next_connection(
    beside: tuple[RunDirectory, Authority, EmbeddedPostgres], tmp_path: Path
) -> None:
    _, _, server = beside
    file = tmp_path / "password"
    admin = await asyncpg.connect(server.url(), ssl=False)
    await admin.execute("CREATE ROLE clerk LOGIN PASSWORD 'first'")
    file.write_text("first\n")
    url = f"postgresql://clerk@{HOST}:{server.port}/postgres"
    pool = await open_pool(Postgres(url, FilePassword(file)), "public", 2)

    await admin.execute("ALTER ROLE clerk PASSWORD 'second'")
    assert await pool.fetchval("SELECT 1") == 1, "open connections stay"
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await until_connected_anew(pool)
    file.write_text("second\n")

    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()
    await admin.close()


async def until_connected_anew(pool: asyncpg.Pool) -> None:
    """Asks until the pool has noticed that its connections are gone, and makes a new one."""
    while True:
        try:
            await pool.fetchval("SELECT 1")
        except asyncpg.InvalidPasswordError:
            raise
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0)
