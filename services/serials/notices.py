"""What a partner has to tell its customer about a serial: five items, and the messages that say them. Pure.

`MARK` stands wherever the serial goes, so that one text serves all serials of a grant. Messages are counted
in the bytes of CP949, in which Korean carriers send them.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from services.serials.state import Grant
from shared.kst import kst_date
from shared.web.problems import Language

MARK: Final = "\0"
"""Where the serial goes: no text that the database or a setting holds has this character."""
PLACEHOLDER: Final = "{serial}"
"""The same as people write and read it."""
SMS_BYTES: Final = 90
LMS_BYTES: Final = 2_000
SHOWN_SERIAL: Final = "0000-0000-0000-0000"
"""As long as any serial: messages are counted with it."""

MessageKind = Literal["sms", "lms"]


class Items(NamedTuple):
    """The five items in one language. One that is empty is missing."""

    serial: str
    product_name: str
    usage_period: str
    registration_period: str
    registration_page: str

    @property
    def missing(self) -> list[str]:
        """The names of what is missing."""
        return [name for name, text in self._asdict().items() if not text.strip()]


HEADERS: Final[Mapping[Language, Items]] = {
    "ko": Items("일련번호", "상품명", "사용기간", "등록기간", "등록 페이지"),
    "en": Items("Serial", "Product", "Usage period", "Registration period", "Registration page"),
}
"""The five items as the columns of a file."""


def items_of(grant: Grant, page: str, language: Language, *, serials: int = 1) -> Items:
    """The items of the serials of a grant. `page` is where they are registered, and may hold `{serial}`.

    Where there are no `serials` there is none to tell.
    """
    days, last = grant.product.usage_days, kst_date(grant.registration_deadline)
    return Items(
        MARK if serials else "",
        grant.product.product_name,
        f"등록일부터 {days}일" if language == "ko" else f"{days} days from registration",
        f"{last}까지" if language == "ko" else f"until {last}",
        page.replace(PLACEHOLDER, MARK),
    )


class Unsendable(NamedTuple):
    """A character that CP949 does not have. Without a `substitute` there is none that means the same."""

    character: str
    name: str
    substitute: str | None


_SUBSTITUTES: Final = {
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-",
    "\u20a9": "원", "\u00a0": " ", "\u2022": "\u00b7",
}  # fmt: skip


class Message(NamedTuple):
    """A text for customers. `limit` is how many bytes its kind may have; None for an e-mail."""

    kind: Literal["sms", "lms", "email"]
    text: str
    limit: int | None = None
    subject: str | None = None

    @property
    def bytes(self) -> int | None:
        """How long it is in CP949 with a serial in it; None where CP949 does not have all of it."""
        return None if self.unsendable else size_of(self.text.replace(MARK, SHOWN_SERIAL))

    @property
    def unsendable(self) -> list[Unsendable]:
        """The characters that cannot be sent, each once."""
        return [_unsendable(each) for each in dict.fromkeys(self.text) if not _has(each)]

    @property
    def fits(self) -> bool:
        """Whether it can be sent as what it is."""
        size = self.bytes
        return size is not None and (self.limit is None or size <= self.limit)


def size_of(text: str) -> int:
    """How many bytes a text has in CP949. Raises UnicodeEncodeError where CP949 does not have all of it.

    Python's `euc_kr` is not the same: it takes eight bytes for syllables that phones take two for.
    """
    return len(text.encode("cp949"))


def message_kind(size: int) -> MessageKind | None:
    """As what so many bytes are sent; None for more than any message has."""
    if size <= SMS_BYTES:
        return "sms"
    return "lms" if size <= LMS_BYTES else None


def messages_of(items: Items, language: Language, *, sender: str = "", opt_out: str = "") -> list[Message]:
    """The texts of a notice: SMS, LMS and e-mail. `sender` names who sends them.

    With `opt_out`, a number at which nobody pays for it, they are advertisements and say so, as the law
    wants: the word comes first, the way out last.
    """
    words, product = _WORDS[language], items.product_name
    told = words.told.format_map(items._asdict())
    head = f"[{sender}] {words.head}" if sender else words.head
    name = f"[{sender}] {product}" if sender else f"[{product}]"
    sms = words.sms.format(name=name, **items._asdict())
    advert, end = ("(광고)", f"\n{words.opt_out} {opt_out}") if opt_out else ("", "")
    return [
        Message("sms", f"{advert}{sms}{end}", SMS_BYTES),
        Message("lms", f"{advert}{head}\n{told}{end}", LMS_BYTES),
        Message(
            "email", words.email.format(product=product, told=told) + end, None, f"{advert}{head}: {product}"
        ),
    ]


def shortest(messages: Sequence[Message]) -> Message | None:
    """What is sent to a phone: the SMS where it fits, else the LMS; None where neither does."""
    return next((each for each in messages if each.kind != "email" and each.fits), None)


class _Words(NamedTuple):
    """What messages say in one language. None begins with a name, which a spreadsheet might compute."""

    head: str
    told: str
    sms: str
    email: str
    opt_out: str


_WORDS: Final[Mapping[Language, _Words]] = {
    "ko": _Words(
        head="이용 안내",
        told="일련번호: {serial}\n상품명: {product_name}\n사용기간: {usage_period}\n"
        "등록기간: {registration_period}\n등록: {registration_page}",
        sms="{name} {serial} {registration_period} 등록, {usage_period} {registration_page}",
        email="안녕하세요.\n\n{product} 일련번호를 보내 드립니다.\n\n{told}\n\n"
        "일련번호는 한 번만 등록할 수 있으니 다른 사람에게 알리지 마십시오.",
        opt_out="무료수신거부",
    ),
    "en": _Words(
        head="How to use it",
        told="Serial: {serial}\nProduct: {product_name}\nUsage: {usage_period}\n"
        "Registration: {registration_period}\nRegister at: {registration_page}",
        sms="{name} {serial} register {registration_period}, {usage_period} {registration_page}",
        email="Hello,\n\nhere is your serial of {product}.\n\n{told}\n\n"
        "A serial can be registered once, so keep it to yourself.",
        opt_out="Free opt-out",
    ),
}


def _has(character: str) -> bool:
    """Whether CP949 has a character; `MARK` stands for ones that it has."""
    try:
        character.encode("cp949")
    except UnicodeEncodeError:
        return False
    return True


def _unsendable(character: str) -> Unsendable:
    name = unicodedata.name(character, f"U+{ord(character):04X}")
    return Unsendable(character, name, _SUBSTITUTES.get(character, _plain(character)))


def _plain(character: str) -> str | None:
    """The character without its accents, or nothing for one that nobody sees; None where neither will do."""
    if unicodedata.category(character) == "Cf":
        return ""
    bare = "".join(
        each for each in unicodedata.normalize("NFKD", character) if not unicodedata.combining(each)
    )
    return bare if bare and all(map(_has, bare)) else None
