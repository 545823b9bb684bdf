"""Histories in which people and machines do to brokers and databases what they do in life.

A service's schema is restored from a backup, records are deleted before they are read, groups are moved,
topics are created anew, topics take less than an event has, and databases fail as a whole. Beside them works
the operator of the guides, who does what `pawl gaps` and docs/backup.md say. All promises of other histories
hold, and those of `groups.py`, `restores.py` and of this module.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any
from unittest.mock import patch

import asyncpg

import shared.runtime.consumer as consumer_module
import shared.runtime.offsets as offsets_module
import shared.runtime.recovery as recovery_module
import shared.runtime.relay as relay_module
from shared.brokers import Brokers
from shared.events.catalogue import FEEDBACK, SERVICES, UPSTREAM
from shared.partitioner import partition_for
from shared.runtime import schema_behind
from shared.runtime.fold import Fold
from shared.runtime.records import StoredRecord
from shared.runtime.relay import Relay
from shared.runtime.topic_events import SchemaBehind
from tests.simulation.checkout import Checkout, Said
from tests.simulation.checks import place_of
from tests.simulation.engine import BROKEN, ORDERS, PARTITIONS, POINTS, Outcome, Place, Simulation
from tests.simulation.groups import GroupConsumer
from tests.simulation.memory import Fault, Pool, Row, Stuck, Trouble
from tests.simulation.ports import Client, Clock, Idle, Producer, RelaySession, event_id_of
from tests.simulation.promises import Violation, must
from tests.simulation.restores import Backup, Restorer
from tests.simulation.system import Leader, Silence, Site

SYSTEMIC: Sequence[type[Exception]] = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedColumnError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.UnknownPostgresError,
)
"""What concerns the whole database."""
SHORT: Sequence[type[Exception]] = (
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.TransactionTimeoutError,
    asyncpg.ConnectionDoesNotExistError,
)
"""How transactions end that are too large for their time; the last one says nothing of its reason."""
REQUESTED = "issuance.requested.v1"
PATIENCE = 80
MOST_REPEATED = 12
BACKUPS = 4
PAGE = 16

GOES_ON = "a relay always goes on, or says why not"
IN_ORDER = "nothing of a key overtakes"
ONLY_ITS_KEY = "only the key of what the broker refuses waits"
SMALLER = "what is too much for its time is made smaller"


def is_in(key: str, partition: int) -> bool:
    """Whether a key belongs to a partition."""
    return partition_for(key, PARTITIONS) == partition


class RepeatingCheckout(Checkout):
    """Says again what it has said, and never something else under the same id.

    Which of two contents counts is the one that is read first, and what is missed is read late.
    """

    def _maybe_again(self, queue: deque[Said], said: Said) -> None:
        if self.random.random() < 0.1:
            queue.insert(self.random.randint(0, len(queue)), said)

    def ask_or_break(self, partition: int) -> None:
        """Says something that waits for ever, or that nobody can read, in this partition."""
        ghost = next(
            name for number in count(len(self.ghosts)) if is_in(name := f"ghost-of-{number}", partition)
        )
        asked = Said(ghost, f"ask-{ghost}", REQUESTED, self.now, {"order_id": ghost, "request_id": "r"})
        if self.random.random() < 0.5:
            self.ghosts.add(ghost)
            asked.put(self.broker)
            return
        key, value, headers = self._broken(asked).raw or (None, None, ())
        self.broker.append(UPSTREAM, key, value, headers, partition)

    def begin_anew(self, topic: str) -> None:
        """The topic was created anew; it had heard everything."""
        for place in [place for place in self._read if place[0] == topic]:
            del self._read[place]


class Tampered(Simulation):
    """One seed of such a history. Offsets, gaps, relay and recovery are the runtime's own code."""

    def __init__(self, seed: int, orders: int = ORDERS) -> None:
        self._loop = asyncio.new_event_loop()
        super().__init__(seed, orders)
        self.checkout = self._checkout = RepeatingCheckout(self.random, self.system.broker, orders)
        self.checks.upstream = self._upstream
        self.groups: dict[str, GroupConsumer] = self.consumers  # type: ignore[assignment]
        self._backups: dict[str, list[Backup]] = {name: [] for name in SERVICES}
        self._limits: dict[str, int] = {}
        self._relays: dict[str, Relay] = {}
        self._told: Callable[[str, bytes, str], None] = _Order(self.system.sites["orders"], set()).told
        self._published: dict[str, set[str]] = {name: set() for name in SERVICES}
        self._published_to: dict[tuple[str, Place], int] = {}
        self._said_again: set[tuple[str, int, int, int]] = set()
        self.reached: set[str] = set()
        for site in self.system.sites.values():
            site.fold._transaction = _counting(site)  # type: ignore[method-assign]

    def _new_consumer(self, site: Site, places: Sequence[Place]) -> GroupConsumer:
        return GroupConsumer(site, places, self.system.broker, self._drive)

    def _drive(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)

    def run(self) -> Outcome:
        with self._ports():
            try:
                for group in self.groups.values():
                    group.commit()
                return super().run()
            finally:
                self._loop.close()

    @contextmanager
    def _ports(self) -> Iterator[None]:
        """The runtime meets this broker, and a clock that goes on whenever it is looked at."""
        clock, silent, broker = Clock(), Silence(), self.system.broker

        def client(*, group_id: str = "", **_: Any) -> Client:
            group = self.groups.get(group_id.removeprefix("pawl-"))
            return Client(broker, (), group.committed if group else {})

        with ExitStack() as stack:
            for module, name, value in (
                (consumer_module, "monotonic", clock),
                (consumer_module, "log", silent),
                (consumer_module, "rest_after", lambda _: 0.0),
                (offsets_module, "log", silent),
                (relay_module, "monotonic", clock),
                (relay_module, "log", silent),
                (relay_module, "POLL_SECONDS", 0.0),
                (recovery_module, "AIOKafkaConsumer", client),
                (schema_behind, "AIOKafkaConsumer", client),
                (schema_behind, "monotonic", clock),
                (schema_behind, "PAGE", PAGE),
            ):
                stack.enter_context(patch.object(module, name, value))
            yield

    def _actions(self) -> Mapping[Callable[[], None], int]:
        return {
            **super()._actions(),
            self._fail_as_a_whole: 3,
            self._be_short_of_time: 3,
            self._give_way: 1,
            self._delete_records: 1,
            self._move_a_group: 1,
            self._heed_gaps: 3,
            self._create_anew: 1,
            self._back_up: 4,
            self._restore: 3,
            self._take_less: 1,
            self._take_more: 1,
        }

    def _do(self, action: Callable[[], None]) -> None:
        try:
            super()._do(action)
        except Stuck as stuck:
            raise Violation(GOES_ON if "relay" in str(stuck) else SMALLER, str(stuck)) from None
        for site in self.system.sites.values():
            site.database.trouble = None

    def _two_owners(self) -> None:
        super()._two_owners()
        for group in self.groups.values():
            group.forget()

    # faults of the whole database

    def _fail_as_a_whole(self) -> None:
        """For a while a database answers nothing but that it cannot."""
        group = self.groups[self.random.choice(SERVICES)]
        error = self.random.choice(SYSTEMIC)
        group.site.database.trouble = Trouble(partial(error, "simulated"), self.random.randint(1, 4))
        self._handle(group, self._batch(group, group.at))
        with suppress(*SYSTEMIC):  # the next sweep is five seconds away
            group.site.sweep()
        self.reached.add(error.__name__)

    def _be_short_of_time(self) -> None:
        """Larger transactions than this are ended by the server, however often they are tried."""
        group = self.groups[self.random.choice(SERVICES)]
        error, most = self.random.choice(SHORT), self.random.randint(1, 3)
        group.site.database.trouble = Trouble(partial(error, "simulated"), PATIENCE, most)
        records = self._batch(group, group.at, most=8)
        self._handle(group, records)
        if len(records) > most:
            self.reached.add(error.__name__)

    # offsets

    def _give_way(self) -> None:
        self.groups[self.random.choice(SERVICES)].give_way()

    def _some_place(self) -> Place:
        places = [place for place in self.system.broker.logs if place[0] != FEEDBACK]
        return self.random.choice(places)

    def _delete_records(self) -> None:
        """Retention is over: mostly of what everybody has read."""
        broker, place = self.system.broker, self._some_place()
        end = len(broker.logs[place])
        if self.random.random() < 0.5:
            end = min(
                group.committed.get(place, 0) for group in self.groups.values() if place in group.places
            )
        broker.first[place] = max(
            broker.first[place], self.random.randint(broker.first[place], max(end, broker.first[place]))
        )
        for group in self.groups.values():
            for at in (group.at, group.late):
                if at.get(place, end) < broker.first[place]:
                    at[place] = broker.first[place]

    def _move_a_group(self) -> None:
        """Somebody sets offsets forward or back while the service is stopped."""
        group = self.groups[self.random.choice(SERVICES)]
        place = self.random.choice(group.places)
        first, end = self.system.broker.first[place], len(self.system.broker.logs[place])
        group.committed[place] = self.random.randint(first, end)
        group.forget()

    def _heed_gaps(self) -> None:
        """The operator does what `pawl gaps ls` says of each gap, and closes those that are dealt with."""
        for group in self.groups.values():
            for gap in list(group.gaps()):
                if gap["closed_at"] is None:
                    self._heed(group, gap)

    def _heed(self, group: GroupConsumer, gap: Row) -> None:
        broker, place = self.system.broker, (gap["topic"], gap["partition"])
        log, life = broker.logs[place], broker.lives[place[0]]
        self.reached.add(f"gap={gap['kind']}")
        missing = [n for n in group.missing_of(gap) if (*place, n, life) not in self._said_again]
        gone = [log[n] for n in missing if n < broker.first[place]]
        there = [n for n in missing if n >= broker.first[place]]
        if gone:
            self._have_said_again(gone)
        if there and group.at[place] > there[0]:
            group.committed[place] = there[0]
            group.forget()
        if not missing:
            database = group.site.database
            close = RelaySession(database).execute(
                offsets_module.SQL.close_gap, gap["id"], "operator", "read"
            )
            self._drive(close)

    def _have_said_again(self, records: Sequence[StoredRecord]) -> None:
        self._said_again.update(map(place_of, records))
        if records[0].topic == UPSTREAM:
            for record in records:
                self.system.broker.append(
                    UPSTREAM, record.key, record.value, record.headers, record.partition
                )
            return
        ids = {event_id_of(record.headers) for record in records}
        name = records[0].topic.removesuffix(".events")
        tables = self.system.sites[name].database.tables
        first = min((n for n, row in tables["outbox"].items() if str(row["event_id"]) in ids), default=1)
        relay = tables["relay"]
        relay["epoch"], relay["published"] = (
            relay.get("epoch", 0) + 1,
            min(relay.get("published", 0), first - 1),
        )
        self.checks.marks[name] = 0
        self._follow(name)

    def _upstream(self) -> list[StoredRecord]:
        """All that checkout said; what was deleted unread, and said again, is answered where it is read."""
        said = self.system.broker.records_of(UPSTREAM)
        return [r for r in said if place_of(r) not in self._said_again or place_of(r) in self.checks.answers]

    # topics

    def _create_anew(self) -> None:
        """A topic that everybody has read is deleted and created: its places repeat."""
        topic = self.random.choice((UPSTREAM, UPSTREAM, *(f"{name}.events" for name in SERVICES)))
        readers = [group for group in self.groups.values() if any(p[0] == topic for p in group.places)]
        if self._limits or any(g["closed_at"] is None for r in readers for g in r.gaps()):
            return
        for group in readers:
            at = {place: group.at[place] for place in group.places if place[0] == topic}
            while records := self._batch(group, at, most=20):
                group.take(records)
                at = {place: group.at[place] for place in at}
            group.commit()
        if any(self._is_behind(group, topic) for group in readers):
            return
        self.checkout.listen()
        self.checks.step()
        for name in SERVICES:
            self._published_of(name)
        places = self._places_known(topic)
        self.system.broker.create_anew(topic)
        self._checkout.begin_anew(topic)
        for group in readers:
            group.begin_anew(topic)
        for backups in self._backups.values():
            backups.clear()
        for name, place in [known for known in self._published_to if known[1][0] == topic]:
            del self._published_to[name, place]
        self.reached.add("a topic created anew")
        if topic == UPSTREAM:
            self._repeat_places(places)

    def _is_behind(self, group: GroupConsumer, topic: str) -> bool:
        """Whether a gap of the group is open, or a record of the topic was deleted before the group came by.

        The latter is told when it does.
        """
        broker = self.system.broker
        unread = (
            (*place, number, broker.lives[topic])
            for place in group.places
            if place[0] == topic
            for number in set(range(len(broker.logs[place]))) - group.handled[place]
        )
        is_open = any(gap["closed_at"] is None for gap in group.gaps())
        return is_open or any(place not in self._said_again for place in unread)

    def _places_known(self, topic: str) -> Mapping[Place, set[int]]:
        """The offsets of what is kept by its place."""
        kept: dict[Place, set[int]] = {}
        for site in self.system.sites.values():
            for table in ("dead_letters", "parked"):
                for row in site.database.tables[table].values():
                    if row["topic"] == topic:
                        kept.setdefault((topic, row["partition"]), set()).add(row["offset"])
        return kept

    def _repeat_places(self, places: Mapping[Place, set[int]]) -> None:
        """What is said first in the new topic comes to stand where something else was kept."""
        broker = self.system.broker
        for place, offsets in sorted(places.items()):
            while len(broker.logs[place]) <= min(*offsets, MOST_REPEATED):
                self._checkout.ask_or_break(place[1])
            self.reached.add("a place repeated")

    # relays

    def _take_less(self) -> None:
        """A topic takes less than some event has that it is to take."""
        site = self.system.sites[self.random.choice(SERVICES)]
        waiting = list(site.database.tables["outbox"].values())
        if waiting:
            row = self.random.choice(waiting[-20:])
            self._limits[row["topic"]] = 600 + self.random.randrange(len(row["data"]) + 300)

    def _take_more(self) -> None:
        self._limits.clear()

    def _needs_the_real_one(self, name: str) -> bool:
        return bool(self._limits or self.system.sites[name].database.tables["unsent"])

    def _relay_some(self, name: str) -> None:
        if self._needs_the_real_one(name) or self.random.random() < 0.1:
            self._lead(name)
        else:
            super()._relay_some(name)

    def _relay_badly(self, name: str) -> None:
        if self._needs_the_real_one(name):
            site = self.system.sites[name]
            site.database.fault = Fault(
                self.random.choice(POINTS), self.random.random() < 0.5, self.random.randrange(8)
            )
            self._lead(name)
        else:
            super()._relay_badly(name)

    def _relay_all(self, name: str) -> bool:
        if not self._needs_the_real_one(name):
            return super()._relay_all(name)
        before = len(self.system.sites[name].database.tables["unsent"])
        self._lead(name)
        return before > 0

    def _lead(self, name: str) -> None:
        """The service's own relay leads until nothing is left to publish."""
        site = self.system.sites[name]
        relay = self._relays.get(name) or self._new_relay(site)
        self._relays[name] = relay
        order = _Order(site, self._published_of(name))
        self._told = order.told
        try:
            self._drive(relay._lead())
        except Idle:
            order.look_at_rest(self._limits)
        except SchemaBehind as behind:
            raise Violation("a schema that is behind its topics does not start", str(behind)) from None
        except BROKEN:
            self._relays.pop(name)
        if site.database.tables["unsent"]:
            self.reached.add("an event set aside")
        self._follow(name)

    def _new_relay(self, site: Site) -> Relay:
        broker, database = self.system.broker, site.database

        async def connect() -> RelaySession:
            return RelaySession(database)

        def producer() -> Producer:
            return Producer(broker, self._limits, self._told)

        looks = partial(
            schema_behind.require_up_to_date,
            Brokers("nowhere"),
            site.name,
            broker.partitions,
            Pool(database),
        )
        return Relay(connect, site.outbox, producer, Silence(), before_leading=looks)  # type: ignore[arg-type]

    def _follow(self, name: str) -> None:
        """Another process leads from now on."""
        self.system.sites[name].database.fault = None
        self.leaders[name] = Leader(self.system.sites[name], self.system.broker)

    def _published_of(self, name: str) -> set[str]:
        """The ids of the events of a service that were ever published."""
        published = self._published[name]
        for place, log in self.system.broker.logs.items():
            if place[0] in (f"{name}.events", FEEDBACK):
                at = self._published_to.get((name, place), 0)
                published.update(event_id_of(record.headers) for record in log[at:])
                self._published_to[name, place] = len(log)
        return published

    # restores

    def _back_up(self) -> None:
        name = self.random.choice(SERVICES)
        self._backups[name] = [*self._backups[name], Backup.of(self.groups[name], self.system.broker)][
            -BACKUPS:
        ]

    def _restore(self) -> None:
        """A schema is set back to a backup, and brought forward; or set forward again from the WAL."""
        name = self.random.choice(SERVICES)
        broker = self.system.broker
        backups = [backup for backup in self._backups[name] if backup.is_of_use(name, broker)]
        if not backups or self._needs_the_real_one(name):
            return
        group, site = self.groups[name], self.system.sites[name]
        Simulation._relay_all(self, name)
        known = {row["event_id"] for row in site.database.tables["outbox"].values()}
        if is_drained := self.random.random() < 0.6:
            group.commit()
        else:
            self._handle(group, self._batch(group, group.at, most=6))
            group.commit()
            if rows := self.leaders[name].waiting(self.random.randint(1, 8)):
                self.leaders[name].send(rows)
        backup = self.random.choice((backups[-1], self.random.choice(backups)))
        is_other = Restorer(group, broker, self._drive).restore(backup, is_drained=is_drained)
        if is_other:
            self.checks.is_set_back(name, known)
            self._backups[name].clear()
        self.reached.add(f"restored={'forward' if is_other else 'from the WAL'}")
        self._relays.pop(name, None)
        self._follow(name)

    # rest

    def _come_to_rest(self) -> None:
        self._limits.clear()
        super()._come_to_rest()
        for group in self.groups.values():
            for place in group.places:
                group.look_at(place, len(self.system.broker.logs[place]))

    def _settle(self, name: str) -> bool:
        moved = super()._settle(name)
        self.groups[name].commit()
        if any(gap["closed_at"] is None for gap in self.groups[name].gaps()):
            self._heed_gaps()
            return True
        return moved


class _Order:
    """What a relay sends, against what it has to send: each key in its order, and no key for another."""

    def __init__(self, site: Site, published: set[str]) -> None:
        self._site, self._published = site, published
        self._keys: dict[tuple[str, str], list[str]] = {}
        for _, row in sorted(site.database.tables["outbox"].items()):
            self._keys.setdefault((row["topic"], row["key"]), []).append(str(row["event_id"]))

    def told(self, topic: str, key: bytes, event_id: str) -> None:
        """A record goes out."""
        for earlier in self._keys[topic, key.decode()]:
            if earlier == event_id:
                break
            must(earlier in self._published, IN_ORDER, f"{event_id} of {key!r} goes before {earlier}")
        self._published.add(event_id)

    def look_at_rest(self, limits: Mapping[str, int]) -> None:
        """A relay has nothing left to do."""
        tables = self._site.database.tables
        refused = {(r["topic"], r["key"]) for r in tables["unsent"].values() if r["state"] == "refused"}
        for row in tables["outbox"].values():
            if str(row["event_id"]) not in self._published:
                must((row["topic"], row["key"]) in refused, ONLY_ITS_KEY,
                     f"{self._site.name}: {row['type']} of {row['key']} is not published")  # fmt: skip
                must(row["topic"] in limits or row["id"] in tables["unsent"], ONLY_ITS_KEY, "no limit")


def _counting(site: Site) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The transaction of a fold; the database is told how many messages are in it."""
    transaction = partial(Fold._transaction, site.fold)

    async def counted(messages: list[Any], **more: Any) -> Any:
        site.database.taking = len(messages) + len(more.get("retry", ()))
        return await transaction(messages, **more)

    return counted
