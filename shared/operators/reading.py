"""Asks the database what needs somebody and what a word names, with the statements of the service."""

from collections.abc import Iterable
from typing import Any

from shared.operators.finding import MOST, Found, Look, Word, once
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


async def find(connection: Any, sql: Queries, looks: Iterable[Look], word: Word) -> list[Found]:
    """What the word names in one service; at most so many things (`MOST`) of each look.

    `connection` is as for `read_todo`, `sql` is the service's catalogue, `looks` its `FIND`.
    """
    found: list[Found] = []
    for look in looks:
        arguments = look.arguments(word)
        if arguments is not None:
            statement = getattr(EVERY_SERVICE if look.query in EVERY_SERVICE else sql, look.query)
            rows = await connection.fetch(statement, *arguments)
            found += [look.found(row) for row in rows[:MOST]]
    return once(found)
