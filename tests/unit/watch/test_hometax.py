"""`pawl close MONTH transmit` without a tax agent: sheets for Hometax out, its list of what was issued in."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch
from zipfile import ZipFile

import orjson
import pytest
import xlsxwriter
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.http_client import Answer, Downloaded
from ops.shell.problem import Problem
from ops.watch.month.hometax import in_parts
from shared.hometax_list import ListedDocument

URL = ["--invoices", "http://invoices"]
HEARD = {
    "month": "2026-10", "told": 1, "refused": [], "known": 0, "ambiguous": [], "unknown": [], "waiting": 7
}  # fmt: skip


class Service:
    """The invoices service, as far as this asks it: a ZIP file to be taken, and answers to lists."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.sheets: dict[str, bytes] = {}
        self.left_out = 0
        self.answers: list[dict[str, Any]] = []

    async def fetch(
        self, url: str, body: bytes | None = None, timeout: float = 5.0, token: str = "", key: str = ""
    ) -> Answer:
        self.asked.append((url, None if body is None else orjson.loads(body)))
        return Answer(200, orjson.dumps(self.answers.pop(0)).decode())

    def download(
        self,
        url: str,
        file: BinaryIO,
        headers: Mapping[str, str],
        received: Callable[[int, int | None], None],
        timeout: float,
    ) -> Downloaded:
        self.asked.append((url, None))
        made = BytesIO()
        with ZipFile(made, "w") as sheets:
            for name, content in self.sheets.items():
                sheets.writestr(name, content)
        file.write(made.getvalue())
        counts = {"x-documents": "101", "x-sheets": "2", "x-left-out": str(self.left_out)}
        return Downloaded(Answer(200, ""), counts)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("PAWL_TOKEN", "a-token")
    service = Service()
    with (
        patch("ops.shell.asking.fetch", service.fetch),
        patch("ops.shell.asking.download", service.download),
    ):
        yield service


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["close", "2026-10", "transmit", *arguments, *URL])


def approval(number: int) -> str:
    return f"2026103110261106{number:08d}"


def a_list(file: Path, *lines: tuple[str, str, str, Any], title: str = "승인번호") -> Path:
    """Hometax's list with notices above its header, as a spreadsheet keeps it."""
    with xlsxwriter.Workbook(file) as book:
        page = book.add_worksheet()
        page.write_string(0, 0, "매출전자세금계산서목록")
        for column, name in {0: "작성일자", 1: title, 2: "발급일자", 9: "등록번호", 14: "합계금액"}.items():
            page.write_string(5, column, name)
        for row, (written, number, buyer, total) in enumerate(lines, start=6):
            for column, cell in {0: written, 1: number, 2: "2026-11-06", 9: buyer, 14: total}.items():
                page.write(row, column, cell)
    return file


def test_sheets_are_put_into_a_directory_with_what_to_do_next(service: Service, tmp_path: Path) -> None:
    service.sheets = {"hometax-2026-10-0001.xlsx": b"one", "hometax-2026-10-0002.xlsx": b"two"}

    result = run("--sheet", str(tmp_path / "sheets"))

    assert result.exit_code == 0
    assert service.asked == [("http://invoices/v1/months/2026-10/hometax.zip", None)]
    written = {file.name: file.read_bytes() for file in (tmp_path / "sheets").iterdir()}
    assert written == service.sheets
    assert "101 documents of 2026-10 in 2 sheets" in result.output
    assert "pawl close 2026-10 transmit --results LIST.xls --yes" in result.output


def test_what_goes_into_no_sheet_waits_for_somebody(service: Service, tmp_path: Path) -> None:
    service.sheets, service.left_out = {"left_out.csv": b"document_key,reason,missing"}, 3
    result = run("--sheet", str(tmp_path))
    assert "3 go into none; left_out.csv says why" in result.output
    assert result.exit_code == 5


def test_no_sheet_is_written_outside_of_the_directory(service: Service, tmp_path: Path) -> None:
    service.sheets = {"../../elsewhere.xlsx": b"x"}
    run("--sheet", str(tmp_path / "a" / "b"))
    assert [file.name for file in tmp_path.rglob("*.xlsx")] == ["elsewhere.xlsx"]
    assert (tmp_path / "a" / "b" / "elsewhere.xlsx").exists()


def test_a_list_is_read_and_told_line_by_line_with_yes(service: Service, tmp_path: Path) -> None:
    file = a_list(
        tmp_path / "list.xlsx",
        ("2026-10-31", approval(1), "116-82-00276", 176_000),
        ("20261021", approval(2), "1348672683", "-70,400"),
        ("2026-11-12", "202611121026111200000001", "1168200276", 1_760),
    )
    service.answers = [HEARD | {"told": 2}]

    assert "2 lines were read: nothing was done" in run("--results", str(file)).output
    assert service.asked == []
    result = run("--results", str(file), "--reason", "the sheets of today", "--yes")

    ((url, body),) = service.asked
    assert url == "http://invoices/v1/months/2026-10/hometax"
    assert body == {
        "reason": "the sheets of today",
        "lines": [
            {
                "written_date": "2026-10-21", "approval_number": approval(2), "buyer_number": "1348672683",
                "total": -70_400, "issued_on": "2026-11-06",
            },
            {
                "written_date": "2026-10-31", "approval_number": approval(1), "buyer_number": "1168200276",
                "total": 176_000, "issued_on": "2026-11-06",
            },
        ],
    }  # fmt: skip
    assert "2 approval numbers were noted, 0 were known" in result.output
    assert "1 lines are of other months" in result.output
    assert "7 issued documents of 2026-10 wait for a number" in result.output
    assert result.exit_code == 0


def test_lines_that_a_person_has_to_look_at_are_named(service: Service, tmp_path: Path) -> None:
    file = a_list(tmp_path / "list.xlsx", ("2026-10-31", approval(1), "1168200276", 176_000))
    line = {
        "written_date": "2026-10-31", "approval_number": approval(1), "buyer_number": "1168200276",
        "total": 176_000, "issued_on": None,
    }  # fmt: skip
    service.answers = [HEARD | {"told": 0, "ambiguous": [line]}, HEARD | {"told": 0, "unknown": [line]}]

    for why in ("fit several documents alike", "fit no document of 2026-10"):
        result = run("--results", str(file), "--yes")
        assert why in result.output
        assert approval(1) in result.output
        assert result.exit_code == 5


@pytest.mark.parametrize("name", ["list.xls", "list.xlsx"])
def test_a_file_that_is_no_list_is_refused(service: Service, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    for write in (
        lambda: None,
        lambda: file.write_bytes(b"no workbook"),
        lambda: a_list(file, ("2026-10-31", approval(1), "1168200276", 176_000), title="번호"),
        lambda: a_list(file, ("2026-11-12", approval(1), "1168200276", 176_000)),
    ):
        write()
        result = run("--results", str(file), "--yes")
        assert isinstance(result.exception, Problem), result.output
        assert result.exception.exit_code == 2
    assert service.asked == []


def test_sheets_and_a_list_at_once_are_refused(service: Service, tmp_path: Path) -> None:
    result = run("--sheet", str(tmp_path), "--results", "list.xls")
    assert isinstance(result.exception, Problem)
    assert service.asked == []


def test_lines_alike_are_told_together() -> None:
    def line(day: int, number: int) -> ListedDocument:
        return ListedDocument(date(2026, 10, day), approval(number), None, "1168200276", 176_000)

    lines = [line(2, 1), line(1, 2), line(2, 3), line(1, 4), line(3, 5)]

    parts = [[each.approval_number for each in part] for part in in_parts(lines, 3)]

    assert parts == [[approval(2), approval(4)], [approval(1), approval(3), approval(5)]]
