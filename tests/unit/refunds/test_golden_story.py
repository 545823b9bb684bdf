"""The story of the golden documents: what goes in as it stands comes out as it stands."""

from datetime import datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.refunds.decisions import requests
from shared.runtime.decisions import Applied, Outcome
from tests.unit.refunds.desk import Desk

EXAMPLES = files("shared.events") / "examples"
REFUND = UUID("0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01")
REFERENCE = UUID("0199f0c0-9999-7c11-9a51-2f6f3f3c1a09")


@pytest.fixture(autouse=True)
def golden_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documents name a reference that does not follow from their refund."""
    monkeypatch.setattr(requests, "_reference_of", lambda _: REFERENCE)


class GoldenDesk(Desk):
    """A desk that is given golden documents, and the ids that stand in them."""

    def __init__(self) -> None:
        super().__init__()
        self._golden_ids = [REFUND]

    def given(self, topic: str, type_name: str, **changes: Any) -> Outcome:
        document = golden(topic, type_name)
        if topic == "checkout.events":
            self.now = datetime.fromisoformat(document["headers"]["ce_time"])
        return self.deliver(type_name, {**document["data"], **changes})

    def _new_id(self) -> UUID:
        return self._golden_ids.pop()


def golden(topic: str, type_name: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads((EXAMPLES / topic / f"{type_name}.json").read_bytes())
    return document


def produced(desk: Desk) -> dict[str, Any]:
    """The data of the last event, reduced to the fields of its golden document (more may be added)."""
    fields = golden("refunds.events", desk.last.type)["data"]
    return {name: value for name, value in desk.last.data.items() if name in fields}


def wanted(desk: Desk) -> dict[str, Any]:
    data: dict[str, Any] = golden("refunds.events", desk.last.type)["data"]
    return data


def asked_as_golden(**changes: Any) -> GoldenDesk:
    desk = GoldenDesk()
    desk.given("orders.events", "order.paid.v1")
    assert isinstance(desk.given("checkout.events", "refund.requested.v1", **changes), Applied)
    return desk


def test_a_refund_from_the_request_to_the_money() -> None:
    desk = asked_as_golden()
    assert produced(desk) == wanted(desk)

    desk.given("orders.events", "refund.granted.v1")
    assert desk.last.type == "refund.payout_requested.v1"
    assert produced(desk) == wanted(desk)

    desk.given("checkout.events", "refund.paid_out.v1")
    assert desk.last.type == "refund.completed.v1"
    assert produced(desk) == wanted(desk)


def test_a_payout_that_fails_and_is_released() -> None:
    desk = asked_as_golden()
    desk.given("orders.events", "refund.granted.v1")

    desk.given("checkout.events", "refund.payout_failed.v1")
    assert desk.last.type == "refund.failed.v1"
    assert produced(desk) == wanted(desk)

    desk.given("checkout.events", "refund.reviewed.v1", decision="release", note="requester_withdrew")
    assert desk.last.type == "refund.released.v1"
    assert produced(desk) == wanted(desk)


def test_an_account_in_another_name_until_its_approval() -> None:
    account = {**golden("checkout.events", "refund.requested.v1")["data"]["destination"], "holder": "홍길동"}
    desk = asked_as_golden(destination=account)
    assert desk.last.type == "refund.held.v1"
    assert produced(desk) == wanted(desk)

    desk.given("checkout.events", "refund.proof_attached.v1")
    desk.given("checkout.events", "refund.reviewed.v1")

    assert desk.last.type == "refund.accepted.v1"
    assert produced(desk) == wanted(desk)


def test_a_denial_ends_the_request() -> None:
    desk = asked_as_golden()

    desk.given("orders.events", "refund.denied.v1")

    assert (desk.refund.state, desk.refund.why) == ("denied", "issued")


def test_units_that_were_issued_lock_their_line_and_are_refused() -> None:
    desk = GoldenDesk()
    desk.given("orders.events", "order.paid.v1")
    desk.now = datetime.fromisoformat("2026-10-23T09:00:00+09:00")

    grants = golden("orders.events", "issuance.granted.v2")["data"]["grants"]
    desk.given("orders.events", "issuance.granted.v2", grants=[{**grants[0], "quantity": 100}])
    assert desk.last.type == "refund.locked.v2"
    assert produced(desk) == {**wanted(desk), "lines": wanted(desk)["lines"][:1]}

    desk.given("checkout.events", "refund.requested.v1")
    assert desk.last.type == "refund.rejected.v1"
    assert produced(desk) == wanted(desk)
