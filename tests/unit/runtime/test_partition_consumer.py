"""How far a consumer tells Kafka that it came: never before the effects, never what it does not own."""

import asyncio
import gc
import weakref
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, NodeNotReadyError
from faststream.kafka.message import KafkaMessage
from opentelemetry.sdk.trace import TracerProvider

from shared.clock import monotonic, now
from shared.runtime.consumer import (
    COMMIT_EVERY_SECONDS,
    LONGEST_REST_SECONDS,
    PAUSE_SECONDS,
    REPEAT_COMMIT_SECONDS,
    SHARE_FROM,
    PartitionConsumer,
    rest_after,
)
from shared.runtime.health import Health
from shared.runtime.offsets import Gap, Place, Stand, judge
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from shared.runtime.troubles import PATIENCE_SECONDS, Troubles
from shared.telemetry import middlewares
from tests.support.batches import through_middlewares
from tests.support.toy import said
from tests.support.traces import traced

# What aiokafka says of a record beside what we need of it.
OF_THE_CLIENT: dict[str, Any] = {
    "timestamp": 0,
    "timestamp_type": 0,
    "checksum": None,
    "serialized_key_size": 0,
    "serialized_value_size": 0,
}
MINE, THEIRS = TopicPartition("checkout.events", 0), TopicPartition("checkout.events", 1)


class Group:
    """A consumer that owns partitions and, like aiokafka's, refuses offsets of any other."""

    def __init__(self, *owned: TopicPartition) -> None:
        self.owned = set(owned)
        self.reachable = True
        self.committed: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.answered: datetime | None = None
        self.asked = asyncio.Event()
        self.tries_again: asyncio.Event | None = None
        self.elsewhere_after_position: set[TopicPartition] | None = None

    def last_poll_timestamp(self, place: TopicPartition) -> int | None:
        self._require_mine(place)
        return int(self.answered.timestamp() * 1000) if self.answered else None

    def pause(self, *places: TopicPartition) -> None:
        self._require_mine(*places)
        self.paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self._require_mine(*places)
        self.paused.difference_update(places)

    def _require_mine(self, *places: TopicPartition) -> None:
        for place in places:
            if place not in self.owned:
                raise IllegalStateError(f"{place} is not assigned")

    def assignment(self) -> set[TopicPartition]:
        return self.owned

    def last_stable_offset(self, place: TopicPartition) -> int:
        assert place in self.owned, "Partition is not assigned"
        return 10

    async def position(self, place: TopicPartition) -> int:
        self._require_mine(place)
        if self.elsewhere_after_position is not None:
            self.owned, self.elsewhere_after_position = self.elsewhere_after_position, None
        return 10

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self._require_mine(*offsets)
        self.asked.set()
        while not self.reachable:
            if self.tries_again is None:
                raise NodeNotReadyError
            await self.tries_again.wait()
        self.committed.update(offsets)


def consumer_of(group: Group, handle: Any = None, gave_up: list[str] | None = None) -> PartitionConsumer:
    async def take_in(records: Sequence[Record]) -> None:
        """All is handled."""

    told = gave_up if gave_up is not None else []
    consumer = PartitionConsumer(handle or take_in, Metrics(), told.append)
    consumer.subscriber = SimpleNamespace(consumer=group)
    return consumer


async def test_offsets_are_committed_after_the_batch() -> None:
    group = Group(MINE)
    before: list[dict[TopicPartition, int]] = []

    async def handle(records: Sequence[Record]) -> None:
        before.append(dict(group.committed))

    await consumer_of(group, handle).take([said("pay-1", offset=6), said("pay-2", offset=7)])

    assert before == [{}]
    assert group.committed == {MINE: 8}


@pytest.mark.parametrize(("count", "shares"), [(SHARE_FROM - 1, 1), (SHARE_FROM, 2)])
async def test_a_large_batch_is_handled_in_shares_that_have_no_key_in_common(count: int, shares: int) -> None:
    group, handled = Group(MINE, THEIRS), list[Sequence[Record]]()

    async def handle(records: Sequence[Record]) -> None:
        handled.append(records)

    places = [(offset % 2, offset) for offset in range(count)]
    batch = [replace(said("pay"), partition=partition, offset=offset) for partition, offset in places]
    await consumer_of(group, handle).take(batch)

    assert len(handled) == shares
    assert sorted(each.offset for share in handled for each in share) == list(range(count))
    for share in handled:
        assert [each.offset for each in share] == sorted(each.offset for each in share)
    if shares > 1:
        assert [{each.partition for each in share} for share in handled] == [{0}, {1}]
    assert max(group.committed.values()) == count


async def test_nothing_is_fetched_while_a_small_batch_is_handled() -> None:
    """A fetch sent meanwhile would come back with one record; what comes now is to be the next batch."""
    group, paused = Group(MINE, THEIRS), list[set[TopicPartition]]()

    async def handle(records: Sequence[Record]) -> None:
        paused.append(set(group.paused))

    await consumer_of(group, handle).take([said("pay-1", offset=6)])

    assert paused == [{MINE, THEIRS}]
    assert group.paused == set()


async def test_behind_a_backlog_the_next_fetch_goes_on_meanwhile() -> None:
    group, paused = Group(MINE), list[set[TopicPartition]]()

    async def handle(records: Sequence[Record]) -> None:
        paused.append(set(group.paused))

    await consumer_of(group, handle).take([said("pay", offset=offset) for offset in range(SHARE_FROM)])

    assert paused
    assert not any(paused)


async def test_a_partition_that_goes_elsewhere_while_a_batch_is_handled_is_let_go() -> None:
    """The consumer refuses to resume what it does not own; what it owns must be fetched again."""
    group = Group(MINE, THEIRS)

    async def handle(records: Sequence[Record]) -> None:
        group.owned = {MINE}
        group.paused.discard(THEIRS)

    await consumer_of(group, handle).take([said("pay-1", offset=6)])

    assert group.paused == set()


async def test_partitions_that_go_elsewhere_while_positions_are_asked_for_are_let_go() -> None:
    group = Group(MINE, THEIRS)
    group.elsewhere_after_position = set()
    commits = asyncio.create_task(consumer_of(group).commit_forever())

    while group.elsewhere_after_position is not None:
        await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert not commits.done()
    commits.cancel()


@pytest.mark.parametrize(("busy", "rest"), [(0.004, 0.004), (LONGEST_REST_SECONDS * 3, LONGEST_REST_SECONDS)])
def test_a_consumer_rests_as_long_as_it_worked_but_never_long(busy: float, rest: float) -> None:
    assert rest_after(busy) == rest


async def test_a_batch_that_fails_commits_nothing_and_ends_the_process() -> None:
    group, gave_up = Group(MINE), list[str]()

    async def handle(records: Sequence[Record]) -> None:
        raise ValueError("unforeseen")

    consumer = consumer_of(group, handle, gave_up)
    with pytest.raises(ValueError, match="unforeseen"):
        await consumer.take([said("pay-1", offset=6)])
    await consumer.commit()

    assert group.committed == {}
    assert group.paused == set()
    assert gave_up == ["ValueError: unforeseen"]


async def test_a_batch_that_a_rebalance_overtook_sets_nobody_back() -> None:
    """Its partitions may have gone elsewhere and come back, further than this batch: it comes again."""
    group = Group(MINE, THEIRS)

    async def handle(records: Sequence[Record]) -> None:
        if group.owned == {MINE, THEIRS}:
            await consumer.on_partitions_revoked([MINE, THEIRS])
            group.owned = {MINE}
            await consumer.on_partitions_assigned([MINE])
            group.committed[MINE] = 9

    consumer = consumer_of(group, handle)
    elsewhere = SimpleNamespace(topic=THEIRS.topic, partition=1, offset=41, timestamp=0)
    await consumer.take([elsewhere, said("pay-1", offset=6)])
    await consumer.commit()
    assert group.committed == {MINE: 9}

    await consumer.take([said("pay-2", offset=9)])
    await consumer.commit()
    assert group.committed == {MINE: 10}


async def test_between_revocation_and_assignment_nothing_is_committed() -> None:
    """The client is in the next generation already, so the broker would take what others are ahead of."""
    group = Group(MINE)
    handling, handled = asyncio.Event(), asyncio.Event()

    async def handle(records: Sequence[Record]) -> None:
        handling.set()
        await handled.wait()

    consumer = consumer_of(group, handle)
    batch = asyncio.create_task(consumer.take([said("pay-1", offset=6)]))
    await handling.wait()
    await consumer.on_partitions_revoked([MINE])
    group.committed[MINE] = 9
    handled.set()
    await batch
    await consumer.commit()

    await consumer.on_partitions_assigned([MINE])
    await consumer.commit()
    assert group.committed == {MINE: 9}


async def test_a_commit_on_its_way_is_withdrawn_before_the_next_generation() -> None:
    """The client tries again after an error, and then says its new generation with the old offsets."""
    group = Group(MINE)
    consumer = consumer_of(group)
    group.reachable = False
    group.tries_again = asyncio.Event()
    batch = asyncio.create_task(consumer.take([said("pay-1", offset=6)]))
    await group.asked.wait()

    await consumer.on_partitions_revoked([MINE])
    group.committed[MINE] = 9
    await consumer.on_partitions_assigned([MINE])
    group.reachable = True
    group.tries_again.set()
    await batch

    assert group.committed == {MINE: 9}


async def test_what_could_not_be_committed_before_a_rebalance_is_not_committed_after_it() -> None:
    """The group stands where the last commit that arrived has left it, or where another has gone since."""
    group = Group(MINE)
    consumer = consumer_of(group)
    group.reachable = False
    await consumer.take([said("pay-1", offset=6)])
    await consumer.on_partitions_revoked([MINE])

    group.reachable, group.committed[MINE] = True, 9
    await consumer.on_partitions_assigned([MINE])
    await consumer.commit()

    assert group.committed == {MINE: 9}
    assert consumer.lag() == 0


async def test_a_commit_that_arrives_after_a_later_one_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that timed out is not withdrawn: the client goes on sending it, and it may come last."""
    group = Group(MINE)
    consumer = consumer_of(group)
    group.reachable = False
    await consumer.take([said("pay-1", offset=6)])
    group.reachable = True
    await consumer.take([said("pay-2", offset=7)])
    await consumer.commit()
    group.committed[MINE] = 7

    later = consumer.progressed_at + 2 * REPEAT_COMMIT_SECONDS
    monkeypatch.setattr("shared.runtime.consumer.monotonic", lambda: later)
    await consumer.commit()

    assert group.committed == {MINE: 8}


async def test_the_last_batch_before_a_pause_is_committed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(MINE)
    consumer = consumer_of(group)
    await consumer.take([said("pay-1", offset=6)])
    await consumer.take([said("pay-2", offset=7)])
    assert group.committed == {MINE: 7}, "a second has not gone by"

    assert await committed_at(group, consumer, consumer.progressed_at + PAUSE_SECONDS / 2, monkeypatch) == 7
    assert await committed_at(group, consumer, consumer.progressed_at + 2 * PAUSE_SECONDS, monkeypatch) == 8


async def test_a_commit_that_failed_is_tried_again_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(MINE)
    consumer = consumer_of(group)
    group.reachable = False
    await consumer.take([said("pay-1", offset=6)])
    group.reachable = True

    assert (
        await committed_at(group, consumer, consumer.progressed_at + 2 * PAUSE_SECONDS, monkeypatch) is None
    )
    assert (
        await committed_at(group, consumer, consumer.progressed_at + 2 * COMMIT_EVERY_SECONDS, monkeypatch)
        == 7
    )


async def committed_at(
    group: Group, consumer: PartitionConsumer, moment: float, patch: pytest.MonkeyPatch
) -> int | None:
    """What is committed when the consumer has looked a few times at this moment."""
    looks = iter(range(3))

    async def sleep(seconds: float) -> None:
        if next(looks, None) is None:
            raise asyncio.CancelledError

    with patch.context() as moved:
        moved.setattr("shared.runtime.consumer.monotonic", lambda: moment)
        moved.setattr("shared.runtime.consumer.asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
        with pytest.raises(asyncio.CancelledError):
            await consumer.commit_forever()
    return group.committed.get(MINE)


@pytest.mark.parametrize("is_traced", [False, True], ids=["with metrics", "with spans too"])
async def test_a_batch_is_let_go_as_soon_as_it_is_handled(is_traced: bool) -> None:
    """By counting references: a batch in a cycle stays until the garbage collector comes, at a great cost."""
    metrics, spans = Metrics(), TracerProvider(shutdown_on_exit=False) if is_traced else None
    between = middlewares("orders", metrics.registry, spans)
    hand = through_middlewares(consumer_of(Group(MINE)), between, traced=is_traced)
    await hand([traced(said("pay-1", offset=6))])  # what is made once is made now
    stored = [traced(said("pay-2", offset=7)), said("pay-3", offset=8)]
    batch = [ConsumerRecord(**asdict(record), **OF_THE_CLIENT) for record in stored]
    records = [weakref.ref(record) for record in batch]
    gc.collect()  # what other tests have left
    gc.disable()
    try:
        await hand(batch)
        del batch
        assert [record() for record in records] == [None, None]
        assert [each for each in gc.get_objects() if isinstance(each, KafkaMessage)] == []
    finally:
        gc.enable()


def test_a_consumer_that_has_read_nothing_has_no_lag() -> None:
    assert consumer_of(Group(MINE)).lag() == 0


async def test_what_waits_is_known_before_the_first_record_came() -> None:
    group = Group(MINE)
    group.position = lambda place: _at(4)  # type: ignore[attr-defined]
    consumer = consumer_of(group)
    await consumer.on_partitions_assigned([MINE])

    await consumer._note_begins()
    assert consumer.lag() == 6

    await consumer.take([said("pay-1", offset=9)])
    assert consumer.lag() == 0


async def test_a_position_that_counts_what_is_in_hand_begins_nothing() -> None:
    group = Group(MINE)
    group.position = lambda place: _at(10)  # type: ignore[attr-defined]
    consumer = consumer_of(group)
    await consumer.on_partitions_assigned([MINE])
    consumer._has_taken = True

    await consumer._note_begins()

    assert consumer._begins == {}


async def _at(offset: int) -> int:
    return offset


async def test_a_fetch_that_fails_again_and_again_is_told_by_health(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(MINE)
    group.position = lambda place: _at(4)  # type: ignore[attr-defined]
    consumer = consumer_of(group)
    health = Health("orders", [consumer], 60, lambda: True, started=True)
    await consumer.on_partitions_assigned([MINE])

    async def fetch() -> None:
        raise NodeNotReadyError("nothing to unpack it with")

    with pytest.raises(NodeNotReadyError):
        await consumer.await_records(fetch)
    await consumer._note_begins()
    monkeypatch.setattr("shared.runtime.health.monotonic", lambda: consumer.progressed_at + 61)

    well, report = health.report()
    assert (well, report["status"], report["lag"]) == (False, "stalled", 6)
    assert "nothing to unpack it with" in report["why"]


@pytest.mark.parametrize("timestamp", [None, -1, 0, 4_102_444_800_000])
async def test_a_record_of_any_time_is_handled(timestamp: int | None) -> None:
    group = Group(MINE)
    record = ConsumerRecord(**{**asdict(said("pay-1", offset=6)), **OF_THE_CLIENT, "timestamp": timestamp})

    await consumer_of(group).take([record])

    assert group.committed == {MINE: 7}


def test_a_consumer_with_work_and_no_progress_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = consumer_of(Group(MINE))
    health = Health("orders", [consumer], 60, lambda: True, started=True)
    assert health.report()[0]

    consumer.busy_since = consumer.progressed_at
    monkeypatch.setattr("shared.runtime.health.monotonic", lambda: consumer.progressed_at + 61)

    well, report = health.report()
    assert not well
    assert (report["status"], report["lag"]) == ("stalled", 0)
    assert "consumer 0 has work" in report["why"]


def test_a_consumer_without_work_is_well_however_long_it_rests() -> None:
    group = Group(MINE)
    consumer = consumer_of(group)
    health = Health("orders", [consumer], 60, lambda: False, started=True)
    consumer.progressed_at -= 3_600
    group.answered = now()

    assert health.report()[0]


async def test_a_consumer_whose_fetches_nobody_answers_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has died without a word knows of no lag: that nothing waits is not to be believed."""
    group = Group(MINE)
    consumer = consumer_of(group)
    health = Health("orders", [consumer], 60, lambda: False, started=True)
    await consumer.on_partitions_assigned([MINE])
    consumer.progressed_at -= 3_600
    assert health.report()[0], "a consumer that just got its first partition has asked nobody yet"

    with monkeypatch.context() as earlier:
        earlier.setattr("shared.runtime.consumer.monotonic", lambda: consumer.progressed_at)
        await consumer.on_partitions_assigned([MINE])
    group.answered = now() - timedelta(seconds=59)
    assert health.report()[0]

    group.answered = now() - timedelta(seconds=61)
    well, report = health.report()
    assert not well
    assert "no broker has answered for 61 s" in report["why"]


def test_a_consumer_that_owns_nothing_is_well() -> None:
    """A group may have more consumers than there are partitions."""
    consumer = consumer_of(Group())
    consumer.progressed_at -= 3_600

    assert Health("orders", [consumer], 60, lambda: False, started=True).report()[0]


def test_health_says_whether_it_starts_or_stops() -> None:
    health = Health("orders", [consumer_of(Group())], 60, lambda: False)
    assert health.report()[1]["status"] == "starting"
    health.started = health.stopping = True
    assert health.report() == (False, health.report()[1])
    assert health.report()[1]["status"] == "stopping"


class Account:
    """What a service keeps of its own about how far it is, in memory."""

    def __init__(self) -> None:
        self.stands: list[dict[Place, Stand]] = []
        self.kept: list[dict[Place, int]] = []
        self.gaps: list[tuple[Place, Gap]] = []
        self.is_away = False
        self.refuses: BaseException | None = None

    async def begin(self, stands: dict[Place, Stand]) -> dict[Place, int]:
        self.stands.append(stands)
        return {place: judge(stand).next_offset for place, stand in stands.items()}

    async def keep(self, reached: dict[Place, int], gaps: list[tuple[Place, Gap]]) -> None:
        if self.is_away:
            raise ConnectionRefusedError
        if self.refuses is not None:
            raise self.refuses
        self.kept.append(dict(reached))
        self.gaps += gaps


class Broker(Group):
    """A group whose broker has the records between two offsets."""

    first, end = 0, 100

    async def committed_of(self, place: TopicPartition) -> int | None:
        return self.committed.get(place)

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, self.first)

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, self.end)


def accounted(broker: Broker, account: Account, troubles: Troubles | None = None) -> PartitionConsumer:
    consumer = PartitionConsumer(
        take_all, Metrics(), lambda why: None, offsets=cast(Any, account), troubles=troubles
    )
    answers = {
        name: getattr(broker, name)
        for name in dir(broker)
        if not name.startswith("_") and name != "committed"
    }
    consumer.subscriber = SimpleNamespace(
        consumer=SimpleNamespace(**{**answers, "committed": broker.committed_of})
    )
    return consumer


async def take_all(records: Sequence[Record]) -> None:
    """All is handled."""


async def test_the_own_account_is_kept_before_the_group_is_told() -> None:
    broker, account = Broker(MINE), Account()
    consumer = accounted(broker, account)

    account.is_away = True
    await consumer.take([said("pay-1", offset=6)])
    assert broker.committed == {}

    account.is_away = False
    await consumer.commit()
    assert account.kept == [{tuple(MINE): 7}]
    assert broker.committed == {MINE: 7}


async def test_each_assignment_is_compared_once_before_its_first_commit() -> None:
    broker, account = Broker(MINE), Account()
    broker.committed[MINE] = 4
    consumer = accounted(broker, account)

    await consumer.take([said("pay-1", offset=6)])
    await consumer.take([said("pay-2", offset=7)])
    await consumer.on_partitions_revoked([MINE])
    await consumer.on_partitions_assigned([MINE])
    await consumer.take([said("pay-3", offset=8)])
    await consumer.on_partitions_revoked([MINE])

    assert account.stands == [{tuple(MINE): Stand(None, 4, 0, 100)}, {tuple(MINE): Stand(None, 8, 0, 100)}]


async def test_records_that_are_deleted_while_it_reads_are_a_gap_and_marks_of_transactions_are_none() -> None:
    broker, account = Broker(MINE), Account()
    consumer = accounted(broker, account)

    await consumer.take([said("pay-1", offset=0)])
    await consumer.take([said("pay-2", offset=3)])  # 1 and 2 were marks of transactions
    await consumer.on_partitions_revoked([])
    assert account.gaps == []

    await consumer.on_partitions_assigned([MINE])
    await consumer.take([said("pay-3", offset=4)])
    await consumer.on_partitions_revoked([])
    await consumer.on_partitions_assigned([MINE])
    await consumer.take([said("pay-4", offset=5)])
    await consumer.commit()
    broker.first = 20
    await consumer.take([said("pay-5", offset=20)])
    await consumer.on_partitions_revoked([])

    assert account.gaps == [(tuple(MINE), Gap(6, 20, "deleted"))]


async def test_an_account_that_cannot_be_written_is_told_with_what_to_do_until_it_can() -> None:
    broker, account, troubles = Broker(MINE), Account(), Troubles()
    consumer = accounted(broker, account, troubles)
    account.refuses = asyncpg.InsufficientPrivilegeError("permission denied for table handled_offsets")

    await consumer.take([said("pay-1", offset=6)])
    (trouble,) = troubles.lasting(monotonic() + PATIENCE_SECONDS)
    assert (trouble.part, broker.committed) == ("the account of what is handled", {})
    assert "pawl migrate" in trouble.todo

    account.refuses = None
    await consumer.commit()
    assert troubles.lasting(monotonic() + PATIENCE_SECONDS) == []
    assert broker.committed == {MINE: 7}
