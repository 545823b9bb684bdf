"""Fixtures of tests on the whole system: one a session, quiet and correct after each test."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import orjson
import pytest

from ops.local.running import RunningSystem
from ops.setup.provision import Database
from ops.shell.http_client import fetch
from ops.shell.tokens import token_of
from tests.support.alone import assert_all_is_well
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE
from tests.support.servers import empty_all_tables, empty_all_topics


@pytest.fixture(scope="session")
def impatient_policies() -> Iterator[None]:
    """Deposits expire a second after their deadline, so that a test need not wait for it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ORDERS_EXPIRY_GRACE_SECONDS", "1")
        environment.setenv("ORDERS_EXPIRY_POLL_SECONDS", "0.2")
        environment.setenv("LOG_LEVEL", "warning")
        yield


@pytest.fixture(scope="session")
async def empty_tables(database: Database) -> None:
    """What earlier tests left in the tables without any event is gone before the services begin."""
    connection = await asyncpg.connect(database.admin_url)
    await empty_all_tables(connection)
    await connection.close()


@pytest.fixture(scope="session")
async def empty_topics(kafka: str) -> None:
    """What earlier tests published from tables that are empty by now is gone from the topics as well."""
    await empty_all_topics(kafka)


@pytest.fixture(scope="session")
async def system(
    impatient_policies: None, empty_tables: None, empty_topics: None, running: RunningSystem
) -> RunningSystem:
    """The four services on empty tables and topics."""
    return running


@pytest.fixture(scope="session")
async def listening_checkout(
    system: RunningSystem, kafka: str, database: Database
) -> AsyncIterator[Checkout]:
    checkout = Checkout(kafka, database)
    await checkout.start()
    yield checkout
    await checkout.stop()


@pytest.fixture
async def checkout(listening_checkout: Checkout, system: RunningSystem) -> AsyncIterator[Checkout]:
    """The session's checkout. After the test everything is quiet, and every promise is kept."""
    yield listening_checkout
    await assert_all_is_well(system, listening_checkout)


@pytest.fixture
async def close_month(system: RunningSystem) -> Any:
    """Closes a month as finance does: `await close_month("2040-01", at)`, `despite` refunds in progress."""

    async def close(month: str, at: str, *, despite: bool = False) -> dict[str, Any]:
        url = f"{system.system.service('invoices').base_url}/v1/months/{month}/close"
        token = token_of(system.system, "invoices:approve")
        said = {"at": at, "reason": "a test", "despite_open_refunds": despite}
        answer = await fetch(url, orjson.dumps(said), PATIENCE, token)
        assert answer.status == 200, answer.text
        return dict(orjson.loads(answer.text))

    return close
