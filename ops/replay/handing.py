"""The end of the demonstration: an order of today, its serials as a partner gets them, and one in use."""

import asyncio
import csv
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ops.replay.driver import Topics, UpstreamEvent
from ops.replay.planting import SECONDS, too_slow
from ops.replay.result import Handed
from ops.replay.troubles import COSTS, LINE, PARTNER, SOURCE
from ops.shell.system import System
from ops.watch.decide.answers import Asker
from ops.watch.order import read_order
from ops.watch.serials.asking import SERIALS
from ops.watch.serials.export import take_file
from shared import business_number
from shared.clock import now
from shared.kst import wire_time

ORDER: Final = "TODAY"
BUYER: Final = PARTNER | {
    "partner_id": "PARTNER",
    "business_number": business_number.from_seed(2),
    "name": "Partner Trading",
    "representative": "이바다",
    "invoice_email": "tax@partner.example",
}
ACCOUNT: Final = "student-1"
FILE: Final = "serials-of-TODAY.csv"
REGISTER: Final = "serials:register"
HEADER_ROWS: Final = 2
"""The watermark, and the names of the columns."""


async def buy(topics: Topics, system: System) -> None:
    """Somebody pays for serials now, unless an earlier demonstration has done it. Raises Problem."""
    if await read_order(system, ORDER) is None:
        await topics.publish([paid(now())])
        for _ in range(2):  # what was published, then what followed from it
            if not await topics.caught_up(SECONDS):
                raise too_slow()


def paid(at: datetime) -> UpstreamEvent:
    """The payment of the order, whose serials are issued by themselves."""
    data = {
        "order_id": ORDER,
        "partner": BUYER,
        "payment_method": "bank_transfer",
        "evidence": "tax_invoice",
        "issue_policy": "automatic",
        "vat_mode": "exclusive",
        "lines": [LINE],
        "payment_id": f"pay-{ORDER}",
        "amount": COSTS,
        "paid_at": wire_time(at),
    }
    return UpstreamEvent(f"{ORDER}:1", "payment.completed.v1", ORDER, at, data, SOURCE)


async def hand_out(system: System, directory: Path) -> Handed:
    """Takes the serials of the order into a file, and registers the first one. Raises Problem."""
    story = await read_order(system, ORDER)
    assert story is not None, "it was bought before"
    asker = Asker(system, None, directory, None, "demo")
    return await asyncio.to_thread(_hand_out, asker, story.grants[0].grant_id, directory / FILE)


def _hand_out(asker: Asker, grant_id: str, file: Path) -> Handed:
    query = {"reason": "the demonstration", "state": "all", "lang": "en"}
    taken = take_file(asker, grant_id, "serials.csv", file, query, replaces=True, quiet=True)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        serial = list(csv.reader(lines))[HEADER_ROWS][0]
    body: Mapping[str, Any] = {"serial": serial, "account": ACCOUNT}
    registered = asker.ask(SERIALS, REGISTER, "/v1/registrations", body, "See: pawl lag")
    return Handed(
        str(file), taken["serials"], taken["watermark"], serial[-4:], ACCOUNT, registered["usage_ends_at"]
    )
