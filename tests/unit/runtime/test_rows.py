"""Structs as rows: which columns a field has, what is written when, and what is read again."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any

import pytest
from hypothesis import given
from msgspec import Struct
from msgspec.structs import replace

from shared.columns import Apart, Columns, Fixed
from shared.money import Money
from shared.rows import Table, pairs
from tests.support.everything import EVERYTHING, EXAMPLE, Colour, Everything, anything


class Line(Struct, frozen=True):
    """A struct as those of the services, small enough to see through."""

    order_id: Fixed[str]
    line_id: str
    product: Fixed[str]
    price: Annotated[Money, Columns("supply", "vat")]
    issued: int = 0
    note: str | None = None
    units: Apart[tuple[int, ...]] = ()


class Day(Struct, frozen=True):
    """One that never changes."""

    day: date
    count: Fixed[int]


LINES = Table(Line, "order_lines", key=("order_id", "line_id"))
DAYS = Table(Day, "days", key=("day",))
LINE = Line("A-1", "1", "study-30", Money(1_600, 160))


class Session:
    """A connection that notes what is sent."""

    def __init__(self) -> None:
        self.copied: list[tuple[str, Sequence[str], list[Any]]] = []
        self.executed: list[tuple[Any, ...]] = []

    async def copy_records_to_table(
        self, table: str, *, columns: Sequence[str], records: Iterable[Any], timeout: float
    ) -> None:
        self.copied.append((table, columns, list(records)))

    async def execute(self, *sql_and_parameters: Any) -> None:
        self.executed.append(sql_and_parameters)


async def saved(table: Table[Any], *pairs: tuple[Any, Any]) -> Session:
    session = Session()
    await table.save(session, pairs)  # type: ignore[arg-type]
    return session


def as_stored(value: Everything) -> Mapping[str, Any]:
    """The row as Postgres gives it back: enumerations as text, lists as lists."""
    row = dict(zip((column.name for column in EVERYTHING.columns), EVERYTHING.row(value), strict=True))
    return {name: str(item) if isinstance(item, Colour) else item for name, item in row.items()}


def names(table: Table[Any]) -> list[str]:
    return [column.name for column in table.columns]


class TestColumns:
    def test_a_field_is_a_column_of_its_name_and_a_tuple_has_the_columns_that_it_names(
        self,
    ) -> None:
        assert names(LINES) == ["order_id", "line_id", "product", "supply", "vat", "issued", "note"]

    def test_a_field_whose_values_are_rows_of_another_table_has_no_column(self) -> None:
        assert "units" not in names(LINES)
        assert LINES.row(replace(LINE, units=(1, 2))) == LINES.row(LINE)

    def test_key_and_fixed_fields_never_change_also_when_they_are_tuples(self) -> None:
        assert [column.name for column in LINES.columns if column.is_fixed] == [
            "order_id",
            "line_id",
            "product",
        ]
        fixed = [column.name for column in EVERYTHING.columns if column.is_fixed]
        assert fixed == ["key", "number", "id", "supply", "vat", "origin"]

    @pytest.mark.parametrize(
        ("column", "kind"),
        [
            *(("key", "text"), ("id", "uuid"), ("supply", "bigint"), ("count", "bigint"), ("most", "bigint")),
            *(("flag", "boolean"), ("content", "bytea"), ("day", "date"), ("at", "timestamptz")),
            *(("ended_at", "timestamptz"), ("colour", "text"), ("side", "text"), ("next_side", "text")),
            *(("refund_vat", "bigint"), ("ids", "text"), ("document", "json"), ("steps", "json")),
        ],
    )
    def test_the_type_of_a_column_is_that_of_its_field(self, column: str, kind: str) -> None:
        (found,) = (each for each in EVERYTHING.columns if each.name == column)
        assert found.type == kind

    def test_only_what_is_never_null_and_holds_no_free_text_travels_as_one_text(self) -> None:
        packed = {column.name for column in EVERYTHING.columns if column.is_packed}
        assert packed == {
            *("key", "number", "supply", "vat", "count", "flag", "colour", "side"),
            *("paid_supply", "paid_vat"),
        }

    def test_a_list_of_ids_is_never_null(self) -> None:
        class Nullable(Struct, frozen=True):
            key: str
            ids: tuple[str, ...] | None

        with pytest.raises(TypeError, match="ids: a list of ids is never null"):
            Table(Nullable, "nullable", key=("key",))

    def test_fields_without_a_column_stand_last(self) -> None:
        """A row is the values of the fields in their order, as far as they have columns."""

        class Scattered(Struct, frozen=True):
            key: str
            children: Apart[tuple[str, ...]]
            count: int

        with pytest.raises(TypeError, match="Scattered: the fields without a column stand last"):
            Table(Scattered, "scattered", key=("key",))

    def test_a_kind_of_field_that_has_no_column_is_refused_when_the_service_starts(self) -> None:
        class Strange(Struct, frozen=True):
            key: str
            share: float

        with pytest.raises(KeyError):
            Table(Strange, "strange", key=("key",))


class TestRows:
    def test_a_tuple_of_values_lies_in_its_columns(self) -> None:
        assert LINES.row(LINE) == ["A-1", "1", "study-30", 1_600, 160, 0, None]

    def test_none_is_null_in_all_columns_of_a_tuple(self) -> None:
        row = as_stored(EXAMPLE)
        assert (row["refund_supply"], row["refund_vat"]) == (None, None)
        row = as_stored(replace(EXAMPLE, refund=Money(0, 0)))
        assert (row["refund_supply"], row["refund_vat"]) == (0, 0)

    def test_a_list_keeps_its_order_and_a_set_is_sorted(self) -> None:
        row = as_stored(EXAMPLE)
        assert (row["ids"], row["members"]) == (["b", "a", "b"], ["y", "z"])

    def test_what_is_kept_as_json_is_text_and_none_is_null(self) -> None:
        row = as_stored(EXAMPLE)
        assert row["document"] == '{"name":"가나다 주식회사","lines":[1,null]}'
        assert row["steps"] is None

    def test_a_row_is_read_whatever_the_order_of_its_columns_and_whatever_else_it_has(self) -> None:
        row = {"recorded_at": "now", **dict(reversed(as_stored(EXAMPLE).items()))}
        assert EVERYTHING.read(row) == EXAMPLE

    def test_a_word_is_read_as_the_member_that_it_names(self) -> None:
        read = EVERYTHING.read(as_stored(replace(EXAMPLE, next_colour=Colour.GREEN)))
        assert read.colour is Colour.RED
        assert read.next_colour is Colour.GREEN

    def test_a_word_that_no_member_has_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            EVERYTHING.read({**as_stored(EXAMPLE), "colour": "blue"})

    def test_a_struct_of_one_column_is_a_row_too(self) -> None:
        class Name(Struct, frozen=True):
            name: str

        table = Table(Name, "names", key=("name",))
        assert table.row(Name("kim")) == ["kim"]
        assert table.read({"name": "kim"}) == Name("kim")

    @given(anything)
    def test_a_row_that_is_read_is_the_value_that_was_written(self, value: Everything) -> None:
        assert EVERYTHING.read(as_stored(value)) == value


class TestOthers:
    """Whether rows have to be written anew, because an UPDATE could not make them of what is there."""

    def test_what_may_change_and_what_is_new_needs_no_other_row(self) -> None:
        now = {"1": replace(LINE, issued=3), "2": replace(LINE, line_id="2")}
        assert not LINES.has_others(now, {"1": LINE})

    def test_a_row_that_is_gone_and_a_fixed_column_that_differs_do(self) -> None:
        assert LINES.has_others({}, {"1": LINE})
        assert LINES.has_others({"1": replace(LINE, product="music-30")}, {"1": LINE})


class TestSave:
    async def test_what_is_new_is_copied_in_the_order_given(self) -> None:
        other = replace(LINE, line_id="0")

        session = await saved(LINES, (LINE, None), (other, None))

        assert session.copied == [("order_lines", names(LINES), [LINES.row(LINE), LINES.row(other)])]
        assert session.executed == []

    async def test_what_did_not_change_is_not_written(self) -> None:
        equal = replace(LINE)

        session = await saved(LINES, (LINE, LINE), (equal, LINE), (replace(LINE, units=(1,)), LINE))

        assert (session.copied, session.executed) == ([], [])

    async def test_what_changed_is_one_update_of_the_columns_that_may_change(self) -> None:
        first = replace(LINE, issued=60, price=Money(800, 80))
        second = replace(LINE, line_id="2", note="\x1f, kept as it is")
        before = replace(LINE, line_id="2")

        session = await saved(LINES, (first, LINE), (second, before), (LINE, LINE))

        assert session.copied == []
        ((sql, *parameters),) = session.executed
        assert sql == LINES.update
        assert parameters == [
            "A-1\x1fA-1",
            "1\x1f2",
            "800\x1f1600",
            "80\x1f160",
            "60\x1f0",
            [None, "\x1f, kept as it is"],
        ]

    async def test_an_update_packs_words_and_flags_and_joins_lists_of_ids(self) -> None:
        changed = replace(EXAMPLE, colour=Colour.GREEN, flag=False, side="right", ids=(), next_side="left")
        other = replace(EXAMPLE, number=8, ids=("x", "y"))

        session = await saved(EVERYTHING, (changed, EXAMPLE), (other, replace(EXAMPLE, number=8)))

        ((_, *parameters),) = session.executed
        by_name = dict(zip(["key", "number", *_changing(EVERYTHING)], parameters, strict=True))
        assert by_name["number"] == "7\x1f8"
        assert (by_name["colour"], by_name["flag"], by_name["side"]) == (
            "green\x1fred",
            "False\x1fTrue",
            "right\x1fleft",
        )
        assert by_name["ids"] == ["", "x\x1fy"]
        assert by_name["next_side"] == ["left", None]
        assert by_name["steps"] == [None, None]

    @pytest.mark.parametrize("change", [{"product": "study-60"}, {"line_id": "2"}, {"order_id": "A-2"}])
    async def test_a_fixed_column_that_was_changed_is_a_mistake_in_the_code(self, change: Any) -> None:
        with pytest.raises(AssertionError, match="a fixed column of order_lines was changed"):
            await saved(LINES, (replace(LINE, **change), LINE))

    async def test_a_fixed_tuple_is_fixed(self) -> None:
        with pytest.raises(AssertionError, match="a fixed column of everything"):
            await saved(EVERYTHING, (replace(EXAMPLE, price=Money(1, 0)), EXAMPLE))

    async def test_nothing_is_sent_for_nothing(self) -> None:
        session = await saved(LINES)
        await LINES.put(session, [])  # type: ignore[arg-type]
        assert (session.copied, session.executed) == ([], [])

    async def test_a_table_that_never_changes_has_no_update(self) -> None:
        day = Day(date(2026, 10, 23), 1)
        assert DAYS.update == ""
        assert set(DAYS.statements) == {"upsert_days"}
        assert (await saved(DAYS, (replace(day), day))).executed == []
        with pytest.raises(AssertionError):
            await saved(DAYS, (replace(day, count=2), day))


class TestPut:
    async def test_rows_are_put_in_the_order_given_column_by_column(self) -> None:
        session = Session()

        await LINES.put(session, [replace(LINE, line_id="2"), LINE])  # type: ignore[arg-type]

        assert session.executed == [
            (
                LINES.upsert,
                ["A-1", "A-1"],
                ["2", "1"],
                ["study-30", "study-30"],
                [1_600, 1_600],
                [160, 160],
                [0, 0],
                [None, None],
            )
        ]

    def test_a_row_that_is_there_keeps_what_is_fixed(self) -> None:
        _, changes = LINES.upsert.split("DO UPDATE SET ")
        written = [change.split(" = EXCLUDED.") for change in changes.split(", ")]
        assert written == [["supply", "supply"], ["vat", "vat"], ["issued", "issued"], ["note", "note"]]
        assert DAYS.upsert.endswith("ON CONFLICT (day) DO NOTHING")


def test_each_value_stands_beside_what_it_was() -> None:
    assert list(pairs({"a": 1, "b": 2}, {"b": 3, "c": 4})) == [(1, None), (2, 3)]


def _changing(table: Table[Any]) -> list[str]:
    return [column.name for column in table.changing]
