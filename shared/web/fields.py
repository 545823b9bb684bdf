"""How values are written: bodies are strict, instants go out in Seoul with +09:00, won as JSON integers."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from shared.events.fields import Data
from shared.kst import wire_time


class Body(Data):
    """The body of a request: as strict as the data of an event, and with the same codes for its faults.

    A member that it does not have is a fault too: whoever misspells `apply` must not have it done.
    """

    model_config = ConfigDict(extra="forbid")


class ToldEvent(BaseModel):
    """An event that follows from what was asked, or would."""

    type: str
    data: dict[str, Any]


WireInstant = Annotated[
    datetime,
    PlainSerializer(wire_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339 with +09:00"}),
]
"""An instant as it goes out: RFC 3339 with +09:00."""

WireWon = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64", "description": "won"})]
"""Won as they go out: a JSON integer, negative where money is taken back."""
