"""Entries as a chain: each one carries the hash of the one before, so that none can go unnoticed. Pure.

A hash is SHA-256 over the canonical JSON (UTF-8, sorted names, no spaces) of an entry without its own `hash`;
`previous` and `number` are in it. The first entry follows the hash of the head of the document. The last hash
is the head of the chain: whoever knows it knows all that came before.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

FORM: Final = "pawl.evidence.v1"
"""What such a document calls itself."""
ENTRIES: Final = "entries"


class Link(NamedTuple):
    """What an index keeps of an entry: enough to say which one is missing."""

    number: int
    kind: str
    name: str
    hash: str

    def __str__(self) -> str:
        return f"entry {self.number} ({self.kind} {self.name})"


def digest(document: Mapping[str, Any]) -> str:
    """The SHA-256 of a document, in hexadecimal."""
    return sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def beginning(document: Mapping[str, Any]) -> str:
    """The hash that the first entry follows: that of everything in the document but its entries."""
    return digest({name: value for name, value in document.items() if name != ENTRIES})


def chained(head: Mapping[str, Any], contents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The document that begins with `head`, with its entries numbered from 1 and linked."""
    entries: list[dict[str, Any]] = []
    previous = beginning(head)
    for number, content in enumerate(contents, start=1):
        entry = {"number": number, **content, "previous": previous}
        previous = digest(entry)
        entries.append({**entry, "hash": previous})
    return {**head, ENTRIES: entries}


def head_of(document: Mapping[str, Any]) -> str:
    """The head of a document's chain."""
    entries = document[ENTRIES]
    return str(entries[-1]["hash"]) if entries else beginning(document)


def index_of(document: Mapping[str, Any]) -> list[Link]:
    """What an index keeps of the entries."""
    return [Link(*(entry[name] for name in Link._fields)) for entry in document[ENTRIES]]


def faults_of(document: Mapping[str, Any], begins: str, index: Sequence[Link]) -> list[str]:
    """What is wrong with a document by what was noted when it was made; empty when nothing is.

    `begins` is the hash that its first entry followed, `index` what was noted of each entry.
    """
    faults = [] if beginning(document) == begins else ["what stands before the entries was changed"]
    entries = document[ENTRIES]
    there = {entry["number"] for entry in entries}
    faults += [f"{link} is missing" for link in index if link.number not in there]
    return [*faults, *_wrong_entries(entries, {link.number: link for link in index}), *_gaps(entries, begins)]


def _wrong_entries(entries: Sequence[Mapping[str, Any]], index: Mapping[int, Link]) -> Iterator[str]:
    last = 0
    for entry in entries:
        number = entry["number"]
        link = index.get(number)
        if link is None:
            yield f"entry {number} was added: nothing is noted of it"
        elif _is_changed(entry, link):
            yield f"{link} was changed"
        if number == last:
            yield f"entry {number} is there twice"
        elif number < last:
            yield f"entry {number} stands behind entry {last}"
        last = max(last, number)


def _is_changed(entry: Mapping[str, Any], link: Link) -> bool:
    own = digest({name: value for name, value in entry.items() if name != "hash"})
    return not own == entry["hash"] == link.hash or (entry["kind"], entry["name"]) != (link.kind, link.name)


def _gaps(entries: Sequence[Mapping[str, Any]], begins: str) -> Iterator[str]:
    """What does not follow what stands before it, also where the index was changed with the entries."""
    before, previous = "the beginning", begins
    for entry in entries:
        if entry["previous"] != previous:
            yield f"entry {entry['number']} does not follow {before}"
        before, previous = f"entry {entry['number']}", entry["hash"]
