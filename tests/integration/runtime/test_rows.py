"""Structs as rows of a real table: what is written is read back equal, whatever its columns hold."""

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from ops.setup.provision import Database
from shared.money import NOTHING, Money
from shared.postgres import connect
from tests.support.everything import CREATE, EVERYTHING, EXAMPLE, Colour, Everything, Step, anything

AWKWARD = ("it's", '"', "\\", "\\x1f", "\x1f", "a\x1fb", "", " ", "{}", "{NULL}", "NULL", "null",
           "가나다 주식회사", "\n\t\r", "🙂", "%s $1", "a,b", "\u200b", "\x01\x7f")  # fmt: skip

CHANGED = Everything(
    **{
        **asdict(EXAMPLE),
        "text": "changed",
        "note": "a note",
        "count": -(2**62),
        "most": 3,
        "flag": False,
        "perhaps": False,
        "content": b"",
        "day": EXAMPLE.day.replace(day=24),
        "last_day": EXAMPLE.day,
        "at": EXAMPLE.at.replace(microsecond=6),
        "ended_at": EXAMPLE.at,
        "other_id": EXAMPLE.id,
        "colour": Colour.GREEN,
        "next_colour": Colour.RED,
        "side": "right",
        "next_side": "left",
        "paid": Money(-1, 0),
        "refund": NOTHING,
        "ids": (),
        "members": frozenset({"가", "b c"}),
        "document": {},
        "steps": (Step("paid", EXAMPLE.at), Step("refunded", None)),
    }
)
"""The same row with every column that may change changed."""


@pytest.fixture(scope="module")
async def session(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A session as a service has it, with the table of this module."""
    session = await connect(database.admin_url, "orders")
    await session.execute(CREATE)
    yield session
    await session.close()


@pytest.fixture
async def table(session: asyncpg.Connection) -> asyncpg.Connection:
    """The session, its table empty."""
    await session.execute("TRUNCATE everything")
    return session


async def stored(session: asyncpg.Connection, key: str | None = None) -> list[Everything]:
    query = "SELECT * FROM everything WHERE $1::text IS NULL OR key = $1 ORDER BY key, number"
    rows = await session.fetch(query, key)
    return [EVERYTHING.read(row) for row in rows]


def test_the_change_changes_every_column_that_may_change() -> None:
    before, after = EVERYTHING.row(EXAMPLE), EVERYTHING.row(CHANGED)
    same = {c.name for c, old, new in zip(EVERYTHING.columns, before, after, strict=True) if old == new}
    assert same == {column.name for column in EVERYTHING.columns if column.is_fixed}


@pytest.mark.parametrize("value", [EXAMPLE, CHANGED], ids=["mostly null", "nothing null"])
async def test_what_is_inserted_is_read_back(table: asyncpg.Connection, value: Everything) -> None:
    await EVERYTHING.save(table, [(value, None)])

    assert await stored(table) == [value]


@pytest.mark.parametrize(
    ("before", "after"), [(EXAMPLE, CHANGED), (CHANGED, EXAMPLE)], ids=["to values", "to null"]
)
async def test_every_column_that_may_change_is_updated_in_its_own_row(
    table: asyncpg.Connection, before: Everything, after: Everything
) -> None:
    others = [replace(before, number=8), replace(before, key="A-2")]
    await EVERYTHING.save(table, [(before, None), *((other, None) for other in others)])

    await EVERYTHING.save(table, [(after, before), *((other, other) for other in others)])

    assert await stored(table) == [after, *others]


async def test_rows_of_one_update_keep_their_own_values(table: asyncpg.Connection) -> None:
    """Lists of different lengths, nulls beside values: each column travels as one argument for all rows."""
    before = [replace(EXAMPLE, number=number) for number in range(4)]
    after = [
        replace(before[0], ids=("a",), note=None, refund=Money(1, 0), steps=()),
        replace(before[1], ids=(), note="", refund=None, steps=None, members=frozenset()),
        replace(before[2], ids=tuple("abcdefgh"), note="null", refund=NOTHING),
        replace(before[3], flag=False, colour=Colour.GREEN, paid=Money(0, 7)),
    ]
    await EVERYTHING.save(table, [(value, None) for value in before])

    await EVERYTHING.save(table, list(zip(after, before, strict=True)))

    assert await stored(table) == after


async def test_new_and_changed_rows_are_saved_together(table: asyncpg.Connection) -> None:
    await EVERYTHING.save(table, [(EXAMPLE, None)])
    new = replace(EXAMPLE, number=8)

    await EVERYTHING.save(table, [(new, None), (CHANGED, EXAMPLE)])

    assert await stored(table) == [CHANGED, new]


async def test_a_row_that_is_put_is_inserted_or_changed_but_for_what_is_fixed(
    table: asyncpg.Connection,
) -> None:
    new = replace(CHANGED, key="A-2")
    await EVERYTHING.put(table, [EXAMPLE])

    await EVERYTHING.put(table, [new, replace(CHANGED, origin="elsewhere", price=NOTHING)])

    assert await stored(table) == [CHANGED, new]


async def test_a_row_that_is_there_is_not_inserted_again(table: asyncpg.Connection) -> None:
    await EVERYTHING.save(table, [(EXAMPLE, None)])

    with pytest.raises(asyncpg.UniqueViolationError):
        await EVERYTHING.save(table, [(replace(EXAMPLE, number=8), None), (CHANGED, None)])

    assert await stored(table) == [EXAMPLE]


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
async def test_text_may_hold_everything_but_nul(table: asyncpg.Connection, text: str) -> None:
    value = replace(EXAMPLE, origin=text)
    changed = replace(value, text=text, note=text, document={text: [text]}, steps=(Step(text, None),))
    await EVERYTHING.save(table, [(value, None)])

    await EVERYTHING.save(table, [(changed, value)])
    assert await stored(table) == [changed]

    await EVERYTHING.put(table, [replace(changed, note=f"{text}{text}")])
    assert await stored(table) == [replace(changed, note=f"{text}{text}")]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=4))
async def test_whatever_is_inserted_updated_and_put_is_read_back(
    session: asyncpg.Connection, stories: Sequence[tuple[Everything, Everything]]
) -> None:
    key = str(uuid4())
    first = [replace(value, key=key, number=place) for place, (value, _) in enumerate(stories)]
    later = [_with_fixed_of(before, value) for before, (_, value) in zip(first, stories, strict=True)]

    await EVERYTHING.save(session, [(value, None) for value in first])
    assert await stored(session, key) == first
    await EVERYTHING.save(session, list(zip(later, first, strict=True)))
    assert await stored(session, key) == later
    await EVERYTHING.put(session, first)
    assert await stored(session, key) == first


def _with_fixed_of(before: Everything, value: Everything) -> Everything:
    return replace(
        value, key=before.key, number=before.number, id=before.id, price=before.price, origin=before.origin
    )
