"""One word, one meaning: the words that docs/glossary.md gave up stay away, from prose and from names."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guides import ROOT, files, read, section, table

GLOSSARY = ROOT / "docs" / "glossary.md"
SPEAKS_OF_THEM = {GLOSSARY, ROOT / "CHANGELOG.md", Path(__file__)}
"""Where the old words are named on purpose."""
STILL_UNDERSTOOD = {ROOT / "shared" / "settings.py": {"lanes"}}
"""The setting's old name, which whoever sets it goes on using."""
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


def test_the_glossary_and_this_test_name_the_same_words() -> None:
    rows = table(section(GLOSSARY, "Words that are not used"))
    named = {word for row in rows for word in re.findall(r"\w+", re.sub(r"\(.*\)", "", row[0]))}
    assert {word.lower() for word in named} == set(FORMS) | {name.lower() for name in NAMES}


@pytest.mark.parametrize("word", FORMS)
def test_a_word_that_was_given_up_stays_away(word: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files()
        if path.suffix in READ and path not in SPEAKS_OF_THEM
        for number, each in words(read(path))
        if each in FORMS[word] and each not in STILL_UNDERSTOOD.get(path, ())
    ]
    assert found == []


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
