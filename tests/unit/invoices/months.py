"""Months by chance: mostly plain partners, and others that are not. The same seed makes the same month."""

import random
from collections.abc import Iterator

from shared.money import payment_money
from shared.runtime.decisions import Event
from tests.unit.invoices.books import GANADA, OTHER, THIRD, WRONG, Events, line

NUMBERS = (GANADA, GANADA, GANADA, OTHER, THIRD)

_ODD_ENDS = ("", "", '"', "\\", "\\u001f", "','\"],", "\N{FULLWIDTH COMMA}\N{GRINNING FACE}")
"""What an id may end with, and a list of them has to keep."""


def a_month(seed: int) -> list[Event]:
    """Events of a month with everything in it: mostly plain partners, and others that are not."""
    chance, events = random.Random(seed), Events()
    told: list[Event] = []
    for partner in (f"P-{number:02}" for number in range(chance.randint(1, 7))):
        told += _of_partner(chance, events, partner)
    return told


def _of_partner(chance: random.Random, events: Events, partner: str) -> Iterator[Event]:
    number = chance.choice(NUMBERS)
    if chance.random() < 0.6:
        always, day = chance.random() < 0.7, chance.choice(["2026-10-01", "2026-11-02", "2026-11-05"])
        told = number if chance.random() < 0.9 else chance.choice(NUMBERS)
        hour = chance.choice(["10:00:00", "17:59:59.999999", "18:00:00"])
        yield events.partner(partner=partner, number=told, always_merge=always, at=f"{day}T{hour}+09:00")
    orders = [
        f"{partner}-{place}{_ODD_ENDS[place % len(_ODD_ENDS)]}" for place in range(chance.randint(1, 6))
    ]
    for order_id in orders:
        yield from _of_order(chance, events, partner, order_id, number)
    if chance.random() < 0.35:
        named = None if chance.random() < 0.6 else chance.sample(orders, chance.randint(1, len(orders)))
        scope = {"number": number, "partner": partner}
        yield events.merge(f"mr-{partner}", named, **scope)
        if chance.random() < 0.3:
            yield events.merge(f"un-{partner}", undo=True, **scope)
        if chance.random() < 0.3:
            yield events.merge(f"again-{partner}", **scope)


def _of_order(
    chance: random.Random, events: Events, partner: str, order_id: str, usual: str
) -> Iterator[Event]:
    number = usual if chance.random() < 0.92 else chance.choice((GANADA, OTHER, WRONG))
    kind = chance.choice(["serials", "serials", "goods"])
    price = chance.choice([1_600, 1_605, 0])
    day = chance.choice(["01T00:00:00", "21T14:03:05", "31T23:59:59.999999"])
    back = chance.choice([0, 0, 0, 3, 10]) if price else 0
    yield events.paid(
        order_id,
        partner=partner,
        number=number,
        at=f"2026-10-{day}+09:00",
        lines=[line(kind=kind, unit_price=price, quantity=10)],
        evidence=chance.choice(["tax_invoice"] * 6 + ["cash_receipt"]),
        vat_mode="exclusive" if back else chance.choice(["exclusive", "inclusive"]),
    )
    if kind == "serials" and back < 10 and chance.random() < 0.8:
        yield events.issued(order_id, 10 - back)
    if back:
        money = payment_money("exclusive", price * 10).minus(payment_money("exclusive", price * (10 - back)))
        yield events.completed(order_id, f"r-{order_id}", back, *money)
    if price and back < 10 and chance.random() < 0.1:
        yield events.accepted(order_id, f"open-{order_id}", 1)
