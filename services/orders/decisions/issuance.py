"""Units claimed to be issued, on request or by the policy of the order; serials confirms them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.orders.decisions.claims import change_lines, claims_of, settle
from services.orders.events import UnnumberedEvent, decided, issuance_denied, issuance_granted
from services.orders.state import Claim, ClaimState, IssueRequest, Line, Order, OrderState, Purpose
from shared.events.checkout import IssuanceRequested
from shared.money import NOTHING
from shared.runtime.decisions import Decided, Decision, Reject, Wait
from shared.units import LineUnits, line_units

SERIALS = "serials"
AUTOMATIC = "automatic"
CANCELLED = "cancelled_by_operator"
_NO_CONTENT = b"\0" * 16
"""Stands for a request whose content nobody has to compare with."""


def request_issuance(
    order: Order | None, data: IssuanceRequested, content: bytes, at: datetime, new_ids: Iterable[UUID]
) -> Decision[Order]:
    """Claims units to be issued: all or nothing for each line asked for; without lines everything left."""
    if order is None or order.state in (OrderState.UNPAID, OrderState.PENDING_DEPOSIT):
        return Wait(f"order {data.order_id} to be paid")
    answered = order.requests.get(data.request_id)
    if answered is not None and answered.content == content:
        return Decided(order)
    reject = _why_not_answerable(order, data)
    if reject is not None:
        return reject
    order = _with_request(order, IssueRequest(order.order_id, data.request_id, content))
    order, events = claim_to_issue(order, _wanted(order, data), data.request_id, at, new_ids)
    return decided(order, *events)


def claim_to_issue(
    order: Order, wanted: Iterable[LineUnits], request_id: str, at: datetime, new_ids: Iterable[UUID]
) -> tuple[Order, list[UnnumberedEvent]]:
    """Claims the units of each line, or says why not. Each grant takes the next of the new ids.

    All grants are one event, however many lines they are of; each denial is one of its own.
    """
    ids = iter(new_ids)
    lines, grants, denied = dict(order.lines), [], []
    for units in wanted:
        line = lines[units.line_id]
        reason = _why_not_issuable(order.state, line, units.quantity)
        if reason is not None:
            denied.append(issuance_denied(order, request_id, units, reason, _issuable(line)))
            continue
        grant = Claim(
            next(ids), line.line_id, order.order_id, 0, Purpose.ISSUE, units.quantity, request_id, NOTHING, at
        )
        grants.append(grant)
        lines[line.line_id] = replace(line, issuing=line.issuing + grant.quantity, issue_claimed_at=at)
    if not grants:
        return order, denied
    granted = issuance_granted(order, request_id, grants)
    claims = {**order.claims, **{grant.claim_id: (grant,) for grant in grants}}
    return replace(order, lines=lines, claims=claims), [granted, *denied]


def claim_by_policy(
    order: Order, at: datetime, new_ids: Iterable[UUID]
) -> tuple[Order, list[UnnumberedEvent]]:
    """Claims every unit of serials of an order that was just paid, where its policy is `automatic`."""
    if order.issue_policy != AUTOMATIC:
        return order, []
    everything = [LineUnits(name, line.open) for name, line in order.lines.items() if line.kind == SERIALS]
    return claim_to_issue(order, everything, AUTOMATIC, at, new_ids)


def deny_unknown_lines(order: Order, data: IssuanceRequested) -> Decided[Order]:
    """The late form of a rejected request to issue: it was accepted before its order was known."""
    if data.request_id not in order.requests:
        order = _with_request(order, IssueRequest(order.order_id, data.request_id, _NO_CONTENT))
    return _deny_each(order, data.request_id, line_units(data.lines or ()), "unknown_line")


def deny_duplicate(order: Order, data: IssuanceRequested) -> Decided[Order]:
    """The late form of a request whose id turned out to be known with other content; the first one stands."""
    return _deny_each(order, data.request_id, _wanted(order, data), "duplicate_request")


def cancel_request(
    order: Order | None, data: IssuanceRequested, content: bytes, at: datetime
) -> Decided[Order]:
    """A request that waits is cancelled: its units are denied, and the same request again changes nothing.

    An order of which nothing else has come is kept from now on, because its events are numbered.
    """
    order = order or _unknown_order(data.order_id, at)
    order = _with_request(order, IssueRequest(order.order_id, data.request_id, content))
    wanted = _wanted(order, data)
    if not wanted:
        return decided(order, issuance_denied(order, data.request_id, None, CANCELLED, 0))
    return _deny_each(order, data.request_id, wanted, CANCELLED)


def _unknown_order(order_id: str, at: datetime) -> Order:
    """What stands for an order until something of it comes; then that is what it is."""
    return Order(
        order_id=order_id,
        partner_id="",
        state=OrderState.UNKNOWN,
        payment_method="",
        evidence="",
        issue_policy="",
        vat_mode="",
        partner={},
        expected=0,
        registered_by="",
        registered_at=at,
    )


def _deny_each(order: Order, request_id: str, wanted: Iterable[LineUnits], reason: str) -> Decided[Order]:
    lefts = ((units, _issuable(order.lines.get(units.line_id))) for units in wanted)
    return decided(order, *(issuance_denied(order, request_id, units, reason, left) for units, left in lefts))


def confirm_issuance(order: Order | None, issued: Mapping[UUID, int], at: datetime) -> Decision[Order]:
    """The units of these grants have their serials. Raises ValueError for a grant that was never made so."""
    if order is None:
        return Wait(f"grant {next(iter(issued))} to be known")
    whole = []
    for grant_id, quantity in issued.items():
        (grant,) = claims_of(order, grant_id, Purpose.ISSUE)
        if grant.quantity != quantity:
            raise ValueError(f"grant {grant_id} is for {grant.quantity} units, serials says {quantity}")
        if grant.state is ClaimState.CLAIMED:
            whole.append(grant)
    if not whole:
        return Decided(order)
    confirmed = {grant.claim_id: settle([grant], ClaimState.CONFIRMED, at) for grant in whole}
    lines = change_lines(order, line_units(whole), _issue)
    return Decided(replace(order, lines=lines, claims={**order.claims, **confirmed}))


def _why_not_answerable(order: Order, data: IssuanceRequested) -> Reject | None:
    if data.request_id in order.requests:
        return Reject(
            "duplicate_request",
            "/request_id",
            f"request {data.request_id} was made before with other content",
        )
    for index, asked in enumerate(data.lines or ()):
        if asked.line_id not in order.lines:
            return Reject(
                "inconsistent", f"/lines/{index}/line_id", f"order {order.order_id} has no such line"
            )
    return None


def _with_request(order: Order, request: IssueRequest) -> Order:
    return replace(order, requests={**order.requests, request.request_id: request})


def _wanted(order: Order, data: IssuanceRequested) -> Sequence[LineUnits]:
    if data.lines is not None:
        return line_units(data.lines)
    serials = [line for line in order.lines.values() if line.kind == SERIALS]
    left = [LineUnits(line.line_id, line.open) for line in serials if line.open]
    return left or [LineUnits(line.line_id, 0) for line in serials or order.lines.values()]


def _why_not_issuable(state: OrderState, line: Line, quantity: int) -> str | None:
    if line.kind != SERIALS:
        return "not_issuable"
    if state is OrderState.EXPIRED:
        return "order_expired"
    if line.open == 0:
        return "order_cancelled" if state is OrderState.CANCELLED else "nothing_left"
    return "not_enough_left" if quantity > line.open else None


def _issuable(line: Line | None) -> int:
    """Units of the line that could be issued; none of a line that the order does not have."""
    return line.open if line is not None and line.kind == SERIALS else 0


def _issue(line: Line, quantity: int) -> Line:
    return replace(line, issuing=line.issuing - quantity, issued=line.issued + quantity)
