"""Rules about documents: none is dated before what it modifies, and the calendar says which are late."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final
from uuid import UUID

from ops.audit.history.entries import Entry
from ops.audit.history.key_history import KeyHistory
from ops.audit.rules import due_on

SEOUL = timezone(timedelta(hours=9))
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER: Final = timedelta(hours=1)
"""The clocks of two processes differ by less."""


def documents_dated(history: KeyHistory) -> Iterator[str]:
    """Modified documents that are dated before the document that they modify."""
    documents = history.events_of("invoice.issued.v1", "invoice.modified.v1")
    dated = {event.data["document_key"]: event.data["written_date"] for event in documents}
    for event in history.events_of("invoice.modified.v1"):
        key, original = event.data["document_key"], event.data["original_document_key"]
        if event.data["written_date"] < dated.get(original, ""):
            dates = f"{event.data['written_date']}, before {original} of {dated[original]}"
            yield f"{key} is dated {dates}"


def documents_late(history: KeyHistory) -> Iterator[str]:
    """Issued documents that say something else about being late than the day on which they were due."""
    yield from _wrong_by_their_day(history)
    yield from _dated_back(history)


def _wrong_by_their_day(history: KeyHistory) -> Iterator[str]:
    for event in history.events_of("invoice.issued.v1"):
        issued_on = datetime.fromisoformat(event.data["issued_at"]).astimezone(SEOUL).date()
        due = due_on(event.data["month"])
        if event.data["late"] != (issued_on > due) and history.across.is_of_contract_2(event):
            days = f"was issued on {issued_on}, due on {due}"
            yield f"{event.data['document_key']} {days}, and says late: {event.data['late']}"


def _dated_back(history: KeyHistory) -> Iterator[str]:
    """Documents that say they are in time, of which the event was made after their due day.

    The id of the event says when. A close says itself as of when it issues, and a tax agent (whose answer
    has the document as its cause) when it has; every other document is issued when its cause is handled.
    """
    since = history.across.issued_by_clock_since
    if since is None:
        return
    commands = {command.id for command in history.commands}
    for event in history.events_of("invoice.issued.v1", "invoice.modified.v1"):
        made = _made_at(event)
        is_said_in_time = event.data.get("late") is False and event.cause not in (event.subject, *commands)
        if made is None or made < since or not is_said_in_time:
            continue
        due, made_on = _due_day(event), (made - CLOCKS_DIFFER).astimezone(SEOUL).date()
        if made_on > due:
            days = f"in time, due on {due}; it was made on {made_on}"
            yield f"{event.data['document_key']} says that it is {days}"


def _due_day(event: Entry) -> date:
    """A modified document is of the month of its own date."""
    return due_on(event.data.get("month") or event.data["written_date"][:7])


def _made_at(event: Entry) -> datetime | None:
    """When the id of an event was made; None for an id that does not say it."""
    try:
        made = UUID(event.id)
    except ValueError:
        return None
    return EPOCH + timedelta(milliseconds=made.int >> 80) if made.version == 7 else None
