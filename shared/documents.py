"""Rows of the database as the JSON documents that commands and routes show."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shared.kst import wire_time


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with instants in RFC 3339, days as they are written, and ids as texts."""
    return {name: json_value(value) for name, value in row.items()}


def json_value(value: Any) -> Any:
    """One value of such a row."""
    if isinstance(value, datetime):
        return wire_time(value)
    return str(value) if isinstance(value, UUID | date) else value
