"""Files of serials are opened by LibreOffice, which keeps every cell as the text that it is.

It is one of the tests on containers, which install it (Debian's package libreoffice-calc-nogui). Two
libraries read the same files back in test_handing_out.py, wherever the tests run.
"""

import asyncio
import csv
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from shared.ids import uuid7
from shared.kst import KST
from tests.integration.serials.conftest import Desk
from tests.support.granted import granted
from tests.support.taking import asking, rows_of_csv, serials_app

OFFICE = shutil.which("soffice") or "soffice"
AS_CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false"
"""UTF-8 (76), cells as they are stored and not as they are shown: a number or a formula would be seen."""
IN_UTF8 = "--infilter=CSV:44,34,76,1"
"""How a person opens a CSV: columns are guessed, nothing is said about any of them."""
NAMES = [
    "00123",
    "1-2",
    "1E5",
    "+82",
    "-1",
    "@x",
    '=HYPERLINK("x")',
    "=1+1",
    "TRUE",
    "3/4",
    "스터디 이용권 30일",
]

pytestmark = pytest.mark.containers


async def opened(files: Mapping[str, bytes], ending: str, folder: Path) -> dict[str, list[list[str]]]:
    """The rows of files by their names, as LibreOffice has them."""
    await asyncio.to_thread(_write, files, ending, folder)
    process = await asyncio.create_subprocess_exec(
        OFFICE, f"-env:UserInstallation=file://{folder}/office", "--headless",
        *([IN_UTF8] if ending == "csv" else []), "--convert-to", AS_CSV, "--outdir", str(folder / "opened"),
        *(str(folder / f"{name}.{ending}") for name in files),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    return await asyncio.to_thread(lambda: {name: _rows(folder / "opened" / f"{name}.csv") for name in files})


def _write(files: Mapping[str, bytes], ending: str, folder: Path) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / f"{name}.{ending}").write_bytes(content)


def _rows(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.reader(lines))


async def test_it_opens_both_files_and_every_cell_is_what_was_written(desk: Desk, tmp_path: Path) -> None:
    books, tables = {}, {}
    async with asking(serials_app(desk.pool, desk.vault)) as kim:
        for number, product_name in enumerate(NAMES):
            grant_id, name = uuid7(), f"of-{number}"
            await desk.take(granted(20, grant_id=grant_id, time=datetime.now(KST), product_name=product_name))
            books[name] = (await kim.get(f"/v1/issuances/{grant_id}/serials.xlsx")).content
            tables[name] = (await kim.get(f"/v1/issuances/{grant_id}/serials.csv")).content

    of_books = await opened(books, "xlsx", tmp_path / "books")
    of_tables = await opened(tables, "csv", tmp_path / "tables")

    assert len(of_books) == len(of_tables) == len(NAMES)
    for (name, told), product_name in zip(tables.items(), NAMES, strict=True):
        mark, header, *rows = rows_of_csv(told)
        assert of_tables[name] == [mark, header, *rows]
        assert of_books[name] == [header, *([row[0], product_name, *row[2:]] for row in rows)]
