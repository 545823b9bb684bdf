"""Postgres as the services use it: a small pool, explicit isolation, bounded waits."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

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


def session_settings(service: str) -> dict[str, str]:
    """What every session of a service sets; the schema is named after the service."""
    return {**SESSION, "search_path": service, "application_name": f"pawl-{service}"}


async def connect(url: str, service: str) -> asyncpg.Connection:
    """One connection outside the pool, for what holds a session (the relay's lock, bulk work)."""
    return await asyncpg.connect(
        url,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        server_settings=session_settings(service),
    )


async def open_pool(url: str, service: str, size: int) -> asyncpg.Pool:
    """The pool of a service. Connections are opened at once, so that a wrong URL is an error at start."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        server_settings=session_settings(service),
        reset=_nothing_to_reset,
    )


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
