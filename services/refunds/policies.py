"""The refund rules of the product kinds, one pure function each, and the small rules around them.

Source: domain.md section 1 (rules by kind) and section 4 (reasons, destinations). Money is integer won, days
are KST days. A kind without a function here is not supported yet: requests for it are answered so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple
from unicodedata import normalize

from shared.business_days import add_business_days
from shared.kst import kst_date

DestinationKind = Literal["bank_account", "original_card", "mycash", "app_store"]
"""Where money goes back to. `app_store` is nowhere: only that store can refund it."""

PAYOUT_BUSINESS_DAYS = 3
MYCASH_LATEST_BUSINESS_DAYS = 7

TERMINATED_BY_OPERATOR = "terminated_by_operator"
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


@dataclass(slots=True, frozen=True)
class Units:
    """The units of one order line, as far as this service knows.

    `granted` are units that orders has granted to issue (issuing or issued), `refunding` and `refunded` are
    claimed by refunds, `taken_back` went when upstream cancelled the payment. What is left is open.
    """

    paid: int
    granted: int = 0
    refunding: int = 0
    refunded: int = 0
    taken_back: int = 0
    last_granted_at: datetime | None = None

    def __post_init__(self) -> None:
        claims = (self.granted, self.refunding, self.refunded, self.taken_back)
        assert min(claims) >= 0, "a negative count of units"
        assert self.open >= 0, "more units are claimed than were paid"

    @property
    def open(self) -> int:
        return self.paid - self.granted - self.refunding - self.refunded - self.taken_back


class Verdict(NamedTuple):
    """How many units may be refunded and, when it is none of those asked for, why not and since when."""

    quantity: int
    reason: str | None = None
    at: datetime | None = None


Policy = Callable[[Units, int | None], Verdict]


def until_issued(units: Units, quantity: int | None) -> Verdict:
    """Serials: refundable any time before they are granted to issue, never after; by unit, without a fee.

    `quantity` is what is asked for (all or nothing); None asks for whatever is left. The answer is based on
    facts only: it refuses early what is surely lost, the claim itself is decided by orders.
    """
    if quantity is None:
        return Verdict(units.open) if units.open else _nothing_left(units)
    if quantity <= units.open:
        return Verdict(quantity)
    return _what_took_them(units, quantity)


def _nothing_left(units: Units) -> Verdict:
    if units.granted:
        return Verdict(0, "issued", units.last_granted_at)
    return Verdict(0, "refund_in_progress" if units.refunding else "nothing_left")


def _what_took_them(units: Units, quantity: int) -> Verdict:
    """Issuing when the line is locked, else the first claim without which the units would still be there."""
    if quantity > units.paid:
        return Verdict(0, "more_than_paid")
    locked = units.granted > 0 and units.open == 0
    if locked or quantity > units.paid - units.granted:
        return Verdict(0, "issued", units.last_granted_at)
    if quantity > units.paid - units.granted - units.refunded - units.taken_back:
        return Verdict(0, "already_refunded")
    return Verdict(0, "refund_in_progress")


POLICIES: Mapping[str, Policy] = {"serials": until_issued}


def reason_name(given: str) -> str:
    """The name of a reason from the list, asked for in Korean or by name; any other text stays as it is."""
    folded = fold(given)
    return REASONS.get(folded, folded)


def destination_kind(payment_method: str) -> DestinationKind:
    """Where the money of a payment method goes back to, whatever destination a request names."""
    match payment_method:
        case "bank_transfer" | "virtual_account":
            return "bank_account"
        case "card":
            return "original_card"
        case "mycash" | "app_store":
            return payment_method
        case unknown:
            raise ValueError(f"no refund rule for payment method {unknown}")


def same_holder(holder: str, subscriber: str) -> bool:
    """Whether a bank account is in the subscriber's own name, whatever its width, case and spacing."""
    return fold(holder).casefold() == fold(subscriber).casefold()


def fold(text: str) -> str:
    """Compatibility forms made equal (NFKC), white space folded to single spaces and trimmed."""
    return " ".join(normalize("NFKC", text).split())


def mask(bank_code: str, account_number: str) -> str:
    """`088-*****6789`: enough to recognise one's own account. Short numbers show nothing of themselves."""
    tail = account_number[-4:] if len(account_number) >= 8 else ""
    return f"{bank_code}-*****{tail}"


def expected_payout(kind: DestinationKind, asked_at: datetime) -> tuple[date, date]:
    """The first and the last KST day on which the money is expected to arrive.

    Banks and cards take three Korean business days; own cash is shown as three to seven.
    """
    day = kst_date(asked_at)
    first = add_business_days(day, PAYOUT_BUSINESS_DAYS)
    if kind == "mycash":
        return first, add_business_days(day, MYCASH_LATEST_BUSINESS_DAYS)
    return first, first
