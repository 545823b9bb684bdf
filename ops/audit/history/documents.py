"""Rules about documents: none is dated before what it modifies, and the calendar says which are late."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from ops.audit.history.key_history import KeyHistory
from ops.audit.rules import due_on

SEOUL = timezone(timedelta(hours=9))


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
    for event in history.events_of("invoice.issued.v1"):
        issued_on = datetime.fromisoformat(event.data["issued_at"]).astimezone(SEOUL).date()
        due = due_on(event.data["month"])
        if event.data["late"] != (issued_on > due) and history.across.is_of_contract_2(event):
            days = f"was issued on {issued_on}, due on {due}"
            yield f"{event.data['document_key']} {days}, and says late: {event.data['late']}"
