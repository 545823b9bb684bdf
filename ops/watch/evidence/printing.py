"""Evidence as pages: what the template `bundle.typ` shows of a document, in both languages."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from shared.evidence.chain import ENTRIES, head_of
from shared.evidence.entries import won
from shared.evidence.words import KINDS, LABELS, VALUES, WON, Says, english, korean
from shared.typesetting import all_legible, typeset

TEMPLATE: Final = Path(__file__).with_name("bundle.typ")
LONG: Final = 1_200
"""An entry with more characters than this may go on on the next page; others stay whole."""
PLAIN: Final = frozenset(
    {"name", "detail", "pointer", "reason", "note", "close_reason", "product_name", "type"}
)
"""Details that are shown as they are: what people wrote, and names of events."""
CODES: Final = frozenset({"reason"})
STANDS: Final = Says("현재 상태", "What stands")
HAPPENED: Final = Says("경과", "What happened")
LEADS: Final[Mapping[Says, Says]] = {
    STANDS: Says("자료를 만든 시점의 상태입니다.", "The state at the time when this was taken."),
    HAPPENED: Says(
        "기록된 순서대로입니다. 왼쪽 위는 종류와 서비스, 오른쪽 위는 일어난 시각입니다.",
        "In the order in which it was recorded. Each has its kind and service on the left, when it happened "
        "on the right.",
    ),
}
PAGES_NOTE: Final = Says(
    "각 항목은 앞 항목의 해시로 이어져 있습니다.", "Each entry is linked to the one before by its hash."
)


def print_bundle(document: Mapping[str, Any]) -> bytes:
    """The document as PDF, the same bytes every time. Raises CannotTypeset."""
    return typeset(TEMPLATE, values_of(document))


def values_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of the document."""
    first, *others = document[ENTRIES]
    taken_at = datetime.fromisoformat(document["taken_at"])
    values = {
        "order_id": document["order_id"],
        "taken_at": _instant(document["taken_at"]),
        "head": head_of(document),
        "count": len(document[ENTRIES]),
        "pages_note": PAGES_NOTE._asdict(),
        "summary": first["details"]["questions"],
        "first": {name: first[name] for name in ("previous", "hash")},
        "sections": list(_sections(others)),
    }
    parts = ("year", "month", "day", "hour", "minute", "second")
    return {**all_legible(values), "date": {name: getattr(taken_at, name) for name in parts}}


def _sections(entries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    stand = [entry for entry in entries if entry["recorded_at"] is None]
    happened = [entry for entry in entries if entry["recorded_at"] is not None]
    groups = [
        {**KINDS[kind]._asdict(), "entries": [_shown(entry) for entry in of_kind]}
        for kind, of_kind in groupby(stand, lambda entry: entry["kind"])
    ]
    if groups:
        yield {**STANDS._asdict(), "lead": LEADS[STANDS]._asdict(), "groups": groups}
    if happened:
        group = {"ko": "", "en": "", "entries": [_shown(entry) for entry in happened]}
        yield {**HAPPENED._asdict(), "lead": LEADS[HAPPENED]._asdict(), "groups": [group]}


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    details = [_detail(name, value) for name, value in entry["details"].items() if _is_shown(value)]
    says = entry["says"]
    written = sum(len(detail["value"]) + 20 for detail in details) + len(says["ko"]) + len(says["en"])
    return {
        "number": entry["number"],
        "kind": KINDS[entry["kind"]]._asdict(),
        "service": entry["service"],
        "name": entry["name"],
        "at": "" if entry["at"] is None else _instant(entry["at"]),
        "says": says,
        "details": details,
        "long": written > LONG,
        "previous": entry["previous"],
        "hash": entry["hash"],
    }


def _is_shown(value: Any) -> bool:
    return value is not None and value != "" and value != []


def _detail(name: str, value: Any) -> dict[str, str]:
    label = LABELS.get(name) or Says(name, name)
    return {**label._asdict(), "value": _written(name, value)}


def _written(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "예 yes" if value else "아니오 no"
    if isinstance(value, int):
        return won(value) if name in WON else f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_written(key, each)}" for key, each in value.items() if _is_shown(each))
    if isinstance(value, list):
        return ", ".join(_one(each) for each in value)
    if _is_instant(name, value):
        return _instant(value)
    if value in VALUES and (name not in PLAIN or name in CODES):
        return f"{korean(value)} {english(value)}"
    return str(value)


def _one(item: Any) -> str:
    """One of `lines`: `1 × 40`, with what else is said of it."""
    if not isinstance(item, Mapping):
        return str(item)
    rest = {name: value for name, value in item.items() if name not in ("line_id", "quantity")}
    more = "".join(
        f" ({LABELS.get(name, Says(name, name)).ko} {_written(name, value)})" for name, value in rest.items()
    )
    return f"{item.get('line_id', '?')} × {item.get('quantity', '-')}{more}"


def _is_instant(name: str, value: str) -> bool:
    return name.endswith(("_at", "deadline", "since", "horizon")) and "T" in value


def _instant(text: str) -> str:
    """An RFC 3339 instant in +09:00 as people read it, to the second."""
    return text[:19].replace("T", " ")
