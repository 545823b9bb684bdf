"""What an order waits for, derived from what the services hold. Pure."""

from collections.abc import Iterator

from ops.watch.show.rows import words
from ops.watch.story.model import Refund, Story
from shared.events.catalogue import UPSTREAM
from shared.kst import next_month, parse_month, wire_time
from shared.operators.commands import pawl
from shared.operators.deciding import CANCELLABLE


def waits_for(story: Story) -> list[str]:
    """Sentences that say who has to do what, most urgent first. Empty when the order waits for nothing."""
    reasons = (_parked, _on_its_way, _deposit, _refunds, _units, _refused, _papers)
    return [sentence for reason in reasons for sentence in reason(story)]


def _parked(story: Story) -> Iterator[str]:
    for parked in story.parked:
        what, command = f"{parked.type} {parked.event_id}", f"pawl dead show {parked.name}"
        if parked.kind == "blocked":
            yield f"an operator: {what} is blocked in {parked.service}, {parked.reason}; {command}"
            continue
        if parked.kind == "waiting" and parked.type in CANCELLABLE:
            command = pawl("order", "cancel-request", story.order_id, parked.event_id)
        late = ", longer than it should" if parked.overdue else ""
        yield f"{parked.reason}: {what} is parked in {parked.service}{late}; {command}"


def _on_its_way(story: Story) -> Iterator[str]:
    unpublished = {event.service for event in story.events if not event.published}
    for service in sorted(unpublished):
        yield f"the relay of {service} to publish its events; pawl lag"
    if story.payment_id is not None:
        for service in ("invoices", "refunds"):
            if service not in story.know_payment:
                yield f"{service} to read the payment; pawl lag"


def _deposit(story: Story) -> Iterator[str]:
    if story.state == "pending_deposit" and story.deposit_deadline is not None:
        yield f"the deposit, until {wire_time(story.deposit_deadline)}"


def _units(story: Story) -> Iterator[str]:
    for line in story.lines:
        if line.issuing:
            grants = [g for g in story.grants if g.line_id == line.line_id and g.state == "issuing"]
            done = sum(grant.issued for grant in grants)
            yield f"serials to issue {line.issuing:,} units of line {line.line_id}, {done:,} are done"
        if line.open and line.kind == "serials" and story.state == "paid":
            yield f"the partner to ask for its {line.open:,} open units of line {line.line_id}"


def _refunds(story: Story) -> Iterator[str]:
    for refund in story.refunds:
        sentence = _refund(refund)
        if sentence:
            yield sentence
    for case in story.cases:
        what = f"{case.amount:,} won in quarantine: {case.reason} (payment {case.payment_id})"
        yield f"a decision about {what}; {pawl('quarantine', 'show', case.payment_id)}"


def _refund(refund: Refund) -> str:
    name, won = f"refund {refund.refund_request_id}", f"{refund.amount:,} won"
    match refund.state:
        case "accepted":
            return f"orders to grant {name}"
        case "paying_out":
            return f"checkout to pay out {name} of {won}, expected on {refund.expected_on}"
        case "unknown":
            retry = pawl("refund", "retry", refund.refund_id)
            return f"checkout to say whether {name} of {won} was paid out, after a retry; {retry}"
        case "failed":
            retry = pawl("refund", "retry", refund.refund_id)
            return f"an operator to retry or release {name} of {won}: {refund.reason}; {retry}"
        case "bounced":
            retry = pawl("refund", "retry", refund.refund_id)
            return f"an operator to retry {name} of {won}, which came back: {refund.reason}; {retry}"
        case "repaying":
            return f"checkout to pay out again {name} of {won}, expected on {refund.expected_on}"
        case "held" | "in_review":
            return _held(refund)
    return ""


def _held(refund: Refund) -> str:
    name = f"refund {refund.refund_request_id}"
    match refund.reason:
        case "return_awaited":
            return f"the goods of {name} to come back; {pawl('refund', 'show', refund.refund_id)}"
        case "holder_check":
            return (
                f"the bank to say whose the account of {name} is; {pawl('refund', 'show', refund.refund_id)}"
            )
        case "second_approval":
            return f"somebody else to approve {name} too; {pawl('refund', 'approve', refund.refund_id)}"
    if refund.state == "in_review":
        return f"an operator to review {name}; {pawl('refund', 'approve', refund.refund_id)}"
    return f"a proof for {name}: {refund.reason}; {pawl('refund', 'proof', refund.refund_id)}"


def _refused(story: Story) -> Iterator[str]:
    """Checkout has to mend its own wrong document; a wrong document of a service is a mistake in Pawl."""
    for dead in story.dead:
        if dead.state == "open":
            who = "checkout to send it right" if dead.topic == UPSTREAM else "an operator"
            why = f"{dead.service} refused {dead.type} {dead.event_id}, {dead.code} {dead.pointer}".rstrip()
            yield f"{who}: {why}; pawl dead show {dead.name}"


def _papers(story: Story) -> Iterator[str]:
    for invoice in story.invoices:
        if invoice.doubted is not None:
            yield (
                f"the right answer about its invoice of {invoice.month}, of which the tax agent says what "
                f"cannot be: {words(invoice.doubted)}; pawl todo --code document_answer_doubted"
            )
        elif invoice.state in ("draft", "approved"):
            first = parse_month(next_month(invoice.month))
            yield f"the close of {invoice.month}, from {first} on; pawl month {invoice.month}"
        if invoice.refused is not None:
            yield (
                f"its invoice of {invoice.month}, which the tax agent refused: {words(invoice.refused)}; "
                "pawl todo --code document_refused"
            )
        elif invoice.state == "issue_failed":
            what = f"a valid business number of {story.partner_id}, to issue its invoice of {invoice.month}"
            yield f"{what}; {pawl('partner', 'correct', story.partner_id or '')}"
