"""What a word names: order, payment, refund, partner, document, grant, serial, request. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from shared.business_number import normalise

Row: TypeAlias = Mapping[str, Any]

MOST: Final = 20
"""So many things of one kind are found."""
LAST_FOUR: Final = 4


class Word(Struct, frozen=True):
    """What somebody looks for, read in every way that it can be.

    `uuid`: as an id of ours. `number`: as a business number, its ten digits. `last_four`: as the end of a
    serial of the order `order_id`.
    """

    text: str
    uuid: UUID | None = None
    number: str | None = None
    order_id: str | None = None

    @property
    def last_four(self) -> str | None:
        """The last four characters of a serial, where an order was named with them."""
        named = self.order_id is not None and len(self.text) == LAST_FOUR
        return self.text.upper() if named else None


def read_word(text: str, order_id: str | None = None) -> Word:
    """The word without white space around it."""
    text, order_id = _storable(text.strip()), None if order_id is None else _storable(order_id)
    uuid = None
    with suppress(ValueError):
        uuid = UUID(text)
    return Word(text, uuid, normalise(text), order_id)


def _storable(text: str) -> str:
    """The text without NUL, which no row can hold."""
    return text.replace("\0", "")


class Found(Struct, frozen=True):
    """One thing that a word names. `name` is its id, `says` what it is at present, `command` shows it."""

    service: str
    kind: str
    name: str
    says: str
    command: str

    def to_document(self) -> dict[str, Any]:
        """The thing as JSON."""
        return asdict(self)


class Look(NamedTuple):
    """One statement of a service's catalogue, its arguments, and the thing that each row is.

    Without arguments (None) the word cannot be such a thing, and nobody asks.
    """

    query: str
    arguments: Callable[[Word], Sequence[Any] | None]
    found: Callable[[Row], Found]


def by_text(word: Word) -> Sequence[Any] | None:
    """For what is named by any text."""
    return (word.text,) if word.text else None


def by_uuid(word: Word) -> Sequence[Any] | None:
    """For what has an id of ours."""
    return None if word.uuid is None else (word.uuid,)


def by_number(word: Word) -> Sequence[Any] | None:
    """For what has a business number."""
    return None if word.number is None else (word.number,)


def by_email(word: Word) -> Sequence[Any] | None:
    """For what has an e-mail address."""
    return (word.text,) if "@" in word.text else None


def by_last_four(word: Word) -> Sequence[Any] | None:
    """For serials of an order."""
    return None if word.last_four is None else (word.order_id, word.last_four)


def find_document(word: Word, found: Iterable[Found]) -> dict[str, Any]:
    """What a word names as JSON, in one service or in all of them."""
    return {"word": word.text, "found": [each.to_document() for each in found]}


def once(found: Iterable[Found]) -> list[Found]:
    """Each thing once, though several services know it: the first one that says it."""
    things: dict[tuple[str, str], Found] = {}
    for each in found:
        things.setdefault((each.kind, each.name), each)
    return list(things.values())
