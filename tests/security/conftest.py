"""A whole system of its own whose broker asks for logins, talking as much as it can into its logs."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ops.local.postgres import wipe
from ops.local.running import RunningSystem, Wanted, run_system
from tests.support.patience import PATIENCE_WITH_A_START
from tests.support.servers import FOR_TESTS

SMALL_GRANT, CHUNK = 50, 100


@pytest.fixture(scope="session")
def secure_directory() -> Iterator[Path]:
    """Its run directory, open to the account that runs PostgreSQL when the tests run as root."""
    path = Path(tempfile.mkdtemp(prefix="pawl-secure-"))
    path.chmod(0o755)
    yield path
    wipe(path / "postgres")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
async def secure_system(secure_directory: Path) -> AsyncIterator[RunningSystem]:
    """As `pawl up --secure` starts it, with small chunks of serials."""
    wanted = Wanted(
        secure_directory,
        postgres_settings=FOR_TESTS,
        environment={
            "LOG_LEVEL": "debug",
            "SERIALS_SMALL_GRANT": str(SMALL_GRANT),
            "SERIALS_CHUNK": str(CHUNK),
            "SERIALS_REGISTRATION_URL": "https://register.example/s?code={serial}",
        },
        ready_seconds=PATIENCE_WITH_A_START,
        secure=True,
    )
    async with run_system(wanted) as system:
        yield system
