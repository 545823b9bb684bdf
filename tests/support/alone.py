"""A system for one test or module only, on servers that the session does not share, with a checkout."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ops.audit.check import audit
from ops.local.running import RunningSystem, Wanted, run_system
from ops.shell.run_directory import RunDirectory
from tests.support.audit import violations
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE, PATIENCE_WITH_A_START


@asynccontextmanager
async def services_on(
    folder: RunDirectory, kafka: str, postgres: str, **environment: str
) -> AsyncIterator[tuple[RunningSystem, Checkout]]:
    """The four services on these servers, and a checkout that listens from now on."""
    wanted = Wanted(
        folder.path,
        kafka=kafka,
        postgres=postgres,
        environment={"LOG_LEVEL": "warning", **environment},
        ready_seconds=PATIENCE_WITH_A_START,
    )
    async with run_system(wanted) as system:
        checkout = Checkout(kafka, system.database)
        await checkout.start()
        yield system, checkout
        await checkout.stop()


async def assert_all_is_well(system: RunningSystem, checkout: Checkout) -> None:
    """Everything is quiet, and every promise is kept."""
    await checkout.drain()
    assert (found := await violations(checkout)) == [], found
    report = await audit(system.system, settle=PATIENCE)
    assert report.violations == [], report.violations
    assert report.settled
