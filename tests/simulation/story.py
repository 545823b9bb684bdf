"""A short history told by hand: documents into the topic, services moved one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from shared.events.catalogue import SERVICES
from shared.kst import wire_time
from shared.money import payment_money
from shared.runtime.records import StoredRecord
from tests.simulation.checkout import HOLDER, START, Said
from tests.simulation.system import Leader, System, without_the_machine

ORDER = "A-1"
PRICE = 2000


class Story:
    """One order among four services."""

    def __init__(self) -> None:
        self.system = System(partitions=1)
        self._leaders = {name: Leader(site, self.system.broker) for name, site in self.system.sites.items()}
        self._at = {name: dict.fromkeys(site.topics, 0) for name, site in self.system.sites.items()}
        self._said = 0

    def say(self, type_name: str, time: datetime = START, **data: Any) -> StoredRecord:
        """Checkout says something about the order."""
        self._said += 1
        said = Said(ORDER, f"e-{self._said}", type_name, time, {"order_id": ORDER, **data})
        return said.put(self.system.broker)

    def unread(self, service: str) -> list[StoredRecord]:
        """What a service has not taken yet."""
        logs, at = self.system.broker.logs, self._at[service]
        return [record for topic in at for record in logs[topic, 0][at[topic] :]]

    def read(self, service: str) -> None:
        """A service takes everything there is."""
        records = self.unread(service)
        self.system.sites[service].handle(records)
        self.skip(service)

    def skip(self, service: str) -> None:
        """A service has taken everything there is."""
        for topic in self._at[service]:
            self._at[service][topic] = len(self.system.broker.logs[topic, 0])

    def publish(self) -> None:
        """Every relay sends what is committed."""
        for leader in self._leaders.values():
            rows = leader.waiting(1_000)
            if rows:
                leader.send(rows)
                leader.acknowledged(rows)
                leader.mark()

    def settle(self, *but: str) -> None:
        """Everybody reads and publishes until nothing moves, except for some."""
        for _ in range(8):
            for name in SERVICES:
                if name not in but:
                    self.read(name)
            while self.system.sites["serials"].issue_chunk():
                pass
            self.publish()

    def facts(self, service: str) -> list[str]:
        """What a service has said, in order."""
        rows = self.system.sites[service].database.tables["outbox"].values()
        return [row["type"] for row in rows if row["topic"] != "checkout.feedback"]


@contextmanager
def told(story: Story | None = None) -> Iterator[Story]:
    """A story in a world without clocks."""
    story = story or Story()
    with without_the_machine(story.system):
        yield story


def payment(number: int = 1, at: datetime = START, **changes: Any) -> dict[str, Any]:
    """The data of `payment.completed` for two units, issued when somebody asks."""
    snapshot = order_snapshot(**changes)
    worth = sum(line["unit_price"] * line["quantity"] for line in snapshot["lines"])
    return {
        **snapshot,
        "payment_id": f"pay-{number}",
        "amount": payment_money(snapshot["vat_mode"], worth).total,
        "paid_at": wire_time(at),
    }


def order_snapshot(units: int = 2, **changes: Any) -> dict[str, Any]:
    """What every payment says about its order."""
    line = {
        "line_id": "1", "kind": "serials", "product_id": "study-30", "product_name": "스터디 이용권 30일",
        "unit_price": PRICE, "quantity": units, "usage_days": 30,
    }  # fmt: skip
    partner = {
        "partner_id": "P-1", "business_number": "1168200276", "name": HOLDER, "invoice_email": "a@b.kr",
    }  # fmt: skip
    snapshot = {
        "partner": partner, "payment_method": "bank_transfer", "evidence": "tax_invoice",
        "issue_policy": "on_request", "vat_mode": "inclusive", "lines": [line],
    }  # fmt: skip
    return {**snapshot, **changes}


def refund_request(request_id: str = "r-1", units: int | None = None) -> dict[str, Any]:
    """The data of `refund.requested` to the subscriber's own account."""
    to = {"method": "bank_account", "bank_code": "088", "account_number": "110123456789", "holder": HOLDER}
    data: dict[str, Any] = {
        "refund_request_id": request_id, "requested_by": "user", "role": "partner",
        "reason": "dissatisfied", "message": "환불해 주세요", "destination": to,
    }  # fmt: skip
    if units is not None:
        data["lines"] = [{"line_id": "1", "quantity": units}]
    return data
