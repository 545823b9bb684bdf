"""Types that were said once, told as the type that took their place. Pure.

Topics and outboxes hold the old ones for as long as they hold anything, so whoever reads them reads both:
`newest` is the one place where a document of an old type becomes one of its successor.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

Document = Mapping[str, Any]


class Successor(NamedTuple):
    """The type that is said instead, and how an old document reads as one of it."""

    type: str
    upcast: Callable[[Document], dict[str, Any]]


def newest(type_name: str, data: Document) -> tuple[str, Document]:
    """The type that is said today, and the document as it would say it."""
    successor = SUCCESSORS.get(type_name)
    return (type_name, data) if successor is None else (successor.type, successor.upcast(data))


def spellings(type_name: str) -> tuple[str, ...]:
    """A type and those that it took the place of: what stands in topics for it."""
    return (type_name, *(old for old, successor in SUCCESSORS.items() if successor.type == type_name))


def _granted(data: Document) -> dict[str, Any]:
    """One grant is a decision about one line."""
    return _together(data, "grants", ("order_id", "request_id", "partner_id"))


def _issued(data: Document) -> dict[str, Any]:
    """One grant became whole by itself."""
    return _together(data, "grants", ("order_id", "issued_at", "registration_deadline"))


def _locked(data: Document) -> dict[str, Any]:
    """One line was locked by itself."""
    return _together(data, "lines", ("order_id",))


def _together(data: Document, items: str, of_all: tuple[str, ...]) -> dict[str, Any]:
    """The fields that all share, and a list of one with the others."""
    shared = {name: data[name] for name in of_all if name in data}
    return {**shared, items: [{name: value for name, value in data.items() if name not in of_all}]}


SUCCESSORS: Final[Mapping[str, Successor]] = {
    "issuance.granted.v1": Successor("issuance.granted.v2", _granted),
    "serials.issued.v1": Successor("serials.issued.v2", _issued),
    "refund.locked.v1": Successor("refund.locked.v2", _locked),
}
