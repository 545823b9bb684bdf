"""What a word names in refunds: refunds, their requests and their payouts."""

from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import find_in_every_service
from shared.operators.finding import Found, Look, Row, by_text, by_uuid

REFUNDS: Final = "refunds"


def refund(row: Row) -> Found:
    """A refund with its state, its reason and its won."""
    refund_id = str(row["refund_id"])
    why = f" ({row['why']})" if row["why"] else ""
    won = "" if row["amount"] is None else f" ₩{row['amount']:,},"
    says = f"{row['refund_request_id']}, {row['state'].replace('_', ' ')}{why},{won} order {row['order_id']}"
    return Found(REFUNDS, "refund", refund_id, says, pawl("refund", "show", refund_id))


FIND: Final = (
    Look("find_refund", by_uuid, refund),
    Look("find_refund_request", by_text, refund),
    Look("find_payout", by_text, refund),
    *find_in_every_service(REFUNDS),
)
"""What can be found in refunds: statement, arguments, thing."""
