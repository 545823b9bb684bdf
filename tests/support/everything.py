"""A struct with a field of every kind that `shared.rows` knows, its table, and any values of it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from hypothesis import strategies as st
from msgspec import Struct

from shared.columns import FIXED, JSON, Apart, Columns, Fixed
from shared.money import Money
from shared.rows import Table


class Colour(StrEnum):
    """A closed set of words."""

    RED = "red"
    GREEN = "green"


class Step(Struct, frozen=True):
    """A value inside of JSON."""

    name: str
    at: datetime | None


class Everything(Struct, frozen=True):
    """The key is two columns; what follows `origin` changes."""

    key: Fixed[str]
    number: int
    id: Fixed[UUID]
    price: Annotated[Money, FIXED, Columns("supply", "vat")]
    origin: Fixed[str]
    text: str
    note: str | None
    count: int
    most: int | None
    flag: bool
    perhaps: bool | None
    content: bytes
    day: date
    last_day: date | None
    at: datetime
    ended_at: datetime | None
    other_id: UUID | None
    colour: Colour
    next_colour: Colour | None
    side: Literal["left", "right"]
    next_side: Literal["left", "right"] | None
    paid: Annotated[Money, Columns("paid_supply", "paid_vat")]
    refund: Annotated[Money | None, Columns("refund_supply", "refund_vat")]
    ids: tuple[str, ...]
    members: frozenset[str]
    document: dict[str, Any]
    steps: Annotated[tuple[Step, ...] | None, JSON]
    children: Apart[Mapping[str, int]] = {}


EVERYTHING = Table(Everything, "everything", key=("key", "number"))
CREATE = """
    CREATE TEMPORARY TABLE everything (
        recorded_at   timestamptz NOT NULL DEFAULT now(),
        key           text NOT NULL,
        number        integer NOT NULL,
        id            uuid NOT NULL,
        supply        bigint NOT NULL,
        vat           bigint NOT NULL,
        origin        text NOT NULL,
        text          text NOT NULL,
        note          text,
        count         bigint NOT NULL,
        most          integer,
        flag          boolean NOT NULL,
        perhaps       boolean,
        content       bytea NOT NULL,
        day           date NOT NULL,
        last_day      date,
        at            timestamptz NOT NULL,
        ended_at      timestamptz,
        other_id      uuid,
        colour        text NOT NULL,
        next_colour   text,
        side          text NOT NULL,
        next_side     text,
        paid_supply   bigint NOT NULL,
        paid_vat      bigint NOT NULL,
        refund_supply bigint,
        refund_vat    bigint,
        ids           text[] NOT NULL,
        members       text[] NOT NULL,
        document      json NOT NULL,
        steps         json,
        PRIMARY KEY (key, number)
    )
"""
"""In another order than the fields, with a column that the struct does not have."""

_integers, _bigints = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_ids = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
_instants = st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
_money = st.builds(Money, _bigints, _bigints)
_json = st.recursive(
    st.none() | st.booleans() | _bigints | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
anything = st.builds(
    Everything,
    key=_ids,
    number=_integers,
    id=st.uuids(),
    price=_money,
    origin=_texts,
    text=_texts,
    note=st.none() | _texts,
    count=_bigints,
    most=st.none() | _integers,
    flag=st.booleans(),
    perhaps=st.none() | st.booleans(),
    content=st.binary(max_size=20),
    day=st.dates(date(1900, 1, 1), date(2999, 12, 31)),
    last_day=st.none() | st.dates(date(1900, 1, 1), date(2999, 12, 31)),
    at=_instants,
    ended_at=st.none() | _instants,
    other_id=st.none() | st.uuids(),
    colour=st.sampled_from(Colour),
    next_colour=st.none() | st.sampled_from(Colour),
    side=st.sampled_from(["left", "right"]),
    next_side=st.none() | st.sampled_from(["left", "right"]),
    paid=_money,
    refund=st.none() | _money,
    ids=st.lists(_ids, max_size=4).map(tuple),
    members=st.frozensets(_ids, max_size=4),
    document=st.dictionaries(_texts, _json, max_size=3),
    steps=st.none() | st.lists(st.builds(Step, _texts, st.none() | _instants), max_size=3).map(tuple),
)
"""Any value that Postgres can hold: text without NUL, ids without control characters."""

EXAMPLE = Everything(
    key="A-1",
    number=7,
    id=UUID("0199f0c1-0000-7c11-9a51-2f6f3f3c1b01"),
    price=Money(1_600, 160),
    origin="checkout",
    text='it\'s "quoted", a \\ and a \x1f; 가나다',
    note=None,
    count=2**40,
    most=None,
    flag=True,
    perhaps=None,
    content=b"\x00\xff",
    day=date(2026, 10, 23),
    last_day=None,
    at=datetime(2026, 10, 23, 0, 0, 1, 5, tzinfo=UTC),
    ended_at=None,
    other_id=None,
    colour=Colour.RED,
    next_colour=None,
    side="left",
    next_side=None,
    paid=Money(800, 80),
    refund=None,
    ids=("b", "a", "b"),
    members=frozenset({"z", "y"}),
    document={"name": "가나다 주식회사", "lines": [1, None]},
    steps=None,
)
