"""What a word names in serials: grants and serials."""

from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import find_in_every_service
from shared.operators.finding import Found, Look, Row, by_last_four, by_uuid
from shared.operators.sentences import Sentence

SERIALS: Final = "serials"


def grant(row: Row) -> Found:
    """A grant and how far it is."""
    said = {"issued": row["issued"], "units": row["quantity"], "order": row["order_id"]}
    says = Sentence("{issued:,} of {units:,} units issued, order {order}", **said)
    return Found(SERIALS, "grant", str(row["grant_id"]), says, pawl("order", row["order_id"]))


def serial(row: Row) -> Found:
    """A serial, by its last four characters and never more of it."""
    said = {"last_four": row["last_four"], "state": row["state"], "order": row["order_id"]}
    says = Sentence("...{last_four}, {state}, order {order}", **said)
    return Found(SERIALS, "serial", str(row["serial_id"]), says, pawl("order", row["order_id"]))


FIND: Final = (
    Look("find_grant", by_uuid, grant),
    Look("find_serial", by_uuid, serial),
    Look("find_last_four", by_last_four, serial),
    *find_in_every_service(SERIALS),
)
"""What can be found in serials: statement, arguments, thing."""
