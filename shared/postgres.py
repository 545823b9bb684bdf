"""Postgres as the services use it: where it is, a small pool, explicit isolation, bounded waits."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias, cast

import asyncpg

from shared.login import FilePassword

Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

NOT_PREPARED_HERE: Final = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
UNIT_SEPARATOR = "\x1f"
CONNECT_TIMEOUT = 10.0
COMMAND_TIMEOUT = 60.0
SESSION = {
    "default_transaction_isolation": "read committed",
    # A process that is halted in the middle of a batch holds locks that others wait for: not for long.
    "idle_in_transaction_session_timeout": "15s",
    "lock_timeout": "30s",
    "jit": "off",
    # Every statement here names keys of an index. A plan made while a table is small or not yet counted would
    # read the whole of it, batch after batch, until autovacuum comes along. One made on a table that was
    # counted as empty may still read all of it, in the order of an index: what waits is asked for in a way
    # that cannot (shared/runtime/queries.sql); other tables do not become empty.
    "enable_seqscan": "off",
    "timezone": "UTC",
}


A_SERVER_THAT_WRITES: Final = "read-write"
POOLED: Final = (
    "DATABASE_URL leads to a pooler that gives each transaction another session (PgBouncer with pool_mode "
    "transaction or statement). A service needs its own: the lead of its outbox is a lock of its session, "
    "its schema and time limits are settings of it, its statements are prepared in it. Set pool_mode = "
    "session for this database, or name PostgreSQL itself in DATABASE_URL (docs/operating.md)"
)


class NoSession(Exception):
    """A pooler in front of PostgreSQL gives a service no session of its own; the message says what to do."""


@dataclass(slots=True, frozen=True)
class Postgres:
    """Where PostgreSQL is and how to log in there. `password` is there when it is not part of the address.

    The address may name several hosts, of which the one that takes writes is used. Names, certificates and
    a password in a file are read again for each new connection.
    """

    url: str = field(repr=False)
    password: FilePassword | None = None

    @classmethod
    def at(cls, address: "str | Postgres") -> "Postgres":
        """The same, also of an address that says everything."""
        return address if isinstance(address, Postgres) else cls(address)

    def client(self) -> dict[str, Any]:
        """The arguments by which asyncpg gets there."""
        arguments: dict[str, Any] = {"dsn": self.url}
        if "target_session_attrs=" not in self.url:
            # Of a list, and of a name that has moved: a standby answers too.
            arguments["target_session_attrs"] = A_SERVER_THAT_WRITES
        if self.password is not None:
            arguments["password"] = self.password.now
        return arguments


class Session(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """A connection whose COPY ends when the session does.

    While the server is slow to read, the driver waits to be told that it may write on. From a session that
    has ended it is told nothing, and no timeout of a COPY reaches that wait: it would last for ever.
    """

    __slots__ = ()

    async def copy_records_to_table(self, table_name: str, **how: Any) -> str:
        """As the driver does it. Raises ConnectionDoesNotExistError when the session ends before the COPY."""
        async with self._while_it_lasts():
            return cast(str, await super().copy_records_to_table(table_name, **how))

    async def copy_to_table(self, table_name: str, **how: Any) -> str:
        """As the driver does it. Raises ConnectionDoesNotExistError when the session ends before the COPY."""
        async with self._while_it_lasts():
            return cast(str, await super().copy_to_table(table_name, **how))

    @asynccontextmanager
    async def _while_it_lasts(self) -> AsyncIterator[None]:
        now = asyncio.get_running_loop().time
        copying = asyncio.timeout(None)

        def end(_: object) -> None:
            copying.reschedule(now())

        try:
            async with copying:
                self.add_termination_listener(end)
                try:
                    yield
                finally:
                    self.remove_termination_listener(end)
        except TimeoutError:
            if copying.expired():
                raise asyncpg.ConnectionDoesNotExistError("the session ended during a COPY") from None
            raise


def session_settings(service: str) -> dict[str, str]:
    """What every session of a service sets; the schema is named after the service."""
    return {**SESSION, "search_path": service}


async def connect(address: str | Postgres, service: str) -> asyncpg.Connection:
    """One connection outside the pool, for what holds a session (the relay's lock, bulk work)."""
    connection = await asyncpg.connect(
        **Postgres.at(address).client(),
        connection_class=Session,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        server_settings={"application_name": f"pawl-{service}"},
    )
    try:
        await _begin_session(connection, service)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def open_pool(address: str | Postgres, service: str, size: int) -> asyncpg.Pool:
    """The pool of a service. Connections are opened at once, so that a wrong URL is an error at start."""
    return await asyncpg.create_pool(
        **Postgres.at(address).client(),
        connection_class=Session,
        min_size=1,
        max_size=size,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        server_settings={"application_name": f"pawl-{service}"},
        init=partial(_begin_session, service=service),
        reset=_nothing_to_reset,
    )


async def require_session(address: str | Postgres) -> None:
    """Raises NoSession where two transactions of one connection do not meet in one session.

    Two connections leave a mark each in their sessions, and look for it in transactions that are open at the
    same time. Behind a pooler of transactions at least one of them is in another session then.
    """
    first, second = [await _plain(address), await _plain(address)]
    try:
        for connection, mark in ((first, "first"), (second, "second")):
            await connection.execute(f"SELECT set_config('pawl.session', '{mark}', false)")
        for connection in (second, first):
            await connection.execute("BEGIN")
        marks = [
            await connection.fetchval("SELECT current_setting('pawl.session', true)")
            for connection in (first, second)
        ]
    except asyncpg.PostgresError as refused:
        # In the mode `statement` a pooler cuts a connection that begins a transaction, and says why.
        if isinstance(refused, NOT_PREPARED_HERE) or "pooling mode" in str(refused):
            raise NoSession(POOLED) from None
        raise
    finally:
        first.terminate()
        second.terminate()
    if marks != ["first", "second"]:
        raise NoSession(POOLED)


async def _plain(address: str | Postgres) -> asyncpg.Connection:
    return await asyncpg.connect(
        **Postgres.at(address).client(),
        timeout=CONNECT_TIMEOUT,
        command_timeout=CONNECT_TIMEOUT,
        statement_cache_size=0,
    )


async def _begin_session(connection: Any, service: str) -> None:
    """Sets what a session of ours sets: not while connecting, since a pooler takes few settings there."""
    calls = (f"set_config('{name}', '{value}', false)" for name, value in session_settings(service).items())
    await connection.execute(f"SELECT {', '.join(calls)}")


def packed(texts: Iterable[str]) -> str:
    """Ids as one text, for `string_to_array($1, E'\\x1f')`; they carry no control characters.

    Cheaper than an array argument, of which asyncpg looks at every element twice.
    """
    return UNIT_SEPARATOR.join(texts)


def packed_columns(rows: Iterable[tuple[Any, ...]], arrays: int = 0) -> list[str | list[Any]]:
    """Rows of ids, numbers and flags, none of them null: each column as one text (see `packed`).

    The last so many columns stay `arrays`: what may be null or is any text.
    """
    columns = list(zip(*rows, strict=True))
    plain = len(columns) - arrays
    return [packed(map(str, column)) for column in columns[:plain]] + [list(c) for c in columns[plain:]]


async def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Inserts rows with a binary COPY, in their order; columns that are not named take their defaults.

    Cheaper than arrays and `unnest` on both sides: asyncpg asks of every array element whether it is a
    container, and Postgres takes the rows apart without planning.
    """
    await connection.copy_records_to_table(table, columns=columns, records=rows, timeout=COMMAND_TIMEOUT)


async def _nothing_to_reset(connection: Any) -> None:
    """Saves a round trip a batch: pooled sessions take only transaction-bound locks and settings."""
