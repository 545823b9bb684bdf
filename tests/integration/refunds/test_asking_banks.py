"""The bank is asked outside of the transaction, and its answer decided under the lock, on a real database."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from ops.setup.provision import Database
from services.refunds.asking_banks import check_some
from services.refunds.holder_check import HttpHolderCheck
from services.refunds.state import Policy
from services.refunds.store import Store
from shared.postgres import open_pool
from shared.queries import load
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from shared.sealing import Sealer
from tests.integration.refunds.conftest import StoredDesk
from tests.support.bank import Bank, open_bank
from tests.support.tabletop import PARTITIONS

KNOWN = ("088", "110123456789")
NUMBER = "1168200276"


@pytest.fixture
def store() -> Store:
    return Store(Sealer(b"k" * 32, "test"), Policy(asks_bank=True))


@pytest.fixture
async def surroundings(database: Database, connection: asyncpg.Connection) -> AsyncIterator[Surroundings]:
    pool = await open_pool(database.service_url("refunds"), "refunds", 4)
    yield Surroundings(pool, Outbox("refunds", PARTITIONS))
    await pool.close()


@pytest.fixture
def bank() -> Iterator[Bank]:
    with open_bank() as bank:
        bank.accounts[KNOWN] = NUMBER
        yield bank


@pytest.fixture
async def held(desk: StoredDesk) -> StoredDesk:
    """A desk with a refund that waits for the bank."""
    async with desk.at_work():
        desk.paid()
    async with desk.at_work():
        desk.asked(40)
    assert desk.refund.why == "holder_check"
    return desk


async def check(surroundings: Surroundings, store: Store, bank: Bank) -> int:
    return await check_some(surroundings, store, HttpHolderCheck(bank.url, "", 5))


async def standing(connection: asyncpg.Connection) -> tuple[Any, ...]:
    return tuple(await connection.fetchrow("SELECT state, why FROM refunds"))


async def told(connection: asyncpg.Connection) -> list[str]:
    return [row["type"] for row in await connection.fetch("SELECT type FROM outbox ORDER BY id DESC LIMIT 1")]


async def test_a_match_goes_on_to_orders(
    held: StoredDesk, surroundings: Surroundings, store: Store, bank: Bank, connection: asyncpg.Connection
) -> None:
    assert await check(surroundings, store, bank) == 1

    assert bank.asked == [{"bank_code": KNOWN[0], "account_number": KNOWN[1], "business_number": NUMBER}]
    assert await standing(connection) == ("accepted", None)
    assert await told(connection) == ["refund.accepted.v1"]
    assert await check(surroundings, store, bank) == 0


@pytest.mark.parametrize(
    ("number", "expected"),
    [("1348672683", ("held", "holder_mismatch")), (None, ("rejected", "no_such_account"))],
)
async def test_what_the_bank_does_not_confirm(
    held: StoredDesk,
    surroundings: Surroundings,
    store: Store,
    bank: Bank,
    connection: asyncpg.Connection,
    number: str | None,
    expected: tuple[str, str],
) -> None:
    bank.accounts.clear()
    if number is not None:
        bank.accounts[KNOWN] = number

    await check(surroundings, store, bank)

    assert await standing(connection) == expected
    mismatch = await connection.fetchval("SELECT mismatch FROM refunds")
    assert mismatch == ("not_confirmed" if expected[0] == "held" else None)


async def test_a_bank_that_is_down_is_asked_again_later_and_the_refund_goes_on_then(
    held: StoredDesk,
    surroundings: Surroundings,
    store: Store,
    bank: Bank,
    connection: asyncpg.Connection,
    owner: asyncpg.Connection,
) -> None:
    bank.faults.append("down")

    assert await check(surroundings, store, bank) == 1
    assert await standing(connection) == ("held", "holder_check")
    assert await check(surroundings, store, bank) == 0, "its minute is not over"

    await owner.execute("UPDATE refund_history SET recorded_at = recorded_at - interval '61 seconds'")
    assert await check(surroundings, store, bank) == 1
    assert await standing(connection) == ("accepted", None)


async def test_an_operator_who_decides_while_the_bank_is_asked_is_not_overruled(
    held: StoredDesk, surroundings: Surroundings, store: Store, bank: Bank, connection: asyncpg.Connection
) -> None:
    class Slow:
        """A bank that answers after somebody has decided."""

        async def ask(self, *_: Any) -> Any:
            async with held.at_work():
                held.reviewed("reject", note="requester_withdrew")
            return "match"

    await check_some(surroundings, store, Slow())

    assert await standing(connection) == ("rejected", "requester_withdrew")
    assert await connection.fetchval("SELECT count(*) FROM outbox WHERE type = 'refund.accepted.v1'") == 0


async def test_an_order_whose_business_number_is_not_known_waits_for_an_operator(
    held: StoredDesk, surroundings: Surroundings, store: Store, bank: Bank, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE orders SET business_number = NULL")

    await check(surroundings, store, bank)

    assert bank.asked == []
    assert await standing(connection) == ("held", "holder_check")


async def test_what_the_bank_says_is_the_step_of_no_person(
    held: StoredDesk, surroundings: Surroundings, store: Store, bank: Bank, connection: asyncpg.Connection
) -> None:
    await check(surroundings, store, bank)

    assert await connection.fetchval("SELECT count(*) FROM refund_history WHERE actor = 'bank'") == 1
    assert await connection.fetch(load("ops.audit").refunds_audited, 10) == []
