"""What the console keeps: samples that several consoles take once, and thresholds with who and why."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from console.keeping import KEPT_FOR, Keeping, Sample
from console.reading import Reader, limited
from console.sampling import sample
from ops.setup.provision import Database
from ops.shell.system import System
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.migrations import CONSOLE
from shared.operators.todo import Thresholds
from shared.postgres import open_pool

AT = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
async def pool(database: Database, admin: Any) -> AsyncIterator[Any]:
    await admin.execute("DELETE FROM console.lag_samples; DELETE FROM console.thresholds")
    pool = await open_pool(database.console_url, CONSOLE, 4)
    yield pool
    await pool.close()


@pytest.fixture
def keeping(pool: Any) -> Keeping:
    return Keeping(pool)


def reader_of(url: str, keeping: Keeping) -> Reader:
    return Reader(System(directory=Path(), ops_url=limited(url)), Thresholds(), keeping)


def samples_at(at: datetime) -> list[Sample]:
    return [Sample(at, service, 1.5, None) for service in SERVICES]


async def test_of_several_consoles_one_takes_each_turn(keeping: Keeping) -> None:
    begun = await asyncio.gather(*(keeping.begin_sample(AT) for _ in range(8)))

    assert sorted(begun) == [*[False] * 7, True]


async def test_two_consoles_leave_one_sample_of_each_service(database: Database, keeping: Keeping) -> None:
    readers = [reader_of(database.ops_url, keeping) for _ in range(2)]

    assert await asyncio.gather(*(sample(each, keeping) for each in readers)) == [True, True]

    turns: dict[datetime, list[str]] = {}
    for each in await keeping.samples(now() - timedelta(minutes=5)):
        turns.setdefault(each.taken_at, []).append(each.service)
    assert all(sorted(services) == sorted(SERVICES) for services in turns.values())
    assert any(each.publishing is not None for each in await keeping.samples(LONG_AGO))


async def test_an_hour_is_kept_and_nothing_older(keeping: Keeping) -> None:
    for at in (AT - KEPT_FOR - timedelta(seconds=30), AT - timedelta(minutes=59), AT):
        await keeping.begin_sample(at)
        await keeping.end_sample(samples_at(at))

    kept = await keeping.samples(LONG_AGO)

    assert {each.taken_at for each in kept} == {AT - timedelta(minutes=59), AT}
    assert {(each.reading, each.publishing) for each in kept} == {(1.5, None)}


async def test_while_databases_are_away_there_is_no_sample_and_nothing_breaks(keeping: Keeping) -> None:
    away = reader_of("postgresql://nobody@127.0.0.1:1/pawl", keeping)

    assert not await sample(away, keeping)
    assert {each.publishing for each in await keeping.samples(LONG_AGO)} == {None}


async def test_the_newest_choice_of_a_threshold_counts_and_all_of_them_are_kept(
    database: Database, keeping: Keeping
) -> None:
    reader = reader_of(database.ops_url, keeping)
    await keeping.choose({"waiting": timedelta(minutes=45), "grant": timedelta(hours=2)}, "kim", "a sale")
    await keeping.choose({"waiting": None}, "lee", "it is over")

    assert await reader.thresholds() == Thresholds(grant=timedelta(hours=2))
    assert [(each.name, each.person, each.reason) for each in await keeping.choices()] == [
        ("waiting", "lee", "it is over"),
        ("grant", "kim", "a sale"),
        ("waiting", "kim", "a sale"),
    ]


@pytest.mark.parametrize("statement", ["DELETE FROM thresholds", "UPDATE thresholds SET person = 'x'"])
async def test_who_chose_what_cannot_be_changed(pool: Any, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)
