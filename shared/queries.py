"""The SQL catalogue of a package: named queries in a `queries.sql` beside the code.

    -- name: claim_ids
    -- Remember these event ids and return the ones not seen before.
    INSERT INTO ...

A block starts at its `-- name:` line; the comment lines that follow are its one-sentence story and are not
sent to the server. `SQL = load(__file__)` (or the package's name) stands at the top of a module, so that a
broken catalogue stops a service at start; a query that does not exist is an AttributeError where it is named.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

_NAME_LINE = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_LOWER_WORDS = re.compile(r"[a-z]+(_[a-z0-9]+)*")


class Queries:
    """Named queries; `queries.claim_ids` is the SQL text."""

    __slots__ = ("_source", "_stories", "_texts")

    def __init__(self, source: str, texts: Mapping[str, str], stories: Mapping[str, str]) -> None:
        self._source = source
        self._texts = dict(texts)
        self._stories = dict(stories)

    def __getattr__(self, name: str) -> str:
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"{self._source} has no query named {name}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def story(self, name: str) -> str:
        """The sentence that says what the query is for."""
        return self._stories[name]


def load(package_file: str) -> Queries:
    """Read the `queries.sql` of a package: given the `__file__` of a module in it, or its dotted name.

    Raises ValueError for a block without a story, without SQL, named twice, or not in lower_case_words.
    """
    is_file = package_file.endswith((".py", ".pyc"))
    folder = Path(package_file).parent if is_file else files(package_file)
    text = folder.joinpath("queries.sql").read_text(encoding="utf-8")
    return parse(text, f"{package_file}: queries.sql")


def parse(text: str, source: str = "queries.sql") -> Queries:
    """The queries in the text of a catalogue. `source` names it in errors."""
    pieces = _NAME_LINE.split(text)
    texts: dict[str, str] = {}
    stories: dict[str, str] = {}
    for name, block in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in texts:
            raise ValueError(f"{source}: {name} is defined twice")
        if not _LOWER_WORDS.fullmatch(name):
            raise ValueError(f"{source}: {name} is not written in lower_case_words")
        stories[name], texts[name] = _story_and_sql(name, block, source)
    return Queries(source, texts, stories)


def _story_and_sql(name: str, block: str, source: str) -> tuple[str, str]:
    lines = block.strip().splitlines()
    story = []
    while lines and lines[0].startswith("--"):
        story.append(lines.pop(0).lstrip("- ").rstrip())
    sql = "\n".join(lines).strip().rstrip(";").rstrip()
    if not story or not sql:
        raise ValueError(f"{source}: {name} needs a comment that says what it is for, and SQL")
    return " ".join(story), sql
