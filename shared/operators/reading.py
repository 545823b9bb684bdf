"""Asks the database what needs somebody, with the service's statements and those that every service has."""

from collections.abc import Iterable
from typing import Any

from shared.operators.todo import Cause, Group, Moment, most_urgent_first
from shared.queries import Queries, load

EVERY_SERVICE = load(__file__)


async def read_todo(connection: Any, sql: Queries, causes: Iterable[Cause], moment: Moment) -> list[Group]:
    """What needs somebody in one service, the most urgent first.

    `connection` has the service's schema in front, and any role that reads it. `sql` is the service's
    catalogue, `causes` its `TODO`.
    """
    groups: list[Group] = []
    for cause in causes:
        statement = getattr(EVERY_SERVICE if cause.query in EVERY_SERVICE else sql, cause.query)
        groups += cause.groups(await connection.fetch(statement, *cause.arguments(moment)), moment)
    return most_urgent_first(groups)
