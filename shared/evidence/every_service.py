"""What stands about an order in the tables that every service has. Pure."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from shared.events.catalogue import FEEDBACK
from shared.evidence.entries import Entry, Exhibit, Row, details_of, written
from shared.evidence.words import Says, decision_words, event_words
from shared.kst import wire_time

TOLD: Final = frozenset(
    {
        "amount", "business_number", "cancelled_at", "code", "completed_at", "consumed", "decision",
        "document_key", "everything", "expected_on", "expired_at", "fee", "grant_id", "invoice_id",
        "issued", "issued_at", "kind", "late", "left", "line_id", "locked_at", "lost_at", "modification",
        "month", "next", "original_document_key", "outcome", "paid_at", "paid_out_at", "payment_id",
        "payout_id", "pointer", "quantity", "reason", "refund_id", "refund_request_id",
        "registration_deadline", "request_id", "since", "supply", "total", "used_at", "vat",
        "written_date",
    }
)  # fmt: skip
"""The fields of our events that are told; whatever else stands in one is only hashed."""
LISTS: Final = ("lines", "grants")
BY_OTHERS: Final = frozenset({"actor", "after", "before", "close_reason", "closed_by", "reason", "request"})


def told(row: Row) -> Entry:
    """An event of this service, or its answer to one of checkout."""
    data = orjson.loads(row["data"])
    return _answer(row, data) if row["topic"] == FEEDBACK else _event(row, data)


def _event(row: Row, data: Mapping[str, Any]) -> Entry:
    words = event_words(row["type"])
    says = Says(f"{words.ko}.", f"{words.en[:1].upper()}{words.en[1:]}.")
    details = {
        "type": row["type"],
        **_told_of(data),
        "cause": row["causation"],
        "data_sha256": sha256(row["data"]).hexdigest(),
    }
    return Entry("event", str(row["event_id"]), says, details, _instant(row["time"]), row["recorded_at"])


def _answer(row: Row, data: Mapping[str, Any]) -> Entry:
    event, position = data.get("event") or {}, data["position"]
    place = f"{position['topic']}/{position['partition']}/{position['offset']}"
    what, is_refused = event_words(event.get("type", "unreadable")), data["outcome"] == "rejected"
    says = Says(
        f"수신: {what.ko}. {'거절했습니다' if is_refused else '접수했습니다'}.",
        f"Received: {what.en}. It was {'refused' if is_refused else 'accepted'}.",
    )
    details = {
        "type": event.get("type", "unreadable"),
        "event_id": event.get("id"),
        "source": event.get("source"),
        "place": place,
        "outcome": data["outcome"],
        **{name: data[name] for name in ("code", "pointer") if data.get(name)},
        **({"detail": written(data["detail"])} if is_refused else {}),
        "data_sha256": sha256(row["data"]).hexdigest(),
    }
    return Entry("answer", str(row["event_id"]), says, details, _instant(row["time"]), row["recorded_at"])


def _told_of(data: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _plain(name, value) for name, value in data.items() if name in TOLD and value is not None}
    for name in LISTS:
        if isinstance(data.get(name), list):
            found["lines"] = [
                {key: _plain(key, value) for key, value in each.items() if key in TOLD} for each in data[name]
            ]
    return found


def _plain(name: str, value: Any) -> Any:
    return written(value) if name == "reason" and isinstance(value, str) else value


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def decision(row: Row) -> Entry:
    """What a person did; refused where its result is a code."""
    details = {
        **details_of(row, "id", "recorded_at", "reason", "before", "after"),
        "reason": written(row["reason"]),
        "before": _changed(row["before"]),
        "after": _changed(row["after"]),
    }
    did = decision_words(row["action"])
    says = Says(f"운영자 조치: {did.ko}.", f"A person {did.en}.")
    if row["result"] not in ("done", "begun"):
        says = Says(
            f"운영자 조치: {did.ko}. 처리되지 않았습니다.",
            f"Refused, and nothing was done: a person {did.en}.",
        )
    at = row["recorded_at"]
    return Entry("decision", str(row["id"]), says, details, at, at, BY_OTHERS)


def _changed(text: str | None) -> Any:
    """What the audit log keeps of before or after: texts of it may be what a person wrote."""
    return None if text is None else _all_written(orjson.loads(text))


def _all_written(item: Any) -> Any:
    if isinstance(item, dict):
        return {name: _all_written(value) for name, value in item.items()}
    if isinstance(item, list):
        return [_all_written(each) for each in item]
    return written(item) if isinstance(item, str) else item


def refused(row: Row) -> Entry:
    """A record that was refused, and how it ended."""
    what = event_words(row["type"] or "unreadable")
    details = {
        **details_of(row, "id", "dead_at", "detail", "close_reason", "topic"),
        "detail": written(row["detail"]),
        "close_reason": written(row["close_reason"]),
    }
    says = Says(f"{what.ko}: 기록을 거절했습니다.", f"A record was refused: {what.en}.")
    at = row["dead_at"]
    return Entry("refused", str(row["id"]), says, details, at, at, BY_OTHERS)


def waiting(row: Row) -> Entry:
    """An event that waits for another one, or is blocked."""
    what = event_words(row["type"])
    details = {**details_of(row, "id", "parked_at"), "since": wire_time(row["parked_at"])}
    says = Says(f"{what.ko}: 처리를 기다립니다.", f"A record waits to be handled: {what.en}.")
    return Entry("waiting", str(row["id"]), says, details, row["parked_at"])


def forgotten(row: Row) -> Entry:
    """That events from before an instant are gone; rows never are."""
    since = wire_time(row["horizon"])
    says = Says(
        f"{since} 이전의 이벤트는 보존되지 않습니다.", f"Events from before {since} are not kept any more."
    )
    return Entry("forgotten", "horizon", says, details_of(row))


EVERY_SERVICE: Final = (
    Exhibit("evidence_waiting", waiting),
    Exhibit("evidence_forgotten", forgotten),
    Exhibit("evidence_decisions", decision),
    Exhibit("evidence_refused", refused),
    Exhibit("evidence_events", told),
)
"""The exhibits that each service has: what people did stands before what followed from it."""
