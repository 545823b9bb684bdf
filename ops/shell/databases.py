"""Reading the services' databases: one URL for each service, although they usually share one database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg

from ops.shell.problem import Problem
from ops.shell.system import System
from ops.shell.urls import without_password
from shared.events.catalogue import SERVICES

Urls: TypeAlias = Mapping[str, str]
Where: TypeAlias = System | Urls | str
Connections: TypeAlias = dict[str, Any]
T = TypeVar("T")

CONNECT_SECONDS = 10.0
READING = {
    "default_transaction_read_only": "on",
    "application_name": "pawl-ops",
    "timezone": "UTC",
    "jit": "off",
    "work_mem": "64MB",
}


def urls_of(where: Where) -> dict[str, str]:
    """The URL of each service's schema. Raises Problem when a system has no database."""
    if isinstance(where, System):
        where = where.require_ops_url()
    if isinstance(where, str):
        return dict.fromkeys(SERVICES, where)
    return {service: where[service] for service in SERVICES}


def kafka_of(where: Where) -> str:
    """The broker's address, empty when only databases are known."""
    return where.kafka if isinstance(where, System) else ""


def share_a_database(urls: Urls) -> bool:
    """Whether all schemas stand in one database, so that one snapshot shows them all."""
    return len({(urlsplit(url).netloc.rpartition("@")[2], urlsplit(url).path) for url in urls.values()}) == 1


async def connect_to(url: str, service: str) -> Any:
    """A connection that only reads, with the service's schema in front. Raises Problem."""
    try:
        return await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, server_settings={**READING, "search_path": service}
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise Problem(
            f"PostgreSQL does not answer at {without_password(url)}: {error or type(error).__name__}",
            "Is the system running (`pawl up`)? Otherwise name the database with --postgres.",
        ) from error


class Kept:
    """Connections that stay open for who reads again and again: to connect costs more than most looks do.

    What reads inside `at_hand` takes one that rests, and leaves it for the next. As many stay as were used at
    once. One over which something went wrong is closed.
    """

    def __init__(self) -> None:
        self._resting: dict[tuple[str, str], list[Any]] = {}

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Inside, also in tasks that begin there, `connected` takes connections from here."""
        before = _KEPT.set(self)
        try:
            yield
        finally:
            _KEPT.reset(before)

    async def take(self, url: str, service: str) -> Any:
        """A connection as `connect_to` makes it. Raises Problem."""
        resting = self._resting.get((url, service), [])
        while resting:
            connection = resting.pop()
            if not connection.is_closed():
                return connection
        return await connect_to(url, service)

    def leave(self, url: str, service: str, connection: Any) -> None:
        """Nobody reads over it now. One inside a transaction is closed: the next would see what is old."""
        if connection.is_in_transaction():
            connection.terminate()
        elif not connection.is_closed():
            self._resting.setdefault((url, service), []).append(connection)

    def close(self) -> None:
        """Closes those that rest."""
        for connections in self._resting.values():
            for connection in connections:
                connection.terminate()
        self._resting.clear()


_KEPT: ContextVar[Kept | None] = ContextVar("kept connections", default=None)


@asynccontextmanager
async def _connection(url: str, service: str) -> AsyncIterator[Any]:
    """A connection for a look: one that is kept, else a new one. Raises Problem."""
    kept = _KEPT.get()
    if kept is None:
        connection = await connect_to(url, service)
        try:
            yield connection
        finally:
            await connection.close()
        return
    connection = await kept.take(url, service)
    try:
        yield connection
    except BaseException:
        # A statement may still run over it.
        connection.terminate()
        raise
    kept.leave(url, service, connection)


@asynccontextmanager
async def connected(urls: Urls) -> AsyncIterator[Connections]:
    """One reading connection for each service. Raises Problem, also when a schema is missing."""
    async with AsyncExitStack() as stack:
        connections: Connections = {}
        for service, url in urls.items():
            connections[service] = await stack.enter_async_context(_connection(url, service))
        with explained():
            yield connections


async def read_each(
    where: Where, read: Callable[[str, Any], Awaitable[T]]
) -> tuple[dict[str, T], dict[str, str]]:
    """What `read` makes of each service's connection, and why of those that could not be read.

    Raises Problem only when no database is known.
    """
    results: dict[str, T] = {}
    unreadable: dict[str, str] = {}

    async def read_one(service: str, url: str) -> None:
        try:
            async with connected({service: url}) as connections:
                results[service] = await read(service, connections[service])
        except Problem as problem:
            unreadable[service] = problem.message
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            unreadable[service] = str(error) or type(error).__name__

    urls = urls_of(where)
    await asyncio.gather(*(read_one(service, url) for service, url in urls.items()))
    return {name: results[name] for name in urls if name in results}, unreadable


@asynccontextmanager
async def one_moment(urls: Urls) -> AsyncIterator[tuple[Connections, bool]]:
    """Connections that all see the same moment, and whether they do.

    In one database they share a snapshot, so whoever sees an effect sees its cause too. Several databases
    have no common snapshot: each is seen at a moment of its own.
    """
    shared = share_a_database(urls)
    async with connected(urls) as connections:
        snapshot = ""
        for connection in connections.values():
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if snapshot:
                await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            elif shared:
                snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        yield connections, shared


@contextmanager
def explained() -> Iterator[None]:
    """Turns SQL errors that a person can mend into a Problem."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise Problem(
            f"The database does not have the tables of this version: {error}", "Run: pawl migrate"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise Problem(
            f"This role may not read the schemas: {error}", "Use the role pawl_ops, or a superuser."
        ) from error
