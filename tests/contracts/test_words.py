"""One word, one meaning: the words that docs/glossary.md gave up stay away, from prose and from names."""

import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.guides import ROOT, files, read, section, table

GLOSSARY = ROOT / "docs" / "glossary.md"
SPEAKS_OF_THEM = {GLOSSARY, ROOT / "CHANGELOG.md", Path(__file__)}
"""Where the old words are named on purpose."""
STILL_UNDERSTOOD = {
    ROOT / "shared/settings.py": {"lanes"},
    ROOT / "shared/runtime/signals.py": {"facts"},
    ROOT / "shared/runtime/retention.py": {"facts"},
    ROOT / "shared/runtime/queries.sql": {"facts"},
    ROOT / "deploy/postgres/rights.sql": {"facts"},
    ROOT / "ops/audit/history/judge.py": {"facts"},
    ROOT / "ops/audit/topics/report.py": {"facts"},
    ROOT / "docs/watching.md": {"facts"},
}
"""Names that others use: a setting, metrics with a label, a function of the schema, keys of JSON."""
OF_TESTS = ("tests", "benchmarks")
"""Their local names are free; what they tell in prose is not."""
FORMS = {
    "lane": {"lane", "lanes"},
    "fact": {"fact", "facts"},
    "deed": {"deed", "deeds"},
    "bag": {"bag", "bags"},
    "bury": {"bury", "buries", "buried", "burying"},
    "unharmed": {"unharmed"},
}
"""Words that are used in no way; the others of the glossary only as names of classes and functions."""
NAMES = {"Emit", "Item", "Known", "Share", "Asked", "Reach", "reach"}
READ = {".py", ".sql", ".md", ".sh", ".yaml", ".toml"}

_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_DEFINED = re.compile(r"^\s*(?:class|def|async def|type) (\w+)|^(\w+) *(?::[^=]*)?= ", re.MULTILINE)


def words(text: str) -> Iterator[tuple[int, str]]:
    """Every word of a text with its line; names are taken apart at underscores and capitals."""
    for number, line in enumerate(text.splitlines(), start=1):
        for part in _PARTS.findall(line):
            yield number, part.lower()


def is_of_tests(path: Path) -> bool:
    """Whether the file is Python of the tests or benchmarks."""
    return path.suffix == ".py" and path.relative_to(ROOT).parts[0] in OF_TESTS


def prose_of_tests(path: Path) -> str:
    """The docstrings, comments and names of tests, each on its line."""
    lines = [""] * (read(path).count("\n") + 2)
    tokens = list(tokenize.generate_tokens(io.StringIO(read(path)).readline))
    for before, token in pairwise(tokens):
        is_text = token.type == tokenize.COMMENT or token.string.startswith('"""')
        is_test = before.string == "def" and token.string.startswith("test_")
        if is_text or is_test:
            for number, text in enumerate(token.string.splitlines(), start=token.start[0]):
                lines[number - 1] += f" {text}"
    return "\n".join(lines)


def test_the_glossary_and_this_test_name_the_same_words() -> None:
    rows = table(section(GLOSSARY, "Words that are not used"))
    named = {word for row in rows for word in re.findall(r"\w+", re.sub(r"\(.*\)", "", row[0]))}
    assert {word.lower() for word in named} == set(FORMS) | {name.lower() for name in NAMES}


@pytest.fixture(scope="module")
def given_up() -> Mapping[str, list[str]]:
    """Where each word that was given up is used all the same."""
    used: dict[str, list[str]] = {word: [] for word in FORMS}
    meant = {form: word for word, forms in FORMS.items() for form in forms}
    for path in files():
        if path.suffix not in READ or path in SPEAKS_OF_THEM or "migrations" in path.parts:
            continue
        for number, each in words(prose_of_tests(path) if is_of_tests(path) else read(path)):
            if each in meant and each not in STILL_UNDERSTOOD.get(path, ()):
                used[meant[each]].append(f"{path.relative_to(ROOT)}:{number}")
    return used


@pytest.mark.parametrize("word", FORMS)
def test_a_word_that_was_given_up_stays_away(word: str, given_up: Mapping[str, list[str]]) -> None:
    assert given_up[word] == []


def test_a_name_that_was_given_up_stays_away() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files()
        if path.suffix == ".py" and path not in SPEAKS_OF_THEM
        for match in _DEFINED.finditer(read(path))
        for name in match.groups()
        if name in NAMES
    ]
    assert found == []
