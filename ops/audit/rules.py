"""The rules of the auditor. Pure: the books of one order in, what is wrong with them out.

A finding is `certain` when no event on its way can explain it: an effect without its cause, or two accounts
of one event that differ. Otherwise something has not arrived; that is a violation only once every reader has
read every event published so far.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from ops.audit.books import CLAIMED, PAID_OUT, Books, RefundClaim, RefundsBook
from shared.business_days import next_business_day


class Rule(NamedTuple):
    """A name that scripts can rely on, and the sentence that must be true."""

    name: str
    sentence: str


class Finding(NamedTuple):
    """Something that breaks a rule, or that would if nothing were on its way."""

    rule: str
    order_id: str | None
    detail: str
    certain: bool = True


@dataclass(slots=True, frozen=True)
class Won:
    """Where the won of one order (or of many) are; see docs/operating.md for each of them."""

    paid: int = 0
    refunded: int = 0
    fee: int = 0
    invoiced: int = 0
    uninvoiced: int = 0
    card_slip: int = 0
    cash_receipt: int = 0
    quarantined: int = 0

    @property
    def difference(self) -> int:
        """0 when every won is somewhere."""
        kept = self.invoiced + self.uninvoiced + self.card_slip + self.cash_receipt
        return self.paid - self.refunded - kept - self.quarantined - self.fee

    def plus(self, other: "Won") -> "Won":
        return Won(
            self.paid + other.paid,
            self.refunded + other.refunded,
            self.fee + other.fee,
            self.invoiced + other.invoiced,
            self.uninvoiced + other.uninvoiced,
            self.card_slip + other.card_slip,
            self.cash_receipt + other.cash_receipt,
            self.quarantined + other.quarantined,
        )


Findings = Iterator[tuple[bool, str]]
CERTAIN, ARRIVING = True, False


def grants_match(books: Books) -> Findings:
    claims = books.orders.grants if books.orders else {}
    grants = books.serials.grants if books.serials else {}
    for grant_id, grant in grants.items():
        claim = claims.get(grant_id)
        if claim is None:
            yield CERTAIN, f"serials has grant {grant_id} of {grant.quantity} units, orders never made it"
        elif (claim.line_id, claim.quantity) != (grant.line_id, grant.quantity):
            ours = f"line {claim.line_id} x{claim.quantity}"
            theirs = f"line {grant.line_id} x{grant.quantity}"
            yield CERTAIN, f"grant {grant_id} is {ours} in orders and {theirs} in serials"
        elif grant.state == "issued" and claim.state != "confirmed":
            yield ARRIVING, f"grant {grant_id} is issued, orders still counts its units as issuing"
    for grant_id, claim in claims.items():
        issued = grant_id in grants and grants[grant_id].state == "issued"
        if claim.state == "confirmed" and not issued:
            yield CERTAIN, f"orders counts grant {grant_id} as issued, serials has not issued it"
        elif grant_id not in grants:
            yield ARRIVING, f"orders made grant {grant_id}, serials does not have it"


def issued_xor_refunded(books: Books) -> Findings:
    """Counted where it happens: serials made by serials, money paid out by refunds."""
    if books.orders is None:
        return
    gone = dict.fromkeys(books.orders.lines, 0)
    for grant in (books.serials.grants if books.serials else {}).values():
        gone[grant.line_id] = gone.get(grant.line_id, 0) + grant.issued
    for refund in (books.refunds.refunds if books.refunds else {}).values():
        if refund.state in PAID_OUT:
            for line_id, quantity in refund.units.items():
                gone[line_id] = gone.get(line_id, 0) + quantity
    for line_id, units in gone.items():
        line = books.orders.lines.get(line_id)
        paid = line.paid if line else 0
        if units > paid:
            yield CERTAIN, f"line {line_id}: {units} units were issued or paid back, {paid} were paid"


def refunds_match(books: Books) -> Findings:
    claims = books.orders.refunds if books.orders else {}
    refunds = books.refunds.refunds if books.refunds else {}
    for refund_id, refund in refunds.items():
        claim = claims.get(refund_id)
        if claim is not None:
            yield from _claim_and_refund(refund_id, claim, refund)
        elif refund.state in CLAIMED or refund.state == "released":
            yield CERTAIN, f"refund {refund_id} is {refund.state}, orders never granted it"
    for refund_id in claims.keys() - refunds.keys():
        yield CERTAIN, f"orders granted refund {refund_id}, which refunds does not know"


def _claim_and_refund(refund_id: str, claim: RefundClaim, refund: RefundClaim) -> Findings:
    expected = {"confirmed": PAID_OUT, "void": {"released"}}.get(claim.state)
    if expected is not None and refund.state not in expected:
        yield CERTAIN, f"refund {refund_id} is {claim.state} in orders and {refund.state} in refunds"
    elif refund.state not in CLAIMED and refund.state not in ("accepted", "released"):
        yield CERTAIN, f"orders granted refund {refund_id}, which is {refund.state} in refunds"
    elif refund.state == "accepted":
        yield ARRIVING, f"orders granted refund {refund_id}, refunds has not read of it"
    elif (claim.supply, claim.vat, claim.units) != (refund.supply, refund.vat, refund.units):
        ours = f"{claim.supply} + {claim.vat} won for {claim.units}"
        theirs = f"{refund.supply} + {refund.vat} won for {refund.units}"
        yield CERTAIN, f"refund {refund_id} is {ours} in orders and {theirs} in refunds"
    elif claim.state == "claimed" and refund.state in (*PAID_OUT, "released"):
        yield ARRIVING, f"refund {refund_id} is {refund.state}, orders still counts its units as refunding"


def units_match(books: Books) -> Findings:
    if books.orders is None or books.refunds is None or books.refunds.payment_id is None:
        return
    for line_id, line in books.orders.lines.items():
        known = books.refunds.lines.get(line_id)
        if known is None or known.paid != line.paid:
            yield (
                CERTAIN,
                f"line {line_id}: {line.paid} units paid in orders, {known and known.paid} in refunds",
            )
            continue
        ours = (line.issuing + line.issued, line.refunding + line.refunded)
        theirs = (known.granted, known.refunding + known.refunded + known.taken_back)
        if ours != theirs:
            counted = f"orders counts {ours[0]} units to issue and {ours[1]} to refund"
            yield ARRIVING, f"line {line_id}: {counted}, refunds {theirs[0]} and {theirs[1]}"


def payments_match(books: Books) -> Findings:
    ours = _payment(books.orders)
    for name, theirs in (("refunds", _payment(books.refunds)), ("invoices", _payment(books.invoices))):
        if theirs is not None and theirs != ours:
            yield (
                CERTAIN,
                f"the payment is {_payment_text(ours)} in orders and {_payment_text(theirs)} in {name}",
            )
        elif theirs is None and ours is not None:
            yield ARRIVING, f"the payment {_payment_text(ours)} is not in {name}"
    if books.orders is None and books.serials is not None:
        yield CERTAIN, "serials has grants for an order that orders does not know"


def _payment(book: object) -> tuple[str, int, int] | None:
    payment_id: str | None = getattr(book, "payment_id", None)
    return None if payment_id is None else (payment_id, book.supply, book.vat)  # type: ignore[attr-defined]


def _payment_text(payment: tuple[str, int, int] | None) -> str:
    return "unknown" if payment is None else f"{payment[0]} ({payment[1]} + {payment[2]} VAT)"


def invoiced_units_match(books: Books) -> Findings:
    issued = sum(
        g.quantity for g in (books.serials.grants if books.serials else {}).values() if g.state == "issued"
    )
    if books.invoices is None:
        return
    if books.invoices.issued_units > issued:
        yield CERTAIN, f"invoices counts {books.invoices.issued_units} issued units, serials issued {issued}"
    elif books.invoices.issued_units < issued:
        yield ARRIVING, f"serials issued {issued} units, invoices counts {books.invoices.issued_units}"


def refunds_invoiced(books: Books) -> Findings:
    if books.invoices is None:
        return
    completed = _completed(books.refunds)
    for refund_id, money in books.invoices.refunds.items():
        refund = completed.get(refund_id)
        if refund is None or (refund.supply, refund.vat) != money:
            state = "is not completed" if refund is None else f"is {refund.supply} + {refund.vat} won"
            yield (
                CERTAIN,
                f"invoices netted refund {refund_id} of {money[0]} + {money[1]} won, in refunds it {state}",
            )
    for refund_id in completed.keys() - books.invoices.refunds.keys():
        yield ARRIVING, f"refund {refund_id} is completed, invoices has not netted it"
    back = books.orders.taken_back if books.orders and books.orders.state == "cancelled" else 0
    if back != books.invoices.cancelled:
        yield (
            ARRIVING,
            f"the cancelled payment took back {back} won, invoices netted {books.invoices.cancelled}",
        )


def _completed(book: RefundsBook | None) -> dict[str, RefundClaim]:
    return {key: refund for key, refund in (book.refunds if book else {}).items() if refund.state in PAID_OUT}


def paid_twice_is_a_case(books: Books) -> Findings:
    ours = books.orders.paid_twice if books.orders else 0
    theirs = books.refunds.paid_twice if books.refunds else 0
    if ours > theirs:
        yield CERTAIN, f"orders has cases of {ours} won that were paid out twice, refunds paid {theirs}"
    elif ours < theirs:
        yield ARRIVING, f"{theirs} won were paid out twice, orders has cases of {ours}"


def won_of(books: Books) -> Won:
    """Where the won of one order are, each counted by the service that knows it first."""
    orders, completed = books.orders, _completed(books.refunds).values()
    fee = sum(refund.fee for refund in completed)
    refunded = sum(refund.total for refund in completed) - fee
    won = Won(refunded=refunded, fee=fee)
    if orders is not None:
        won = won.plus(Won(paid=orders.amount + orders.unfit, quarantined=orders.quarantined))
        # What is missing of it for issued units is in quarantine (negative).
        won = won.plus(Won(refunded=orders.went_back))
    return won if books.invoices is None else won.plus(_standing(books))


def _standing(books: Books) -> Won:
    invoice = books.invoices
    assert invoice is not None
    match invoice.evidence:
        case "card_slip":
            return Won(card_slip=invoice.standing)
        case "cash_receipt":
            return Won(cash_receipt=invoice.standing)
    if invoice.document == "issued":
        return Won(invoiced=invoice.standing + invoice.modified)
    return Won(uninvoiced=invoice.standing, invoiced=invoice.modified)


def money_adds_up(books: Books) -> Findings:
    won = won_of(books)
    if won.difference:
        yield ARRIVING, unbalanced(won)


def unbalanced(won: Won) -> str:
    """The equation that does not hold, in numbers."""
    kept = f"{won.invoiced} invoiced + {won.uninvoiced} uninvoiced + {won.card_slip} on slips"
    other = f"{won.cash_receipt} on receipts + {won.quarantined} in quarantine + {won.fee} fees"
    return f"{won.paid} paid - {won.refunded} refunded is {won.difference} off {kept} + {other}"


MONEY = "money_adds_up"

BETWEEN: dict[Rule, Callable[[Books], Findings]] = {
    Rule("payments_match", "Each payment is the same in orders, refunds and invoices"): payments_match,
    Rule("grants_match", "Each grant of orders is one grant in serials, with its units"): grants_match,
    Rule("issued_xor_refunded", "No unit is both issued and refunded"): issued_xor_refunded,
    Rule("refunds_match", "Each refund holds a claim in orders with its units and won"): refunds_match,
    Rule("units_match", "Orders and refunds count the same units of each line"): units_match,
    Rule("invoiced_units_match", "Invoices counts the units that serials issued"): invoiced_units_match,
    Rule(
        "refunds_invoiced", "Each completed refund left the evidence of its payment, once"
    ): refunds_invoiced,
    Rule("paid_twice_is_a_case", "Money that left twice is a case of its won"): paid_twice_is_a_case,
    Rule(MONEY, "Paid - refunded = invoices + slips + receipts + quarantine + fees"): money_adds_up,
}
"""Rules that compare what two services or more hold about one order."""

WITHIN: dict[Rule, tuple[str, ...]] = {
    Rule("claims_within_paid", "Claims never exceed what was paid"): ("orders",),
    Rule("counters_equal_claims", "The counters of a line are the sum of its claims"): ("orders",),
    Rule("one_payment_one_order", "A payment pays one order only"): ("orders",),
    Rule("order_won", "Payments and refunds are the won of their units, with their VAT"): ("orders",),
    Rule("cases_applied", "Cases that pay an order come to what it costs"): ("orders",),
    Rule("one_serial_per_unit", "Each issued unit has one serial, and no serial has none"): ("serials",),
    Rule("one_home", "A serial is in its grant's home, and no look-up tag is in two"): ("serials",),
    Rule("live_serials", "Serials that live are the issued units less those revoked and not reissued"): (
        "serials",
    ),
    Rule("refund_counters", "The counters of a line in refunds are the sum of its refunds"): ("refunds",),
    Rule("paid_out_once", "Each completed refund stands on one payout, no other ever does"): ("refunds",),
    Rule("one_evidence", "Each payment stands on one evidence with all that is left of it"): ("invoices",),
    Rule("document_totals", "A document is the sum of its payments"): ("invoices",),
    Rule("documents_numbered", "The documents of a business are numbered without a gap"): ("invoices",),
    Rule("documents_dated", "No document is dated before the one that it modifies"): ("invoices",),
    Rule("months_closed", "A closed month has no draft left but what a tax agent refused"): ("invoices",),
    Rule("months_kept", "What is kept of a month is what its documents come to"): ("invoices",),
    Rule("sequences_contiguous", "The events about a subject are numbered without a gap"): (
        "orders",
        "serials",
        "refunds",
        "invoices",
    ),
    Rule("nothing_missed", "No record was deleted or passed over before its service read it"): (
        "orders",
        "serials",
        "refunds",
        "invoices",
    ),
}
"""Rules that one schema can break by itself: named queries, with the services they are asked of."""

LATE = Rule("documents_late", "A document is late when it is issued after its due day")
"""Asked of invoices with the due days of the calendar."""
AUDITED = Rule("changes_audited", "What a person has changed stands in the audit log, with who and why")
CHANGES: dict[str, tuple[str, ...]] = {
    "replays_audited": ("orders", "serials", "refunds", "invoices"),
    "cases_audited": ("orders",),
    "refunds_audited": ("refunds",),
    "serials_audited": ("serials",),
    "closes_audited": ("invoices",),
    "merges_audited": ("invoices",),
    "corrections_audited": ("invoices",),
}
"""The named queries of that rule, one for each kind of change, with the services they are asked of."""
RULES = [*WITHIN, LATE, AUDITED, *BETWEEN]


def due_on(month: str) -> date:
    """The day on which the documents of a month are due (docs/domain.md section 5), reckoned here anew."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
    return next_business_day(date(year, number + 1, 10))


def findings(books: Books) -> Iterator[Finding]:
    """Where the four services' books of one order differ."""
    for rule, judge in BETWEEN.items():
        for certain, detail in judge(books):
            yield Finding(rule.name, books.order_id, detail, certain)
