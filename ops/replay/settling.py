"""Whether everything that follows from a step has been answered, and what is still missing. Pure."""

from collections.abc import Iterator
from typing import assert_never

from ops.replay.ledger import Ledger
from ops.replay.plan import Step, StepKind


def unpaid(ledger: Ledger, step: Step) -> bool:
    """Whether the step is about an order that was never paid, because its payment was refused."""
    if step.kind not in (StepKind.REFUND, StepKind.ISSUANCE):
        return False
    order = ledger.orders[step.key]
    verdict = ledger.verdicts.get(f"{step.key}:payment")
    refused = verdict is not None and not verdict.accepted
    return order.paid is None and (refused or bool(order.quarantined))


def settled(ledger: Ledger, step: Step) -> bool:
    """Whether everything that follows from a step has been answered."""
    return next(missing(ledger, step), None) is None


def missing(ledger: Ledger, step: Step) -> Iterator[str]:
    """What a step still waits for, and from whom. Nothing when it is settled."""
    verdict = ledger.verdicts.get(step.id)
    if verdict is None:
        owner = {StepKind.PARTNER: "invoices", StepKind.REFUND: "refunds"}.get(step.kind, "orders")
        yield f"the answer of {owner} to {step.type} on checkout.feedback"
    elif not verdict.accepted:
        return
    match step.kind:
        case StepKind.PARTNER:
            return
        case StepKind.DOCUMENT:
            order = ledger.orders[step.key]
            if order.paid is None and not order.quarantined:
                yield "order.paid from orders"
        case StepKind.REFUND:
            refund = ledger.orders[step.key].requested(step.data["refund_request_id"])
            if refund is None or not refund.over:
                state = refund.state if refund else "not known yet"
                yield f"the end of refund request {step.data['refund_request_id']} ({state})"
        case StepKind.ISSUANCE:
            yield from _missing_issues(ledger, step.key)
        case _:
            assert_never(step.kind)


def _missing_issues(ledger: Ledger, order_id: str) -> Iterator[str]:
    order, planned = ledger.orders[order_id], ledger.plan.orders[order_id]
    if order.nothing_left:
        return
    for line_id in planned.serials:
        line = order.line(line_id)
        if line.denied or line.complete or order.claimed(line_id) >= planned.units[line_id]:
            continue
        if not line.granted:
            yield f"issuance.granted for line {line_id} from orders"
        elif not line.granted.keys() <= line.issued.keys():
            yield f"serials.issued for line {line_id} from serials"
        else:
            yield f"refund.locked for line {line_id} from refunds"
