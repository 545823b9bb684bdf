"""Whatever is cited is there: documents, their sections and anchors, files, tests, targets of make."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.guides import ROOT, anchor, anchors, codes, documents, files, headings, links, prose, read

HERE = Path(__file__)
_SECTIONS = re.compile(r"\b([\w-]+)\.md`?,? sections? (\d+(?:(?:, | and )\d+)*)")
_TITLE = re.compile(r"\b([\w-]+)\.md`?, \"([^\"]+)\"")
_PROMISE = re.compile(r"\breliability\.md (R\d+)(?:-(R\d+))?")
_DOCUMENT = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w-]+\.md)(#[\w-]+)?")
_DECISION = re.compile(r"\b[Dd]ecision (\d+)")
_FILE = re.compile(r"((?:[\w.-]+/)+[\w.-]+|[\w-]+\.(?:py|sql))((?:::\w+)*)")
_NAME = re.compile(r"(?:shared|services|ops|tests|benchmarks)(?:\.\w+)+")


class Place(NamedTuple):
    """Where something is cited."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def matches(pattern: re.Pattern[str]) -> Iterator[tuple[Place, re.Match[str]]]:
    """Every match of a pattern in the files of the project, this one aside."""
    for path in files():
        if path != HERE:
            text = read(path)
            for match in pattern.finditer(text):
                yield Place(path, text.count("\n", 0, match.start()) + 1), match


def document(name: str) -> Path:
    return ROOT / "docs" / f"{name}.md"


def nothing_missing(missing: list[str], looked_at: int, at_least: int) -> None:
    assert missing == [], "\n".join(missing)
    assert looked_at >= at_least, f"only {looked_at} citations were found: does the pattern still see them?"


def test_every_numbered_section_is_there() -> None:
    missing, seen = [], 0
    for place, cited in matches(_SECTIONS):
        numbers = re.findall(r"\d+", cited[2])
        there = headings(document(cited[1])) if document(cited[1]).exists() else ()
        missing += [f"{place}: {cited[0]}" for n in numbers if not any(h.startswith(f"{n}. ") for h in there)]
        seen += len(numbers)
    nothing_missing(missing, seen, 15)


def test_every_titled_section_is_there() -> None:
    missing, seen = [], 0
    for place, cited in matches(_TITLE):
        there = headings(document(cited[1])) if document(cited[1]).exists() else ()
        missing += [f"{place}: {cited[0]}"] if cited[2] not in there else []
        seen += 1
    nothing_missing(missing, seen, 2)


def test_every_promise_is_there() -> None:
    missing, seen = [], 0
    for place, cited in matches(_PROMISE):
        there = {heading.split(".")[0] for heading in headings(document("reliability"))}
        missing += [
            f"{place}: {cited[0]}" for name in cited.groups() if name is not None and name not in there
        ]
        seen += 1
    nothing_missing(missing, seen, 0)


def test_every_document_and_anchor_is_there() -> None:
    missing, seen = [], 0
    for place, cited in matches(_DOCUMENT):
        found = [
            path
            for path in (ROOT / cited[1], ROOT / "docs" / cited[1], place.path.parent / cited[1])
            if path.exists()
        ]
        if not found or (cited[2] and cited[2][1:] not in anchors(found[0])):
            missing.append(f"{place}: {cited[0]}")
        seen += 1
    nothing_missing(missing, seen, 60)


def test_every_decision_is_there_and_a_link_to_one_has_its_number() -> None:
    there = {int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")}
    missing = [f"{place}: {cited[0]}" for place, cited in matches(_DECISION) if int(cited[1]) not in there]
    seen = 0
    for path in documents():
        for link in links(path):
            said, meant = _DECISION.search(link.text), re.search(r"/?(\d{4})-[\w-]+\.md", link.target)
            if said and meant:
                seen += 1
                if int(said[1]) != int(meant[1]):
                    missing.append(f"{path.relative_to(ROOT)}: {link.text} is {link.target}")
    nothing_missing(missing, seen, 12)


def test_a_decision_has_the_number_of_its_file() -> None:
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        assert headings(path)[0].startswith(f"{int(path.name[:4])}. "), path.name


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    for link in links(path):
        if re.match(r"[a-z]+:", link.target):
            continue
        target, _, name = link.target.partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), f"[{link.text}]({link.target})"
        assert there.is_relative_to(ROOT), link.target
        if name:
            assert name in anchors(there), f"[{link.text}]({link.target})"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_and_test_that_a_document_names_is_there(path: Path) -> None:
    missing = [name for name in codes(prose(path)) if not _is_there(path, name)]
    assert missing == []


def _is_there(path: Path, name: str) -> bool:
    """Whether what stands in backticks, when it is a file, a folder, a test or a name in the code, exists."""
    if _NAME.fullmatch(name):
        return _name_is_there(name)
    cited = _FILE.fullmatch(name.rstrip("/"))
    if cited is None or not _means_a_file(path, cited[1]):
        return True
    found = [folder / cited[1] for folder in _near(path) if (folder / cited[1]).exists()]
    if "/" not in cited[1]:  # a file that several services have
        found += [file for file in files() if file.name == cited[1]]
    return bool(found) and _defines(found[0], [part for part in cited[2].split("::") if part])


def _means_a_file(path: Path, name: str) -> bool:
    first, _, rest = name.partition("/")
    if not rest:
        return True
    made_by_a_run = read(ROOT / ".gitignore").split()
    return any((folder / first).exists() for folder in _near(path)) and not (
        name in made_by_a_run or f"{first}/" in made_by_a_run
    )


def _near(path: Path) -> tuple[Path, ...]:
    """Where a document's file names count from: the project, the document's own folder, what it is about."""
    about = {"simulation.md": ROOT / "tests" / "simulation", "architecture.md": ROOT / "shared" / "runtime"}
    return (ROOT, path.parent, *([about[path.name]] if path.name in about else []))


def _defines(file: Path, names: list[str]) -> bool:
    """Whether a Python file has this class or function, one inside the other."""
    inside: ast.AST = _tree(file) if names else ast.Module([], [])
    for name in names:
        for node in getattr(inside, "body", ()):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
                inside = node
                break
        else:
            return False
    return True


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(read(file))


def _name_is_there(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        module = base.with_suffix(".py")
        if module.exists() or base.is_dir():
            rest = parts[length:]
            return not rest or (module.exists() and re.search(rf"\b{rest[0]}\b", read(module)) is not None)
    return False


def test_every_target_of_make_is_there() -> None:
    there = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    missing, seen = [], 0
    for path in documents():
        for target in re.findall(r"(?:`|^)make ([a-z][a-z-]+)", read(path), re.MULTILINE):
            seen += 1
            if target not in there:
                missing.append(f"{path.relative_to(ROOT)}: make {target}")
    nothing_missing(missing, seen, 10)


def test_an_anchor_is_made_as_github_makes_it() -> None:
    assert anchor("4. Refunds") == "4-refunds"
    assert anchor("What `pawl check` asks, and why?") == "what-pawl-check-asks-and-why"
