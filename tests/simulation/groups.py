"""A consumer that is the runtime's own: it keeps how far it is in the schema and tells what it never got."""

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from shared.runtime.consumer import PartitionConsumer
from shared.runtime.offsets import HandledOffsets
from shared.runtime.records import Record, StoredRecord
from tests.simulation.engine import Consumer, Place, Places, advance
from tests.simulation.memory import Broker, Pool, Row
from tests.simulation.ports import Client
from tests.simulation.promises import Violation, must
from tests.simulation.system import Silence, Site

Run = Callable[[Coroutine[Any, Any, Any]], Any]
TOLD = "what was missed is told"
ONLY_TOLD = "only what was missed is told"


class GroupConsumer(Consumer):
    """Reads from where its group stands, and what is gone from the first record that is left.

    `handled` are the offsets that it has handled for certain, by place, as a book beside the system; up to
    `tried` it may have, and then was killed.
    """

    __slots__ = (
        "_broker",
        "_fold",
        "_former",
        "_run",
        "_seen",
        "client",
        "handled",
        "kept",
        "partitions",
        "places",
        "tried",
    )

    def __init__(self, site: Site, places: Sequence[Place], broker: Broker, run: Run) -> None:
        committed: Places = {}
        super().__init__(site, {}, committed)
        self.places = list(places)
        self._broker, self._run = broker, run
        self.client = Client(broker, places, committed)
        offsets: Any = HandledOffsets(Pool(site.database), Silence())  # type: ignore[arg-type]
        self._fold = site.fold.handle
        site.fold.handle = self._handle  # type: ignore[method-assign]
        self.partitions = PartitionConsumer(self._handle, Silence(), _never_gives_up, offsets=offsets)  # type: ignore[arg-type]
        self.partitions.subscriber = SimpleNamespace(consumer=self.client)
        self.handled: dict[Place, set[int]] = defaultdict(set)
        self.kept: Places = defaultdict(int)
        self.tried: Places = defaultdict(int)
        self._former: set[int] = set()
        self._seen: set[int] = set()
        self.at = {place: self._start_of(place) for place in self.places}

    async def _handle(self, records: Sequence[Record]) -> None:
        """Whoever handles records of this service, it is written down."""
        for record in records:
            place = record.topic, record.partition
            self.tried[place] = max(self.tried[place], record.offset + 1)
        await self._fold(records)
        for record in records:
            self.handled[record.topic, record.partition].add(record.offset)

    def forget(self) -> None:
        self.at = {place: self._start_of(place) for place in self.places}
        self._run(self.partitions.on_partitions_assigned([]))

    def give_way(self) -> None:
        """Its partitions are assigned anew, and come back."""
        self._run(self.partitions.on_partitions_revoked([]))
        self.forget()

    def _start_of(self, place: Place) -> int:
        """Where a client begins: at the offset of its group, or where no such record is, at the first."""
        first, end = self._broker.first[place], len(self._broker.logs[place])
        committed = self.committed.get(place)
        return committed if committed is not None and first <= committed <= end else first

    def take(self, records: Sequence[StoredRecord]) -> None:
        self._run(self.partitions.take(records))
        advance(self.at, records)

    def commit(self) -> None:
        self._run(self._commit())
        self.look()

    async def _commit(self) -> None:
        await self.partitions._look()
        await self.partitions.commit()

    def begin_anew(self, topic: str) -> None:
        """The topic was created anew: its group has forgotten it."""
        self._former |= {number for number, gap in self._rows() if gap["topic"] == topic}
        for place in [place for place in self.places if place[0] == topic]:
            self.committed.pop(place, None)
            self.late.pop(place, None)
            self.handled[place], self.kept[place], self.tried[place] = set(), 0, 0
        self.forget()
        self.commit()

    # what it tells

    def gaps(self) -> Iterator[Row]:
        """What it said that it never got, of the topics that there are now."""
        return (gap for number, gap in self._rows() if number not in self._former)

    def _rows(self) -> Iterator[tuple[int, Row]]:
        yield from self.site.database.tables["gaps"].items()

    def missing_of(self, gap: Row) -> list[int]:
        """The offsets of a gap that were not handled, by now."""
        place = gap["topic"], gap["partition"]
        return [n for n in range(gap["from_offset"], gap["to_offset"]) if n not in self.handled[place]]

    def look(self) -> None:
        """Whatever it counts as done is handled, or told to be missing; and nothing else is told."""
        account = self.site.database.tables["handled_offsets"]
        for number, gap in self._rows():
            if number not in self._seen:
                self._seen.add(number)
                self._look_at_new(gap)
        for place, row in account.items():
            self.look_at(place, row["next_offset"])
            self.kept[place] = max(self.kept[place], row["next_offset"])

    def _look_at_new(self, gap: Row) -> None:
        place, end = (gap["topic"], gap["partition"]), gap["to_offset"]
        must(end > self.kept[place] or bool(self.missing_of(gap)), ONLY_TOLD,
             f"{self.site.name}: what {place} has up to {end} was handled")  # fmt: skip

    def look_at(self, place: Place, end: int) -> None:
        """All before this offset is handled, or told to be missing."""
        missing = set(range(end)) - self.handled[place]
        if missing:
            for gap in self.gaps():
                if (gap["topic"], gap["partition"]) == place:
                    missing.difference_update(range(gap["from_offset"], gap["to_offset"]))
        must(not missing, TOLD, f"{self.site.name}: {sorted(missing)} of {place} are missing, nobody says so")

    def is_set_back(self, handled: Mapping[Place, set[int]]) -> None:
        """Its schema is an earlier one, which has handled these."""
        self.handled = defaultdict(set, {place: set(offsets) for place, offsets in handled.items()})
        self.kept = defaultdict(int)
        self._seen.clear()
        self.take_note_of_gaps()

    def take_note_of_gaps(self) -> None:
        """What is told to be missing by now was looked at, or told by somebody else."""
        self._seen.update(self.site.database.tables["gaps"])


def _never_gives_up(reason: str) -> None:
    raise Violation("a service never gives up", reason)
