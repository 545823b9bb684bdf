"""Builders of source lines with defaults."""

from datetime import datetime
from decimal import Decimal

from ops.replay.plan import Bought, Cancelled, Plan, Step
from ops.replay.planner import plan_history
from ops.replay.reader import Line, Unreadable
from shared.kst import KST

NUMBERS = iter(range(2, 10**9))


def line(
    document: str = "1001",
    product: str = "22728",
    quantity: int = 10,
    at: str = "2011-03-01T10:00",
    price: str = "1.00",
    customer: str = "12583",
) -> Line:
    return Line(
        number=next(NUMBERS),
        document=document,
        product=product,
        name=f"PRODUCT {product}",
        quantity=quantity,
        at=datetime.fromisoformat(at).replace(tzinfo=KST),
        price=Decimal(price),
        customer=customer,
    )


def planned(*lines: Line | Unreadable, close_months: bool = False) -> Plan:
    return plan_history(lines, close_months)


def steps(plan: Plan, type_: str = "") -> list[Step]:
    return [entry for entry in plan.history if isinstance(entry, Step) and entry.type.startswith(type_)]


def fates(plan: Plan) -> list[object]:
    return [fate for _, fate in sorted(plan.fates.items())]


__all__ = ["Bought", "Cancelled", "fates", "line", "planned", "steps"]
