"""A request as its document says it, whether it comes as an event or over HTTP."""

from datetime import datetime

from services.refunds.decisions.requests import Request
from services.refunds.state import BankAccount
from shared.events.checkout import Destination, RefundRequested
from shared.units import line_units


def request_of(data: RefundRequested, content: bytes, at: datetime) -> Request:
    """The request that a document makes at this instant; `content` is its hash."""
    return Request(
        data.order_id,
        data.refund_request_id,
        content,
        data.requested_by,
        data.role,
        None if data.lines is None else line_units(data.lines),
        data.reason,
        data.message,
        _account(data.destination),
        at,
    )


def _account(to: Destination) -> BankAccount | None:
    if to.method != "bank_account":
        return None
    return BankAccount(to.bank_code or "", to.account_number or "", to.holder or "")
