"""Whose bank account it must be: the subscriber's own (domain.md section 4).

A business writes its legal form in full or short, before or after its name, or leaves it out. The forms are
those of companies (상법 제170조) and of incorporated foundations and associations (민법 제32조).
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple
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


Mismatch = Literal[
    "person_for_company", "person_for_business", "other_form", "other_company", "other_name", "not_confirmed"
]
"""How the holder of an account differs from the subscriber; `not_confirmed` is what the bank says."""


class Proof(NamedTuple):
    """What proves that an account may have the money: its name on the wire, and what to hand in."""

    kind: str
    what_to_do: str
    what_to_do_ko: str


BANKBOOK: Final = Proof(
    "bankbook_copy",
    "hand in a copy of the bankbook with the business registration certificate of the same name",
    "통장 사본과 같은 상호의 사업자등록증을 제출하십시오",
)
PROOFS: Final[Mapping[str, Proof]] = {
    "person_for_company": Proof(
        "power_of_attorney",
        "the account of a company is a person's: hand in a power of attorney with the company's certificate "
        "of seal, or ask again with an account of the company",
        "예금주가 개인입니다. 위임장과 법인인감증명서를 제출하거나 법인 명의 계좌로 다시 요청하십시오",
    ),
    "person_for_business": Proof(
        "business_registration",
        "hand in the business registration certificate that names the holder as the representative",
        "예금주가 대표자로 적힌 사업자등록증을 제출하십시오",
    ),
    "other_form": Proof(
        "company_register",
        "the legal form differs: hand in the certified company register that shows the change of form",
        "법인 종류가 다릅니다. 조직변경이 적힌 등기사항전부증명서를 제출하십시오",
    ),
    "other_company": Proof(
        "company_register",
        "the account is of another company: hand in the certified company register that shows the earlier "
        "name or the merger",
        "다른 회사의 계좌입니다. 상호변경이나 합병이 적힌 등기사항전부증명서를 제출하십시오",
    ),
    "other_name": BANKBOOK,
    "not_confirmed": Proof(
        "bankbook_copy",
        "the bank has this account under another business number: hand in a copy of the bankbook with the "
        "business registration certificate",
        "은행에 등록된 사업자등록번호와 다릅니다. 통장 사본과 사업자등록증을 제출하십시오",
    ),
}
"""The proof that each kind of mismatch needs."""

SURNAMES: Final = frozenset(
    "김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노하곽성차주우구민류나진지엄채원천방공현함변염여"
    "추도소석선설마길연위표명기반왕금옥육인맹제모탁국어은편용"
)
LONG_SURNAMES: Final = ("남궁", "황보", "제갈", "선우", "독고", "사공", "서문")
"""Of nearly everybody in Korea (통계청 인구주택총조사, 성씨·본관)."""


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


def mismatch_of(holder: str, subscriber: str) -> Mismatch | None:
    """How the holder of an account differs from the subscriber; None where it is the subscriber.

    Whether a name is a person's is a guess, from which only the words about the proof follow.
    """
    if same_holder(holder, subscriber):
        return None
    one, other = _read(holder), _read(subscriber)
    if one.name == other.name:
        return "other_form"
    if one.form is None and _may_be_a_person(one.name):
        return "person_for_company" if other.form is not None else "person_for_business"
    return "other_company" if other.form is not None else "other_name"


def proof_of(mismatch: str | None) -> Proof:
    """The proof that a mismatch needs; None is of a refund that is older than their kinds."""
    return PROOFS.get(mismatch or "", BANKBOOK)


def _may_be_a_person(name: str) -> bool:
    """Two or three syllables that begin with a surname, or three or four with one of two."""
    if not all("가" <= syllable <= "힣" for syllable in name):
        return False
    is_long = name.startswith(LONG_SURNAMES) and len(name) in (3, 4)
    return is_long or (len(name) in (2, 3) and name[0] in SURNAMES)


def _read(text: str) -> _Holder:
    name = normalize("NFKC", normalize("NFKC", text).casefold())
    name = "".join(name.split())
    for form, spellings in LEGAL_FORMS.items():
        for spelling in spellings:
            for rest in (name.removeprefix(spelling), name.removesuffix(spelling)):
                if rest and rest != name:
                    return _Holder(rest, form)
    return _Holder(name, None)
