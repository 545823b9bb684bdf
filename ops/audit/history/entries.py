"""The lines of a recorded history: requests of checkout, their answers, and the events that followed.

One JSON object a line (docs/history.md). A line holds nothing secret: it keeps only those fields of a
document that the model needs, so neither bank accounts nor free texts of a refund request.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from ops.shell.problem import Exit, Problem

CHECKOUT, OPERATOR, RECORDER = "checkout", "operator", "recorder"
REPLAYED, ENDED = "dead_letter.replayed", "recording.ended"
SINCE = "issued_by_clock_since"
"""What the end of a recording says: the instant from which an event issues a document when it is handled.
Before, it was issued as of the event's own time, however old that was."""
CASE_DECIDED, REQUEST_CANCELLED = "quarantine.decide", "request.cancel"
"""Commands of operators from which events of orders follow. They come over HTTP, and are in no topic."""
KEPT = [
    "lines",
    "grants",
    "line_id",
    "quantity",
    "left",
    "reason",
    "amount",
    "supply",
    "vat",
    "fee",
    "payment_id",
    "payment_ids",
    "proposal",
    "paid_at",
    "partner",
    "partner_id",
    "vat_mode",
    "issue_policy",
    "payment_method",
    "deposit_deadline",
    "cancelled_at",
    "request_id",
    "grant_id",
    "refund_id",
    "refund_request_id",
    "role",
    "decision",
    "payout_id",
    "issued",
    "next",
    "blockers",
    "merged",
    "excluded",
    "month",
    "document_key",
    "original_document_key",
    "written_date",
    "issued_at",
    "late",
]
"""The fields of a document that a history keeps."""
OPS = ("invoke", "ok", "fail", "info")
_REQUIRED = ("time", "process", "op", "type")
_SHOWN = (
    "lines",
    "grants",
    "line_id",
    "quantity",
    "left",
    "reason",
    "amount",
    "supply",
    "vat",
    "payment_id",
    "refund_id",
)


@dataclass(slots=True, frozen=True)
class Entry:
    """One line. `op` is invoke (checkout asks), ok or fail (the answer), or info (an event of a service).

    `time` is when the broker wrote it. `id` is the event's own id (of an answer: the event that it answers),
    `at` the place of the request or of what is answered, `answer` the id of an answer, `cause` the event that
    led to an event of a service. `content` is equal for requests that say the same.
    """

    time: datetime
    process: str
    op: str
    type: str
    key: str = ""
    order_id: str | None = None
    id: str = ""
    source: str = ""
    at: str = ""
    answer: str = ""
    cause: str = ""
    subject: str = ""
    sequence: int | None = None
    code: str = ""
    content: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two requests the same event."""
        return self.source, self.id

    def text(self) -> str:
        """One readable line."""
        clock = self.time.strftime("%H:%M:%S.%f")[:-3]
        shown = [f"{name}={_short(self.data[name])}" for name in _SHOWN if name in self.data]
        parts = [
            clock,
            f"{self.process:<8}",
            f"{self.op:<6}",
            self.type,
            self.id or self.at,
            self.code,
            *shown,
        ]
        return " ".join(filter(None, parts))

    def to_line(self) -> bytes:
        """The line of the file, with its line break; what is empty is left out."""
        document = {"time": self.time.isoformat(timespec="milliseconds")}
        for name in self.__slots__[1:]:
            value = getattr(self, name)
            if value not in ("", None, {}):
                document[name] = value
        return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(_units(one) for one in value if isinstance(one, dict))
    return str(value)


def _units(of_line: Mapping[str, Any]) -> str:
    units = f"x{of_line['quantity']}" if "quantity" in of_line else ""
    return f"{of_line.get('line_id')}{units}"


def entry_of(line: bytes, number: int = 0) -> Entry:
    """The entry of a line. Raises ValueError that says what is wrong with it."""
    document = orjson.loads(line)
    if not isinstance(document, dict):
        raise ValueError("a line must be a JSON object")
    missing = [name for name in _REQUIRED if not isinstance(document.get(name), str)]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be there, as text")
    if document["op"] not in OPS:
        raise ValueError(f"op must be one of {', '.join(OPS)}, got {document['op']!r}")
    time = datetime.fromisoformat(document["time"])
    if time.tzinfo is None:
        raise ValueError("time needs an offset")
    known = {name: document[name] for name in Entry.__slots__ if name in document}
    entry = Entry(**{**known, "time": time})
    return (
        entry if entry.key or not entry.order_id else Entry(**{**known, "time": time, "key": entry.order_id})
    )


def lines_of(file: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a file that are not empty. Raises Problem when it cannot be read."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise Problem(f"{file} cannot be read: {error.strerror or error}", "", Exit.USAGE) from error
