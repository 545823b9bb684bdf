"""The names of the ends of a source line, those that the file alone decides and those of the system."""

from collections.abc import Collection
from enum import StrEnum


class Surprise(StrEnum):
    """Why a line of the file becomes no event. Decided by the file alone."""

    BLANK = "blank_line"
    UNREADABLE = "unreadable"
    NO_CUSTOMER = "no_customer"
    OTHER_CUSTOMER = "other_customer_in_document"
    NOT_POSITIVE = "order_quantity_not_positive"
    NOT_NEGATIVE = "cancel_quantity_not_negative"
    QUANTITY_LIMIT = "quantity_above_limit"
    PRICE_NEGATIVE = "price_negative"
    PRICE_LIMIT = "price_above_limit"
    WORTHLESS = "order_worth_nothing"
    NEVER_BOUGHT = "cancel_without_order"
    TOO_MANY = "cancel_more_than_bought"


class OrderEnd(StrEnum):
    """What became of a line that was ordered. A payment quarantined or rejected adds its reason."""

    ISSUED = "issued"
    REFUNDED = "refunded"
    ISSUED_AND_REFUNDED = "issued_and_refunded"
    CHARGED = "charge_paid"
    OPEN = "open"
    QUARANTINED = "payment_quarantined"
    REJECTED = "payment_rejected"


class RefundEnd(StrEnum):
    """What became of one refund request.

    `rejected`, `denied`, `held`, `failed`, `released` and `invalid` add their reason to the name.
    """

    COMPLETED = "refund_completed"
    REJECTED = "refund_rejected"
    DENIED = "refund_denied"
    HELD = "refund_held"
    FAILED = "refund_failed"
    RELEASED = "refund_released"
    INVALID = "refund_invalid"
    NOT_PAID = "refund_of_unpaid_order"
    OPEN = "refund_open"


PARTLY = "refund_completed_in_part"


def with_reason(end: StrEnum, reason: str) -> str:
    """E.g. `refund_rejected_issued`."""
    return f"{end}_{reason}"


def together(ends: Collection[str]) -> str:
    """One name for a cancellation line whose units came from several orders.

    All completed: completed. Some completed: completed in part. None: the answer about the most recent order.
    """
    assert ends
    if RefundEnd.COMPLETED in ends and set(ends) != {RefundEnd.COMPLETED}:
        return PARTLY
    return next(iter(ends))
