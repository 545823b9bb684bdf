"""What keeps a partner from leaving, in words: what has to end, who ends it, and how. Pure."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from services.orders.state import Blocker
from shared.operators.commands import pawl
from shared.operators.todo import Who

GUIDE: Final = "docs/operating.md"


class _Advice(NamedTuple):
    """Who ends a blocker of one kind and how, in both languages; the command begins so, the order follows."""

    who: Who
    what_to_do: str
    what_to_do_ko: str
    command: tuple[str, ...] = ("order",)


ADVICE: Final[Mapping[str, _Advice]] = {
    "pending_deposit": _Advice(
        "partner",
        "make the deposit, or wait until its deadline has passed",
        "입금하거나 입금 기한이 지날 때까지 기다리십시오",
    ),
    "unissued_units": _Advice(
        "partner",
        "have the units issued, or ask for their refund",
        "남은 수량을 발행하거나 환불을 요청하십시오",
    ),
    "refund_in_progress": _Advice(
        "operator",
        "end the refund: see what it waits for, then decide or have it paid out",
        "환불을 끝내십시오. 대기 사유를 확인한 뒤 결정하거나 지급하십시오",
    ),
    "uninvoiced_payment": _Advice(
        "finance",
        "issue its tax invoice: close its month when that is over",
        "세금계산서를 발행하십시오. 해당 월이 끝나면 마감하십시오",
    ),
    "quarantined_money": _Advice(
        "operator",
        "decide what becomes of the money",
        "격리된 금액의 처리를 결정하십시오",
        ("quarantine", "show"),
    ),
}
"""Each kind of blocker of the published language, with what to do about it."""


def document_of(blocker: Blocker) -> dict[str, Any]:
    """A blocker with what has to be done about it, by whom, and where it is explained."""
    advice = ADVICE[blocker.kind]
    return {
        **blocker._asdict(),
        "who": advice.who,
        "what_to_do": advice.what_to_do,
        "what_to_do_ko": advice.what_to_do_ko,
        "command": pawl(*advice.command, blocker.order_id),
        "link": f"{GUIDE}#{blocker.kind}",
    }
