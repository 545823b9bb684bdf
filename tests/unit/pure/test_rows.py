"""Structs as rows: fields whose values are kept as JSON."""

from typing import Annotated, NamedTuple

from msgspec import Struct

from shared.columns import JSON, Fixed
from shared.rows import Table


class Sold(NamedTuple):
    product: str
    quantity: int


class Receipt(Struct, frozen=True):
    receipt_id: str
    lines: Fixed[Annotated[tuple[Sold, ...], JSON]]
    notes: Annotated[tuple[str, ...] | None, JSON] = None


RECEIPTS = Table(Receipt, "receipts", key=("receipt_id",))


def test_what_is_written_as_json_is_read_as_it_was() -> None:
    receipt = Receipt("r-1", (Sold("이용권", 2), Sold("책", 1)), ("두 번째",))
    row = dict(zip(("receipt_id", "lines", "notes"), RECEIPTS.row(receipt), strict=True))
    assert row == {"receipt_id": "r-1", "lines": '[["이용권",2],["책",1]]', "notes": '["두 번째"]'}
    assert RECEIPTS.read(row) == receipt


def test_nothing_as_json_is_null_and_nothing_again() -> None:
    row = dict(zip(("receipt_id", "lines", "notes"), RECEIPTS.row(Receipt("r-1", ())), strict=True))
    assert row["notes"] is None
    assert RECEIPTS.read(row) == Receipt("r-1", (), None)


def test_the_statements_turn_texts_into_json() -> None:
    assert (
        "SET notes = n.notes::json FROM unnest(string_to_array($1, E'\\x1f'), $2::text[])" in RECEIPTS.update
    )
    assert "SELECT n.receipt_id, n.lines::json, n.notes::json FROM unnest" in RECEIPTS.upsert
    assert "DO UPDATE SET notes = EXCLUDED.notes" in RECEIPTS.upsert
