"""Gauges of what needs somebody: what `pawl todo` counts, for alerts and dashboards."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from shared.operators.todo import Group

FRESH: Final = timedelta(seconds=10)
"""So long a list counts: who scrapes more often, or from several places, costs the database nothing more."""
LABELS: Final = ("cause", "who")


class TodoGauges:
    """What needs somebody in one service, by cause and by who must act.

    Every process of a service tells the same: take one of them (`max by (service, cause, who)`), never the
    sum. A cause that is gone has no series any more. Reasons are no label: some are free text of others.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, says: str) -> Gauge:
            return Gauge(f"pawl_todo_{name}", says, LABELS, registry=registry)

        self._things = gauge("things", "Things that need somebody.")
        self._overdue = gauge("overdue", "Those of them that are past their due instant.")
        self._won = gauge("won", "Won that wait with them; negative where they are missing.")
        self._since = gauge("since_timestamp_seconds", "Since when the oldest of them waits.")
        self._due = gauge("due_timestamp_seconds", "The next due instant among them.")
        self._read_at = Gauge("pawl_todo_read_timestamp_seconds", "When this was read.", registry=registry)
        self._shown_at: datetime | None = None

    async def keep_fresh(self, read: Callable[[], Awaitable[Iterable[Group]]], at: datetime) -> None:
        """Shows the list of this instant, unless the one that is shown is fresh.

        Whatever `read` raises changes nothing.
        """
        if self._shown_at is None or not timedelta(0) <= at - self._shown_at < FRESH:
            self.show(await read(), at)

    def show(self, groups: Iterable[Group], at: datetime) -> None:
        """Takes the place of what was shown before; all of it at once, so that no scrape sees a part."""
        for gauge in (self._things, self._overdue, self._won, self._since, self._due):
            gauge.clear()
        of_cause: dict[tuple[str, str], list[Group]] = {}
        for group in groups:
            of_cause.setdefault((group.code, group.who), []).append(group)
        for labels, together in of_cause.items():
            self._things.labels(*labels).set(sum(group.count for group in together))
            self._overdue.labels(*labels).set(sum(group.overdue for group in together))
            self._since.labels(*labels).set(min(group.since for group in together).timestamp())
            won = [group.won for group in together if group.won is not None]
            if won:
                self._won.labels(*labels).set(sum(won))
            dues = [group.due for group in together if group.due is not None]
            if dues:
                self._due.labels(*labels).set(min(dues).timestamp())
        self._read_at.set(at.timestamp())
        self._shown_at = at
