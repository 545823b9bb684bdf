"""Watermarks: the name of one hand-out, which stands in everything that left with it.

    7KP2-M0ZV-3XWH

12 random characters of Crockford's base32, in groups of four: shorter than a serial, so that neither is taken
for the other. Pure: random bytes are passed in.
"""

import re
from typing import Final

from services.serials.codes import ALPHABET

RANDOM_BYTES: Final = 12
"""The low five bits of each byte make one character: 60 bits."""

_LOOK_ALIKES = str.maketrans("OIL", "011", "- ")
_WATERMARK = re.compile(f"[{ALPHABET}]{{{RANDOM_BYTES}}}", re.ASCII)


def make_watermark(random: bytes) -> str:
    """A watermark out of `RANDOM_BYTES` random bytes."""
    return _grouped("".join(ALPHABET[byte & 31] for byte in random))


def read_watermark(typed: str) -> str | None:
    """The watermark that somebody typed, as it is stored; None when it cannot be one."""
    bare = typed.upper().translate(_LOOK_ALIKES)
    return _grouped(bare) if _WATERMARK.fullmatch(bare) else None


def _grouped(characters: str) -> str:
    return "-".join(characters[start : start + 4] for start in range(0, RANDOM_BYTES, 4))
