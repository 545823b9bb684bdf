"""A service of the last release at work over this schema: it leaves what it does not know as it is."""

import pytest

from tests.integration.orders.conftest import StoredDesk
from tests.unit.orders.builders import line, payment


@pytest.mark.parametrize(("refunding", "consumed"), [(1, 500), (0, 0)])
async def test_what_was_used_up_goes_when_an_older_service_gives_all_units_back(
    desk: StoredDesk, refunding: int, consumed: int
) -> None:
    await desk.take(payment(line("1")))
    await desk.connection.execute("UPDATE order_lines SET refunding = 2, consumed = 500")

    await desk.connection.execute("UPDATE order_lines SET refunding = $1", refunding)

    assert await desk.connection.fetchval("SELECT consumed FROM order_lines") == consumed
