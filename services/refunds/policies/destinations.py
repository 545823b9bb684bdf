"""Where the money of a refund goes, how that is shown, and when it is expected.

Days are KST days. Source: domain.md section 4.
"""

from datetime import date, datetime

from services.refunds.state import DestinationKind
from shared.business_days import add_business_days
from shared.kst import kst_date

PAYOUT_BUSINESS_DAYS = 3
MYCASH_LATEST_BUSINESS_DAYS = 7
SHOWN_DIGITS = 4


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


def mask(bank_code: str, account_number: str) -> str:
    """`088-*****6789`: enough to recognise one's own account.

    Hyphens and spaces make no number longer. One of fewer than eight digits shows nothing of itself: its last
    four would be most of it.
    """
    digits = "".join(each for each in account_number if each.isalnum())
    tail = digits[-SHOWN_DIGITS:] if len(digits) >= 2 * SHOWN_DIGITS else ""
    return f"{bank_code}-*****{tail}"


def expected_until(kind: DestinationKind, expected_on: date) -> date:
    """The last KST day on which the money is expected, where the first one is this business day."""
    if kind == "mycash":
        return add_business_days(expected_on, MYCASH_LATEST_BUSINESS_DAYS - PAYOUT_BUSINESS_DAYS)
    return expected_on


def expected_payout(kind: DestinationKind, asked_at: datetime) -> tuple[date, date]:
    """The first and the last KST day on which the money is expected to arrive.

    Banks and cards take three Korean business days; own cash is shown as three to seven.
    """
    day = kst_date(asked_at)
    first = add_business_days(day, PAYOUT_BUSINESS_DAYS)
    return first, expected_until(kind, first)
