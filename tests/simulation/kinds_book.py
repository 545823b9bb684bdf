"""What refunds decides about lines of every kind, judged by rules that are written down here once more.

Each decision is looked at when it is made, with the order before it and after it: so what was known then is
known exactly, however late or often it was told. Nothing in here asks the code under test what is right; the
rules are those of domain.md, section 1.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from services.refunds.state import CLAIMED, PAID_OUT, Line, Order, Reading, Refund
from shared.business_days import legal_refund_day
from shared.events.catalogue import source_of
from shared.runtime.decisions import Applied, Event, Handler, NewEvent, Route
from tests.simulation.memory import Database
from tests.simulation.promises import Violation, day_in_seoul, must

PAID = "paid is returned, used up, kept as a fee or left"
RETURNED = "goods are paid for when they are back"
REVIEWED = "what was used or is late is reviewed"
BALANCE = "a balance goes back whole, less what was spent and its fee"
HELD = "what waits says why, since when, what comes next and until when"
REFUSED = "a rule refuses only what it does not allow"
APPROVED = "an approved amount is what is paid"
USED = "a running total counts by its own time and never falls"
OVERPAID = "what went back too much or too little is told with its won"
EVERYTHING = "everything refundable is what is left"
LEFT = "nobody leaves before all is done"

WAITS = {
    "holder_mismatch": ("held", "attach_proof", None),
    "used": ("in_review", "operator_review", None),
    "window_over": ("in_review", "operator_review", None),
    "return_awaited": ("held", "confirm_return", 7),
}
"""The state of a refund that waits for this reason, what has to come next, and the days for that."""
LEAST_FEE = 1_000
GOES_ON = frozenset({"refund.held.v1", "refund.bounced.v1"})
"""After one of these a refund is not at its end, though orders has no open claim of it."""


@dataclass(slots=True)
class Watch:
    """Looks at every decision of refunds, and at every partner that leaves. `broken` is what broke a rule."""

    databases: Mapping[str, Database] = field(default_factory=dict)
    broken: list[Violation] = field(default_factory=list)

    def look(self) -> None:
        """Raises the first Violation."""
        if self.broken:
            raise self.broken[0]

    def over_refunds(self, routes: Mapping[str, Route]) -> Mapping[str, Route]:
        """The routes of refunds, each decision judged."""
        return {name: replace(route, handle=self._judging(route.handle)) for name, route in routes.items()}

    def over_orders(self, routes: Mapping[str, Route]) -> Mapping[str, Route]:
        """The routes of orders, each withdrawal judged, and what keeps a partner from it."""
        watched = dict(routes)
        for name, judging in (
            ("partner.withdrawal_requested.v1", self._judging_withdrawals),
            ("refund.held.v1", self._judging_open_refunds),
            ("refund.bounced.v1", self._judging_open_refunds),
        ):
            watched[name] = replace(routes[name], handle=judging(routes[name].handle))
        return watched

    def _judging(self, handle: Handler) -> Handler:
        def judged(world: Any, event: Event[Any], context: Any) -> Any:
            before = world.orders.get(event.key)
            outcome = handle(world, event, context)
            if isinstance(outcome, Applied) and event.key in world.orders:
                self._note(lambda: judge(before, event, world.orders[event.key], outcome.events))
            return outcome

        return judged

    def _judging_withdrawals(self, handle: Handler) -> Handler:
        def judged(world: Any, event: Event[Any], context: Any) -> Any:
            outcome = handle(world, event, context)
            if isinstance(outcome, Applied) and any(f.type == "partner.withdrawn.v1" for f in outcome.events):
                unfinished = list(self._unfinished_refunds(event.key))
                self._note(lambda: must(not unfinished, LEFT, f"{event.key} left with {unfinished}"))
            return outcome

        return judged

    def _judging_open_refunds(self, handle: Handler) -> Handler:
        def judged(world: Any, event: Event[Any], context: Any) -> Any:
            outcome = handle(world, event, context)
            if isinstance(outcome, Applied):
                refund_id, order = event.data.refund_id, world.orders[event.key]
                self._note(lambda: must(refund_id in order.open_refunds, LEFT, f"{refund_id} goes on"))
            return outcome

        return judged

    def _unfinished_refunds(self, partner_id: str) -> Iterator[str]:
        """Refunds of the partner that go on, by what orders has read of them."""
        orders = self.databases["orders"].tables
        theirs = {key for key, order in orders["orders"].items() if order["partner_id"] == partner_id}
        latest: dict[str, str] = {}
        for row in self.databases["refunds"].tables["outbox"].values():
            read = orders["cursors"].get((source_of(row["type"], "refunds"), row["subject"]), 0)
            is_theirs = row["key"] in theirs and "refund_id" in orjson.loads(row["data"])
            if row["topic"] == "refunds.events" and is_theirs and row["sequence"] <= read:
                latest[row["subject"]] = row["type"]
        claimed = {str(c["claim_id"]) for c in orders["claims"].values() if c["state"] == "claimed"}
        for refund_id, said in latest.items():
            if said in GOES_ON or refund_id in claimed:
                yield f"{refund_id} after {said}"

    def _note(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Violation as violation:
            self.broken.append(violation)


def judge(before: Order | None, event: Event[Any], after: Order, facts: Sequence[NewEvent]) -> None:
    """Looks at one decision. Raises Violation."""
    if before is not None:
        for fact in facts:
            match fact.type:
                case "refund.accepted.v1":
                    _look_at_accepted(before, event, after, fact.data)
                case "refund.held.v1":
                    _look_at_held(before, event, after, fact.data)
                case "refund.rejected.v1":
                    _look_at_rejected(before, event, after, fact.data)
                case "refund.payout_requested.v1" if event.type == "refund.granted.v1":
                    _look_at_fee(before, after, fact.data)
        _look_at_what_was_told(before, event, after)
        _look_at_what_was_known(event, before, after)
        _look_at_overpaid(before, event, after, facts)
    look_at_order(after)


# What things are worth, and what was used


def price(line: Line, units: int) -> int:
    """Won of so many of the units of a line, supply value or gross."""
    return (line.unit_price * line.paid - line.discount) * units // line.paid


def with_vat(vat_mode: str, won: int) -> int:
    """Won with their VAT."""
    return won + won // 10 if vat_mode == "exclusive" else won


def used(line: Line) -> int:
    """The highest running total that was told."""
    return max((reading.used for reading in line.readings), default=0)


def spent(line: Line) -> int:
    """Won of paid cash that were spent: bonus cash burns first, that which ends first before other."""
    bonuses = sorted(line.bonuses, key=lambda each: (each.expires_at, each.granted_at))
    left, told, paid = {bonus.position: bonus.bonus for bonus in bonuses}, 0, 0
    for reading in sorted(line.readings, key=lambda each: each.recorded_at):
        more = max(reading.used - told, 0)
        told += more
        for bonus in bonuses:
            is_over = day_in_seoul(reading.recorded_at) > day_in_seoul(bonus.expires_at)
            if bonus.granted_at <= reading.recorded_at and not is_over:
                burnt = min(more, left[bonus.position])
                left[bonus.position] -= burnt
                more -= burnt
        paid += more
    return min(paid, price(line, line.paid))


def used_won(line: Line) -> int:
    """Won of the price of a line that were used."""
    return spent(line) if line.kind == "prepaid" else price(line, min(used(line), line.paid))


def days_since(instant: datetime, at: datetime) -> int:
    """Days in Seoul from one instant to another."""
    return (day_in_seoul(at) - day_in_seoul(instant)).days


def is_in_time(order: Order, line: Line, at: datetime) -> bool:
    """Whether a line of this kind is in the window in which it goes back by itself."""
    assert order.paid_at is not None
    if line.kind == "goods":
        return days_since(line.delivered_at or order.paid_at, at) <= 7
    if line.kind == "metered":
        return days_since(line.activated_at or order.paid_at, at) <= 6
    return line.kind == "serials" or days_since(order.paid_at, at) <= 7


def is_used(order: Order) -> bool:
    """Whether anything of the metered lines, which are one service, was used."""
    return any(used(line) for line in order.lines.values() if line.kind == "metered")


def fee_and_spent(order: Order, line: Line, at: datetime) -> tuple[int, int]:
    """The fee of a balance, and what was spent of it."""
    if not used(line) and is_in_time(order, line, at):
        return 0, 0
    gone = spent(line)
    balance = with_vat(order.vat_mode, price(line, line.paid) - gone)
    return max(balance // 10, LEAST_FEE) if balance else 0, gone


# Decisions


def _look_at_accepted(before: Order, event: Event[Any], after: Order, data: Mapping[str, Any]) -> None:
    refund = _named(after, data)
    units = {each["line_id"]: each["quantity"] for each in data["lines"]}
    consumed = {each["line_id"]: each.get("consumed", 0) for each in data["lines"]}
    _look_at_units(before, event, refund, data)
    fee, is_free = 0, not any(price(before.lines[line_id], quantity) for line_id, quantity in units.items())
    for line_id, quantity in units.items():
        line, name = before.lines[line_id], f"{before.order_id}/{line_id}"
        must(quantity <= line.open, PAID, f"{quantity} of {name} are asked for, {line.open} are open")
        in_time = is_in_time(before, line, refund.requested_at)
        match line.kind:
            case "serials":
                must(not consumed[line_id], PAID, f"{consumed[line_id]} won of {name} are used up")
            case "goods":
                must(in_time, REFUSED, f"{name} was asked for at {refund.requested_at}")
                is_back = refund.returned_at is not None or is_free
                must(is_back, RETURNED, f"{name} is refunded and not back")
            case "metered":
                is_clean = in_time and not is_used(before)
                must(
                    is_clean or is_free or refund.reviewed_at is not None,
                    REVIEWED,
                    f"{name} of {refund.refund_id}",
                )
                if event.type != "refund.reviewed.v1" or event.data.amount is None:
                    known = before.refunds.get(refund.refund_id)
                    stays = 0 if known is None else known.consumed.get(line_id, 0)
                    must(
                        consumed[line_id] == stays,
                        APPROVED,
                        f"{consumed[line_id]} of {name} stay, not {stays}",
                    )
            case "prepaid":
                must(quantity == line.open == line.paid, BALANCE, f"{quantity} of {name} of {line.open}")
                kept, gone = fee_and_spent(before, line, refund.requested_at)
                balance = with_vat(before.vat_mode, price(line, line.paid) - gone)
                must(not kept or balance > LEAST_FEE, BALANCE, f"{name} has {balance} won left")
                must(
                    consumed[line_id] == gone, BALANCE, f"{consumed[line_id]} of {name} are spent, not {gone}"
                )
                fee += kept
    must(refund.fee == fee, BALANCE, f"the fee of {refund.refund_id} is {refund.fee}, not {fee}")
    if event.type == "refund.reviewed.v1" and event.data.amount is not None and not _has_released(before):
        pays = _worth(before, units, sum(consumed.values())) - fee
        must(event.data.amount == pays, APPROVED, f"{event.data.amount} were approved, {pays} are paid")


def _look_at_units(before: Order, event: Event[Any], refund: Refund, data: Mapping[str, Any]) -> None:
    """The units that were named, of goods those that came back; else everything that orders has left."""
    units = {each["line_id"]: each["quantity"] for each in data["lines"]}
    known = before.refunds.get(refund.refund_id)
    asked = dict(known.lines) if known else {}
    if known is None and event.data.lines is not None:
        asked = {each.line_id: each.quantity for each in event.data.lines}
    back = getattr(event.data, "lines", None) if event.type == "return.confirmed.v1" else None
    if back is not None:
        came = {each.line_id: each.quantity for each in back}
        goods = {line_id for line_id in units.keys() | came if before.lines[line_id].kind == "goods"}
        if (
            not asked
        ):  # what is late, or asked of orders already, is no part of everything, though it came back
            goods = {i for i in goods if is_in_time(before, before.lines[i], refund.requested_at)}
            others = [dict(r.lines) for r in before.refunds.values() if r.state == "accepted"]
            goods = {i for i in goods if before.lines[i].open > sum(each.get(i, 0) for each in others)}
        asked = {**asked, **{line_id: came.get(line_id, 0) for line_id in goods}}
        asked = {line_id: quantity for line_id, quantity in asked.items() if quantity}
    is_approved = event.type == "refund.reviewed.v1" and event.data.amount is not None
    is_everything = refund.everything and not asked and back is None and not is_approved
    must(is_everything == data.get("everything", False), EVERYTHING, f"{refund.refund_id}: {data}")
    named = {line_id: units.get(line_id, 0) for line_id in asked} if refund.everything else dict(units)
    must(not asked or named == asked, RETURNED, f"{refund.refund_id}: {units} go back, {asked} were meant")


def _look_at_held(before: Order, event: Event[Any], after: Order, data: Mapping[str, Any]) -> None:
    refund, reason = _named(after, data), data["reason"]
    state, following, days = WAITS[reason]
    since, deadline = _instant(data["since"]), data.get("deadline")
    is_clear = (refund.state, data["next"], since) == (state, following, event.time)
    must(is_clear, HELD, f"{refund.refund_id} is {refund.state}: {data}")
    must(refund.deadline == (deadline and _instant(deadline)), HELD, f"{refund.deadline}: {data}")
    if days is None:
        legal_day = legal_refund_day(day_in_seoul(refund.returned_at or refund.requested_at))
        last = refund.deadline or since
        is_last = day_in_seoul(last) == legal_day < day_in_seoul(last + timedelta(microseconds=1))
        must(is_last, HELD, f"{refund.refund_id} waits until {last}, owed by {legal_day}")
    else:
        last = refund.deadline or since
        is_last = day_in_seoul(last + timedelta(microseconds=1)) == day_in_seoul(since) + timedelta(
            days=days + 1
        )
        is_whole = day_in_seoul(last) == day_in_seoul(since) + timedelta(days=days)
        must(is_last and is_whole, HELD, f"{refund.refund_id} waits from {since} to {last}")
    asked = {line_id for line_id, _ in refund.lines} or set(before.lines)
    kinds = {before.lines[line_id].kind for line_id in asked}
    late = any(
        not is_in_time(before, before.lines[line_id], refund.requested_at)
        for line_id in asked
        if before.lines[line_id].kind == "metered"
    )
    match reason:
        case "used":
            must("metered" in kinds and is_used(before), REVIEWED, f"{refund.refund_id} is not used")
        case "window_over":
            must(late and not is_used(before), REVIEWED, f"{refund.refund_id} is not late")
        case "return_awaited":
            must("goods" in kinds and refund.returned_at is None, RETURNED, f"{refund.refund_id} is awaited")


def _look_at_rejected(before: Order, event: Event[Any], after: Order, data: Mapping[str, Any]) -> None:
    """A reason that only a rule gives is true of a line that was asked for."""
    refund, reason = _named(after, data), data["reason"]
    asked = [before.lines[line_id] for line_id, _ in refund.lines] or list(before.lines.values())
    at = refund.requested_at
    cash = [line for line in asked if line.kind == "prepaid"]
    match reason:
        case "window_over":
            is_true = any(line.kind == "goods" and not is_in_time(before, line, at) for line in asked)
        case "whole_balance_only":
            is_true = any(dict(refund.lines).get(line.line_id, line.open) != line.open for line in cash)
        case "balance_too_small":
            is_true = any(_is_small(before, line, at) for line in cash)
        case "used" | "balance_expired":
            is_true = False
        case _:
            is_true = True
    must(is_true, REFUSED, f"{refund.refund_id} is refused as {reason} at {event.time}")


def _is_small(order: Order, line: Line, at: datetime) -> bool:
    fee, gone = fee_and_spent(order, line, at)
    won = price(line, line.paid)
    return (fee > 0 or gone > 0) and won > 0 and with_vat(order.vat_mode, won - gone) <= LEAST_FEE


def _look_at_fee(before: Order, after: Order, data: Mapping[str, Any]) -> None:
    """The fee of what was granted is that of what was accepted, as far as its balances are granted."""
    refund, known = _named(after, data), _named(before, data)
    assert refund.money is not None
    cash = {line_id for line_id, _ in known.lines if before.lines[line_id].kind == "prepaid"}
    granted = cash & {line_id for line_id, _ in refund.lines}
    must(data["amount"] == refund.money.total - data["fee"], PAID, f"{refund.refund_id}: {data}")
    if granted == cash:
        must(
            data["fee"] == min(known.fee, refund.money.total - 1),
            BALANCE,
            f"{known.fee} were accepted: {data}",
        )
    elif not granted:
        must(data["fee"] == 0, BALANCE, f"{refund.refund_id} has no balance: {data}")


def _look_at_what_was_told(before: Order, event: Event[Any], after: Order) -> None:
    """Usage, bonus and instants are kept as they were told."""
    line_id = getattr(event.data, "line_id", None)
    if line_id is None or line_id not in before.lines or before.state == "registered":
        return
    was, now, said = before.lines[line_id], after.lines[line_id], event.data
    match event.type:
        case "usage.recorded.v1":
            told = [*was.readings, Reading(before.order_id, line_id, said.recorded_at, said.used)]
            instants = [reading.recorded_at for reading in told]
            wanted = [_total_at(told, at) for at in instants]
            kept = [_total_at(now.readings, at) for at in instants]
            must(kept == wanted, USED, f"{after.order_id}/{line_id}: {kept}, not {wanted}")
        case "balance.granted.v1":
            new = [(each.bonus, each.granted_at, each.expires_at) for each in now.bonuses[len(was.bonuses) :]]
            must(
                new == [(said.bonus, event.time, said.expires_at)],
                USED,
                f"{line_id} of {after.order_id}: {new}",
            )
        case "line.activated.v1" | "line.delivered.v1":
            name = "activated_at" if event.type == "line.activated.v1" else "delivered_at"
            instant = getattr(said, name) or before.paid_at
            first = min(filter(None, (getattr(was, name), instant)), default=None)
            must(before.paid_at is None or getattr(now, name) == first, USED, f"{line_id}: {name} of {now}")


def _total_at(readings: Iterable[Reading], at: datetime) -> int:
    return max((reading.used for reading in readings if reading.recorded_at <= at), default=0)


def _look_at_overpaid(before: Order, event: Event[Any], after: Order, facts: Sequence[NewEvent]) -> None:
    """After use or bonus is heard of, and after a payout: what went back too much or too little is told.

    What an operator knew when it approved is not.
    """
    told: Counter[str] = Counter()
    for fact in facts:
        if fact.type in ("refund.overpaid.v1", "refund.underpaid.v1"):
            told[fact.data["line_id"]] += (
                fact.data["amount"] if "used_at" in fact.data else -fact.data["amount"]
            )
    for line_id, line in after.lines.items():
        was = before.lines.get(line_id)
        if was is None or line.kind not in ("metered", "prepaid"):
            continue
        went = [r for r in after.refunds.values() if r.state in PAID_OUT and line_id in dict(r.lines)]
        new = [r for r in went if before.refunds[r.refund_id].state not in PAID_OUT]
        allowed = [_overpaid(line, went, r.known_use[line_id]) for r in new if line_id in r.known_use]
        known = max(*allowed, was.overpaid) - was.underpaid if allowed else was.overpaid - was.underpaid
        is_about = event.type in ("usage.recorded.v1", "balance.granted.v1") and event.data.line_id == line_id
        ought = known
        if went and (new or (is_about and was != line)):
            now = _overpaid(line, went, used_won(line))
            ought = now if line.kind == "prepaid" else max(now, known)
        must(line.overpaid - line.underpaid == ought, OVERPAID, f"{line_id}: {line}, not {ought}")
        won = with_vat(after.vat_mode, abs(ought - known)) * (1 if ought > known else -1)
        must(told[line_id] == won, OVERPAID, f"{line_id}: {told} are told, not {won}")


def _overpaid(line: Line, went: Iterable[Refund], gone: int) -> int:
    """Units that no refund paid out are left, and what was used up of them stays with them.

    Less than nothing where more stays of a balance than was spent.
    """
    stays = sum(refund.consumed.get(line.line_id, 0) for refund in went)
    overpaid = gone - stays - price(line, line.paid - line.refunded)
    return overpaid if line.kind == "prepaid" else max(overpaid, 0)


def _look_at_what_was_known(event: Event[Any], before: Order, after: Order) -> None:
    """An operator that approves what was used knows what was told until then."""
    if event.type != "refund.reviewed.v1" or event.data.decision != "approve":
        return
    refund = _named(after, {"refund_id": event.data.refund_id})
    if refund.reviewed_at is None or before.refunds[refund.refund_id].reviewed_at is not None:
        return
    metered = {key: line for key, line in before.lines.items() if line.kind == "metered"}
    wanted = {i: used_won(metered[i]) for i, _ in refund.lines if i in metered and used_won(metered[i])}
    known = {i: won for i, won in refund.known_use.items() if i in wanted}
    must(
        known == wanted or refund.state == "rejected", OVERPAID, f"{refund.refund_id}: {known}, not {wanted}"
    )


# What must hold of an order at any time


def look_at_order(order: Order) -> None:
    """Not a won and not a unit is lost or made. Raises Violation."""
    claims = [refund for refund in order.refunds.values() if refund.state in CLAIMED]
    won = sum(refund.amount + refund.fee for refund in claims)
    must(won + order.remaining.total == order.paid.total, PAID,
         f"{order.order_id}: {won} went, {order.remaining.total} of {order.paid.total} left")  # fmt: skip
    for refund in order.refunds.values():
        _look_at_refund(order, refund)
    for line in order.lines.values():
        consumed = sum(refund.consumed.get(line.line_id, 0) for refund in claims)
        name = f"{order.order_id}/{line.line_id}"
        must(
            line.consumed == consumed, PAID, f"{line.consumed} won of {name} are used up, {consumed} are told"
        )
        must(line.consumed + price(line, line.left) <= price(line, line.paid), PAID, f"{name}: {line}")
        net = line.overpaid - line.underpaid
        must(-line.consumed <= net <= price(line, line.paid) - line.consumed, PAID, f"{name}: {line}")
    if not _has_released(order) and order.state != "cancelled":
        stays = sum(price(line, line.left) + line.consumed for line in order.lines.values())
        mine = order.remaining.supply if order.vat_mode == "exclusive" else order.remaining.total
        must(
            order.paid_at is None or mine == stays, PAID, f"{order.order_id}: {mine} won remain, {stays} stay"
        )


def _look_at_refund(order: Order, refund: Refund) -> None:
    name = str(refund.refund_id)
    if refund.state in CLAIMED:
        total = 0 if refund.money is None else refund.money.total
        must(refund.fee >= 0 and (refund.amount > 0 or total == 0), PAID, f"{name} pays {refund.amount} won")
    if refund.state in CLAIMED or refund.state == "accepted":
        goods = [i for i, n in refund.lines if order.lines[i].kind == "goods" and price(order.lines[i], n)]
        must(not goods or refund.returned_at is not None, RETURNED, f"{goods} of {name} are not back")
    if refund.state in ("held", "in_review"):
        must(refund.why in WAITS, HELD, f"{name} is {refund.state} for {refund.why}")
        must(refund.deadline is not None, HELD, f"{name} waits for {refund.why} without an end")
    went = sum(p.amount or 0 for p in refund.payouts if p.state == "paid")
    must(went in (0, refund.amount), PAID, f"{name}: {went} won went, {refund.amount} were owed")


def _worth(order: Order, units: Mapping[str, int], consumed: int) -> int:
    """Won with VAT that go back with these units of a payment of which no refund was released."""
    stays = consumed + sum(
        price(line, line.left - units.get(line_id, 0)) + line.consumed
        for line_id, line in order.lines.items()
    )
    return order.remaining.total - with_vat(order.vat_mode, stays)


def _has_released(order: Order) -> bool:
    return any(refund.state == "released" for refund in order.refunds.values())


def _named(order: Order, data: Mapping[str, Any]) -> Refund:
    return next(refund for refund in order.refunds.values() if str(refund.refund_id) == data["refund_id"])


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
