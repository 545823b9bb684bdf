"""A month without a tax agent: bulk sheets for Hometax taken out, and its list of what was issued read in."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, NamedTuple
from zipfile import ZipFile

from python_calamine import CalamineError, CalamineWorkbook
from rich.console import Console

from ops.shell.asking import take, tell
from ops.shell.private_files import private_file
from ops.shell.problem import Exit, Problem, explain_os_errors
from shared.hometax_list import ListedDocument, UnreadableList, lines_of_list

LOOKS, CHANGES = "invoices:read", "invoices:manage"
SUFFIXES: Final = (".xls", ".xlsx")
"""How Hometax gives its list out, and what a spreadsheet makes of it."""
AT_ONCE: Final = 2_000
"""So many lines are told in one request."""
NAMED: Final = 20
HEARD_SECONDS: Final = 60.0


class ReadList(NamedTuple):
    """The lines of a list that are of a month, and how many are of other ones."""

    lines: Sequence[ListedDocument]
    others: int


def is_list(file: Path | None) -> bool:
    """Whether a file is named as Hometax's list is."""
    return file is not None and file.suffix.lower() in SUFFIXES


def take_sheets(base_url: str, month: str, directory: Path, token: str) -> dict[str, Any]:
    """Puts the sheets of a month into a directory, and what goes into none; what was taken. Raises Problem.

    A file of the same name is replaced.
    """
    url = f"{base_url}/v1/months/{month}/hometax.zip"
    with (
        explain_os_errors("writing the sheets", directory, "name another directory: --sheet DIR"),
        TemporaryFile() as file,
    ):
        directory.mkdir(parents=True, exist_ok=True)
        headers = take(url, file, token, LOOKS, lambda there, of: None, f"See: pawl close {month} status")
        with ZipFile(file) as sheets:
            # Only the last part of a name counts, so that nothing is written elsewhere.
            for name in sheets.namelist():
                with private_file(directory / Path(name).name) as written:
                    written.write(sheets.read(name))
            names = [Path(name).name for name in sheets.namelist()]
    counts = {
        name: int(headers[f"x-{name.replace('_', '-')}"]) for name in ("documents", "sheets", "left_out")
    }
    return {"month": month, "directory": str(directory), "files": names, **counts}


def print_sheets(console: Console, taken: dict[str, Any]) -> None:
    """What was taken, and what is to be done with it."""
    month, directory = taken["month"], taken["directory"]
    lines = [f"{taken['documents']:,} documents of {month} in {taken['sheets']:,} sheets in {directory}"]
    if taken["left_out"]:
        lines.append(
            f"{taken['left_out']:,} go into none; left_out.csv says why. Issue modified ones at "
            "hometax.go.kr one by one"
        )
    if taken["sheets"]:
        lines.append(
            "Upload each sheet once. Then take the list 매출전자세금계산서목록 from there and read it in, "
            f"before you take sheets again: pawl close {month} transmit --results LIST.xls --yes"
        )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def read_list(file: Path, month: str) -> ReadList:
    """The lines of Hometax's list, as .xls or .xlsx. Raises Problem for any other file."""
    example = f"For example: pawl close {month} transmit --results LIST.xls --yes"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Problem(f"{file} cannot be read: {error}", example, Exit.USAGE) from None
    return lines_of(content, str(file), month, example)


def lines_of(content: bytes, name: str, month: str, example: str) -> ReadList:
    """The lines of a list of that month, of the content of a file. Raises Problem; `example` says what is."""
    try:
        with CalamineWorkbook.from_filelike(BytesIO(content)) as book:
            rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
        lines = lines_of_list(rows)
    except (CalamineError, UnreadableList) as error:
        raise Problem(f"{name} cannot be read: {error}", example, Exit.USAGE) from None
    of_month = [line for line in lines if f"{line.written_date:%Y-%m}" == month]
    if not of_month:
        raise Problem(f"{name} has no document written in {month}.", example, Exit.USAGE)
    return ReadList(of_month, len(lines) - len(of_month))


def tell_list(base_url: str, month: str, read: ReadList, said: dict[str, Any], token: str) -> dict[str, Any]:
    """Tells invoices the lines of a list; what became of all of them. Raises Problem."""
    url = f"{base_url}/v1/months/{month}/hometax"
    total: dict[str, Any] = {
        "month": month, "told": 0, "known": 0, "waiting": 0, "refused": [], "ambiguous": [], "unknown": []
    }  # fmt: skip
    for some in in_parts(read.lines, AT_ONCE):
        body = {"lines": [json_of(line) for line in some], **said}
        answer = asyncio.run(
            tell(url, body, token, CHANGES, "It can be repeated safely.", timeout=HEARD_SECONDS)
        )
        for name, value in total.items():
            if name not in ("month", "waiting"):
                total[name] = value + answer[name]
        total["waiting"] = answer["waiting"]
    return {**total, "of_other_months": read.others}


def in_parts(lines: Sequence[ListedDocument], most: int) -> Iterator[list[ListedDocument]]:
    """The lines in parts of about so many: those that are alike stand in one, so that none fits by chance."""
    part: list[ListedDocument] = []
    ordered = sorted(lines, key=lambda line: (line.scope, line.approval_number))
    for _, alike in groupby(ordered, key=lambda line: line.scope):
        together = list(alike)
        if part and len(part) + len(together) > most:
            yield part
            part = []
        part += together
    if part:
        yield part


def print_heard(console: Console, heard: dict[str, Any]) -> None:
    """What a list was good for, and the lines that a person has to look at."""
    month = heard["month"]
    lines = [f"{heard['told']:,} approval numbers were noted, {heard['known']:,} were known"]
    lines += [f"{each['document_key']}: {each['code']}" for each in heard["refused"]]
    for name, why in (
        (
            "ambiguous",
            f"fit several documents alike; say which: pawl close {month} transmit --results FILE.csv",
        ),
        ("unknown", f"fit no document of {month} that waits for a number; look at them at hometax.go.kr"),
    ):
        if found := heard[name]:
            lines.append(f"{len(found):,} lines {why}")
            lines += map(_shown, found[:NAMED])
    if heard["of_other_months"]:
        lines.append(
            f"{heard['of_other_months']:,} lines are of other months; read the list in for those too"
        )
    lines.append(f"{heard['waiting']:,} issued documents of {month} wait for a number")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _shown(line: Mapping[str, Any]) -> str:
    day, buyer, number = line["written_date"], line["buyer_number"], line["approval_number"]
    return f"  {day}  {buyer}  ₩{line['total']:,}  {number}"


def json_of(line: ListedDocument) -> dict[str, Any]:
    """A line as invoices is told it."""
    days = {"written_date": line.written_date.isoformat()}
    if line.issued_on is not None:
        days["issued_on"] = line.issued_on.isoformat()
    return {
        **days,
        "approval_number": line.approval_number,
        "buyer_number": line.buyer_number,
        "total": line.total,
    }
