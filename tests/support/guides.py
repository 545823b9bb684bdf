"""The documents of the project as tests read them: sections, anchors, tables, links."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_NOT_OURS = {"node_modules", "__pycache__", "build", "dist"}
_TEXT = {".py", ".sql", ".md", ".yaml", ".yml", ".toml", ".sh", ".json", ".txt", ".cfg", ""}
_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\(([^()\s]+)\)")


class Link(NamedTuple):
    """A link of a document: what it says, and where it points."""

    text: str
    target: str


@cache
def files() -> tuple[Path, ...]:
    """Every text file of the project, in order; neither hidden folders nor what a tool made."""
    return tuple(_walk(ROOT))


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in {".ci", ".github"}
        if hidden or path.name in _NOT_OURS or path.is_symlink():
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.suffix in _TEXT:
            yield path


@cache
def documents() -> tuple[Path, ...]:
    """Every document in Markdown."""
    return tuple(path for path in files() if path.suffix == ".md")


@cache
def read(path: Path) -> str:
    """The text of a file of the project."""
    return path.read_text(encoding="utf-8")


@cache
def prose(path: Path) -> str:
    """A document without its blocks of code; they become empty lines, so that places stay."""
    return _FENCE.sub(lambda block: "\n" * block[0].count("\n"), read(path))


@cache
def headings(path: Path) -> tuple[str, ...]:
    """The headings of a document as they are written."""
    return tuple(match[2] for match in _HEADING.finditer(prose(path)))


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors that GitHub makes of the headings of a document."""
    found: dict[str, int] = {}
    names = []
    for heading in headings(path):
        name = anchor(heading)
        names.append(name if name not in found else f"{name}-{found[name]}")
        found[name] = found.get(name, 0) + 1
    return frozenset(names)


def anchor(heading: str) -> str:
    """The anchor of one heading: lower case, without punctuation, a hyphen for each space."""
    bare = _LINK.sub(r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", bare.lower()).replace(" ", "-")


def section(path: Path, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above. Raises AssertionError."""
    text = prose(path)
    for match in _HEADING.finditer(text):
        if match[2] == heading:
            end = re.compile(rf"^#{{1,{len(match[1])}}} ", re.MULTILINE).search(text, match.end())
            return text[match.end() : end.start() if end else len(text)]
    raise AssertionError(f"{path.relative_to(ROOT)} has no heading {heading!r}")


def table(text: str) -> list[list[str]]:
    """The cells of the first table of a text, a list for each row, without its head."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("|"):
            rows.append(cells(line))
        elif rows:
            break
    assert len(rows) > 2, f"no table in {text[:80]!r}"
    return rows[2:]


def cells(line: str) -> list[str]:
    """The cells of one line of a table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def links(path: Path) -> list[Link]:
    """The links of a document, pictures too, without those in code."""
    return [Link(*found) for found in _LINK.findall(prose(path))]
