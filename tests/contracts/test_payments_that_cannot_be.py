"""What a payment says about itself has to be possible: its lines, its evidence, its amount, its time."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from shared.events.catalogue import TYPES, UPSTREAM, decode
from shared.events.envelope import read_envelope
from shared.events.examples import golden
from shared.events.faults import Fault
from shared.events.fields import instants_of

PENDING, COMPLETED = "payment.pending.v1", "payment.completed.v1"
METHODS = ("card", "virtual_account", "bank_transfer", "mycash", "app_store")
EVIDENCE = ("tax_invoice", "card_slip", "cash_receipt")
POSSIBLE = {
    "card": {"tax_invoice", "card_slip"},
    "virtual_account": {"tax_invoice", "cash_receipt"},
    "bank_transfer": {"tax_invoice", "cash_receipt"},
    "mycash": {"tax_invoice", "cash_receipt"},
    "app_store": {"card_slip", "cash_receipt"},
}


def line(**changes: Any) -> dict[str, Any]:
    return {**golden()[COMPLETED].data["lines"][0], **changes}


def read(name: str, **changes: Any) -> Any:
    document = golden()[name]
    body = orjson.dumps({**document.data, **changes})
    return decode(read_envelope(document.header_bytes(), body), document.key, UPSTREAM)


def refused(name: str, **changes: Any) -> tuple[str, str]:
    with pytest.raises(Fault) as caught:
        read(name, **changes)
    return caught.value.code, caught.value.pointer


@pytest.mark.parametrize("name", [PENDING, COMPLETED])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("evidence", EVIDENCE)
def test_evidence_fits_the_method(name: str, method: str, evidence: str) -> None:
    if evidence in POSSIBLE[method]:
        assert read(name, payment_method=method, evidence=evidence)
    else:
        assert refused(name, payment_method=method, evidence=evidence) == ("inconsistent", "/evidence")


@pytest.mark.parametrize("name", [PENDING, COMPLETED])
def test_a_discount_is_at_most_the_price_of_its_line(name: str) -> None:
    fit = {"lines": [line(), line(line_id="2", discount=160_000)], "amount": 176_000}
    assert read(name, **fit)
    wrong = [line(), line(line_id="2", discount=160_001)]
    assert refused(name, lines=wrong) == ("out_of_range", "/lines/1/discount")
    assert refused(name, lines=[line(discount=-1)]) == ("out_of_range", "/lines/0/discount")
    assert refused(name, lines=[line(unit_price=-16_000)]) == ("out_of_range", "/lines/0/unit_price")


def test_a_payment_of_nothing_is_for_what_costs_nothing() -> None:
    assert read(COMPLETED, amount=0, lines=[line(unit_price=0)])
    assert read(COMPLETED, amount=0, lines=[line(discount=160_000)])
    assert refused(COMPLETED, amount=0) == ("inconsistent", "/amount")


def test_money_that_does_not_fit_is_not_refused() -> None:
    assert read(COMPLETED, amount=170_000)
    assert read(COMPLETED, amount=1, lines=[line(unit_price=0)])


@pytest.mark.parametrize("amount", [158_400, 0, 176_001])
def test_the_amount_of_a_pending_order_fits_its_lines(amount: int) -> None:
    assert read(PENDING, amount=176_000)
    assert refused(PENDING, amount=amount) == ("inconsistent", "/amount")


def test_a_pending_order_fits_with_its_discount_and_in_its_vat_mode() -> None:
    assert read(PENDING, amount=158_400, lines=[line(discount=16_000)])
    assert read(PENDING, amount=144_000, lines=[line(discount=16_000)], vat_mode="inclusive")
    assert read(PENDING, amount=0, lines=[line(unit_price=0)])


INSTANTS = [(kind.name, field) for kind in TYPES.values() for field in kind.instants]


@pytest.mark.parametrize(("name", "field"), INSTANTS)
def test_nothing_happened_more_than_a_day_after_its_event(name: str, field: str) -> None:
    document = golden()[name]
    time = read_envelope(document.header_bytes(), b"{}").time
    assert read(name, **{field: (time + timedelta(days=1)).isoformat()})
    late = (time + timedelta(days=1, microseconds=1)).isoformat()
    assert refused(name, **{field: late}) == ("out_of_range", f"/{field}")


def test_each_instant_of_checkout_is_known_and_no_deadline() -> None:
    assert {field for _, field in INSTANTS} == {
        *(
            "paid_at",
            "failed_at",
            "cancelled_at",
            "decided_at",
            "activated_at",
            "delivered_at",
            "recorded_at",
        ),
        *("confirmed_at", "paid_out_at", "changed_at", "requested_at"),
    }
    assert instants_of(TYPES["balance.granted.v1"].model) == ()


def test_a_deadline_may_be_far_away() -> None:
    assert read(PENDING, deposit_deadline="2062-11-05T10:00:00+09:00")


def test_our_own_events_say_what_they_say() -> None:
    assert all(kind.topic == UPSTREAM for kind in TYPES.values() if kind.instants)
