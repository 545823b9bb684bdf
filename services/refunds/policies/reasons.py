"""The reasons for which somebody may ask for a refund (domain.md section 4)."""

from collections.abc import Mapping

from services.refunds.policies.text import fold

TERMINATED_BY_OPERATOR = "terminated_by_operator"
"""The only reason that is for operators alone."""

REASONS: Mapping[str, str] = {
    "업무 종료": "business_closed",
    "경제적 부담": "financial_burden",
    "회사 합병": "merger",
    "폐업": "shutdown",
    "서비스/상품변경": "switching_service_or_product",
    "서비스 불만": "dissatisfied",
    "직권해지": TERMINATED_BY_OPERATOR,
    "타 서비스 전환": "moving_to_another_service",
}


NAMES: frozenset[str] = frozenset(REASONS.values())


def reason_name(given: str) -> str | None:
    """The name of a reason from the list, given in Korean or by name; None when it is not on the list.

    Width and white space are no difference: `업무종료` is `업무 종료`.
    """
    folded = _tight(given)
    return _BY_KOREAN.get(folded) or (folded if folded in NAMES else None)


def listed_reasons() -> str:
    """The list as a person reads it: each name with its Korean."""
    return ", ".join(f"{name} ({korean})" for korean, name in REASONS.items())


def _tight(text: str) -> str:
    return fold(text).replace(" ", "")


_BY_KOREAN: Mapping[str, str] = {_tight(korean): name for korean, name in REASONS.items()}
