"""Checks a bundle: is every entry and page there, unchanged and in its place, and do the files fit?

The manifest is not believed about pages, since whoever takes one out can change it too: each page draws its
own number and of how many it is, and the hashes of its entries, which the chain of the JSON knows.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import orjson
from pypdf.errors import PyPdfError

from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.watch.evidence.files import JSON, MANIFEST, MANIFEST_FORM, PDF, head_in, page_hashes, texts_of
from shared.evidence.chain import FORM, Link, faults_of, head_of

NOT_A_BUNDLE: Final = "A bundle is the folder that this made: pawl evidence ORDER -o DIR"
_NUMBER: Final = re.compile(r"\b(\d+) / (\d+)\s+사슬의 머리")
"""The number of a page and of how many it is, as its header draws them (`bundle.typ`)."""


def verify_bundle(folder: Path, head: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The manifest of the bundle, and what is wrong with it by name; an empty list when nothing is.

    `head`: what somebody was told the head of the chain is. Raises Problem where there is no bundle.
    """
    manifest = _manifest(_content(folder, MANIFEST))
    faults = [*_faults_of_json(folder, manifest), *_faults_of_pdf(folder, manifest)]
    if manifest["entries"] and manifest["entries"][-1]["hash"] != manifest["head"]:
        faults.append(f"{MANIFEST} was changed: its last entry is not the head of the chain")
    if head is not None and head.strip().lower() != manifest["head"]:
        faults.append(f"this is another bundle: the head of its chain is {manifest['head']}")
    return manifest, faults


def _faults_of_json(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    try:
        text = _content(folder, JSON)
    except FileNotFoundError:
        yield f"{JSON} is missing"
        return
    try:
        document = orjson.loads(text)
        if document["form"] != FORM:
            raise ValueError
        faults = faults_of(document, manifest["begins"], [Link(**each) for each in manifest["entries"]])
        if not faults and head_of(document) != manifest["head"]:
            faults.append("the head of the chain is not the one of the manifest")
    except (ValueError, KeyError, TypeError):
        yield f"{JSON} was changed: it is no evidence any more"
        return
    yield from (f"{JSON}: {fault}" for fault in faults)
    if not faults and sha256(text).hexdigest() != manifest["files"][JSON]:
        yield f"{JSON} was written anew: its entries are the same, its bytes are not"


def _faults_of_pdf(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    try:
        pdf = _content(folder, PDF)
    except FileNotFoundError:
        yield f"{PDF} is missing"
        return
    try:
        named, pages, texts = head_in(pdf), page_hashes(pdf), texts_of(pdf)
    except (PyPdfError, ValueError, KeyError, TypeError, RecursionError):
        yield f"{PDF} was changed: it cannot be read any more"
        return
    if named != manifest["head"]:
        yield f"{PDF} belongs to another bundle: it names the head {named or 'of none'}"
    if sha256(pdf).hexdigest() != manifest["files"][PDF]:
        yield from _wrong_pages(pages, manifest["pages"])
    elif named == manifest["head"]:
        yield from _wrong_numbers(texts)
        yield from _not_drawn(texts, [Link(**each) for each in manifest["entries"]])


def _wrong_numbers(texts: Sequence[str]) -> Iterator[str]:
    """Which pages are missing or foreign, by the numbers that they draw."""
    drawn = [_NUMBER.search(text) for text in texts]
    numbers = [(int(found[1]), int(found[2])) for found in drawn if found is not None]
    total = max((of for _, of in numbers), default=0)
    there = [number for number, _ in numbers]
    for number in range(1, total + 1):
        if number not in there:
            yield f"{PDF}: page {number} of {total} is missing, and {MANIFEST} hides it"
    for place, found in enumerate(drawn, start=1):
        if found is None or int(found[2]) != total:
            yield f"{PDF}: page {place} is none of its pages, and {MANIFEST} hides it"
    if sorted(set(there)) != there:
        yield f"{PDF}: its pages are not in turn, and {MANIFEST} hides it"


def _not_drawn(texts: Sequence[str], entries: Sequence[Link]) -> Iterator[str]:
    """Which entries of the chain stand on no page."""
    text = "\n".join(texts)
    for entry in entries:
        if entry.hash not in text:
            yield f"{PDF}: {entry} is on no page"


def _wrong_pages(found: Sequence[str], noted: Sequence[str]) -> Iterator[str]:
    """Which pages are missing, changed or moved. Where as many are there, one that is missing was changed."""
    missing = [number for number, page in enumerate(noted, start=1) if page not in found]
    added = [number for number, page in enumerate(found, start=1) if page not in noted]
    replaced = set(missing) & set(added) if len(found) == len(noted) else set()
    yield from (f"{PDF}: page {number} was changed" for number in sorted(replaced))
    yield from (f"{PDF}: page {number} is missing" for number in missing if number not in replaced)
    yield from (f"{PDF}: page {number} was added" for number in added if number not in replaced)
    places = [noted.index(page) + 1 for page in found if page in noted]
    moved = [(place, before) for before, place in pairwise(places) if place <= before]
    yield from (f"{PDF}: page {place} stands behind page {before}" for place, before in moved)
    if not (missing or added or moved):
        yield f"{PDF} was written anew: its pages draw the same, its bytes are not the same"


def _content(folder: Path, name: str) -> bytes:
    """The bytes of a file. Raises FileNotFoundError where another file than the manifest is not there."""
    path = folder / name
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if name != MANIFEST:
            raise
        raise Problem(f"{folder} has no {MANIFEST}.", NOT_A_BUNDLE, Exit.USAGE) from None
    except OSError as error:
        with explain_os_errors("reading the evidence", path):
            raise error


def _manifest(text: bytes) -> dict[str, Any]:
    """The manifest, of the form that is known. Raises Problem."""
    try:
        manifest: dict[str, Any] = orjson.loads(text)
        links = [Link(**each) for each in manifest["entries"]]
        whole = manifest["form"] == MANIFEST_FORM and bool(links) and set(manifest["files"]) == {JSON, PDF}
        texts = [manifest[name] for name in ("order_id", "taken_at", "head", "begins")]
        if not whole or not all(isinstance(each, str) for each in (*texts, *manifest["pages"])):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise Problem(
            f"{MANIFEST} was changed: it is no manifest any more.", NOT_A_BUNDLE, Exit.RULE_BROKEN
        ) from None
    return manifest
