"""How `pawl lag` tells what a service has not read from what it cannot read yet."""

from io import StringIO

import pytest
from rich.console import Console

from ops.watch import lag
from ops.watch.lag import Backlog, ServiceLag, print_lag
from ops.watch.living import ALIVE, Life


class Topics:
    """Stands for the topics: three unread events of checkout, two more behind an open transaction."""

    async def __aenter__(self) -> "Topics":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def ages(self) -> dict[str, dict[str, float]]:
        return {"orders": {"checkout.events": 1.5, "serials.events": 0.0}}

    async def lags(self) -> dict[str, dict[str, int]]:
        return {"orders": {"checkout.events": 3, "serials.events": 0}}

    async def held(self) -> dict[str, int]:
        return {"checkout.events": 2, "serials.events": 0}


async def test_what_an_open_transaction_holds_is_no_lag_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "reading_topics", lambda kafka: Topics())
    orders = ServiceLag(Backlog(0.0, 0), {}, 0)

    await lag._read_topics("127.0.0.1:1", {"orders": orders})

    assert orders.reading == Backlog(1.5, 3)
    assert orders.held == {"checkout.events": 2}
    console = Console(file=StringIO(), width=80)
    print_lag(console, {"orders": orders}, {"orders": Life(ALIVE)})
    assert console.file.getvalue().splitlines()[1:] == [  # type: ignore[attr-defined]
        "          checkout.events: 1.5 s, 3 events",
        "          checkout.events: 2 more behind a transaction that is still open",
    ]
