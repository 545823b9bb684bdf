"""No account, no address and no number of somebody survives in what a page or a file shows."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.masking import (
    HIDDEN,
    StillHidden,
    has_hidden,
    mask,
    mask_headers,
    mask_record,
    mask_text,
    restore,
)
from console.tables import Column, masked

GAPS = ["", "-", " ", ".", "·", " - ", "\u00a0", "\u2013", "\u200b", "\u202e"]
DIGITS = ["0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩"]


@st.composite
def accounts(draw: st.DrawFn) -> str:
    """An account, a phone or a card: 9 to 16 digits, grouped as people group them, in any digits."""
    digits = draw(st.lists(st.integers(0, 9), min_size=9, max_size=16))
    alphabet, gap = draw(st.sampled_from(DIGITS)), draw(st.sampled_from(GAPS))
    every = draw(st.integers(2, 6))
    parts = ["".join(alphabet[d] for d in digits[at : at + every]) for at in range(0, len(digits), every)]
    return gap.join(parts)


WORD = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
NAMES = st.sampled_from(
    ["message", "note", "product_name", "detail", "holder", "name", "reason", "이름", "x"]
)
ADDRESSES = st.from_regex(r"[a-z0-9._%+-]{1,12}@[a-z0-9-]{1,10}\.(com|co\.kr|example)", fullmatch=True)


def runs(text: str) -> list[int]:
    """How many digits stand in a row, whatever but letters stands between them."""
    return [len(re.findall(r"\d", run)) for run in re.findall(r"[\d\s.·\-\u00a0\u2013\u200b\u202e]+", text)]


def nested(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3)
        ),
        max_leaves=5,
    )


@given(before=WORD, account=accounts(), after=WORD)
def test_no_account_survives_in_a_free_text(before: str, account: str, after: str) -> None:
    shown = mask_text(f"{before}{account}{after}")

    assert account not in shown
    assert "".join(re.findall(r"\d", account)) not in "".join(re.findall(r"\d", shown))


@given(before=WORD, address=ADDRESSES, after=WORD)
def test_no_address_survives_in_a_free_text(before: str, address: str, after: str) -> None:
    shown = mask_text(f"{before}{address}{after}")

    assert address not in shown
    assert re.search(r"[^\s*]@[^\s*]", shown) is None


@given(document=st.dictionaries(NAMES, nested(accounts() | ADDRESSES), min_size=1))
def test_nothing_survives_however_deep_it_stands(document: dict[str, Any]) -> None:
    shown = orjson.dumps(mask(document)).decode()

    assert max(runs(shown), default=0) < 8
    assert re.search(r"[^\s*]@[^\s*]", shown) is None
    assert mask_record(orjson.dumps(document).decode()) == shown


@given(text=st.text() | accounts() | ADDRESSES, more=WORD)
def test_what_is_hidden_once_is_not_hidden_further(text: str, more: str) -> None:
    once = mask_text(text + more)

    assert mask_text(once) == once


@pytest.mark.parametrize(
    "name",
    [
        "account_number",
        "account",
        "card_number",
        "phone",
        "mobile_phone",
        "invoice_email",
        "email",
        "card_last_four",
    ],
)
def test_a_member_whose_name_says_so_is_hidden_whole(name: str) -> None:
    assert mask({name: "12"}) == {name: HIDDEN}
    assert mask({"a": [{name: 4321}]}) == {"a": [{name: HIDDEN}]}
    assert mask({name: None}) == {name: None}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("088 ****4321", "088 ***"),
        ("card xxxx-4321 was used", "card *** was used"),
        ("call 010-1234-5678 or kim@shop.example.", "call *** or ***@***"),
        ("주문 (kim@shop.example)의 계좌 110-234-567890로", "주문 (***@***)의 계좌 ***로"),
        ("amount must be 1..1000000, got -5", "amount must be 1..1000000, got -5"),
        ("since 2026-11-30T18:02:11.204+09:00", "since 2026-11-30T18:02:11.204+09:00"),
        ("on 2026-11-30 at 18:02", "on 2026-11-30 at 18:02"),
        ("2012-01-123456", HIDDEN),
        (
            "refund 0199a0b0-0000-7000-8000-000000000077 waits",
            "refund 0199a0b0-0000-7000-8000-000000000077 waits",
        ),
        ("evt-f1234567890e4f76b3dc91a3f0111abc waits", "evt-f1234567890e4f76b3dc91a3f0111abc waits"),
        ("11012345678901234111012345678901", HIDDEN),
        ("₩1,234,567,890", "₩1,234,567,890"),
        ("", ""),
    ],
)
def test_a_text_is_readable_but_for_what_is_hidden(text: str, shown: str) -> None:
    assert mask_text(text) == shown


def test_what_names_things_instants_and_won_stays() -> None:
    document = {
        "order_id": "20261130000012345",
        "amount": 1_234_567_890,
        "lines": [{"line_id": "1", "quantity": 2, "unit_price": 10_000_000}],
        "paid_at": "2026-11-30T18:02:11+09:00",
        "partner": {"partner_id": "P-17", "business_number": "1168200276", "name": "가나다"},
    }

    assert mask(document) == document
    assert not has_hidden(mask(document))
    assert has_hidden(mask({"a": [{"b": "1102345678901"}]}))


def test_a_name_of_a_member_is_a_text_too() -> None:
    assert mask({"110-234-567890": 1}) == {HIDDEN: 1}


def test_a_number_that_nobody_named_is_hidden() -> None:
    assert mask({"x": 110234567890, "order_id": "kim@shop.example"}) == {"x": HIDDEN, "order_id": "***@***"}


def test_a_record_that_is_no_document_is_a_text_and_headers_are_known_by_name() -> None:
    assert mask_record("계좌 110234567890") == "계좌 ***"
    assert mask_record(None) is None
    assert mask_record('{"amount":5}') == '{"amount":5}'
    assert mask_record("1102345678901") == HIDDEN
    assert mask_headers([["ce_time", "2026-11-30T18:00:00Z"], ["x-phone", "01012345678"]]) == [
        ["ce_time", "2026-11-30T18:00:00Z"],
        ["x-phone", HIDDEN],
    ]


DOCUMENT = {
    "order_id": "A-1",
    "message": "call 010-1234-5678",
    "destination": {"method": "bank_account", "account_number": "***", "holder": "가나다"},
    "lines": [{"line_id": "1", "product_name": "kim@shop.example"}, {"line_id": "2", "product_name": "b"}],
}


@given(document=st.dictionaries(NAMES, nested(accounts() | ADDRESSES | WORD)))
def test_what_was_left_alone_is_as_it_was(document: dict[str, Any]) -> None:
    assert restore(mask(document), document) == document


def test_what_was_changed_beside_something_hidden_is_changed_and_the_rest_is_as_it_was() -> None:
    edited = mask(DOCUMENT)
    edited["order_id"], edited["destination"]["holder"] = "A-2", "라마바"
    edited["lines"][1]["product_name"] = "c"

    restored = restore(edited, DOCUMENT)

    assert restored["message"] == DOCUMENT["message"]
    assert restored["lines"] == [DOCUMENT["lines"][0], {"line_id": "2", "product_name": "c"}]  # type: ignore[index]
    assert restored["destination"] == {"method": "bank_account", "account_number": "***", "holder": "라마바"}
    assert restored["order_id"] == "A-2"


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(message="call *** today"),
        lambda document: document.update(note="***"),
        lambda document: document["lines"][0].update(line_id="3"),
        lambda document: document["lines"].pop(),
    ],
)
def test_nobody_can_tell_what_stands_in_a_hidden_part_that_was_moved_or_changed(change: Any) -> None:
    edited = mask(DOCUMENT)
    change(edited)

    with pytest.raises(StillHidden):
        restore(edited, DOCUMENT)


def test_texts_of_a_table_are_masked_in_files_too_and_what_names_a_thing_is_not() -> None:
    columns = (Column("order", "Order", "id"), Column("reason", "Reason"))
    row = {"order": "20261130000012345", "reason": "call 010-1234-5678", "way": "/x"}

    assert masked(row, columns) == {**row, "reason": "call ***"}
