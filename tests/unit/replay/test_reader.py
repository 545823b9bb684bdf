"""A file of an unknown shop is read line by line; nothing in it can stop the reading or get lost."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.replay.reader import Line, UnknownFile, Unreadable, read_lines

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
GOOD = "536370,22728,ALARM CLOCK,24,12/1/2010 8:45,3.75,12583,France"


def read(folder: Path, *lines: str | bytes, header: str = HEADER) -> list[Line | Unreadable]:
    path = folder / "history.csv"
    path.write_bytes(
        b"\n".join(text if isinstance(text, bytes) else text.encode() for text in (header, *lines))
    )
    return list(read_lines(path))


def test_a_line_becomes_what_it_says_in_seoul_time(tmp_path: Path) -> None:
    [found] = read(tmp_path, GOOD)
    assert isinstance(found, Line)
    assert (found.number, found.document, found.product, found.name) == (2, "536370", "22728", "ALARM CLOCK")
    assert (found.quantity, found.price, found.customer) == (24, Decimal("3.75"), "12583")
    assert found.at.isoformat() == "2010-12-01T08:45:00+09:00"
    assert not found.cancels


def test_a_document_that_begins_with_c_is_a_cancellation(tmp_path: Path) -> None:
    [found] = read(tmp_path, GOOD.replace("536370", "C536379"))
    assert isinstance(found, Line)
    assert found.cancels


def test_a_gzip_file_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode()))
    assert len(list(read_lines(path))) == 1


def test_header_order_case_and_the_names_of_the_second_edition_do_not_matter(tmp_path: Path) -> None:
    header = "country, customer id,Price,INVOICEDATE,Quantity,Description,StockCode,Invoice"
    [found] = read(tmp_path, "France,12583.0,3.75,2010-12-01 08:45:00,24,CLOCK,22728,536370", header=header)
    assert isinstance(found, Line)
    assert (found.document, found.customer, found.price) == ("536370", "12583", Decimal("3.75"))


def test_a_byte_order_mark_and_windows_letters_are_read(tmp_path: Path) -> None:
    [found] = read(tmp_path, GOOD.encode().replace(b"ALARM", b"CAF\xc9"), header=f"\ufeff{HEADER}")
    assert isinstance(found, Line)
    assert found.name == "CAFÉ CLOCK"


def test_quoted_commas_belong_to_the_field(tmp_path: Path) -> None:
    [found] = read(tmp_path, GOOD.replace("ALARM CLOCK", '"CLOCK, ""BIG"""'))
    assert isinstance(found, Line)
    assert found.name == 'CLOCK, "BIG"'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an empty line"),
        ("536370,22728", "too few columns"),
        (GOOD.replace("24", "many"), "many"),
        (GOOD.replace("12/1/2010", "1.12.2010"), "InvoiceDate"),
        (GOOD.replace("2010", "0001"), "InvoiceDate"),
        (GOOD.replace("3.75", "free"), "UnitPrice"),
        (GOOD.replace("3.75", "NaN"), "UnitPrice"),
        (GOOD.replace("536370", ""), "InvoiceNo"),
        (GOOD.replace("22728", "7" * 200), "StockCode"),
    ],
)
def test_a_line_that_says_nothing_usable_is_named_and_the_next_one_is_read(
    tmp_path: Path, text: str, why: str
) -> None:
    bad, good = read(tmp_path, text, GOOD)
    assert isinstance(bad, Unreadable)
    assert why in bad.why
    assert isinstance(good, Line)


def test_a_stray_quote_spoils_its_own_line_only(tmp_path: Path) -> None:
    bad, good = read(tmp_path, GOOD.replace("ALARM", '"ALARM'), GOOD)
    assert isinstance(bad, Unreadable)
    assert isinstance(good, Line)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"a,b,c\n1,2,3\n", "no column InvoiceNo"),
        (HEADER.replace("CustomerID,", "").encode(), "no column CustomerID"),
        (gzip.compress(HEADER.encode(), mtime=0)[:-9], "cannot be read"),
    ],
)
def test_a_file_that_is_no_order_history_is_refused_with_what_was_expected(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(UnknownFile, match=why):
        list(read_lines(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownFile, match=r"nowhere\.csv cannot be opened"):
        list(read_lines(tmp_path / "nowhere.csv"))


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=80).filter(lambda raw: b"\n" not in raw and b"\r" not in raw), max_size=8))
def test_whatever_the_bytes_every_line_comes_out_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    found = read(tmp_path_factory.mktemp("any"), *lines, b"end")
    assert [line.number for line in found] == list(range(2, len(lines) + 3))
