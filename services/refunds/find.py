"""What a word names in refunds: refunds, their requests and their payouts."""

from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import find_in_every_service
from shared.operators.finding import Found, Look, Row, by_text, by_uuid
from shared.operators.sentences import Sentence

REFUNDS: Final = "refunds"


def refund(row: Row) -> Found:
    """A refund with its state, its reason and its won."""
    refund_id = str(row["refund_id"])
    said = {
        "name": row["refund_request_id"],
        "words": row["state"].replace("_", " "),
        "state": row["state"],
        "why": Sentence(" ({why})", why=row["why"]) if row["why"] else "",
        "won": "" if row["amount"] is None else f" ₩{row['amount']:,},",
        "order": row["order_id"],
    }
    says = Sentence("{name}, {words}{why},{won} order {order}", **said)
    return Found(REFUNDS, "refund", refund_id, says, pawl("refund", "show", refund_id))


FIND: Final = (
    Look("find_refund", by_uuid, refund),
    Look("find_refund_request", by_text, refund),
    Look("find_payout", by_text, refund),
    *find_in_every_service(REFUNDS),
)
"""What can be found in refunds: statement, arguments, thing."""
