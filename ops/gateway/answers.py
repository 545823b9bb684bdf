"""What a simulated payment gateway says to a payout, and when: the same seed says the same. Pure.

A payout is made once for each idempotency key, whatever is said about it, and its id follows from the key.
Only `paid_twice` breaks that rule, as gateways sometimes do.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, assert_never

from shared.kst import wire_time

Behaviour = Literal[
    "paid", "slow", "timed_out", "duplicated", "contradicted", "failed", "bounced", "paid_twice"
]

SHARES: Final[Mapping[Behaviour, int]] = MappingProxyType(
    {
        "paid": 60,
        "slow": 12,
        "timed_out": 8,
        "duplicated": 8,
        "contradicted": 4,
        "failed": 4,
        "bounced": 2,
        "paid_twice": 2,
    }
)
"""How many of a hundred payouts go each way. After the last three somebody has to decide."""
REASONS: Final = ("account_closed", "account_not_found", "holder_mismatch")
"""Why a payout fails or comes back."""

SOON: Final = (0.2, 2.0)
LATE: Final = (5.0, 15.0)
TIMEOUT: Final = 3.0
"""Seconds: most answers come within SOON, late ones within LATE, and who waits gives up after TIMEOUT."""


class PayoutRequest(NamedTuple):
    """A payout as refunds asks for it: `amount` in won, for the `attempt`th time (from 1) under this key.

    `since` is when the key was first asked for, `at` when it was asked for this time.
    """

    order_id: str
    refund_id: str
    key: str
    amount: int
    since: datetime
    at: datetime
    attempt: int = 1


class Answer(NamedTuple):
    """An event for `checkout.events`, to be published `delay` after the payout was asked for.

    `id` is its ce_id, `time` its ce_time, `order_id` its record key.
    """

    delay: timedelta
    id: str
    type: str
    order_id: str
    time: datetime
    data: Mapping[str, Any]


def behaviour_of(seed: int, key: str) -> Behaviour:
    """How the gateway behaves when it is first asked under this key."""
    place = _draw(seed, key, "behaviour") * sum(SHARES.values())
    for behaviour, share in SHARES.items():
        place -= share
        if place < 0:
            return behaviour
    raise AssertionError("a draw is below 1")


def answers_to(seed: int, asked: PayoutRequest) -> Sequence[Answer]:
    """Everything that is said to this request, in the order in which it is published.

    A repeated request gets the answer of the payout that was made under its key. Where the first one failed
    it is tried again, and made.
    """
    say = _Saying(seed, asked)
    if asked.attempt > 1:
        return [say.paid(say.soon)]
    match behaviour_of(seed, asked.key):
        case "paid":
            return [say.paid(say.soon)]
        case "slow":
            return [say.paid(say.late)]
        case "timed_out":  # the money has left, and the answer to that got lost
            return [say.failed(TIMEOUT, "timeout"), say.paid(say.late)]
        case "duplicated":  # word for word, and then as an event of its own
            return [say.paid(say.soon), say.paid(say.soon), say.paid(say.late, number=2)]
        case "contradicted":
            return [say.failed(TIMEOUT, "unavailable"), say.paid(say.late)]
        case "failed":
            return [say.failed(say.soon, say.reason)]
        case "bounced":
            return [say.paid(say.soon), say.failed(say.late, say.reason)]
        case "paid_twice":
            return [say.paid(say.soon), say.paid(say.late, payout_id=f"{say.payout_id}-again")]
        case never:
            assert_never(never)


class _Saying:
    """The words about one request. `soon` and `late` are seconds from when it was asked."""

    def __init__(self, seed: int, asked: PayoutRequest) -> None:
        self.asked = asked
        self.payout_id = f"po-{asked.key}"
        self.soon = _between(*SOON, _draw(seed, asked.key, "soon"))
        self.late = _between(*LATE, _draw(seed, asked.key, "late"))
        self.reason = REASONS[int(_draw(seed, asked.key, "reason") * len(REASONS))]
        is_new_try = asked.attempt > 1 and behaviour_of(seed, asked.key) == "failed"
        self._made_at = (asked.at if is_new_try else asked.since) + timedelta(seconds=self.soon)

    def paid(self, delay: float, payout_id: str = "", number: int = 1) -> Answer:
        """The payout was made; the `number`th event that says so."""
        payout_id = payout_id or self.payout_id
        said = {"payout_id": payout_id, "amount": self.asked.amount, "paid_out_at": wire_time(self._made_at)}
        return self._answer(
            "refund.paid_out.v1", delay, f"{payout_id}:paid:{self.asked.attempt}.{number}", said
        )

    def failed(self, delay: float, reason: str) -> Answer:
        """The payout failed, came back, or was not answered in time."""
        said = {"payout_id": self.payout_id, "reason": reason}
        return self._answer("refund.payout_failed.v1", delay, f"{self.payout_id}:failed:{reason}", said)

    def _answer(self, type_name: str, delay: float, id_: str, said: Mapping[str, Any]) -> Answer:
        asked, after = self.asked, timedelta(seconds=delay)
        data = {"order_id": asked.order_id, "refund_id": asked.refund_id, **said}
        return Answer(after, id_, type_name, asked.order_id, asked.at + after, data)


def _between(least: float, most: float, share: float) -> float:
    return least + (most - least) * share


def _draw(seed: int, key: str, what: str) -> float:
    """A number of [0, 1) that depends on nothing else."""
    digest = sha256(f"{seed}/{what}/{key}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
