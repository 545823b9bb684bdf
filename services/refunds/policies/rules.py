"""What the refund rule of a kind is asked, and what it answers."""

from datetime import datetime
from typing import NamedTuple, Protocol

from services.refunds.state import Line


class Payment(NamedTuple):
    """How and when the line was paid for.

    `vat_mode` says whether prices are supply value (`exclusive`) or gross (`inclusive`).
    """

    method: str
    vat_mode: str
    paid_at: datetime


class Usage(NamedTuple):
    """What of the line was used: the running total (units, or won of a balance), and when it last grew."""

    used: int = 0
    last_used_at: datetime | None = None


NOT_USED = Usage()
"""The usage of a line of which none was recorded."""


class Question(NamedTuple):
    """May these units of the line be refunded?

    The line says since when it can be used and when it arrived (`activated_at`, `delivered_at`): None where
    checkout did not, and the payment's instant counts.
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
    as long as they are not issued. `reason` says why it is none, and `since` when that came to be. `hold` is
    what the refund waits for before orders is asked for the units, by its name in `HOLDS`. `consumed` won of
    the price of the units were used up and stay paid: supply value or gross, by the VAT mode.
    """

    units: int
    fee: int = 0
    last_instant: datetime | None = None
    reason: str | None = None
    since: datetime | None = None
    hold: str | None = None
    consumed: int = 0


class Policy(Protocol):
    """The refund rule of a kind: a pure function. Its name is the reason that a refund is accepted for."""

    __name__: str

    def __call__(self, question: Question, /) -> Answer:
        """Answers by what is recorded. It refuses early what is surely lost; the claim is for orders."""
