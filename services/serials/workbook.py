"""A workbook of serials: text cells, written row by row into a file on disk.

The file is readable, so it lies in a folder of its own that only this account can open and that goes with the
hand-out. Should the process die before that, the next hand-out on this machine takes the folder away: nobody
holds its lock any more.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import xlsxwriter
from numpy.typing import NDArray

from services.serials.notices import Items
from services.serials.sheets import filled_texts, grouped_texts

MOST_SERIALS: Final = 1_048_575
"""A sheet has 1,048,576 rows, and one is the header."""
PREFIX: Final = "pawl-handing-out-"

_NOT_IN_XML = dict.fromkeys((0xFFFE, 0xFFFF), "\N{REPLACEMENT CHARACTER}")
_BYTES_A_SERIAL = 1_000
_BYTES_AT_LEAST = 1_000_000
_WIDTHS = (24, 32, 24, 20, 44)


def room_of(serials: int) -> int:
    """How many bytes a workbook of so many serials takes at most while it is made."""
    return _BYTES_AT_LEAST + serials * _BYTES_A_SERIAL


def free_room() -> int:
    """How many bytes there are for it."""
    return shutil.disk_usage(tempfile.gettempdir()).free


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for readable files, gone with all of them when the block ends."""
    _remove_left_folders()
    made = Path(tempfile.mkdtemp())
    with (made / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = made.rename(made.with_name(f"{PREFIX}{made.name}"))  # locked before anybody looks for it
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Workbook:
    """The five items of serials as a sheet, marked with the watermark of the hand-out in its properties."""

    def __init__(self, folder: Path, header: Items, items: Items, watermark: str) -> None:
        self.path = folder / "serials.xlsx"
        self._items = [text.translate(_NOT_IN_XML) for text in items]
        self._row = 1
        self._workbook = xlsxwriter.Workbook(self.path, {"constant_memory": True, "tmpdir": str(folder)})
        self._workbook.set_properties({"title": "serials", "comments": f"watermark {watermark}"})
        self._workbook.set_custom_property("watermark", watermark, "text")
        self._sheet = self._workbook.add_worksheet()
        self._writers = [self._markup if _is_markup(text) else self._sheet.write_string for text in items]
        self._sheet.freeze_panes(1, 0)
        bold = self._workbook.add_format({"bold": True})
        for column, (text, width) in enumerate(zip(header, _WIDTHS, strict=True)):
            self._sheet.set_column(column, column, width)
            self._sheet.write_string(0, column, text, bold)

    def add(self, serials: NDArray[np.uint8]) -> None:
        """A row for each of these serials; every cell is text, whatever it looks like."""
        grouped, columns = grouped_texts(serials), list(enumerate(self._writers))
        texts = [filled_texts(text, grouped) for text in self._items]
        for row, cells in enumerate(zip(*texts, strict=True), start=self._row):
            for (column, write), text in zip(columns, cells, strict=True):
                write(row, column, text)
        self._row += len(grouped)

    def close(self) -> None:
        """Makes the file whole."""
        self._workbook.close()

    def _markup(self, row: int, column: int, text: str) -> None:
        """Writes text that XlsxWriter would take for markup of its own, in the three pieces that it wants."""
        self._sheet.write_rich_string(row, column, text[:1], text[1:2], text[2:])


def _is_markup(text: str) -> bool:
    return text.startswith("<r>") and text.endswith("</r>")


def _remove_left_folders() -> None:
    """Takes away what a process that died has left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            with (folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, or of another account
