"""What a partner tells its customers: five items, in texts that phones can show."""

from datetime import datetime
from uuid import UUID

import pytest

from services.serials.notices import (
    MARK,
    SHOWN_SERIAL,
    Items,
    Message,
    items_of,
    message_kind,
    messages_of,
    shortest,
    size_of,
)
from services.serials.state import Grant, Product, SerialState, state_at, stored_as
from shared.kst import KST, window_end
from shared.web.problems import Language

GRANTED_AT = datetime(2026, 10, 21, 14, 3, 7, tzinfo=KST)
DEADLINE = window_end(GRANTED_AT, 91)
GRANT = Grant(
    grant_id=UUID(int=1),
    batch_id=UUID(int=1 << 24),
    order_id="A-1001",
    line_id="1",
    partner_id="P-17",
    product=Product("lion-30", "춤추는 라이언", 1_600, 30),
    quantity=100,
    granted_at=GRANTED_AT,
    registration_deadline=DEADLINE,
    correlation="A-1001",
    causation="evt-1",
)
PAGE = "https://e.kakao.com/x"


def texts(language: Language = "ko", page: str = PAGE, **more: str) -> dict[str, Message]:
    items = items_of(GRANT, page, language)
    return {message.kind: message for message in messages_of(items, language, **more)}


def test_the_items_are_worded_in_the_language_that_is_asked_for() -> None:
    assert items_of(GRANT, PAGE, "ko") == Items(
        MARK, "춤추는 라이언", "등록일부터 30일", "2027-01-20까지", PAGE
    )
    assert items_of(GRANT, PAGE, "en")[2:4] == ("30 days from registration", "until 2027-01-20")


def test_the_page_may_hold_the_serial() -> None:
    assert (
        items_of(GRANT, "https://e.kakao.com/{serial}/x", "ko").registration_page
        == f"https://e.kakao.com/{MARK}/x"
    )


def test_without_serials_the_serial_is_missing() -> None:
    assert items_of(GRANT, "", "ko", serials=0).missing == ["serial", "registration_page"]


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_text_has_the_five_items(language: Language) -> None:
    for message in texts(language).values():
        assert all(item in message.text for item in items_of(GRANT, PAGE, language)), message.kind


def test_the_bytes_are_those_of_the_message_with_its_serial() -> None:
    lms = texts()["lms"]

    assert lms.bytes == size_of(lms.text.replace(MARK, SHOWN_SERIAL)) == len(lms.text.encode("cp949")) + 18
    assert lms.text.startswith("이용 안내\n일련번호: ")


def test_an_advertisement_says_so_first_and_the_way_out_last() -> None:
    for message in texts(sender="한빛", opt_out="080-123-4567").values():
        assert (message.subject or message.text).startswith("(광고)")
        assert message.text.endswith("\n무료수신거부 080-123-4567")
    for message in texts("en", opt_out="080-123-4567").values():
        assert (message.subject or message.text).startswith("(광고)")
        assert message.text.endswith("\nFree opt-out 080-123-4567")


def test_no_text_is_an_advertisement_by_itself() -> None:
    assert not [each for each in texts(sender="한빛").values() if "광고" in f"{each.subject}{each.text}"]


def test_whoever_sends_it_is_named_first() -> None:
    assert texts(sender="한빛")["sms"].text.startswith("[한빛] 춤추는 라이언 ")
    assert texts(sender="한빛")["lms"].text.startswith("[한빛] 이용 안내\n")
    assert texts()["sms"].text.startswith("[춤추는 라이언] ")


@pytest.mark.parametrize(
    ("size", "kind"), [(0, "sms"), (90, "sms"), (91, "lms"), (2_000, "lms"), (2_001, None)]
)
def test_ninety_bytes_are_an_sms_and_two_thousand_an_lms(size: int, kind: str | None) -> None:
    assert message_kind(size) == kind


def test_the_shortest_that_fits_is_sent() -> None:
    short, long, too_long = (
        texts(page="https://k.kr"),
        texts(page="https://k.kr/" + "x" * 80),
        texts(page="x" * 3_000),
    )

    assert [getattr(shortest(list(each.values())), "kind", None) for each in (short, long, too_long)] == [
        "sms", "lms", None
    ]  # fmt: skip


def test_each_character_that_cannot_be_sent_is_named_once() -> None:
    message = Message("lms", "😀 café – 😀\u200b")

    assert [tuple(each) for each in message.unsendable] == [
        ("😀", "GRINNING FACE", None),
        ("é", "LATIN SMALL LETTER E WITH ACUTE", "e"),
        ("–", "EN DASH", "-"),
        ("\u200b", "ZERO WIDTH SPACE", ""),
    ]


class TestStates:
    """Which rows are meant by a state at an instant."""

    @pytest.mark.parametrize("wanted", [SerialState.REGISTERED, SerialState.REVOKED])
    def test_what_ended_is_stored_as_it_is(self, wanted: SerialState) -> None:
        assert stored_as(wanted, DEADLINE, DEADLINE) is wanted

    def test_active_ones_are_active_until_the_last_microsecond_and_expired_after_it(self) -> None:
        after = datetime(2027, 1, 21, tzinfo=KST)

        assert stored_as(SerialState.ACTIVE, DEADLINE, DEADLINE) is SerialState.ACTIVE
        assert stored_as(SerialState.EXPIRED, DEADLINE, DEADLINE) is None
        assert stored_as(SerialState.ACTIVE, DEADLINE, after) is None
        assert stored_as(SerialState.EXPIRED, DEADLINE, after) is SerialState.ACTIVE

    @pytest.mark.parametrize("wanted", SerialState)
    def test_what_is_stored_so_is_in_the_state_that_was_asked_for(self, wanted: SerialState) -> None:
        for at in (DEADLINE, datetime(2027, 1, 21, tzinfo=KST)):
            stored = stored_as(wanted, DEADLINE, at)
            assert stored is None or state_at(stored, DEADLINE, at) is wanted
