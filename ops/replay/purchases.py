"""What one customer bought of one product, and which units a cancellation takes from it. Pure."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Lot(NamedTuple):
    """Units of one line of an order that no cancellation has asked for yet."""

    line_id: str
    quantity: int


@dataclass(slots=True)
class Purchases:
    """What one customer bought of one product, oldest first; each unit is cancelled at most once."""

    lots: list[tuple[str, list[Lot]]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Units that are still there to be cancelled."""
        return sum(lot.quantity for _, lots in self.lots for lot in lots)

    def put(self, order_id: str, lot: Lot) -> None:
        """Adds units of an order."""
        if not self.lots or self.lots[-1][0] != order_id:
            self.lots.append((order_id, []))
        self.lots[-1][1].append(lot)

    def take(self, quantity: int) -> list[tuple[str, list[Lot]]]:
        """Takes units from the most recent orders; the caller has made sure that there are enough."""
        taken: list[tuple[str, list[Lot]]] = []
        while quantity:
            order_id, lots = self.lots[-1]
            parts: list[Lot] = []
            while quantity and lots:
                line_id, there = lots.pop(0)
                part = min(there, quantity)
                quantity -= part
                parts.append(Lot(line_id, part))
                if part < there:
                    lots.insert(0, Lot(line_id, there - part))
            if not lots:
                self.lots.pop()
            taken.append((order_id, parts))
        return taken
