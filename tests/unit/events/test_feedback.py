"""Answers to checkout, field by field as the golden documents show them."""

from shared.events import feedback
from shared.events.examples import golden
from shared.events.faults import MAX_FAULTS, Fault, together

ABOUT = {
    "source": "https://checkout.example/shop-1",
    "event_id": "evt-payment-completed",
    "event_type": "payment.completed.v1",
    "position": ("checkout.events", 5, 41782),
}


def test_an_acceptance_is_the_golden_one() -> None:
    answer = feedback.accepted(order_id="A-1001", **ABOUT)  # type: ignore[arg-type]
    assert answer == golden()["event.accepted.v1"].data
    assert list(answer) == list(golden()["event.accepted.v1"].data)


def test_a_rejection_is_the_golden_one() -> None:
    fault = Fault("out_of_range", "/lines/0/quantity", "quantity must be 1..1000000, got -5")
    answer = feedback.rejected(order_id="A-1001", fault=fault, **ABOUT)  # type: ignore[arg-type]
    found = {"code": fault.code, "pointer": fault.pointer, "detail": fault.detail}
    assert answer == {**golden()["event.rejected.v1"].data, "faults": [found]}
    assert [name for name in answer if name != "faults"] == list(golden()["event.rejected.v1"].data)


def test_a_rejection_lists_every_fault_and_the_first_stands_for_all() -> None:
    found = [Fault("out_of_range", f"/lines/{n}/quantity", f"quantity {n}") for n in range(MAX_FAULTS + 5)]

    answer = feedback.rejected(order_id="A-1001", fault=together(found), **ABOUT)  # type: ignore[arg-type]

    assert (answer["code"], answer["pointer"], answer["detail"]) == (
        "out_of_range",
        "/lines/0/quantity",
        "quantity 0",
    )
    assert [each["pointer"] for each in answer["faults"]] == [f"/lines/{n}/quantity" for n in range(20)]


def test_an_event_without_a_readable_id_is_named_by_its_position_alone() -> None:
    answer = feedback.rejected(
        order_id="A-1001",
        source="https://checkout.example/shop-1",
        event_id=None,
        event_type=None,
        position=("checkout.events", 0, 7),
        fault=Fault("unreadable", "", "no JSON"),
    )
    assert "event" not in answer
    assert answer["position"] == {"topic": "checkout.events", "partition": 0, "offset": 7}


def test_only_what_could_be_read_of_an_event_is_named() -> None:
    answer = feedback.accepted(
        order_id="A-1001", source=None, event_id="evt-1", event_type=None, position=("checkout.events", 0, 7)
    )
    assert answer["event"] == {"id": "evt-1"}


def test_a_row_about_a_partner_names_the_partner() -> None:
    about = {**ABOUT, "event_type": "merge.requested.v1"}
    answer = feedback.accepted(order_id="P-17", **about)  # type: ignore[arg-type]
    assert answer["partner_id"] == answer["order_id"] == "P-17"
