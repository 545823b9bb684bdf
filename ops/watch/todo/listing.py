"""The lists of the four services put together, also while a service or its database is away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import services.invoices.todo
import services.orders.todo
import services.refunds.todo
import services.serials.todo
from ops.shell.databases import Where, read_each
from shared.operators.reading import read_todo
from shared.operators.todo import Cause, Group, Moment, most_urgent_first, todo_document
from shared.queries import load

CAUSES: Final[Mapping[str, Sequence[Cause]]] = {
    "orders": services.orders.todo.TODO,
    "serials": services.serials.todo.TODO,
    "refunds": services.refunds.todo.TODO,
    "invoices": services.invoices.todo.TODO,
}
"""What each service says of itself."""


@dataclass(slots=True)
class Todo:
    """What needs somebody, the most urgent first. `unreadable`: by service, why its schema was not read."""

    groups: list[Group] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def to_document(self, now: datetime) -> dict[str, Any]:
        """The JSON document of `pawl todo --json`."""
        return {**todo_document(self.groups, now), "unreadable": self.unreadable}


async def read_everything(where: Where, moment: Moment) -> Todo:
    """The list over all services. Raises Problem only when no database is known."""

    async def read(service: str, connection: Any) -> list[Group]:
        return await read_todo(connection, load(f"services.{service}"), CAUSES[service], moment)

    groups, unreadable = await read_each(where, read)
    return Todo(most_urgent_first(group for each in groups.values() for group in each), unreadable)
