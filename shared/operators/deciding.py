"""What an operator may decide about what waits, by its state: one table for services and commands. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from shared.web.problems import Kind, Problem

RefundDecision = Literal["proof", "approve", "reject", "withdraw", "retry", "release"]
CaseDecision = Literal["returned", "applied", "kept"]

OF_REFUND: Final[Mapping[str, tuple[RefundDecision, ...]]] = {
    "held": ("proof", "reject", "withdraw"),
    "in_review": ("approve", "reject", "withdraw", "proof"),
    "paying_out": ("retry",),
    "unknown": ("retry",),
    "failed": ("retry", "release"),
    "bounced": ("retry",),
    "repaying": ("retry",),
}
"""The decisions that each state of a refund takes, the usual one first; the other states take none."""


def of_refund(state: str, why: str | None) -> tuple[RefundDecision, ...]:
    """What may be decided about a refund. A proof brings no goods back."""
    decisions = OF_REFUND.get(state, ())
    return tuple(each for each in decisions if each != "proof") if why == "return_awaited" else decisions


CANCELLABLE: Final = frozenset(
    {
        "issuance.requested.v1",
        "quarantine.decided.v1",
        "refund.requested.v1",
        "refund.proof_attached.v1",
        "refund.reviewed.v1",
    }
)
"""What somebody asked for or decided, which can be cancelled while it waits; what happened cannot."""

CANNOT_DECIDE: Final = Kind(
    "cannot_decide",
    409,
    "This cannot be decided so",
    "{why}; possible now: {possible}; nothing was changed",
    "이렇게 결정할 수 없습니다",
    "변경된 것은 없습니다. 지금 가능한 결정: {possible} ({why})",
)


def of_case(reason: str, needs_money: bool) -> tuple[CaseDecision, ...]:
    """What may be decided about an open case of quarantine; whether its order still needs money.

    That the won come to what the order costs is seen when it is decided.
    """
    return (
        ("applied", "returned", "kept") if reason == "wrong_amount" and needs_money else ("returned", "kept")
    )


def cannot_decide(why: str, possible: Iterable[str], pointer: str | None = None) -> Problem:
    """The refusal of a decision, with what can be decided instead."""
    return Problem(CANNOT_DECIDE, pointer=pointer, why=why, possible=", ".join(possible) or "nothing")
