"""Who issues documents with the tax authority for us: the port to a tax agent, and its HTTP adapter.

The contract of the adapter stands in docs/tax-agent.md. A document goes by its key without hyphens, 22
characters, which is also what makes a repeat harmless: the agent makes one document of a key, whatever is
sent again. Nobody knows what became of a call without an answer, so the agent is asked before that.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, get_args

from services.invoices.decisions.submitting import Answer, Standing
from services.invoices.documents.tax_document import Party, TaxDocument
from services.invoices.posting import NoAnswer, Poster
from shared.kst import wire_time

MOST: Final = 100
"""So many documents are in one call."""
DUPLICATE: Final = "duplicate_key"
"""Why an agent refuses a key that it has a document of: that may be ours, whose answer was lost."""
Cancelled = Literal["cancelled", "too_late", "unknown"]
STANDINGS: Final[tuple[Standing, ...]] = get_args(Standing)
CANCELLED: Final[tuple[Cancelled, ...]] = get_args(Cancelled)


class Taken(NamedTuple):
    """What an agent says of a document when it is sent: taken, or `refused` with the reason."""

    document_key: str
    refused: str | None = None


class TaxAgent(Protocol):
    """Issues documents and transmits them. Each call raises NoAnswer where nobody knows what became of it,
    and RateLimited where surely nothing was taken.
    """

    async def submit(self, documents: Sequence[TaxDocument]) -> Sequence[Taken]:
        """Has at most MOST documents issued. What the answer leaves out is as if there was no answer."""

    async def status(self, document_keys: Sequence[str]) -> Sequence[Answer]:
        """Where at most MOST documents are, each once; those that the agent does not have are `unknown`."""

    async def cancel(self, document_key: str) -> Cancelled:
        """Takes a document back that was not transmitted yet."""


class HttpTaxAgent:
    """A tax agent over HTTP, in the JSON of docs/tax-agent.md."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def submit(self, documents: Sequence[TaxDocument]) -> Sequence[Taken]:
        """Sends them in one call."""
        keys = {document.agent_key: document.document_key for document in documents}
        said = {"documents": [document_of(document) for document in documents]}
        answer = await self._poster.post("/documents", said)
        return [
            Taken(keys[row["key"]], _reason(row) if row["answer"] == "refused" else None)
            for row in _rows(answer, "documents")
            if row["key"] in keys and row["answer"] in ("taken", "refused")
        ]

    async def status(self, document_keys: Sequence[str]) -> Sequence[Answer]:
        """Asks for them in one call."""
        keys = {key.replace("-", ""): key for key in document_keys}
        answer = await self._poster.post("/documents/status", {"keys": list(keys)})
        rows = {row["key"]: row for row in _rows(answer, "documents") if row["key"] in keys}
        return [_answer(key, rows.get(short)) for short, key in keys.items()]

    async def cancel(self, document_key: str) -> Cancelled:
        """Asks for one."""
        answer = await self._poster.post("/documents/cancel", {"key": document_key.replace("-", "")})
        for word in CANCELLED:
            if answer.get("answer") == word:
                return word
        raise NoAnswer("no answer of the contract")


def document_of(document: TaxDocument) -> Mapping[str, Any]:
    """A document as it is sent: won, KST days, everything that stands on it."""
    original = document.original
    return {
        "key": document.agent_key,
        "supplier": _party(document.supplier),
        "buyer": _party(document.buyer),
        "written_date": document.written_date.isoformat(),
        "purpose": document.purpose,
        "supply": document.amount.supply,
        "vat": document.amount.vat,
        "total": document.amount.total,
        "lines": [
            {
                "name": line.name,
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "supply": line.amount.supply,
                "vat": line.amount.vat,
            }
            for line in document.lines
        ],
        "remarks": list(document.remarks),
        "modification": document.modification,
        "original_key": None if original is None else original.document_key.replace("-", ""),
        "original_approval_number": None if original is None else original.approval_number,
        "sent_at": wire_time(document.issued_at),
    }


def _party(party: Party) -> Mapping[str, str]:
    return {name: getattr(party, name) for name in party.__struct_fields__}


def _rows(answer: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    rows = answer.get(name)
    if not isinstance(rows, list) or not all(_has_a_key(row) for row in rows):
        raise NoAnswer("no answer of the contract")
    return [{"answer": None, "standing": None, **row} for row in rows]


def _has_a_key(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("key"), str)


def _reason(row: Mapping[str, Any]) -> str:
    reason = row.get("reason")
    return reason[:100] if isinstance(reason, str) and reason else "refused"


def _answer(key: str, row: Mapping[str, Any] | None) -> Answer:
    if row is None:
        return Answer(key, "unknown")
    for standing in STANDINGS:
        if row["standing"] == standing:
            number, total = row.get("approval_number"), row.get("total")
            return Answer(
                key,
                standing,
                number if isinstance(number, str) else None,
                _instant(row.get("at")),
                _reason(row) if standing in ("refused", "not_transmitted") else "",
                total if isinstance(total, int) else None,
            )
    raise NoAnswer("no answer of the contract")


def _instant(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None
