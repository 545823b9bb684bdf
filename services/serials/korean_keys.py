"""What was typed while the keyboard was set to Korean: the keys of each letter (Dubeolsik). Pure.

Who types `ab` there gets ㅁㅠ, or the syllable 뮤; both are the keys A and B.
"""

from itertools import chain
from typing import Final
from unicodedata import normalize

_VOWELS = "k o i O j p u P h hk ho hl y n nj np nl b m ml l"
_FINALS = "r R rt s sw sg e f fr fa fq ft fx fv fg a q qt t T d w c z x v g"
_SINGLE = f"r R rt s sw sg e E f fr fa fq ft fx fv fg a q Q qt t T d w W c z x v g {_VOWELS}"


def _letters_from(code: int, keys: str) -> enumerate[str]:
    return enumerate(keys.split(), code)


_KEYS: Final = dict(
    chain(
        # the letters of a syllable that is taken apart
        _letters_from(0x1100, "r R s e E f a q Q t T d w W c z x v g"),
        _letters_from(0x1161, _VOWELS),
        _letters_from(0x11A8, _FINALS),
        # letters by themselves
        _letters_from(0x3131, _SINGLE),
    )
)


def as_keys(text: str) -> str:
    """A text with the keys in the place of Korean letters and syllables."""
    return normalize("NFD", text).translate(_KEYS)
