"""The kinds of value that documents are made of, with the limits of the published language.

Every kind is strict: an integer is a JSON integer (no fraction, no text, no boolean), a time is RFC 3339 text
with an offset. They validate inside pydantic's core, without Python code, because every event pays for them.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Final, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

MAX_LINES: Final = 1_000
MAX_QUANTITY: Final = 1_000_000
MAX_UNIT_PRICE: Final = 10**9
MAX_AMOUNT: Final = 10**15
MAX_PAYMENTS: Final = 10_000
MAX_TOTAL: Final = 9 * 10**18
"""Largest sum of many amounts that still fits a signed 64 bit integer, in won."""

NO_CONTROL: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
NO_NUL: Final = r"^[^\x00]*$"

_CENTURIES: Final = "(?:19|2[0-9])[0-9]{2}"
_CLOCK: Final = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
_OFFSET: Final = "(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"


def rfc_3339(year: str = _CENTURIES, offset: str = f"{_OFFSET}?") -> str:
    """The pattern of an RFC 3339 time; without its offset too, whose absence has a code of its own."""
    return f"^{year}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}{offset}$"


class _InstantText:
    """Text first, then a time: pydantic alone would also take `1700000000` and `"1700000000"`."""

    def __init__(self, year: str, words: str) -> None:
        self.year = year
        self.words = f"an RFC 3339 time with an offset, {words}"

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        text = core_schema.str_schema(strict=True, pattern=rfc_3339(self.year))
        return core_schema.chain_schema(
            [text, core_schema.datetime_schema(strict=False, tz_constraint="aware")]
        )

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        pattern = rfc_3339(self.year, _OFFSET)
        return {"type": "string", "format": "date-time", "pattern": pattern, "description": self.words}


class _PastInstant(_InstantText):
    """When something happened: never long after the time of its event, as a deadline may be."""


class _DayText:
    """A KST day as text `YYYY-MM-DD`."""

    pattern: Final = f"^{_CENTURIES}-[0-9]{{2}}-[0-9]{{2}}$"
    words: Final = "a date YYYY-MM-DD of the years 1900..2999"

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        text = core_schema.str_schema(strict=True, pattern=self.pattern)
        return core_schema.chain_schema([text, core_schema.date_schema(strict=False)])

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "date", "pattern": self.pattern, "description": self.words}


_END_OF_TIME: Final = datetime(2999, 12, 31, 14, 59, 59, 999999, tzinfo=UTC)


def _within_reach(deadline: datetime) -> datetime:
    """`9999-12-31` is how many systems say never; days added to it would leave the calendar."""
    return min(deadline, _END_OF_TIME)


ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
"""Nothing that ends a line or turns it round: what somebody says stays apart from what is said of it."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=NO_CONTROL)]
Subject = Annotated[str, StringConstraints(min_length=1, max_length=257, pattern=NO_CONTROL)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=ONE_LINE, strip_whitespace=True)
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=NO_NUL)]
BusinessNumber = Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=NO_CONTROL)]
Month = Annotated[
    str,
    StringConstraints(pattern=f"^{_CENTURIES}-(?:0[1-9]|1[0-2])$"),
    Field(description="a month YYYY-MM of the years 1900..2999"),
]
Instant = Annotated[datetime, _PastInstant(_CENTURIES, "of the years 1900..2999")]
Deadline = Annotated[
    datetime,
    _InstantText(
        "(?:19|[2-9][0-9])[0-9]{2}", "of the years 1900..9999 (later than 2999 counts as the end of 2999)"
    ),
    AfterValidator(_within_reach),
]
Day = Annotated[date, _DayText()]

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Units = Annotated[int, Field(ge=0, le=MAX_QUANTITY)]
Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
Won = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]
SignedWon = Annotated[int, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
Total = Annotated[int, Field(ge=-MAX_TOTAL, le=MAX_TOTAL)]
Count = Annotated[int, Field(ge=0, le=MAX_TOTAL)]
UnitPrice = Annotated[int, Field(ge=0, le=MAX_UNIT_PRICE)]
UsageDays = Annotated[int, Field(ge=1, le=3_650)]


class Data(BaseModel):
    """The data of an event. Fields that a reader does not know are ignored.

    Of a document that `is_secret` nothing is repeated to whoever sent it, also where it is wrong.
    """

    is_secret: ClassVar[bool] = False
    model_config = ConfigDict(strict=True, extra="ignore", regex_engine="rust-regex")


def instants_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a document that say when something happened, which no deadline is."""
    return tuple(
        name for name, hint in get_type_hints(model, include_extras=True).items() if _is_instant(hint)
    )


def _is_instant(hint: Any) -> bool:
    if isinstance(hint, _PastInstant):
        return True
    parts = hint.__metadata__ if get_origin(hint) is Annotated else get_args(hint)
    return any(map(_is_instant, parts))


class LineUnits(Data):
    """So many units of one order line."""

    line_id: Id
    quantity: Quantity


class RefundedUnits(LineUnits):
    """Units of a line that go back.

    `consumed` won of their price were used up and stay paid: supply value or gross, as the VAT mode says.
    """

    consumed: Won | None = None


Lines = Annotated[list[LineUnits], Field(min_length=1, max_length=MAX_LINES)]
RefundedLines = Annotated[list[RefundedUnits], Field(min_length=1, max_length=MAX_LINES)]
PaymentIds = Annotated[list[Id], Field(min_length=1, max_length=MAX_PAYMENTS)]
