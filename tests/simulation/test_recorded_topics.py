"""Topics that services of contract 1 wrote are read to the same end, and contract 2 goes on where they stop.

`recorded/contract_1.jsonl` holds every record of four orders, in the order in which it was written, by
services that said one event for each line: grants by the policy and on request, a grant that was issued in
chunks, a refund that was paid out, and one that was released. `contract_1_ends.json` holds the rows that they
ended with.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.events.catalogue import SERVICES, UPSTREAM
from shared.events.successors import SUCCESSORS
from shared.runtime.decisions import Context
from shared.runtime.records import StoredRecord
from tests.simulation.checkout import START, Said
from tests.simulation.story import Story, told

RECORDED = Path(__file__).parent / "recorded"
ENDS: dict[str, dict[str, list[str]]] = json.loads((RECORDED / "contract_1_ends.json").read_text())
COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "orders": {
        "orders": ("order_id", "state", "remaining_supply", "remaining_vat"),
        "order_lines": ("order_id", "line_id", "paid", "issuing", "issued", "refunding", "refunded"),
        "claims": ("claim_id", "line_id", "order_id", "purpose", "quantity", "state"),
    },
    "serials": {
        "grants": (
            *("grant_id", "order_id", "line_id", "quantity", "issued", "state"),
            *("granted_at", "registration_deadline", "causation"),
        ),
    },
    "refunds": {
        "orders": ("order_id", "state", "remaining_supply", "remaining_vat"),
        "order_lines": (
            *("order_id", "line_id", "paid", "granted", "refunding", "refunded", "taken_back"),
            *("locked", "last_granted_at"),
        ),
        "refunds": ("refund_id", "order_id", "state"),
    },
    "invoices": {
        "payments": (
            *("order_id", "serial_units", "issued_units", "open_refunds"),
            *("standing_supply", "standing_vat"),
        ),
    },
}


class Recording(Story):
    """Four services, new, beside the topics that were recorded."""

    def __init__(self) -> None:
        super().__init__()
        self._recorded: list[StoredRecord] = []
        for line in (RECORDED / "contract_1.jsonl").read_text().splitlines():
            record = json.loads(line)
            headers = [(name, value.encode()) for name, value in record["headers"].items()]
            self._recorded.append(
                self.system.broker.append(
                    record["topic"], record["key"].encode(), record["value"].encode(), headers
                )
            )

    def records(self, topic: str) -> list[StoredRecord]:
        return self.system.broker.records_of(topic)

    def said(self, topic: str, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Type and data of the records of these types, in order."""
        for record in self.records(topic):
            type_name = dict(record.headers)["ce_type"].decode()
            if type_name in types:
                yield type_name, json.loads(record.value or b"")

    def take_all(self) -> None:
        """Every service takes what is recorded, as it came; what it makes an id for has the recorded one."""
        granted = [UUID(data["grant_id"]) for _, data in self.said("orders.events", "issuance.granted.v1")]
        payouts = self.said("refunds.events", "refund.payout_requested.v1")
        asked = [UUID(data["refund_id"]) for _, data in payouts]
        self._use_ids("orders", granted)
        self._use_ids("refunds", asked)
        for name in SERVICES:
            site = self.system.sites[name]
            for record in self._recorded:
                if record.topic in site.topics:
                    site.handle([record])
            self.skip(name)
            while name == "serials" and site.issue_chunk():
                pass

    def go_on(self) -> None:
        """The rows are as the earlier version left them: numbers count what it said, all of it published."""
        rows = {name: site.database.tables for name, site in self.system.sites.items()}
        numbers = Counter(record.key for record in self.records("orders.events"))
        for order_id, order in rows["orders"]["orders"].items():
            order["sequence"] = numbers[order_id.encode()]
        rows["serials"]["orders"].clear()
        for grant in rows["serials"]["grants"].values():
            grant["sequence"] += 1
        for order in rows["refunds"]["orders"].values():
            order["sequence"] = 0
        for name, leader in self._leaders.items():
            fresh = leader.waiting(1_000)
            leader.acknowledged(fresh)
            leader.mark()
            database = self.system.sites[name].database
            database.ids += 1_000  # beyond every id of the recording
            self.system.sites[name].fold._context = Context(database.new_id)
        self.skipped = {name: len(rows[name]["outbox"]) for name in SERVICES}

    def new_events(self, service: str) -> list[str]:
        """What a service has said since, in order."""
        rows = list(self.system.sites[service].database.tables["outbox"].values())[self.skipped[service] :]
        return [row["type"] for row in rows if row["topic"] != "checkout.feedback"]

    def rows(self, service: str) -> dict[str, list[str]]:
        tables: Any = self.system.sites[service].database.tables
        return {
            table: sorted(
                " ".join(str(row[column]).replace(" ", "T") for column in columns)
                for row in tables[table].values()
            )
            for table, columns in COLUMNS[service].items()
        }

    def _use_ids(self, service: str, ids: Sequence[UUID]) -> None:
        self.system.sites[service].fold._context = Context(iter(ids).__next__)


@pytest.fixture
def recording() -> Iterator[Recording]:
    with told(Recording()) as story:
        assert isinstance(story, Recording)
        yield story


def test_the_recording_holds_every_type_that_is_no_longer_said(recording: Recording) -> None:
    for service in SERVICES:
        topic = f"{service}.events"
        types = Counter(dict(record.headers)["ce_type"].decode() for record in recording.records(topic))
        assert not set(types) & {successor.type for successor in SUCCESSORS.values()}
        assert all(types[old] > 5 for old in SUCCESSORS if TOPIC_OF[old] == topic)


TOPIC_OF = {
    "issuance.granted.v1": "orders.events",
    "serials.issued.v1": "serials.events",
    "refund.locked.v1": "refunds.events",
}


@pytest.mark.parametrize("service", SERVICES)
def test_what_was_recorded_leads_to_the_same_rows(recording: Recording, service: str) -> None:
    recording.take_all()

    assert recording.rows(service) == ENDS[service]
    tables = recording.system.sites[service].database.tables
    assert not tables["parked"], [row["reason"] for row in tables["parked"].values()]
    assert not tables["dead_letters"]


def test_an_order_of_the_recording_goes_on_with_one_event_a_step(recording: Recording) -> None:
    """A-2 has open units of one line, and its three other steps are recorded as events of lines."""
    recording.take_all()
    recording.go_on()

    later = START + timedelta(days=1)
    Said("A-2", "e-next", "issuance.requested.v1", later, {"order_id": "A-2", "request_id": "i-2"}).put(
        recording.system.broker
    )
    recording.settle()

    assert recording.new_events("orders") == ["issuance.granted.v2"]
    assert recording.new_events("serials") == ["serials.issued.v2"]
    assert recording.new_events("refunds") == ["refund.locked.v2"]
    assert "A-2 3 5 0 5 0 0" in recording.rows("orders")["order_lines"]
    for name, site in recording.system.sites.items():
        assert not site.database.tables["parked"], name
        assert not site.database.tables["dead_letters"], name


def test_an_order_that_comes_after_the_recording_is_told_in_three_events(recording: Recording) -> None:
    recording.take_all()
    recording.go_on()

    payment = next(json.loads(record.value or b"") for record in recording.records(UPSTREAM))
    new = {**payment, "order_id": "A-9", "payment_id": "pay-9"}
    Said("A-9", "e-next", "payment.completed.v1", START, new).put(recording.system.broker)
    recording.settle()

    assert recording.new_events("orders") == ["order.paid.v1", "issuance.granted.v2"]
    assert recording.new_events("serials") == ["serials.issued.v2"]
    assert recording.new_events("refunds") == ["refund.locked.v2"]
    said = dict(recording.said("serials.events", "serials.issued.v2"))
    assert [grant["line_id"] for grant in said["serials.issued.v2"]["grants"]] == ["1", "2", "3"]
