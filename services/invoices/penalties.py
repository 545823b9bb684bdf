"""What a late document costs, by the kind of its lateness, as an estimate. Pure.

부가가치세법 제60조 제2항, so much of the supply value. Issued after its due day, but by the day of the final
VAT return: 1 % (제1호, 지연발급); not by then: 2 % (제2호, 미발급). Issued in time, and transmitted after the
day for that, but by the final return: 0.3 % (제3호, 지연전송); not by then: 0.5 % (제4호, 미전송). Nobody is
asked for both of one document.
"""

from datetime import date
from typing import Final, Literal, NamedTuple

from services.invoices.calendar import final_return_on, late_percent, transmit_by
from services.invoices.state import Modification
from shared.tax_documents import due_on

PenaltyKind = Literal["issued_late", "not_issued", "transmitted_late", "not_transmitted"]

LATE_TRANSMISSION_PER_MILLE: Final = 3
NO_TRANSMISSION_PER_MILLE: Final = 5
WITHOUT_DEADLINE: Final[frozenset[Modification]] = frozenset({"correction", "issued_twice"})
"""Modifications that are made when the mistake is noticed: dated as their original, and never late."""


class Penalty(NamedTuple):
    """What is to be expected, in won (floor), and why."""

    kind: PenaltyKind
    won: int


class Issue(NamedTuple):
    """A document as far as its penalty goes: its month, its supply value in won, and when it was what.

    Days are those in Seoul; None for what has not happened.
    """

    month: str
    supply: int
    issued_on: date | None = None
    transmitted_on: date | None = None
    modification: Modification | None = None


def penalty_of(document: Issue, today: date) -> Penalty | None:
    """The penalty to expect for a document as of `today`; None when nothing about it is late.

    A modified document that lowers a value is asked for by what it lowers.
    """
    return _of_issue(document, today) or _of_transmission(document, today)


def _of_issue(document: Issue, today: date) -> Penalty | None:
    day = document.issued_on or today
    if document.modification in WITHOUT_DEADLINE or day <= due_on(document.month):
        return None
    percent = late_percent(document.month, day)
    kind: PenaltyKind = "issued_late" if percent == 1 else "not_issued"
    return Penalty(kind, abs(document.supply) * percent // 100)


def _of_transmission(document: Issue, today: date) -> Penalty | None:
    if document.issued_on is None:
        return None
    day = document.transmitted_on or today
    if day <= transmit_by(document.issued_on):
        return None
    if day <= final_return_on(document.month):
        return Penalty("transmitted_late", abs(document.supply) * LATE_TRANSMISSION_PER_MILLE // 1_000)
    return Penalty("not_transmitted", abs(document.supply) * NO_TRANSMISSION_PER_MILLE // 1_000)
