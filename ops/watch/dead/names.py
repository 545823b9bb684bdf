"""How a person names a dead letter or a parked event, and chooses among them."""

from typing import NamedTuple

from ops.shell.problem import Exit, Problem
from shared.events.catalogue import SERVICES


class Name(NamedTuple):
    """`orders:17` is a dead letter of orders, `orders:p17` a parked event, `orders:o17` an unsent event."""

    service: str
    row: int
    parked: bool
    unsent: bool = False

    def __str__(self) -> str:
        return f"{self.service}:{'o' if self.unsent else 'p' if self.parked else ''}{self.row}"

    @property
    def path(self) -> str:
        kind = "unsent" if self.unsent else "parked" if self.parked else "dead"
        return f"/v1/ops/{kind}/{self.row}"


class Filter(NamedTuple):
    """Which of them to take. None is any."""

    service: str | None
    code: str | None
    type: str | None
    key: str | None

    @property
    def chosen(self) -> bool:
        return any(self)


def parse_name(text: str) -> Name:
    """The name in this text. Raises Problem (exit code 2) where it names nothing."""
    service, _, row = text.partition(":")
    number = row.removeprefix("p") if row.startswith("p") else row.removeprefix("o")
    if service not in SERVICES or not (number.isascii() and number.isdigit()):
        raise Problem(
            f"{text!r} names no dead letter, no parked event and no unsent event.",
            "orders:17 is a dead letter, orders:p17 a parked event, orders:o17 an unsent event: pawl dead ls",
            Exit.USAGE,
        )
    return Name(service, int(number), row.startswith("p"), row.startswith("o"))


def require_service(name: str | None) -> None:
    """Raises Problem (exit code 2) for a service that does not exist."""
    if name is not None and name not in SERVICES:
        raise Problem(f"There is no service {name!r}.", f"One of: {', '.join(SERVICES)}", Exit.USAGE)
