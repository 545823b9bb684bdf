"""The auditor's own model of discounts and free units decides as the orders service does."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ops.audit.history.decisions import decide, outcome_of
from ops.audit.history.model import Operation, Order
from ops.audit.history.recorder import kept
from services.orders.decisions import payments, refunds
from services.orders.decisions.payments import Arrival
from shared.money import payment_money
from shared.units import LineUnits
from tests.unit.orders.builders import AT, ids, line, new_id, payment, settled

SIZES = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9), st.integers(0, 40)), min_size=1, max_size=3)
STEPS = st.lists(
    st.tuples(st.sampled_from(["refund", "everything", "release"]), st.integers(0, 9)), max_size=14
)


def outcome(decision: Any) -> Any:
    return outcome_of([(event.type, event.data) for event in decision.events])


@settings(max_examples=200, deadline=None)
@given(vat_mode=st.sampled_from(["exclusive", "inclusive"]), sizes=SIZES, steps=STEPS)
def test_both_decide_the_same_units_and_won(
    vat_mode: str, sizes: list[tuple[int, int, int]], steps: list[tuple[str, int]]
) -> None:
    goods = [
        line(str(n), quantity, price, discount=min(discount, quantity * price))
        for n, (quantity, price, discount) in enumerate(sizes)
    ]
    cost = sum(each["unit_price"] * each["quantity"] - each["discount"] for each in goods)
    paid = payment(*goods, amount=payment_money(vat_mode, cost).total, vat_mode=vat_mode)
    decision = payments.record_payment(None, paid, Arrival("evt-1", AT), ids())
    document = kept("payment.completed.v1", paid.model_dump(mode="json"))
    # That another order has the payment is the other decision there is.
    may = decide(Order(), Operation("payment.completed.v1", "evt-1", document))
    [model] = [model for model, expected in may if expected == outcome(decision)]
    order, held = settled(decision), []
    for step, which in steps:
        if step == "release" and held:
            refund_id = held.pop(which % len(held))
            order = settled(refunds.release_refund(order, refund_id, AT))
            [(model, _)] = decide(model, Operation("refund.released.v1", "e", {"refund_id": str(refund_id)}))
            continue
        lines = list(order.lines.values())
        li = lines[which % len(lines)]
        asked = [LineUnits(li.line_id, which % li.quantity + 1)]
        if step == "everything":
            asked = [LineUnits(each.line_id, each.quantity) for each in lines]
        refund_id = new_id()
        decision = refunds.claim_refund(order, refund_id, asked, "rr", AT, everything=step == "everything")
        data = {
            "refund_id": str(refund_id),
            "lines": [each.document() for each in asked],
            "everything": step == "everything",
        }
        [(model, expected)] = decide(model, Operation("refund.accepted.v1", "e", data))
        assert outcome(decision) == expected
        order = settled(decision)
        if refund_id in order.claims:
            held.append(refund_id)
