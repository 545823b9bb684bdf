"""Kafka and Postgres in memory, small and exact: what the real code can see of them, and nothing more.

The services' own stores, the fold, the month close and the issuing worker run unchanged on `Connection`:
every statement of the SQL catalogues has a function of its own in `tables.py`. A transaction is all or
nothing; it reads what was committed before each statement (READ COMMITTED) and holds the rows that it locks.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from shared.partitioner import partition_for
from shared.runtime.records import StoredRecord

Table = dict[Any, Any]
Query = Callable[..., Any]
ALL_ROWS = "*"


class Crash(BaseException):
    """The process is killed here. Nothing that is only in its memory survives."""


class Held(BaseException):
    """Another open transaction holds this row: a real session would wait for it now."""

    def __init__(self, lock: Any) -> None:
        super().__init__(f"{lock} is held")


class Row(dict[str, Any]):
    """A row as asyncpg gives it: by name, and as its values in order when it is unpacked."""

    def __iter__(self) -> Any:
        return iter(self.values())


class Pause:
    """A moment in a transaction at which another owner may come between."""

    def __init__(self, point: str) -> None:
        self.point = point

    def __await__(self) -> Generator[str, None, None]:
        yield self.point


class Running:
    """A coroutine that is driven by hand: it stops at every pause."""

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine
        self.result: Any = None
        self.done = False

    def step(self) -> str | None:
        """Goes on to the next pause; None when it has ended."""
        try:
            point: str = self._coroutine.send(None)
        except StopIteration as end:
            self.result, self.done = end.value, True
            return None
        return point

    def finish(self) -> Any:
        """Goes on to the end."""
        while not self.done:
            self.step()
        return self.result


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next transactions of a database.

    `at` is `statement` (cut off before one of the statements), `before_commit`, `after_commit` (killed) or
    `answer_lost` (committed, but the client sees a broken connection). `countdown` statements go well first.
    """

    at: str
    kill: bool
    countdown: int = 0


@dataclass(slots=True)
class Trouble:
    """What is wrong with a whole database for a while, whatever is asked of it.

    It strikes `left` times. With `most` it strikes as often as anybody tries to take more messages than that
    in one transaction; nobody may try that for ever.
    """

    error: Callable[[], Exception]
    left: int
    most: int | None = None

    def strike(self, taking: int) -> None:
        """Raises what the server says, if it says it now."""
        if self.left <= 0 and self.most is not None and taking > self.most:
            raise Stuck(f"{taking} messages are tried again and again, {self.most} would go through")
        if self.left > 0 and (self.most is None or taking > self.most):
            self.left -= 1
            raise self.error()


class Stuck(BaseException):
    """Somebody does for ever what cannot succeed."""


class Transaction:
    """What one session has written and not committed, and the rows that it holds."""

    def __init__(self, database: "Database") -> None:
        self.database = database
        self.staged: dict[tuple[str, Any], Any] = {}
        self._next_outbox: int | None = None

    def rows(self, table: str) -> Table:
        """The committed rows of a table. Statements never need to see the own writes of their transaction."""
        return self.database.tables[table]

    def get(self, table: str, key: Any) -> Any:
        """One row as this transaction sees it, its own writes included."""
        if (table, key) in self.staged:
            return self.staged[table, key]
        return self.database.tables[table].get(key)

    def put(self, table: str, key: Any, row: Any) -> None:
        """Writes a row; None removes it."""
        self.staged[table, key] = row

    def insert(self, table: str, key: Any, row: Any) -> None:
        """Writes a new row. Raises UniqueViolationError when its key or a unique index has it already."""
        if self.get(table, key) is not None:
            raise asyncpg.UniqueViolationError(f"{table} has {key}")
        self.put(table, key, row)
        self.refuse_twins(table, key, row)

    def refuse_twins(self, table: str, key: Any, row: Any) -> None:
        """Raises UniqueViolationError when a unique index refuses the row."""
        for entry in self.database.unique.get(table, {}).values():
            entered = entry(row)
            if entered is None:
                continue
            keys = {k for t, k in self.staged if t == table} | set(self.database.tables[table])
            for other in keys - {key}:
                twin = self.get(table, other)
                if twin is not None and entry(twin) == entered:
                    raise asyncpg.UniqueViolationError(f"{table} has {entered}")

    def lock(self, table: str, key: Any) -> None:
        """Holds a row, or a thing that is locked by name, until the end."""
        for other in self.database.open:
            if other is self:
                continue
            held = self.database.locks[id(other)]
            if (table, key) in held or (table, ALL_ROWS) in held:
                raise Held((table, key))
        self.database.locks[id(self)].add((table, key))

    def lock_table(self, table: str) -> None:
        """Holds a whole table: nobody else may be at work."""
        if len(self.database.open) > 1:
            raise Held(table)
        self.database.locks[id(self)].add((table, ALL_ROWS))

    def next_outbox_id(self) -> int:
        """Ids of the outbox follow each other; its lock is held."""
        if self._next_outbox is None:
            self._next_outbox = len(self.database.tables["outbox"])
        self._next_outbox += 1
        return self._next_outbox

    async def start(self) -> None:
        self.database.open.append(self)
        self.database.locks[id(self)] = set()

    async def commit(self) -> None:
        database = self.database
        if database.fault is not None and database.fault.at == "before_commit":
            fault, database.fault = database.fault, None
            self._end()
            _strike(fault)
        self._apply()
        self._end()
        if database.fault is not None and database.fault.at in ("after_commit", "answer_lost"):
            fault, database.fault = database.fault, None
            _strike(fault)

    async def rollback(self) -> None:
        if self in self.database.open:
            self._end()

    async def __aenter__(self) -> "Transaction":
        await self.start()
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            await self.commit()
        else:
            await self.rollback()

    def _apply(self) -> None:
        changed, tables = self.database.changed, self.database.tables
        for (table, key), row in self.staged.items():
            if row is None:
                tables[table].pop(key, None)
            else:
                tables[table][key] = row
            changed.append((table, key))

    def _end(self) -> None:
        self.database.open.remove(self)
        self.database.locks.pop(id(self), None)


def _strike(fault: Fault) -> None:
    if fault.kill:
        raise Crash(fault.at)
    raise asyncpg.ConnectionDoesNotExistError(f"the connection broke: {fault.at}")


class Connection:
    """A session of one service, as far as the services use one."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._transaction: Transaction | None = None

    def transaction(self) -> Transaction:
        self._transaction = Transaction(self._database)
        return self._transaction

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        return list(await self._run(sql, arguments))

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        rows = await self.fetch(sql, *arguments)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        row = await self.fetchrow(sql, *arguments)
        return None if row is None else next(iter(row))

    async def execute(self, sql: str, *arguments: Any) -> str:
        count = await self._run(sql, arguments)
        return f"UPDATE {count}" if isinstance(count, int) else "OK"

    async def copy_records_to_table(
        self, table: str, *, columns: Sequence[str], records: Iterable[tuple[Any, ...]], timeout: float
    ) -> None:
        await self._run(f"COPY {table}", (columns, records))

    async def _run(self, sql: str, arguments: Sequence[Any]) -> Any:
        database = self._database
        self._maybe_strike()
        name = database.names[sql]
        if database.pausing and name in database.pause_before:
            await Pause(name)
        if self._transaction is not None and self._transaction in database.open:
            return database.queries[sql](self._transaction, *arguments)
        alone = Transaction(database)
        await alone.start()
        try:
            answer = database.queries[sql](alone, *arguments)
        except BaseException:
            await alone.rollback()
            raise
        await alone.commit()
        return answer

    def _maybe_strike(self) -> None:
        if self._database.trouble is not None:
            self._database.trouble.strike(self._database.taking)
        fault = self._database.fault
        if fault is None or fault.at != "statement":
            return
        if fault.countdown > 0:
            fault.countdown -= 1
            return
        self._database.fault = None
        _strike(fault)


class Pool:
    """Hands out sessions."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    @asynccontextmanager
    async def acquire(self) -> Any:
        yield Connection(self._database)

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """A statement in a session of its own."""
        return await Connection(self._database).fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        """The first row of one."""
        return await Connection(self._database).fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first value of one."""
        return await Connection(self._database).fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> str:
        """One that answers with nothing."""
        return await Connection(self._database).execute(sql, *arguments)


Snapshot = tuple[dict[str, Table], int, int]
"""What is committed, and the ids that were drawn."""


@dataclass(slots=True)
class Database:
    """The schema of one service. `number` keeps the ids that it draws apart from those of the others.

    `taking` is how many messages are in the transaction that is at work.
    """

    service: str
    number: int
    queries: Mapping[str, Query]
    names: Mapping[str, str]
    unique: Mapping[str, Mapping[str, Callable[[Any], Any]]] = field(default_factory=dict)
    pause_before: frozenset[str] = frozenset()
    tables: dict[str, Table] = field(default_factory=lambda: defaultdict(dict))
    open: list[Transaction] = field(default_factory=list)
    locks: dict[int, set[tuple[str, Any]]] = field(default_factory=dict)
    changed: list[tuple[str, Any]] = field(default_factory=list)
    fault: Fault | None = None
    trouble: Trouble | None = None
    taking: int = 0
    pausing: bool = False
    wall: datetime = datetime(2026, 8, 1, tzinfo=UTC)
    ids: int = 0
    event_ids: int = 0

    def new_id(self) -> UUID:
        """Ids that grow, with 24 zero bits at the end, so that each can begin a run."""
        self.ids += 1
        return UUID(int=self.number << 112 | 7 << 76 | 2 << 62 | self.ids << 24)

    def new_event_ids(self, count: int) -> list[UUID]:
        """Ids of events. They are counted apart: on Postgres the outbox draws its own."""
        first, self.event_ids = self.event_ids + 1, self.event_ids + count
        numbers = range(first, first + count)
        return [UUID(int=(self.number | 1 << 8) << 112 | 7 << 76 | 2 << 62 | each) for each in numbers]

    def snapshot(self) -> Snapshot:
        """Everything that is committed. Rows are never changed in place, so they can be shared."""
        return {name: dict(table) for name, table in self.tables.items()}, self.ids, self.event_ids

    def restore(self, snapshot: Snapshot) -> None:
        tables, self.ids, self.event_ids = snapshot
        self.tables = defaultdict(dict, {name: dict(table) for name, table in tables.items()})
        self.changed.clear()

    def content(self) -> str:
        """Everything that is committed as text: equal exactly when the tables are.

        A counter that has not counted yet is as good as none.
        """
        return repr(
            [
                (
                    name,
                    sorted((repr(key), repr(row)) for key, row in table.items() if not _is_idle(name, row)),
                )
                for name, table in sorted(self.tables.items())
                if any(not _is_idle(name, row) for row in table.values())
            ]
        )


def _is_idle(table: str, row: Any) -> bool:
    return table == "document_counters" and row["last_number"] == 0


@dataclass(slots=True, frozen=True)
class Written(StoredRecord):
    """A record with the millisecond at which its broker wrote it, one for each, and the life of its topic.

    `life` counts how often the topic was created anew before.
    """

    timestamp: int = 0
    life: int = 0


class Broker:
    """Topics with partitions; a record never changes its offset.

    `first` is the offset of the first record that is still there: deleted ones stay in `logs` for those who
    keep books. `former` are the records of topics that were created anew since.
    """

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self.partitions = partitions
        self.logs: dict[tuple[str, int], list[StoredRecord]] = {
            (topic, place): [] for topic, count in partitions.items() for place in range(count)
        }
        self.first: dict[tuple[str, int], int] = dict.fromkeys(self.logs, 0)
        self.lives: dict[str, int] = dict.fromkeys(partitions, 0)
        self.former: list[StoredRecord] = []
        self._written = 0

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        place: int | None = None,
    ) -> StoredRecord:
        """Appends a record to the partition of its key (or to the one that is said)."""
        if place is None:
            text = (key or b"").decode("utf-8", "replace")
            place = partition_for(text, self.partitions[topic])
        log = self.logs[topic, place]
        at, life = self._written, self.lives[topic]
        record = Written(topic, place, len(log), key, value, tuple(headers), timestamp=at, life=life)
        self._written += 1
        log.append(record)
        return record

    def records_of(self, topic: str) -> list[StoredRecord]:
        """Every record of a topic that there ever was, partition by partition."""
        former = [record for record in self.former if record.topic == topic]
        return former + [record for (name, _), log in self.logs.items() if name == topic for record in log]

    def create_anew(self, topic: str) -> None:
        """The topic is deleted and created: its offsets begin with 0 again."""
        self.former = self.records_of(topic) + [r for r in self.former if r.topic != topic]
        self.lives[topic] += 1
        for name, number in self.logs:
            if name == topic:
                self.logs[name, number], self.first[name, number] = [], 0
