"""The values of a struct as rows of a table: one column for each field, named like it.

    class Line(Struct, frozen=True):
        order_id: Fixed[str]
        line_id: Fixed[str]
        price: Annotated[Money, Columns("supply", "vat")]
        issued: int = 0

    LINES = Table(Line, "order_lines", key=("order_id", "line_id"))

So a column stands in two places: in the struct, and in the migration that makes it. The table writes what is
new with COPY and what changed with one UPDATE, and makes structs of rows again, whatever the order of their
columns.
"""

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from operator import attrgetter, itemgetter
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from shared.columns import APART, FIXED, JSON, Columns
from shared.postgres import UNIT_SEPARATOR, Connection, copy_rows, packed

K = TypeVar("K")
T = TypeVar("T", bound=Struct)


class Column(NamedTuple):
    """One column as the database knows it.

    `is_packed`: in an UPDATE its values travel as one text (see `shared.postgres.packed`). `is_list`: each of
    its values is a list of ids.
    """

    name: str
    type: str
    is_fixed: bool
    is_packed: bool = False
    is_list: bool = False


class _Field(NamedTuple):
    """How one field becomes values of columns and back.

    `encode` and `decode` are None where a column holds the value as it is. `is_tuple`: `encode` gives the
    values of all of its columns, and `decode` takes them.
    """

    name: str
    columns: tuple[Column, ...]
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    is_tuple: bool = False


class Table(Generic[T]):
    """A table whose rows are the values of one struct. `key` names its primary key, all of them fixed."""

    def __init__(self, struct: type[T], name: str, key: tuple[str, ...]) -> None:
        self.name = name
        self.key = key
        self._struct = struct
        hints = _hints(struct)
        self._fields = [_field(*hint, key) for hint in hints if not _is_apart(hint[1])]
        if any(_is_apart(hint) for _, hint in hints[: len(self._fields)]):
            raise TypeError(f"{struct.__name__}: the fields without a column stand last")
        self.columns = tuple(column for each in self._fields for column in each.columns)
        self.changing = tuple(c for c in self.columns if not c.is_fixed)
        self._columns_of = _getter(itemgetter, [column.name for column in self.columns])
        # From the last place to the first, so that a place stays true when what follows it grows or shrinks.
        self._encoders = [
            (place, each.encode, each.is_tuple)
            for place, each in reversed(list(enumerate(self._fields)))
            if each.encode
        ]
        self._decoders = [(place, each) for place, each in _places(self._fields) if each.decode]
        self._fixed_of = self._some_of(fixed=True)
        self._changing_of = self._some_of(fixed=False)
        self._update_columns = (*(c for c in self.columns if c.name in key), *self.changing)
        self.update = _update(name, key, self._update_columns) if self.changing else ""
        self.upsert = _upsert(name, key, self.columns)

    @property
    def statements(self) -> Mapping[str, str]:
        """The statements that it may send, by name."""
        update = {f"update_{self.name}": self.update} if self.update else {}
        return {**update, f"upsert_{self.name}": self.upsert}

    def read(self, row: Mapping[str, Any]) -> T:
        """The value of a row; columns that the struct does not have are left aside."""
        values = self._columns_of(row)
        if not self._decoders:
            return self._struct(*values)
        fields = list(values)
        for place, each in self._decoders:
            assert each.decode is not None
            if each.is_tuple:
                end = place + len(each.columns)
                fields[place:end] = [each.decode(fields[place:end])]
            else:
                fields[place] = each.decode(fields[place])
        return self._struct(*fields)

    def row(self, value: T) -> list[Any]:
        """The values of the columns, in their order."""
        values = list(astuple(value))
        del values[len(self._fields) :]
        for place, encode, is_tuple in self._encoders:
            if is_tuple:
                values[place : place + 1] = encode(values[place])
            else:
                values[place] = encode(values[place])
        return values

    def has_others(self, now: Mapping[K, T], before: Mapping[K, T]) -> bool:
        """Whether rows of `before` cannot become those of `now`: one is gone, or has other fixed columns."""
        return now is not before and any(
            key not in now or self._fixed_of(now[key]) != self._fixed_of(value)
            for key, value in before.items()
        )

    async def save(self, connection: Connection, pairs: Iterable[tuple[T, T | None]]) -> None:
        """Writes values that are new (their pair is None) and those whose columns differ from before.

        Raises AssertionError when a fixed field was changed.
        """
        new, moved = [], []
        for value, before in pairs:
            if before is None:
                new.append(self.row(value))
            elif value is not before and self._differs(value, before):
                moved.append(self.row(value))
        if new:
            await copy_rows(connection, self.name, [column.name for column in self.columns], new)
        if moved:
            await connection.execute(self.update, *self._parameters(moved))

    async def put(self, connection: Connection, values: Iterable[T]) -> None:
        """Inserts rows, or changes those whose key is there; in the order given."""
        rows = [self.row(value) for value in values]
        if rows:
            columns = zip(self.columns, zip(*rows, strict=True), strict=True)
            await connection.execute(self.upsert, *(_array(column, each) for column, each in columns))

    def _differs(self, value: T, before: T) -> bool:
        assert self._fixed_of(value) == self._fixed_of(before), f"a fixed column of {self.name} was changed"
        return bool(self._changing_of(value) != self._changing_of(before))

    def _parameters(self, rows: Iterable[list[Any]]) -> Iterator[Any]:
        by_name = dict(zip(self.columns, zip(*rows, strict=True), strict=True))
        for column in self._update_columns:
            values = by_name[column]
            yield packed(map(str, values)) if column.is_packed else _array(column, values)

    def _some_of(self, *, fixed: bool) -> Callable[[T], Any]:
        names = [each.name for each in self._fields if each.columns[0].is_fixed is fixed]
        return attrgetter(*names) if names else lambda value: ()


def pairs(now: Mapping[K, T], before: Mapping[K, T]) -> Iterator[tuple[T, T | None]]:
    """Each value as it is now beside what it was; None where there was none."""
    for key, value in now.items():
        yield value, before.get(key)


def _array(column: Column, values: Iterable[Any]) -> list[Any]:
    """An array argument. A list of ids is one text: arrays of arrays would all need one length."""
    return [UNIT_SEPARATOR.join(value) for value in values] if column.is_list else list(values)


def _hints(struct: type) -> list[tuple[str, Any]]:
    hints = get_type_hints(struct, include_extras=True)
    return [(name, hints[name]) for name in struct.__struct_fields__]  # type: ignore[attr-defined]


def _is_apart(hint: Any) -> bool:
    return get_origin(hint) is Annotated and APART in get_args(hint)[1:]


def _field(name: str, hint: Any, key: tuple[str, ...]) -> _Field:
    notes: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        notes = tuple(rest)
    is_fixed = FIXED in notes or name in key
    kind, nullable = _without_none(hint)
    if JSON in notes or get_origin(kind) is dict:
        return _json_field(name, hint, is_fixed)
    named = next((note for note in notes if isinstance(note, Columns)), None)
    if named is not None:
        return _tuple_field(name, kind, named.names, is_fixed, nullable)
    return _plain_field(name, kind, is_fixed, nullable, is_key=name in key)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        (kind,) = (each for each in get_args(hint) if each is not types.NoneType)
        return kind, True
    return hint, False


def _tuple_field(name: str, kind: Any, names: tuple[str, ...], is_fixed: bool, nullable: bool) -> _Field:
    hints = get_type_hints(kind)
    columns = tuple(
        Column(column, _type_of(_without_none(hint)[0]), is_fixed, not nullable and hint is int)
        for column, hint in zip(names, hints.values(), strict=True)
    )
    if not nullable:
        return _Field(name, columns, tuple, lambda parts: kind(*parts), is_tuple=True)
    nothing = (None,) * len(columns)
    return _Field(
        name,
        columns,
        encode=lambda value: nothing if value is None else value,
        decode=lambda parts: None if parts[0] is None else kind(*parts),
        is_tuple=True,
    )


def _json_field(name: str, hint: Any, is_fixed: bool) -> _Field:
    decode = msgspec.json.Decoder(hint).decode
    return _Field(
        name,
        (Column(name, "json", is_fixed),),
        encode=lambda value: None if value is None else msgspec.json.encode(value).decode(),
        decode=lambda text: None if text is None else decode(text),
    )


_TYPES: Final[Mapping[Any, str]] = {
    str: "text",
    int: "bigint",
    bool: "boolean",
    bytes: "bytea",
    datetime: "timestamptz",
    date: "date",
    UUID: "uuid",
}


def _type_of(kind: Any) -> str:
    return "text" if get_origin(kind) is Literal else _TYPES[kind]


def _plain_field(name: str, kind: Any, is_fixed: bool, nullable: bool, *, is_key: bool) -> _Field:
    origin = get_origin(kind)
    if origin is Literal:
        return _Field(name, (Column(name, "text", is_fixed, not nullable),))
    if origin in (frozenset, tuple):
        if nullable:
            raise TypeError(f"{name}: a list of ids is never null; mark it with JSON if it is to be")
        order = sorted if origin is frozenset else list
        return _Field(name, (Column(name, "text", is_fixed, is_list=True),), order, origin)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        members: Mapping[Any, Any] = {None: None, **{member.value: member for member in kind}}
        column = Column(name, "text", is_fixed, not nullable)
        return _Field(name, (column,), decode=members.__getitem__)
    is_packed = not nullable and (kind in (int, bool) or (kind is str and is_key))
    return _Field(name, (Column(name, _TYPES[kind], is_fixed, is_packed),))


def _places(fields: Sequence[_Field]) -> list[tuple[int, _Field]]:
    """Each field with the place of its first column among all columns, from the last to the first."""
    places, place = [], 0
    for each in fields:
        places.append((place, each))
        place += len(each.columns)
    return places[::-1]


def _getter(kind: Callable[..., Any], names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    get = kind(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


def _parameter(number: int, column: Column) -> str:
    kind = "text" if column.type == "json" else column.type
    if column.is_packed:
        return f"string_to_array(${number}, E'\\x1f')" + ("" if kind == "text" else f"::{kind}[]")
    return f"${number}::{kind}[]"


def _unnest(columns: Sequence[Column], *, packing: bool) -> str:
    shown = [column if packing else column._replace(is_packed=False) for column in columns]
    parameters = ", ".join(_parameter(number, column) for number, column in enumerate(shown, start=1))
    return f"unnest({parameters}) AS n ({', '.join(column.name for column in columns)})"


def _value(column: Column) -> str:
    if column.is_list:
        return f"string_to_array(n.{column.name}, E'\\x1f')"
    return f"n.{column.name}::json" if column.type == "json" else f"n.{column.name}"


def _update(table: str, key: Sequence[str], columns: Sequence[Column]) -> str:
    changes = ", ".join(f"{c.name} = {_value(c)}" for c in columns if c.name not in key)
    same = " AND ".join(f"t.{name} = n.{name}" for name in key)
    return f"UPDATE {table} t SET {changes} FROM {_unnest(columns, packing=True)} WHERE {same}"  # noqa: S608 our names


def _upsert(table: str, key: Sequence[str], columns: Sequence[Column]) -> str:
    names = ", ".join(column.name for column in columns)
    values = ", ".join(map(_value, columns))
    changes = ", ".join(f"{c.name} = EXCLUDED.{c.name}" for c in columns if not c.is_fixed)
    action = f"UPDATE SET {changes}" if changes else "NOTHING"
    return (
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {_unnest(columns, packing=False)} "  # noqa: S608
        f"ON CONFLICT ({', '.join(key)}) DO {action}"
    )
