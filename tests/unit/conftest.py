"""Every event that a unit test makes is one that its model, and so every reader, would take."""

from typing import Any

import orjson
import pytest

from shared.events.catalogue import TYPES
from shared.runtime.decisions import NewEvent

_make = NewEvent.__init__


def _make_valid(event: NewEvent, *arguments: Any, **named: Any) -> None:
    """Makes the event, unless its data do not fit the model of its type or leave out its record key."""
    _make(event, *arguments, **named)
    kind = TYPES[event.type]
    data = kind.model.model_validate_json(orjson.dumps(event.data))
    key = getattr(data, kind.key_field)
    assert event.key in (None, key), f"{event.type}: the record key {event.key} is not its {kind.key_field}"


@pytest.fixture(autouse=True)
def new_events_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes an event that nobody could read fails where it is made."""
    monkeypatch.setattr(NewEvent, "__init__", _make_valid)
