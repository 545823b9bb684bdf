"""Tables: what an address says of them, and the same rows as a page, as CSV, as JSON."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from console.tables import Column, View, arranged, as_csv, as_document, page_of, view_of
from shared.kst import KST

COLUMNS = (Column("name", "Name"), Column("won", "Won", "won"), Column("age", "Age", "age"))
AT = datetime(2026, 11, 30, 18, tzinfo=KST)


def row(name: str, won: int | None = None, minutes: int = 0) -> dict[str, Any]:
    return {"name": name, "won": won, "age": timedelta(minutes=minutes)}


def names(rows: Any) -> list[str]:
    return [each["name"] for each in rows]


def test_rows_stay_in_their_order_until_somebody_sorts_them() -> None:
    rows = [row("b", 1), row("A", 3), row("c", 2)]

    assert names(arranged(rows, COLUMNS, View())) == ["b", "A", "c"]
    assert names(arranged(rows, COLUMNS, View("name"))) == ["A", "b", "c"]
    assert names(arranged(rows, COLUMNS, View("won", descending=True))) == ["A", "c", "b"]


@pytest.mark.parametrize("descending", [True, False])
def test_what_has_no_value_comes_last_whichever_way_it_is_sorted(descending: bool) -> None:
    rows = [row("none"), row("some", 5)]

    assert names(arranged(rows, COLUMNS, View("won", descending))) == ["some", "none"]


def test_a_filter_looks_into_every_column_and_counts_what_it_let_through() -> None:
    rows = [row("Kim", 55_000), row("Lee", 1_000)]

    shown = page_of(rows, COLUMNS, View(word="kIM"))
    assert (names(shown.rows), shown.total, shown.all) == (["Kim"], 1, 2)
    assert names(page_of(rows, COLUMNS, View(word="1000")).rows) == ["Lee"]
    assert page_of(rows, COLUMNS, View(word="nobody")).rows == []


def test_a_page_behind_the_last_one_is_the_last_one() -> None:
    rows = [row(str(number)) for number in range(7)]

    shown = page_of(rows, COLUMNS, View(page=99), size=3)

    assert (names(shown.rows), shown.pages, shown.view.page) == (["6"], 3, 3)


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "password", "page": "-1"},
        {"sort": "-", "page": "0"},
        {"sort": "--won", "page": "٣"},
        {"page": "9" * 40},
    ],
)
def test_what_an_address_says_wrong_is_left_out(query: dict[str, str]) -> None:
    assert view_of(query, COLUMNS) == View()


def test_an_address_tells_the_whole_view_to_a_colleague() -> None:
    query = {"sort": "-won", "only": "김 & 이", "page": "2", "service": "orders", "token": "x"}

    view = view_of(query, COLUMNS, ("service",))

    assert view.address() == "?service=orders&sort=-won&only=%EA%B9%80+%26+%EC%9D%B4&page=2"
    assert view.as_file("csv") == "?service=orders&sort=-won&only=%EA%B9%80+%26+%EC%9D%B4&format=csv"


def test_a_click_on_a_column_sorts_by_it_and_the_next_one_the_other_way() -> None:
    won = COLUMNS[1]

    first = View().sorted_by(won)
    again = view_of({"sort": "-won"}, COLUMNS).sorted_by(won)

    assert (first, again) == ("?sort=-won", "?sort=won")


@pytest.mark.parametrize("said", ["=1+1", "+82", "-5", "@SUM(A1)", "\tx"])
def test_a_name_is_no_formula_in_a_spreadsheet(said: str) -> None:
    assert f"'{said}" in as_csv([row(said, -5)], COLUMNS)
    assert ",-5," in as_csv([row(said, -5)], COLUMNS)


def test_files_say_won_as_integers_and_ages_as_seconds() -> None:
    rows = [row("Kim", 55_000, 2)]

    assert as_csv(rows, COLUMNS) == "\ufeffname,won,age\r\nKim,55000,120\r\n"
    assert as_document(rows, COLUMNS, AT) == {
        "at": "2026-11-30T18:00:00+09:00",
        "rows": [{"name": "Kim", "won": 55_000, "age": 120}],
    }
