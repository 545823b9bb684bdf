"""Any sequence of refunds, usages, bonuses, returns and reviews of every kind: not a won is lost or made.

Each decision is judged by the rules of the simulation (`tests/simulation/kinds_book.py`), which are written
down a second time and ask the code for nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from services.refunds.decisions.eligibility import eligibility
from services.refunds.state import CLAIMED, Line, Order, Refund
from shared.money import NOTHING
from shared.runtime.decisions import Applied, Event, Outcome
from tests.simulation.kinds_book import judge
from tests.unit.refunds.desk import ACCOUNT, PAID_AT, Desk, line, units

KINDS = ("metered", "metered", "prepaid", "prepaid", "goods", "goods", "serials")
PRICES = (0, 37, 333, 2_400, 10_000, 10_000)
ASKED = ("ask", "ask everything", "ask everything", "ask from another account")
TOLD = (
    "use",
    "use",
    "use before",
    "give a bonus",
    "give a bonus",
    "give a bonus before",
    "activate",
    "deliver",
)
ANSWERED = (
    *("go on",) * 8,
    *("deny", "fail", "bounce", "release", "reject"),
    *("approve a part", "approve a part", "return some", "return some"),
)
REST = ("wait", "wait", "issue", "take back")
FITS: Mapping[str, Sequence[str]] = {
    "deny": ("accepted",),
    "fail": ("paying_out",),
    "bounce": ("completed",),
    "release": ("failed",),
    "approve a part": ("in_review",),
    "reject": ("held", "in_review"),
    "return some": ("held",),
}
"""The states of a refund of which a step is said."""


class Step(NamedTuple):
    """What happens, to which line or refund, and how much."""

    what: str
    which: int
    much: int


class JudgedDesk(Desk):
    """A refund desk whose every decision is judged."""

    def handle(self, event: Event[Any]) -> Outcome:
        before: Order | None = self.world.orders.get(event.key)
        outcome = super().handle(event)
        if isinstance(outcome, Applied) and event.key in self.world.orders:
            judge(before, event, self.order, outcome.events)
        return outcome


LINES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(PRICES), st.integers(1, 5)),
    min_size=1,
    max_size=2,
)


def _steps(names: Sequence[str], least: int, most: int) -> st.SearchStrategy[list[Step]]:
    step = st.builds(Step, st.sampled_from(names), st.integers(0, 5), st.integers(0, 9))
    return st.lists(step, min_size=least, max_size=most)


HISTORIES = st.builds(
    lambda told, asked, later: [*told, *asked, *later],
    _steps((*TOLD, "wait"), 0, 6),
    _steps(ASKED, 1, 1),
    _steps((*ANSWERED, *TOLD, *ANSWERED, *ASKED, *REST), 3, 20),
)
DAYS = st.sampled_from([0, 1, 5, 6, 7, 8, 9])
"""How many days after the payment the history begins."""
ENDS = ("completed", "rejected", "denied", "released")
VAT_MODES = st.sampled_from(["exclusive", "inclusive"])


@settings(max_examples=150, deadline=None)
@given(lines=LINES, vat_mode=VAT_MODES, days=DAYS, steps=HISTORIES)
def test_what_is_returned_used_up_kept_and_left_is_always_what_was_paid(
    lines: Sequence[tuple[str, int, int]], vat_mode: str, days: int, steps: Sequence[Step]
) -> None:
    desk = opened(lines, vat_mode, days)

    for number, step in enumerate(steps):
        take(desk, step, f"rr-{number}")

    order = desk.order
    claims = [refund for refund in desk.refunds if refund.state in CLAIMED]
    went = sum(p.amount or 0 for refund in claims for p in refund.payouts if p.state == "paid")
    assert went <= order.paid.total
    assert sum(refund.amount + refund.fee for refund in claims) + order.remaining.total == order.paid.total
    told = [event.data for event in desk.published if event.type == "refund.overpaid.v1"]
    assert sum(data["amount"] for data in told) <= sum(refund.amount + refund.fee for refund in claims)


@settings(max_examples=100, deadline=None)
@given(lines=LINES, vat_mode=VAT_MODES, days=DAYS, steps=HISTORIES)
def test_a_payment_that_goes_back_whole_gives_back_all_its_vat(
    lines: Sequence[tuple[str, int, int]], vat_mode: str, days: int, steps: Sequence[Step]
) -> None:
    """Whatever happened before: once every unit went back and nothing was used up, no won is left."""
    desk = opened(lines, vat_mode, days)
    for number, step in enumerate(steps):
        if step.what not in ("issue", "take back"):
            take(desk, step, f"rr-{number}")

    for number in range(len(lines) + len(desk.refunds) + 1):
        finish(desk)
        desk.asked(request_id=f"last-{number}")

    finish(desk)
    order = desk.order
    if all(row.refunded == row.paid and not row.consumed for row in order.lines.values()):
        assert order.remaining == NOTHING
        vat = sum(refund.money.vat for refund in desk.refunds if refund.money and refund.state in CLAIMED)
        assert vat == order.paid.vat


@settings(max_examples=100, deadline=None)
@given(lines=LINES, vat_mode=VAT_MODES, days=DAYS, steps=HISTORIES)
def test_what_eligibility_says_is_what_then_happens(
    lines: Sequence[tuple[str, int, int]], vat_mode: str, days: int, steps: Sequence[Step]
) -> None:
    desk = opened(lines, vat_mode, days)
    for number, step in enumerate(steps):
        take(desk, step, f"rr-{number}")

    said = eligibility(desk.order, desk.now)
    desk.asked(request_id="last")

    refund = desk.refund
    if said.reason is not None:
        assert refund.state == "rejected"
        return
    holds = {each.hold for each in said.lines if each.refundable} - {None}
    if refund.state != "accepted":
        assert refund.why in holds
        return
    assert not holds or not said.money.total
    assert {each.line_id: each.refundable for each in said.lines if each.refundable} == dict(refund.lines)
    if fits(desk.order, refund):
        desk.granted(refund)
        assert (desk.refund.money, desk.refund.fee, desk.refund.amount) == (said.money, said.fee, said.amount)


def opened(lines: Sequence[tuple[str, int, int]], vat_mode: str, days: int) -> Desk:
    """A desk with an order of these lines (kind, price of a unit, units), so many days after its payment."""
    desk = JudgedDesk()
    desk.now = PAID_AT + timedelta(days=days, hours=1)
    sold = [line(str(n), quantity, price, kind) for n, (kind, price, quantity) in enumerate(lines, 1)]
    desk.paid(*sold, vat_mode=vat_mode)
    return desk


def finish(desk: Desk) -> None:
    """Everything that waits ends well."""
    for _ in range(6):
        for refund in desk.refunds:
            go_on(desk, refund)


def go_on(desk: Desk, refund: Refund) -> None:
    """What is said of a refund when all is well."""
    match refund.state:
        case "held" if refund.why == "return_awaited":
            desk.returned(of=refund)
        case "held":
            desk.deliver("refund.proof_attached.v1", {"refund_id": str(refund.refund_id), "actor": "P-17"})
        case "in_review":
            desk.reviewed("approve", of=refund)
        case "accepted" if fits(desk.order, refund):
            desk.granted(refund)
        case "accepted":
            desk.denied(desk.now, refund=refund)
        case "paying_out" | "unknown" | "failed" | "bounced" | "repaying":
            desk.paid_out(f"end-{refund.refund_id}-{refund.steps}", of=refund)


def take(desk: Desk, step: Step, request_id: str) -> None:
    """One step of a history, where it fits."""
    rows = list(desk.order.lines.values())
    row = rows[step.which % len(rows)]
    waiting = [each for each in desk.refunds if each.state not in ENDS]
    fitting = [each for each in desk.refunds if each.state in FITS.get(step.what, ())]
    if step.what in ASKED:
        ask(desk, step, row, request_id)
    elif step.what in TOLD:
        tell(desk, step, row)
    elif step.what == "go on" and waiting:
        go_on(desk, waiting[step.which % len(waiting)])
    elif fitting:
        answer(desk, step, fitting[step.which % len(fitting)])
    elif step.what == "wait":
        desk.now += timedelta(days=step.much)
    elif step.what == "issue" and row.kind == "serials" and row.open and desk.order.state == "paid":
        desk.issuance_granted(min(1 + step.much, row.open), row.line_id)
    elif step.what == "take back" and step.much == 0 and desk.order.state == "paid":
        desk.cancelled()


def ask(desk: Desk, step: Step, row: Line, request_id: str) -> None:
    """Somebody wants money back."""
    match step.what:
        case "ask":
            desk.asked(request_id=request_id, lines=[units(row.line_id, 1 + step.much % row.paid)])
        case "ask everything":
            desk.asked(request_id=request_id)
        case "ask from another account":
            desk.asked(request_id=request_id, destination={**ACCOUNT, "holder": "홍길동"})


def tell(desk: Desk, step: Step, row: Line) -> None:
    """Checkout tells something of a line, some of it late."""
    now, at = desk.now, desk.now - timedelta(hours=11 * step.much)
    match step.what:
        case "use" | "use before" if row.kind in ("metered", "prepaid"):
            most = row.paid if row.kind == "metered" else row.paid * row.unit_price
            desk.used((most + 1) * step.much // 9, at if step.what == "use before" else now, row.line_id)
        case "give a bonus" if row.kind == "prepaid":
            desk.bonus(1 + 700 * step.much, now + timedelta(days=step.much), row.line_id)
        case "give a bonus before" if row.kind == "prepaid":
            desk.now = at
            desk.bonus(1 + 700 * step.much, at + timedelta(days=7), row.line_id)
            desk.now = now
        case "activate":
            desk.activated(row.line_id, max(at, PAID_AT))
        case "deliver":
            desk.delivered(row.line_id, max(at, PAID_AT))


def answer(desk: Desk, step: Step, refund: Refund) -> None:
    """What else orders, checkout and operators say of a refund."""
    match step.what:
        case "deny":
            desk.denied(desk.now, refund=refund)
        case "fail":
            reason = "timeout" if step.much > 6 else "account_closed"
            desk.payout_failed(reason, f"try-{refund.steps}", of=refund)
        case "bounce" if refund.payouts:
            desk.payout_failed(payout_id=refund.payouts[-1].payout_id, of=refund)
        case "release" | "reject":
            desk.reviewed(step.what, of=refund)
        case "approve a part":
            cost = sum(row.paid * row.unit_price for row in desk.order.lines.values())
            desk.reviewed("approve", of=refund, amount=1 + cost * step.much // 8)
        case "return some":
            goods = [row for row in desk.order.lines.values() if row.kind == "goods"]
            desk.returned(*(units(row.line_id, 1 + step.much % row.paid) for row in goods), of=refund)


def fits(order: Order, refund: Refund) -> bool:
    """Whether orders still has all of the units."""
    return all(order.lines[line_id].open >= quantity for line_id, quantity in refund.lines)
