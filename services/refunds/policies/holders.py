"""Whose bank account it must be: the subscriber's own (domain.md section 4).

A business writes its legal form in full or short, before or after its name, or leaves it out. The forms are
those of companies (상법 제170조) and of incorporated foundations and associations (민법 제32조).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple
from unicodedata import normalize

LEGAL_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "주식회사": ("주식회사", "(주)", "(株)"),
    "유한회사": ("유한회사", "(유)", "(有)"),
    "유한책임회사": ("유한책임회사",),
    "합자회사": ("합자회사",),
    "합명회사": ("합명회사",),
    "재단법인": ("재단법인", "(재)", "(財)"),
    "사단법인": ("사단법인", "(사)", "(社)"),
}
"""Each legal form with its spellings, after NFKC has made ㈜, ㈲ and their like out of letters."""


class _Holder(NamedTuple):
    """A name without its legal form, and that form; None where the name has none."""

    name: str
    form: str | None


def same_holder(holder: str, subscriber: str) -> bool:
    """Whether a bank account is in the subscriber's own name.

    Width, case, white space and the legal form are no difference. The whole names are compared, never parts
    of them; and two businesses of one name whose legal forms differ are two businesses.
    """
    one, other = _read(holder), _read(subscriber)
    return one.name == other.name and (one.form == other.form or None in (one.form, other.form))


def _read(text: str) -> _Holder:
    name = normalize("NFKC", normalize("NFKC", text).casefold())
    name = "".join(name.split())
    for form, spellings in LEGAL_FORMS.items():
        for spelling in spellings:
            for rest in (name.removeprefix(spelling), name.removesuffix(spelling)):
                if rest and rest != name:
                    return _Holder(rest, form)
    return _Holder(name, None)
