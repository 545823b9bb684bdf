"""The documents can be read: no cell of a table is longer than an eye can hold."""

from pathlib import Path

import pytest

from tests.support.guides import ROOT, cells, documents, prose

LONGEST_CELL = 300


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_cell_of_a_table_is_long(path: Path) -> None:
    long = [
        (number, len(cell))
        for number, line in enumerate(prose(path).splitlines(), start=1)
        if line.startswith("|")
        for cell in cells(line)
        if len(cell) > LONGEST_CELL
    ]
    assert long == [], "line and length of each cell that is too long"
