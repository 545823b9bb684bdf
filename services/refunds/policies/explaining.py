"""Why a refund is refused or waits, and what comes next, in words: English and Korean. Pure.

The reasons are those of docs/events.md; a reason that checkout gave for a payout has no words here.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from services.refunds.policies.holds import next_step
from shared.operators.todo import Who


class Words(NamedTuple):
    """The same in both languages."""

    text: str
    text_ko: str


class Step(NamedTuple):
    """What has to come next: who does it (None: it comes by itself), and what that is."""

    code: str
    who: Who | None
    what_to_do: str
    what_to_do_ko: str

    def document(self) -> dict[str, str | None]:
        """As it is shown beside a refund."""
        return {
            "next": self.code,
            "who": self.who,
            "what_to_do": self.what_to_do,
            "what_to_do_ko": self.what_to_do_ko,
        }


NOTHING_NEXT: Final = dict.fromkeys(("next", "who", "what_to_do", "what_to_do_ko"))
"""The same of a refund of which nothing has to come any more."""

REASONS: Final[Mapping[str, Words]] = {
    "not_paid": Words("the order is not paid", "아직 결제되지 않은 주문입니다"),
    "order_expired": Words("the deposit did not come in time", "입금 기한이 지나 주문이 만료되었습니다"),
    "order_cancelled": Words("the payment was taken back", "결제가 취소된 주문입니다"),
    "app_store": Words("it was paid through an app store", "앱 스토어에서 결제한 주문입니다"),
    "operator_only": Words("this reason is for operators only", "운영자만 쓸 수 있는 사유입니다"),
    "more_than_paid": Words("more units than were paid", "결제한 수량보다 많습니다"),
    "issued": Words("the units are granted to be issued", "이미 발행되었거나 발행 중인 수량입니다"),
    "already_refunded": Words("the units were refunded before", "이미 환불된 수량입니다"),
    "refund_in_progress": Words("another refund holds the units", "다른 환불이 진행 중인 수량입니다"),
    "nothing_left": Words("no unit is left to refund", "환불할 수량이 남아 있지 않습니다"),
    "window_over": Words("the days for a refund are over", "환불 가능 기간이 지났습니다"),
    "balance_expired": Words("what was bought could be used until then", "이용 기간이 끝난 잔액입니다"),
    "balance_too_small": Words(
        "the balance is too small for the fee", "수수료를 빼기에 잔액이 너무 적습니다"
    ),
    "whole_balance_only": Words(
        "a balance is refunded whole, never in part", "잔액은 전액만 환불할 수 있습니다"
    ),
    "nothing_to_pay": Words("the fee leaves nothing of it", "수수료를 빼면 환불할 금액이 없습니다"),
    "destination_missing": Words("no bank account was named", "환불 계좌가 없습니다"),
    "holder_mismatch": Words(
        "the holder of the account has another name than the buyer", "예금주와 구매자의 이름이 다릅니다"
    ),
    "wrong_account": Words("the bank cannot have such an account", "해당 은행에 있을 수 없는 계좌입니다"),
    "no_such_account": Words("the bank has no such account", "은행에 없는 계좌입니다"),
    "holder_check": Words("the bank is asked whose the account is", "은행에 예금주를 확인하고 있습니다"),
    "second_approval": Words("a second person has to approve it", "다른 담당자의 승인이 더 필요합니다"),
    "used": Words("some of it was used", "이미 사용한 내역이 있습니다"),
    "return_awaited": Words("the goods have to come back first", "상품이 먼저 반품되어야 합니다"),
    "review_rejected": Words("an operator decided so", "운영자가 거절했습니다"),
    "requester_withdrew": Words("the requester wants it no more", "요청자가 철회했습니다"),
    "duplicate_request": Words(
        "the request id is known with other content", "같은 요청 ID가 다른 내용으로 이미 있습니다"
    ),
    "unknown_line": Words("the order has no such line", "주문에 없는 품목입니다"),
    "unknown_reason": Words("the reason is not on the list", "목록에 없는 사유입니다"),
    "cancelled_by_operator": Words("an operator cancelled the request", "운영자가 요청을 취소했습니다"),
    "timeout": Words("nobody knows whether it was paid", "지급 여부를 알 수 없습니다"),
    "unknown": Words("nobody knows whether it was paid", "지급 여부를 알 수 없습니다"),
}
"""Each reason of a refund that is refused, held, in review or not answered."""

STEPS: Final[Mapping[str, Step]] = {
    step.code: step
    for step in (
        Step("pay_order", "partner", "pay the order first", "먼저 주문을 결제하십시오"),
        Step(
            "ask_app_store", "partner", "ask that store for the refund", "해당 스토어에 환불을 요청하십시오"
        ),
        Step("ask_for_less", "partner", "ask for the units that are left", "남은 수량만 요청하십시오"),
        Step("ask_for_all", "partner", "ask for the whole balance", "잔액 전체의 환불을 요청하십시오"),
        Step("name_account", "partner", "name a bank account of your own", "본인 명의 계좌를 적어 주십시오"),
        Step(
            "end_other_refund",
            "operator",
            "wait for the end of the other refund, or end it",
            "진행 중인 환불이 끝나기를 기다리거나 그 환불을 끝내십시오",
        ),
        Step(
            "attach_proof",
            "partner",
            "attach a proof that the account is the buyer's",
            "구매자의 계좌임을 보이는 증빙을 첨부하십시오",
        ),
        Step(
            "bank_answer",
            "operator",
            "wait for the bank, which is asked again, or decide without it",
            "은행의 답을 기다리거나(자동으로 다시 묻습니다) 직접 결정하십시오",
        ),
        Step(
            "second_review",
            "operator",
            "decide: somebody other than the first person approves or rejects it",
            "첫 승인자가 아닌 담당자가 승인하거나 거절하십시오",
        ),
        Step("operator_review", "operator", "decide: approve or reject", "승인하거나 거절하십시오"),
        Step("confirm_return", "partner", "send the goods back", "상품을 반품하십시오"),
        Step(
            "grant_units", None, "nothing: orders decides about the units", "주문 서비스가 수량을 확정합니다"
        ),
        Step("pay_out", "checkout", "pay the refund out", "환불금을 지급하십시오"),
        Step(
            "answer_payout",
            "checkout",
            "say what became of the payout; it is asked again by itself, under the same key",
            "지급 결과를 알려 주십시오. 같은 키로 자동으로 다시 묻습니다",
        ),
        Step(
            "retry_or_release",
            "operator",
            "have it paid again, or give the units back to the order",
            "다시 지급하거나 수량을 주문에 돌려주십시오",
        ),
        Step("retry", "operator", "have it paid again", "다시 지급하십시오"),
    )
}
"""Everything that may have to come next, by its name."""

_UNLOCKS: Final[Mapping[str, str]] = {
    "not_paid": "pay_order",
    "app_store": "ask_app_store",
    "more_than_paid": "ask_for_less",
    "whole_balance_only": "ask_for_all",
    "destination_missing": "name_account",
    "refund_in_progress": "end_other_refund",
}
_OF_UNITS_LEFT: Final = frozenset({"issued", "already_refunded"})
_OF_STATES: Final[Mapping[str, str]] = {
    "accepted": "grant_units",
    "paying_out": "pay_out",
    "repaying": "pay_out",
    "unknown": "answer_payout",
    "failed": "retry_or_release",
    "bounced": "retry",
}


def words_of(reason: str | None) -> Words | None:
    """A reason in words; None where it has none."""
    return None if reason is None else REASONS.get(reason)


def unlocking(reason: str | None, *, is_some_open: bool = False) -> Step | None:
    """What would make it refundable after all; None where nothing would.

    `is_some_open`: some units of it are left.
    """
    if reason in _OF_UNITS_LEFT and is_some_open:
        return STEPS["ask_for_less"]
    code = _UNLOCKS.get(reason or "")
    return None if code is None else STEPS[code]


def step_of(state: str, why: str | None) -> Step | None:
    """What has to come next for a refund, and who does it; None at its end."""
    code = next_step(state, why) or _OF_STATES.get(state)
    return None if code is None else STEPS[code]


EFFECTS: Final[Mapping[str, Words]] = {
    "none": Words("no tax document belongs to it", "세금계산서 변동이 없습니다"),
    "draft_lowered": Words(
        "the tax invoice is not issued yet, and is issued over less",
        "발행 전인 세금계산서의 금액이 줄어듭니다",
    ),
    "modified": Words("a modified tax invoice is issued", "수정세금계산서가 발행됩니다"),
    "unknown": Words(
        "the order is older than what is kept of its evidence: ask invoices",
        "증빙 정보를 보관하기 전의 주문입니다. 세금계산서 담당자에게 확인하십시오",
    ),
}
"""What a refund does to the tax document of its payment (`shared.tax_documents.Effect`)."""

MODIFICATIONS: Final[Mapping[str, str]] = {
    "contract_cancelled": "계약의 해제",
    "supply_value_changed": "공급가액 변동",
}
"""The reasons of a modified invoice that a refund may have, in Korean."""
