"""A bundle in a folder: `evidence.json`, `evidence.pdf`, and `manifest.json`, which says what they hold."""

from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import orjson
from pypdf import PdfReader

from ops.shell.private_files import private_file
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.watch.evidence.printing import print_bundle
from shared.evidence.chain import beginning, head_of, index_of

JSON: Final = "evidence.json"
PDF: Final = "evidence.pdf"
MANIFEST: Final = "manifest.json"
MANIFEST_FORM: Final = "pawl.evidence.manifest.v1"
ELSEWHERE: Final = "put it elsewhere: -o DIR"
_BREAKS: Final = {ord("\u200b"): None}
"""Where the template lets a long word break."""


def write_bundle(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Puts the three files into the folder, readable by their owner only; returns the manifest.

    The manifest comes last, so a bundle with one is whole. Raises Problem, also where one is there already.
    """
    text, pdf = orjson.dumps(document, option=orjson.OPT_INDENT_2), print_bundle(document)
    manifest = manifest_of(document, text, pdf)
    files = {JSON: text, PDF: pdf, MANIFEST: orjson.dumps(manifest, option=orjson.OPT_INDENT_2)}
    with explain_os_errors("writing the evidence", folder, ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = [name for name in files if (folder / name).exists()]
        if there:
            raise Problem(
                f"{folder} has {' and '.join(there)} already: evidence is never replaced.",
                "Choose another folder: -o DIR",
                Exit.USAGE,
            )
        for name, content in files.items():
            with private_file(folder / name) as file:
                file.write(content)
    return manifest


def manifest_of(document: Mapping[str, Any], text: bytes, pdf: bytes) -> dict[str, Any]:
    """What belongs together: the head of the chain, each entry, each page, and the hash of each file."""
    return {
        "form": MANIFEST_FORM,
        "order_id": document["order_id"],
        "taken_at": document["taken_at"],
        "head": head_of(document),
        "begins": beginning(document),
        "files": {JSON: sha256(text).hexdigest(), PDF: sha256(pdf).hexdigest()},
        "pages": page_hashes(pdf),
        "entries": [link._asdict() for link in index_of(document)],
    }


def page_hashes(pdf: bytes) -> list[str]:
    """The SHA-256 of what each page draws, in their order. Raises PdfReadError of pypdf."""
    return [sha256(_drawing_of(page)).hexdigest() for page in PdfReader(BytesIO(pdf)).pages]


def texts_of(pdf: bytes) -> list[str]:
    """The words of each page, in their order. Raises PdfReadError of pypdf."""
    return [page.extract_text().translate(_BREAKS) for page in PdfReader(BytesIO(pdf)).pages]


def head_in(pdf: bytes) -> str:
    """The head of the chain that a PDF names; empty where it names none. Raises PdfReadError of pypdf."""
    metadata = PdfReader(BytesIO(pdf)).metadata
    words = str(metadata.get("/Keywords", "")) if metadata is not None else ""
    return words.removeprefix("head ") if words.startswith("head ") else ""


def _drawing_of(page: Any) -> bytes:
    contents = page.get_contents()
    return b"" if contents is None else bytes(contents.get_data())
