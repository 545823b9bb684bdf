"""How a service gets to PostgreSQL: one host of several, certificates of its own CA, logins that change."""

import asyncio
import os
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.local.child import Child, last_lines
from ops.local.ports import HOST, Ports
from ops.local.postgres import EmbeddedPostgres, wipe
from ops.setup.provision import Database
from shared.login import FilePassword
from shared.postgres import Postgres, connect, open_pool
from shared.runtime.retry import TRANSIENT, meaning_of_trouble
from tests.support.certificates import Authority
from tests.support.instances import until
from tests.support.keys import KEY_SETTINGS
from tests.support.servers import FOR_TESTS, new_run_directory
from tests.support.tls_front import TlsFront


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[EmbeddedPostgres]:
    """A second server, for tests that change who may log in."""
    with new_run_directory() as folder:
        server = EmbeddedPostgres(folder.postgres, Ports(folder.ports), settings=FOR_TESTS)
        await server.start()
        yield server
        await server.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The CA that servers are known by."""
    return Authority(tmp_path, "authority")


@pytest.fixture
async def front(server: EmbeddedPostgres, authority: Authority) -> AsyncIterator[TlsFront]:
    """The same server by TLS, with a certificate for 127.0.0.1."""
    front = TlsFront(server.port, authority.sign("server"))
    yield front
    front.stop()


def verified(server: EmbeddedPostgres, front: TlsFront, ca: Path, host: str = HOST) -> str:
    url = server.url().replace(f"@{HOST}:{server.port}", f"@{host}:{front.port}")
    return f"{url}?sslmode=verify-full&sslrootcert={ca}"


async def test_of_several_hosts_the_one_that_is_there_is_used(database: Database) -> None:
    listed = database.service_url("orders").replace("@", f"@{HOST}:1,", 1)

    connection = await connect(listed, "orders")

    assert await connection.fetchval("SELECT current_schema()") == "orders"
    await connection.close()


async def test_of_several_hosts_the_one_that_takes_writes_is_used(
    server: EmbeddedPostgres,
) -> None:
    folder, primary = server.directory.parent, server
    (folder / "standby").mkdir()
    shutil.copy(primary.directory / "superuser.password", folder / "standby")
    standby = EmbeddedPostgres(folder / "standby", Ports(folder / "p.json"), settings=FOR_TESTS)
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
        wipe(folder / "standby")
    meaning = meaning_of_trouble(alone.value)
    assert isinstance(alone.value, TRANSIENT)
    assert meaning is not None
    assert meaning.wrong == "the database is read-only"


async def test_a_server_is_known_by_our_own_ca_also_when_both_are_renewed(
    server: EmbeddedPostgres, authority: Authority, front: TlsFront, tmp_path: Path
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.ca.read_bytes())
    pool = await open_pool(verified(server, front, trusted), "public", 2)
    assert await pool.fetchval("SELECT 1") == 1

    renewed = Authority(tmp_path, "renewed")
    renewed.sign("server")
    assert await pool.fetchval("SELECT 1") == 1, "open connections stay"
    await pool.expire_connections()
    with pytest.raises(ssl.SSLCertVerificationError):
        await pool.fetchval("SELECT 1")
    trusted.write_bytes(renewed.ca.read_bytes())

    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


@pytest.mark.parametrize(
    ("host", "own_ca", "said"),
    [(HOST, False, "certificate"), ("localhost", True, "ismatch")],
)
async def test_a_service_that_does_not_trust_its_server_says_so_and_does_not_start(
    server: EmbeddedPostgres,
    authority: Authority,
    front: TlsFront,
    kafka: str,
    tmp_path: Path,
    host: str,
    own_ca: bool,
    said: str,
) -> None:
    ca = authority.ca if own_ca else Authority(tmp_path, "stranger").ca
    environment: dict[str, Any] = {
        **os.environ,
        **KEY_SETTINGS,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "DATABASE_URL": verified(server, front, ca, host),
    }
    log = tmp_path / "refunds.log"
    child = Child([sys.executable, "-m", "services.refunds"], log, environment)

    async def has_ended() -> bool:
        return not child.is_alive

    await until(has_ended, "the service ends")
    assert child.exit_code == 1
    assert "PostgreSQL shows a certificate that is not trusted" in last_lines(log)
    assert said in last_lines(log)
    assert "sslrootcert" in last_lines(log)


async def test_a_password_that_is_changed_counts_for_the_next_connection(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
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
        except TRANSIENT:  # as many as services repeat
            await asyncio.sleep(0)
