"""A fault of the whole database blocks nobody: it is repeated, told, and made smaller where time is short."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import asyncpg
import pytest

from shared.runtime import fold as fold_module
from shared.runtime import retry
from shared.runtime.batch_size import CUTS_BEFORE_HALVING, MOST, BatchSize, WorkSize, by_halves
from shared.runtime.fold import Fold
from shared.runtime.health import Health
from shared.runtime.intake import InboundMessage
from shared.runtime.outbox import Outbox
from shared.runtime.signals import Metrics
from shared.runtime.suspicion import KEYS_OF_A_ROW
from shared.runtime.troubles import PATIENCE_SECONDS, Troubles
from tests.support.toy import said, toy


class Committed:
    after_commit: frozenset[str] = frozenset()
    handled = 1

    def __init__(self) -> None:
        self.parked: dict[str, Any] = {}


class Database:
    """Takes shares of messages, or says what is wrong with them."""

    def __init__(self, fold: Fold, refuse: Any) -> None:
        self.shares: list[int] = []
        self.tried: list[int] = []
        self.blocked: list[str] = []
        self.reopened: list[str] = []
        self._refuse = refuse
        fold._transaction = self.transaction  # type: ignore[assignment, method-assign]

    async def transaction(
        self, messages: Sequence[InboundMessage], *, begun: Any = None, blocked: str | None = None, **_: Any
    ) -> Committed:
        if reopen := _.get("reopen"):
            self.reopened.extend(reopen)
            return Committed()
        if blocked is not None:
            self.blocked.append(blocked)
            return Committed()
        self.tried.append(len(messages))
        if begun is not None:
            begun.has_begun = True
        self._refuse(self, messages)
        self.shares.append(len(messages))
        return Committed()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pause(seconds: float) -> None:
        """Takes no time."""

    monkeypatch.setattr(retry, "sleep", pause)
    monkeypatch.setattr(fold_module, "sleep", pause)


def new_fold(troubles: Troubles | None = None) -> Fold:
    outbox = Outbox("orders", {"checkout.events": 6, "orders.events": 6, "checkout.feedback": 6})
    return Fold(toy(), cast(Any, None), outbox, cast(Any, None), Metrics(), timedelta(hours=1), troubles)


def records(count: int) -> list[Any]:
    return [said(f"pay-{n}", f"A-{n}") for n in range(count)]


SYSTEMIC = [
    asyncpg.InsufficientPrivilegeError("permission denied for table order_lines"),
    asyncpg.UndefinedColumnError('column "product_name" does not exist'),
    asyncpg.DiskFullError("could not extend file"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
]


@pytest.mark.parametrize("fault", SYSTEMIC)
async def test_a_fault_of_the_whole_database_is_repeated_with_the_whole_batch(fault: Exception) -> None:
    fold = new_fold()

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        if len(database.tried) < 20:
            raise fault

    database = Database(fold, refuse)
    await fold.handle(records(7))

    assert database.blocked == []
    assert database.tried == [7] * 20
    assert database.shares == [7]


@pytest.mark.parametrize(
    "fault",
    [
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.TransactionTimeoutError("terminating connection due to transaction timeout"),
        TimeoutError(),
    ],
)
async def test_where_time_is_short_less_goes_into_a_transaction(fault: Exception) -> None:
    fold = new_fold()

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        if len(messages) > 10:
            raise fault

    database = Database(fold, refuse)
    await fold.handle(records(64))
    assert (sum(database.shares), max(database.shares), database.blocked) == (64, 8, [])

    database.tried.clear()
    await fold.handle(records(64))
    assert database.tried[0] <= 32, "it remembers how much was too much"
    assert sum(database.shares) == 128


async def test_a_connection_that_is_cut_in_each_transaction_means_that_time_is_short_too() -> None:
    """A transaction_timeout between two statements ends the session, and the client knows no reason."""
    fold = new_fold()

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        if len(messages) > 4:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    database = Database(fold, refuse)
    await fold.handle(records(16))

    assert (sum(database.shares), max(database.shares), database.blocked) == (16, 4, [])


async def test_a_single_event_that_takes_too_long_is_repeated_and_never_blocked() -> None:
    fold = new_fold()

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        if len(database.tried) < 9:
            raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")

    database = Database(fold, refuse)
    await fold.handle(records(1))

    assert (database.shares, database.blocked) == ([1], [])


async def test_what_concerns_one_row_blocks_the_key_of_one_event() -> None:
    fold = new_fold()

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        if any(message.key == "A-5" for message in messages):
            raise asyncpg.CheckViolationError("violates check constraint")

    database = Database(fold, refuse)
    await fold.handle(records(8))

    assert sum(database.shares) == 7
    assert database.blocked == ["CheckViolationError: violates check constraint"]


def refused_by(table: str, constraint: str) -> asyncpg.CheckViolationError:
    said = {"C": "23514", "M": "violates check constraint", "S": "ERROR", "t": table, "n": constraint}
    refusal = asyncpg.PostgresError.new(said)
    assert isinstance(refusal, asyncpg.CheckViolationError)
    return refusal


async def test_a_table_that_refuses_one_key_after_the_other_blocks_nobody_for_long() -> None:
    """A new constraint: two keys look like faults of their own, then it is repeated, and all goes on."""
    troubles, told = Troubles(), list[str]()
    fold = new_fold(troubles)

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        told.extend(t.text(1e9) + t.todo for t in troubles.lasting(1e9))
        if len(database.tried) < 60:
            raise refused_by("orders", "c_new")

    database = Database(fold, refuse)
    await fold.handle(records(8))

    assert len(database.blocked) == KEYS_OF_A_ROW
    assert sum(database.shares) == 8 - KEYS_OF_A_ROW
    assert database.reopened == ["A-0", "A-1"], "what was blocked on the way goes on by itself"
    assert any("one key after the other" in text and "violates check constraint" in text for text in told)
    assert troubles.lasting(1e9) == []


async def test_rows_that_are_refused_for_different_reasons_are_each_blocked() -> None:
    fold = new_fold()

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        if int(messages[0].key[2:]) < 6:
            raise refused_by("orders", f"c_{messages[0].key}")

    database = Database(fold, refuse)
    await fold.handle(records(8))

    assert len(database.blocked) == 6
    assert database.reopened == []


async def test_what_goes_well_between_says_that_the_table_is_right() -> None:
    fold = new_fold()

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        if any(int(message.key[2:]) % 2 for message in messages):
            raise refused_by("orders", "c_old")

    database = Database(fold, refuse)
    await fold.handle(records(16))

    assert (len(database.blocked), sum(database.shares)) == (8, 8)


async def test_something_else_that_goes_well_ends_the_waiting_for_a_suspected_table() -> None:
    """Two shares are handled side by side: good keys of the other one clear the table."""
    fold = new_fold()

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        if len(database.tried) == 30:
            fold._suspicion.end()
        raise refused_by("orders", "c_new")

    database = Database(fold, refuse)
    await fold.handle(records(3))

    assert len(database.blocked) == 3


async def test_health_says_what_is_wrong_and_what_to_do_until_it_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    troubles, clock, told = Troubles(), [100.0], []
    fold = new_fold(troubles)
    monkeypatch.setattr(fold_module, "monotonic", lambda: clock[0])
    monkeypatch.setattr("shared.runtime.health.monotonic", lambda: clock[0])
    health = Health("orders", [Idle()], 60, lambda: True, troubles=troubles, started=True)  # type: ignore[list-item]

    def refuse(database: Database, messages: Sequence[InboundMessage]) -> None:
        told.append(health.report())
        clock[0] += 1
        if len(database.tried) < 9:
            raise asyncpg.InsufficientPrivilegeError("permission denied for table order_lines")

    await fold_handle(fold, refuse)

    assert told[1][0], "what passes at once is nobody's business"
    well, report = told[-1]
    assert not well
    assert report["status"] == "troubled"
    assert "the database lets the service do less than it needs" in report["why"]
    assert "permission denied for table order_lines" in report["why"]
    assert "pawl migrate" in report["todo"]
    assert health.report()[0]


async def fold_handle(fold: Fold, refuse: Any) -> None:
    Database(fold, refuse)
    await fold.handle(records(3))


class Idle:
    """A consumer that has nothing to do."""

    busy_since = None
    progressed_at = 100.0

    def lag(self) -> int:
        return 0

    def answered_at(self) -> None:
        return None


def test_a_fault_is_told_once_for_a_part_and_the_oldest_first() -> None:
    troubles = Troubles()
    for number, wrong in enumerate(["disk", "disk", "right"]):
        troubles.note(number, "the handling", wrong, "mend it", "said", float(number))

    lasting = troubles.lasting(PATIENCE_SECONDS + 2)

    assert [(trouble.wrong, trouble.since) for trouble in lasting] == [("disk", 0.0), ("right", 2.0)]
    troubles.over(0)
    assert [trouble.since for trouble in troubles.lasting(PATIENCE_SECONDS + 2)] == [1.0, 2.0]


def test_a_batch_grows_again_after_shares_that_went_well() -> None:
    size = BatchSize()
    size.halve(1_000)
    assert size.most == 500
    size.grow(10)
    assert size.most == 500
    for _ in range(20):
        size.grow(size.most)
    assert size.most == MOST
    size.halve(1)
    assert size.most == 1


class TestTheSizeOfAWorker:
    def test_it_halves_when_time_is_short_and_grows_again(self) -> None:
        size = WorkSize(1_000)
        for most in (500, 250):
            size.begin()
            size.note(asyncpg.QueryCanceledError("canceling statement due to statement timeout"))
            assert size.most == most
        for done, most in ((249, 250), (250, 500), (500, 1_000), (1_000, 1_000)):
            size.grow(done)
            assert size.most == most

    def test_transactions_that_break_after_they_began_are_too_long(self) -> None:
        size = WorkSize(1_000)
        for _ in range(CUTS_BEFORE_HALVING):
            assert size.most == 1_000
            size.begin()
            size.note(asyncpg.IdleInTransactionSessionTimeoutError("said"))
        assert size.most == 500

    @pytest.mark.parametrize("trouble", [TimeoutError(), asyncpg.ConnectionDoesNotExistError("gone")])
    def test_what_keeps_it_from_beginning_says_nothing_of_its_size(self, trouble: Exception) -> None:
        size = WorkSize(1_000)
        for _ in range(10):
            size.note(trouble)
        assert size.most == 1_000

    def test_a_fault_of_another_kind_says_nothing_of_its_size(self) -> None:
        size = WorkSize(1_000)
        size.begin()
        size.note(asyncpg.InsufficientPrivilegeError("permission denied"))
        assert size.most == 1_000

    def test_it_never_ends_below_one(self) -> None:
        size = WorkSize(2)
        for _ in range(5):
            size.begin()
            size.note(asyncpg.LockNotAvailableError("said"))
        assert size.most == 1


class TestByHalves:
    async def test_what_is_too_much_at_once_is_done_in_parts_each_once(self) -> None:
        tried, done = list[int](), list[int]()

        async def work(items: Sequence[int]) -> None:
            tried.append(len(items))
            if len(items) > 3:
                raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
            done.extend(items)

        await by_halves(work, range(10))

        assert done == list(range(10))
        assert tried == [10, 5, 2, 3, 5, 2, 3]

    @pytest.mark.parametrize("trouble", [asyncpg.QueryCanceledError, asyncpg.UndefinedTableError])
    async def test_what_smaller_parts_do_not_mend_is_raised(self, trouble: type[Exception]) -> None:
        async def work(_: Sequence[int]) -> None:
            raise trouble("said")

        with pytest.raises(trouble):
            await by_halves(work, range(4))
