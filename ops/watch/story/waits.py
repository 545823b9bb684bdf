"""What an order waits for, derived from what the services hold. Pure."""

from collections.abc import Iterator

from ops.watch.show.rows import words
from ops.watch.story.model import Refund, Story, Wait
from shared.events.catalogue import UPSTREAM
from shared.kst import next_month, parse_month, wire_time
from shared.operators.commands import pawl
from shared.operators.deciding import CANCELLABLE
from shared.operators.sentences import Sentence


def waits_of(story: Story) -> list[Wait]:
    """Who has to do what, most urgent first. Empty when the order waits for nothing."""
    reasons = (_parked, _on_its_way, _deposit, _refunds, _units, _refused, _papers)
    return [wait for reason in reasons for wait in reason(story)]


def _parked(story: Story) -> Iterator[Wait]:
    for parked in story.parked:
        said = {
            "type": parked.type,
            "event": parked.event_id,
            "service": parked.service,
            "reason": parked.reason,
        }
        command = f"pawl dead show {parked.name}"
        if parked.kind == "blocked":
            blocked = "an operator: {type} {event} is blocked in {service}, {reason}"
            yield Wait(Sentence(blocked, **said), command)
            continue
        if parked.kind == "waiting" and parked.type in CANCELLABLE:
            command = pawl("order", "cancel-request", story.order_id, parked.event_id)
        if parked.overdue:
            late = "{reason}: {type} {event} is parked in {service}, longer than it should"
            yield Wait(Sentence(late, **said), command)
        else:
            yield Wait(Sentence("{reason}: {type} {event} is parked in {service}", **said), command)


def _on_its_way(story: Story) -> Iterator[Wait]:
    unpublished = {event.service for event in story.events if not event.published}
    for service in sorted(unpublished):
        yield Wait(Sentence("the relay of {service} to publish its events", service=service), "pawl lag")
    if story.payment_id is not None:
        for service in ("invoices", "refunds"):
            if service not in story.know_payment:
                yield Wait(Sentence("{service} to read the payment", service=service), "pawl lag")


def _deposit(story: Story) -> Iterator[Wait]:
    if story.state == "pending_deposit" and story.deposit_deadline is not None:
        yield Wait(Sentence("the deposit, until {at}", at=wire_time(story.deposit_deadline)))


def _units(story: Story) -> Iterator[Wait]:
    for line in story.lines:
        if line.issuing:
            grants = [g for g in story.grants if g.line_id == line.line_id and g.state == "issuing"]
            done = sum(grant.issued for grant in grants)
            issuing = "serials to issue {units:,} units of line {line}, {done:,} are done"
            yield Wait(Sentence(issuing, units=line.issuing, line=line.line_id, done=done))
        if line.open and line.kind == "serials" and story.state == "paid":
            asking = "the partner to ask for its {units:,} open units of line {line}"
            yield Wait(Sentence(asking, units=line.open, line=line.line_id))


def _refunds(story: Story) -> Iterator[Wait]:
    for refund in story.refunds:
        wait = _refund(refund)
        if wait is not None:
            yield wait
    for case in story.cases:
        said = {"won": case.amount, "reason": case.reason, "payment": case.payment_id}
        yield Wait(
            Sentence("a decision about {won:,} won in quarantine: {reason} (payment {payment})", **said),
            pawl("quarantine", "show", case.payment_id),
        )


def _refund(refund: Refund) -> Wait | None:
    said = {
        "name": refund.refund_request_id,
        "won": refund.amount,
        "reason": refund.reason,
        "day": refund.expected_on,
    }
    retry = pawl("refund", "retry", refund.refund_id)
    match refund.state:
        case "accepted":
            return Wait(Sentence("orders to grant refund {name}", **said))
        case "paying_out":
            paying = "checkout to pay out refund {name} of {won:,} won, expected on {day}"
            return Wait(Sentence(paying, **said))
        case "unknown":
            asked = "checkout to say whether refund {name} of {won:,} won was paid out, after a retry"
            return Wait(Sentence(asked, **said), retry)
        case "failed":
            failed = "an operator to retry or release refund {name} of {won:,} won: {reason}"
            return Wait(Sentence(failed, **said), retry)
        case "bounced":
            bounced = "an operator to retry refund {name} of {won:,} won, which came back: {reason}"
            return Wait(Sentence(bounced, **said), retry)
        case "repaying":
            again = "checkout to pay out again refund {name} of {won:,} won, expected on {day}"
            return Wait(Sentence(again, **said))
        case "held" | "in_review":
            return _held(refund)
    return None


def _held(refund: Refund) -> Wait:
    said = {"name": refund.refund_request_id, "reason": refund.reason}
    show, approve = (pawl("refund", decision, refund.refund_id) for decision in ("show", "approve"))
    match refund.reason:
        case "return_awaited":
            return Wait(Sentence("the goods of refund {name} to come back", **said), show)
        case "holder_check":
            return Wait(Sentence("the bank to say whose the account of refund {name} is", **said), show)
        case "second_approval":
            return Wait(Sentence("somebody else to approve refund {name} too", **said), approve)
    if refund.state == "in_review":
        return Wait(Sentence("an operator to review refund {name}", **said), approve)
    proof = pawl("refund", "proof", refund.refund_id)
    return Wait(Sentence("a proof for refund {name}: {reason}", **said), proof)


def _refused(story: Story) -> Iterator[Wait]:
    """Checkout has to mend its own wrong document; a wrong document of a service is a mistake in Pawl."""
    for dead in story.dead:
        if dead.state == "open":
            said = {
                "service": dead.service,
                "type": dead.type,
                "event": dead.event_id,
                "code": dead.code,
                "place": f" {dead.pointer}" if dead.pointer else "",
            }
            if dead.topic == UPSTREAM:
                why = "checkout to send it right: {service} refused {type} {event}, {code}{place}"
            else:
                why = "an operator: {service} refused {type} {event}, {code}{place}"
            yield Wait(Sentence(why, **said), f"pawl dead show {dead.name}")


def _papers(story: Story) -> Iterator[Wait]:
    for invoice in story.invoices:
        month = invoice.month
        if invoice.doubted is not None:
            why = {"month": month, "why": words(invoice.doubted), "code": invoice.doubted}
            yield Wait(
                Sentence(
                    "the right answer about its invoice of {month}, of which the tax agent says what cannot "
                    "be: {why}",
                    **why,
                ),
                "pawl todo --code document_answer_doubted",
            )
        elif invoice.state in ("draft", "approved"):
            first = parse_month(next_month(month))
            close = Sentence("the close of {month}, from {day} on", month=month, day=first)
            yield Wait(close, f"pawl month {month}")
        if invoice.refused is not None:
            refused = "its invoice of {month}, which the tax agent refused: {why}"
            yield Wait(
                Sentence(refused, month=month, why=words(invoice.refused), code=invoice.refused),
                "pawl todo --code document_refused",
            )
        elif invoice.state == "issue_failed":
            number = "a valid business number of {partner}, to issue its invoice of {month}"
            yield Wait(
                Sentence(number, partner=story.partner_id, month=month),
                pawl("partner", "correct", story.partner_id or ""),
            )
