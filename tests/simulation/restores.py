"""A schema that is set back to an earlier state, and brought forward by the runtime's own recovery."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from unittest.mock import patch

import shared.runtime.recovery as recovery_module
from shared.brokers import Brokers
from shared.events.catalogue import FEEDBACK, service_of
from shared.runtime import schema_behind
from shared.runtime.commands import SOURCE_PREFIX
from shared.runtime.records import StoredRecord
from shared.runtime.recovery import Recoverer, Recovery
from shared.runtime.topic_events import SchemaBehind
from tests.simulation.checks import identity_of
from tests.simulation.engine import Place
from tests.simulation.groups import GroupConsumer
from tests.simulation.memory import Broker, Pool, Row, Table
from tests.simulation.ports import AloneSession, event_id_of, put_back, tables_of
from tests.simulation.promises import must
from tests.simulation.system import Site

REFUSES = "a schema that is behind its topics does not start"
FORWARD = "what the topics can tell is brought forward"
AS_BEFORE = "nothing is doubled, and nothing is missing, after a restore"
LOOKS_ONLY = "a dry run changes nothing"
ONCE = "what is brought forward is brought forward once"

NOT_AS_BEFORE = frozenset({"relay", "handled_offsets", "gaps", "answers", "recorded_at", "unsent",
                           "merge_explanations"})  # fmt: skip
"""Tables that tell of this machine and not of the business, or of what came by HTTP and said nothing."""
BY_TIMERS = frozenset({"order.expired.v1"})
"""Events that name what they end as their cause, and come of a timer."""
OF_ITS_OWN = ("id", "reason", "reference", "destination_reference")
"""Columns that no topic tells: numbers, why something waits, and the ids under which details are sealed."""
NUMBERED = frozenset({"parked", "dead_letters", "outbox", "refund_details"})
"""Tables whose rows are numbered by the database: in another order, perhaps."""


@dataclass(slots=True)
class Backup:
    """The rows of a schema at some time, what its consumer had handled then, and how far topics went."""

    tables: dict[str, Table]
    handled: dict[Place, set[int]]
    ends: dict[Place, int]

    @classmethod
    def of(cls, consumer: GroupConsumer, broker: Broker) -> "Backup":
        handled = {place: set(consumer.handled[place]) for place in consumer.places}
        ends = {place: len(log) for place, log in broker.logs.items()}
        return cls(tables_of(consumer.site.database), handled, ends)

    def is_of_use(self, service: str, broker: Broker) -> bool:
        """Whether all that the service has said since stands in the topics: that is what retention is for."""
        own = [place for place in self.ends if place[0] in (f"{service}.events", FEEDBACK)]
        return all(broker.first[place] <= self.ends[place] for place in own)


class Restorer:
    """Restores one service and brings it forward. `run` drives what the runtime awaits."""

    def __init__(
        self, consumer: GroupConsumer, broker: Broker, run: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        self._consumer, self._broker, self._run = consumer, broker, run
        self._site: Site = consumer.site

    def restore(self, backup: Backup, *, is_drained: bool) -> bool:
        """Sets the schema back and has it brought forward; False where it stands as before all that.

        `is_drained`: all that it had said was published.
        """
        before, changed = Backup.of(self._consumer, self._broker), list(self._site.database.changed)
        was = self._told_by(before)
        put_back(self._site.database, backup.tables)
        self._site.database.changed.clear()
        self._consumer.is_set_back(backup.handled)
        self._consumer.forget()
        unknown = self._unknown()
        if not self._refuses(unknown):
            return True
        limits = self._limits()
        result = self._recover(unknown)
        is_in_order = self._is_whole(backup, before)
        if result.lost:
            if is_in_order and self._is_in_one_order(backup, before):
                self._must_be_lost(unknown, result)
            put_back(self._site.database, before.tables)
            self._consumer.is_set_back(before.handled)
            self._consumer.forget()
            self._site.database.changed[:] = changed
            return False
        self._note_handled(limits)
        self._consumer.forget()
        if is_drained and is_in_order:
            self._read_again()
            self._is_as_before(was)
        return True

    def _is_whole(self, backup: Backup, before: Backup) -> bool:
        """Whether all that was handled since the backup is in the topics, and was handled in their order."""
        if any(gap["closed_at"] is None for gap in backup.tables.get("gaps", {}).values()):
            return False
        if _commands(backup) != _commands(before):  # what they did may have left no event
            return False
        account = backup.tables.get("handled_offsets", {})
        return all(
            len(before.handled[place])
            == max(before.handled[place], default=-1) + 1
            == self._consumer.tried[place]
            and self._broker.first[place] <= (account[place]["next_offset"] if place in account else 0)
            for place in self._consumer.places
        )

    def _is_in_one_order(self, backup: Backup, before: Backup) -> bool:
        """Whether of each partition number one topic alone was handled since: it has one order."""
        moved = [p for p in self._consumer.places if before.handled[p] != backup.handled[p]]
        return len(moved) == len({number for _, number in moved})

    def _unknown(self) -> list[StoredRecord]:
        """What the topics tell of the service and its outbox does not have."""
        known = {str(row["event_id"]) for row in self._site.database.tables["outbox"].values()}
        own = f"{self._site.name}.events"
        return [
            record
            for place, log in self._broker.logs.items()
            if place[0] in (own, FEEDBACK)
            for record in log[self._broker.first[place] :]
            if _writer_of(record) == self._site.name and event_id_of(record.headers) not in known
        ]

    def _refuses(self, unknown: Sequence[StoredRecord]) -> bool:
        name, pool = self._site.name, Pool(self._site.database)
        looks = schema_behind.require_up_to_date(_NOWHERE, name, self._broker.partitions, pool)
        try:
            self._run(looks)
        except SchemaBehind:
            must(bool(unknown), REFUSES, f"{name} does not start though it knows all")
            return True
        must(not unknown, REFUSES, f"{name} starts though its topics know {len(unknown)} events more")
        return False

    def _limits(self) -> dict[Place, range]:
        account = self._site.database.tables["handled_offsets"]
        limits = {}
        for place in self._consumer.places:
            first = self._broker.first[place]
            known = account[place]["next_offset"] if place in account else first
            limits[place] = range(max(known, first), self._consumer.committed.get(place, known))
        return limits

    def _note_handled(self, limits: Mapping[Place, range]) -> None:
        self._consumer.take_note_of_gaps()
        for place, span in limits.items():
            self._consumer.handled[place].update(span)
            self._consumer.kept[place] = max(self._consumer.kept[place], span.stop)

    def _recover(self, unknown: Sequence[StoredRecord]) -> Recovery:
        """A dry run first, then for good, then once more: that finds nothing to do."""
        content = self._site.database.content()
        would = self._recover_once(apply=False)
        must(self._site.database.content() == content, LOOKS_ONLY, self._site.name)
        result = self._recover_once(apply=True)
        said, done = ([(each.type, each.event_id) for each in one.lost] for one in (would, result))
        must(said == done, LOOKS_ONLY, f"{self._site.name}: {said}, then {done}")
        if result.lost:
            must(self._site.database.content() == content, FORWARD, "something is lost, and some is applied")
            return result
        known = {str(row["event_id"]) for row in self._site.database.tables["outbox"].values()}
        left = {event_id_of(record.headers) for record in unknown} - known
        must(not left, FORWARD, f"{self._site.name}: {left} are in no row")
        content = self._site.database.content()
        again = self._recover_once(apply=True)
        must(again.told == 0 and self._site.database.content() == content, ONCE, self._site.name)
        return result

    def _recover_once(self, *, apply: bool) -> Recovery:
        site = self._site
        recoverer = Recoverer(site.service, site.fold, site.outbox, _NOWHERE, self._broker.partitions)
        session: Any = AloneSession(site.database)
        with patch.object(recovery_module, "uuid7", site.database.new_id):
            found: Recovery = self._run(recoverer.recover(session, apply=apply))
        return found

    def _must_be_lost(self, unknown: Sequence[StoredRecord], result: Recovery) -> None:
        """Something is lost only where the cause of an event is in no topic, or a thing that is only here."""
        there = {
            name
            for place in self._consumer.places
            for record in self._broker.logs[place][self._broker.first[place] :]
            for name in _names_of(record)
        }
        entries = [dict(record.headers) for record in unknown]
        only_here = self._site.service.only_here | BY_TIMERS
        is_lost = any(
            entry.get("ce_causationid", b"").decode() not in there or entry["ce_type"].decode() in only_here
            for entry in entries
        )
        must(is_lost, FORWARD, f"{self._site.name}: {result.lost[:3]}")

    def _told_by(self, backup: Backup) -> dict[str, list[str]]:
        """The rows that tell of the business, whatever their numbers."""
        return {
            name: sorted(map(repr, _rows(name, table)))
            for name, table in backup.tables.items()
            if name not in NOT_AS_BEFORE and table
        }

    def _read_again(self) -> None:
        """What was handled and never committed comes again."""
        consumer = self._consumer
        for place, end in list(consumer.tried.items()):
            if records := self._broker.logs[place][consumer.at[place] : end]:
                consumer.take(records)

    def _is_as_before(self, was: Mapping[str, list[str]]) -> None:
        """What is read again after the restore leads to nothing new, and all is there that was there."""
        now = self._told_by(Backup.of(self._consumer, self._broker))
        for table in was.keys() | now.keys():
            gone = [row for row in was.get(table, ()) if row not in now.get(table, ())]
            more = [row for row in now.get(table, ()) if row not in was.get(table, ())]
            must(not gone and not more, AS_BEFORE,
                 f"{self._site.name}.{table}: {gone[:2]} became {more[:2]}")  # fmt: skip


def _commands(backup: Backup) -> set[Any]:
    """The keys of the commands that a schema has decided."""
    return {key for key in backup.tables.get("inbox", {}) if key[0].startswith(SOURCE_PREFIX)}


def _rows(name: str, table: Table) -> list[Any]:
    if name == "inbox":
        return [item for item in table.items() if not item[0][0].startswith(SOURCE_PREFIX)]
    if name == "months":  # one that was closed with nothing in it left no event
        return [item for item in table.items() if item[1]["sequence"]]
    if name in NUMBERED:
        return [_as_told(row) for row in table.values()]
    return [(key, _as_told(row) if isinstance(row, Row) else row) for key, row in table.items()]


def _as_told(row: Row) -> dict[str, Any]:
    return {column: _plain(value) for column, value in dict(row.items()).items() if column not in OF_ITS_OWN}


def _plain(value: Any) -> Any:
    """A value as Postgres keeps it, whether it was inserted or updated."""
    if isinstance(value, Enum):
        return value.value
    return value.timestamp() if isinstance(value, datetime) else value


def _writer_of(record: StoredRecord) -> str:
    return service_of(dict(record.headers)["ce_source"].decode())


def _names_of(record: StoredRecord) -> Iterator[str]:
    """What an event may call its cause: the id of the event, or where it cannot be read, its place."""
    identity, _ = identity_of(record)
    if identity is not None:
        yield identity[1]
    yield f"{record.topic}/{record.partition}/{record.offset}"


_NOWHERE = Brokers("nowhere")
