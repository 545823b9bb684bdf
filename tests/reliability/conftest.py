"""A load of many small orders, for tests that disturb the system while it works."""

from collections.abc import Awaitable, Callable

import pytest

from tests.support.driver import Checkout
from tests.support.load import Load

Begin = Callable[..., Awaitable[Load]]


@pytest.fixture
def begin(checkout: Checkout) -> Begin:
    """Begins a load of so many orders: `load = await begin(1000)`."""

    async def begin_load(orders: int) -> Load:
        load = Load(checkout, orders)
        await load.begin()
        return load

    return begin_load
