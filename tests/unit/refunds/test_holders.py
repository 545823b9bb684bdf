"""Whose account it is, and how an account is shown (domain.md section 4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.refunds.policies.destinations import mask
from services.refunds.policies.holders import LEGAL_FORMS, PROOFS, mismatch_of, proof_of, same_holder
from tests.unit.refunds.desk import ACCOUNT, Desk

CORE = st.text(alphabet="가나다한빛상사랑abcXYZ09&", min_size=1, max_size=8)
FORMS = sorted(LEGAL_FORMS)
SPELLINGS = st.sampled_from([(form, each) for form in FORMS for each in LEGAL_FORMS[form]])
SYMBOLS = {
    "㈜": "주식회사",
    "㈲": "유한회사",
    "（주）": "주식회사",
    "㈱": "주식회사",
    "㈶": "재단법인",
    "㈳": "사단법인",
}


@st.composite
def written(draw: st.DrawFn, core: str, form: str) -> str:
    """A name as somebody may write it: its form before or after it, spaced and wide as it comes."""
    symbols = [symbol for symbol, meant in SYMBOLS.items() if meant == form]
    spelling = draw(st.sampled_from([*LEGAL_FORMS[form], *symbols]))
    space = draw(st.sampled_from(["", " ", "  ", "\u3000", "\t"]))
    name = f"{spelling}{space}{core}" if draw(st.booleans()) else f"{core}{space}{spelling}"
    return draw(st.sampled_from([name, f" {name} ", name.upper(), name.lower(), name.translate(_WIDE)]))


_WIDE = {ord(character): ord(character) + 0xFEE0 for character in "abcxyzABCXYZ0123456789&()"}


@given(st.data(), CORE, st.sampled_from(FORMS))
def test_form_width_case_and_spacing_are_no_difference(data: st.DataObject, core: str, form: str) -> None:
    one, other = data.draw(written(core, form)), data.draw(written(core, form))

    assert same_holder(one, other)
    assert same_holder(one, core)


@given(st.data(), CORE, CORE, st.sampled_from(FORMS))
def test_another_name_is_another_holder_also_where_it_begins_with_the_first(
    data: st.DataObject, core: str, more: str, form: str
) -> None:
    """Compared by its beginning or its end a stranger's account would do."""
    for longer in (core + more, more + core):
        if longer.casefold() == core.casefold():
            continue
        assert not same_holder(data.draw(written(core, form)), longer)
        assert not same_holder(longer, data.draw(written(core, form)))


@given(CORE, CORE, SPELLINGS, SPELLINGS)
def test_it_does_not_matter_who_is_asked_about(
    core: str, other: str, form: tuple[str, str], another: tuple[str, str]
) -> None:
    one, two = form[1] + core, other + another[1]

    assert same_holder(one, two) == same_holder(two, one)
    assert same_holder(one, one)
    assert same_holder(one, two) == (core.casefold() == other.casefold() and form[0] == another[0])


@given(SPELLINGS, CORE)
def test_a_name_that_is_only_a_legal_form_is_no_name_of_all(form: tuple[str, str], core: str) -> None:
    assert not same_holder(form[1], core)
    assert not same_holder(form[1], f"{form[1]}{core}")
    assert same_holder(form[1], form[1])


@pytest.mark.parametrize(
    ("holder", "subscriber"),
    [
        ("(주)가람상사", "주식회사 가람상사"),
        ("㈜가람상사", "주식회사 가람상사"),
        ("주식회사가람상사", "주식회사 가람상사"),
        ("가람상사(주)", "주식회사 가람상사"),
        ("가람상사", "주식회사 가람상사"),
        ("㈲가람", "유한회사 가람"),
        ("(재)가람장학재단", "재단법인 가람장학재단"),
        ("가람협회 (사)", "사단법인 가람협회"),
        ("\u1100\u1161람상사", "가람상사"),
    ],
)
def test_own_names_as_banks_show_them(holder: str, subscriber: str) -> None:
    assert same_holder(holder, subscriber)


@pytest.mark.parametrize(
    ("holder", "subscriber"),
    [
        ("유한회사 가람", "주식회사 가람"),
        ("가람", "가람상사"),
        ("가람상사", "가람"),
        ("주식회사", "(주)"),
        ("가주람", "가람"),
        ("주가람", "(주)가람"),
        ("홍길동", "주식회사 가람상사"),
    ],
)
def test_names_of_others(holder: str, subscriber: str) -> None:
    assert not same_holder(holder, subscriber)


@pytest.mark.parametrize(
    ("holder", "subscriber", "mismatch", "proof"),
    [
        ("홍길동", "주식회사 가람상사", "person_for_company", "power_of_attorney"),
        ("남궁민수", "(주)가람상사", "person_for_company", "power_of_attorney"),
        ("홍길동", "가람상사", "person_for_business", "business_registration"),
        ("유한회사 가람", "주식회사 가람", "other_form", "company_register"),
        ("(주)하늘상사", "주식회사 가람상사", "other_company", "company_register"),
        ("하늘상사", "주식회사 가람상사", "other_company", "company_register"),
        ("하늘상사", "가람상사", "other_name", "bankbook_copy"),
        ("(주)하늘", "가람상사", "other_name", "bankbook_copy"),
        ("HANBIT", "가람", "other_name", "bankbook_copy"),
        ("", "가람", "other_name", "bankbook_copy"),
    ],
)
def test_each_kind_of_mismatch_says_which_proof_it_needs(
    holder: str, subscriber: str, mismatch: str, proof: str
) -> None:
    assert mismatch_of(holder, subscriber) == mismatch
    assert proof_of(mismatch).kind == proof


@given(CORE, CORE, SPELLINGS, SPELLINGS)
def test_there_is_a_mismatch_exactly_where_the_holders_differ(
    core: str, other: str, form: tuple[str, str], another: tuple[str, str]
) -> None:
    one, two = form[1] + core, other + another[1]

    assert (mismatch_of(one, two) is None) == same_holder(one, two)


def test_every_proof_is_told_in_both_languages() -> None:
    for proof in PROOFS.values():
        assert proof.what_to_do.isascii()
        assert any("가" <= each <= "힣" for each in proof.what_to_do_ko)


def test_a_refund_that_is_held_says_what_to_hand_in() -> None:
    desk = Desk()
    desk.paid()

    desk.asked(40, destination={**ACCOUNT, "holder": "홍길동"})

    said, proof = desk.last.data, PROOFS["person_for_company"]
    assert (said["proof"], said["detail"], said["detail_ko"]) == proof
    desk.proof_attached()
    desk.reviewed("approve")
    assert desk.refund.mismatch is None


@pytest.mark.parametrize("length", range(1, 65))
def test_an_account_shows_its_last_four_digits_only_when_it_has_twice_as_many(length: int) -> None:
    number = ("1234567890" * 7)[:length]

    masked = mask("088", number)

    assert masked == ("088-*****" + number[-4:] if length >= 8 else "088-*****")


@given(st.text(alphabet="0123456789- ", min_size=1, max_size=20))
def test_hyphens_and_spaces_make_no_number_longer(number: str) -> None:
    digits = number.replace("-", "").replace(" ", "")

    assert mask("088", number) == mask("088", digits)
    assert not any(digits[-4:][-shown:] in mask("", number) for shown in (1, 2, 3, 4) if 0 < len(digits) < 8)
