"""Documents as PDF: a Typst template, values, and Korean fonts that are embedded; the same bytes every time.

A template reads its values with `json(bytes(sys.inputs.values))` and uses the fonts "Noto Sans KR" and "Noto
Serif KR", and "DejaVu Sans Mono" for what has no Korean. It sets `document(date: ...)`: the clock is not
asked. Pages are PDF/A-2b, so a character that no font has is an error; `legible` shows it by its code point.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from unicodedata import category, normalize

import typst
from fontTools.ttLib import TTFont
from pylopdf_fonts_ko import sans_path

STANDARD: Final = "a-2b"


class CannotTypeset(Exception):
    """The template does not fit the values: a mistake in Pawl."""


def typeset(template: Path, values: Mapping[str, Any]) -> bytes:
    """The document as PDF. Raises CannotTypeset. Texts in `values` have to be `legible`."""
    pdf = _compiled(template, values, {"format": "pdf", "pdf_standards": STANDARD})
    assert isinstance(pdf, bytes)
    return pdf


def pictures(template: Path, values: Mapping[str, Any], ppi: float) -> list[bytes]:
    """Each page of the document as PNG. Raises CannotTypeset."""
    pages = _compiled(template, values, {"format": "png", "ppi": ppi})
    return [pages] if isinstance(pages, bytes) else pages


def legible(text: str) -> str:
    """The text with what the fonts cannot show as code points: `[U+1F642]`. Letters are composed (NFC)."""
    return "".join(_shown(character) for character in normalize("NFC", text))


def all_legible(item: Any) -> Any:
    """JSON with every text in it legible."""
    if isinstance(item, str):
        return legible(item)
    if isinstance(item, Mapping):
        return {name: all_legible(value) for name, value in item.items()}
    return [all_legible(each) for each in item] if isinstance(item, list | tuple) else item


def _shown(character: str) -> str:
    if ord(character) in _glyphs() and category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    return f"[U+{ord(character):04X}]"


@cache
def _glyphs() -> frozenset[int]:
    with TTFont(sans_path(), lazy=True) as font:
        return frozenset(font.getBestCmap())


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, font_paths=[str(sans_path().parent)])


def _compiled(template: Path, values: Mapping[str, Any], form: Mapping[str, Any]) -> Any:
    inputs = {"values": json.dumps(values, ensure_ascii=False)}
    try:
        return typst.compile(
            template.read_bytes(),
            font_paths=_fonts(),
            ignore_system_fonts=True,
            sys_inputs=inputs,
            timestamp=0,
            **form,
        )
    except typst.TypstError as error:
        raise CannotTypeset(f"{template.name}: {error.message}") from error
