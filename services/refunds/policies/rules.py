"""What the refund rule of a kind is asked, and what it answers."""

from datetime import datetime
from typing import NamedTuple, Protocol

from services.refunds.state import Line


class Payment(NamedTuple):
    """How and when the line was paid for.

    `vat_mode` says whether prices are supply value (`exclusive`) or gross (`inclusive`). `activated_at` is
    when the customer could first use what was paid for; None where that is not known.
    """

    method: str
    vat_mode: str
    paid_at: datetime
    activated_at: datetime | None = None


class Usage(NamedTuple):
    """What of the line was used: the running total (units, or won of a balance), and when it last grew."""

    used: int = 0
    last_used_at: datetime | None = None


NOT_USED = Usage()
"""The usage of a line of which none was recorded."""


class Question(NamedTuple):
    """May these units of the line be refunded?

    `quantity` is what is asked for, None whatever is left. `at` is the instant that counts for windows: that
    of the request, however long its review takes, or now for somebody who only asks.
    """

    line: Line
    payment: Payment
    usage: Usage
    quantity: int | None
    at: datetime


class Answer(NamedTuple):
    """What a rule says.

    `units` is what may be refunded: all that was asked for or 0, or whatever is left. `fee` is what is kept
    of their refund, in won with VAT. `last_instant` is when these units can be refunded at the latest, None
    as long as they are not issued. `reason` says why it is none, and `since` when that came to be.
    """

    units: int
    fee: int = 0
    last_instant: datetime | None = None
    reason: str | None = None
    since: datetime | None = None


class Policy(Protocol):
    """The refund rule of a kind: a pure function. Its name is the reason that a refund is accepted for."""

    __name__: str

    def __call__(self, question: Question, /) -> Answer:
        """Answers by what is recorded. It refuses early what is surely lost; the claim is for orders."""
