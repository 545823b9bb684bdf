"""Every event type there is: its topic, its writer, its model and the field that its record key repeats."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ValidationError

from shared.events import checkout, feedback, invoices, orders, refunds, serials
from shared.events.canonical import canonical
from shared.events.envelope import Envelope
from shared.events.faults import Fault, Readable, faults_of, shown, together
from shared.events.fields import Data, instants_of
from shared.events.successors import SUCCESSORS
from shared.kst import wire_time

SubjectKind = Literal["order", "partner", "grant", "serial", "refund", "line", "invoice", "merge", "month"]

UPSTREAM: Final = "checkout.events"
FEEDBACK: Final = "checkout.feedback"
SERVICES: Final = ("orders", "serials", "refunds", "invoices")
LATEST: Final = timedelta(days=1)
"""How long after its event something that it tells of may have happened: clocks differ, days do not."""


@dataclass(slots=True, frozen=True)
class Topic:
    """A topic, who writes it and who outside of the services reads it.

    Which services read it follows from the routes of their handlers (`topics_of`).
    """

    name: str
    writers: tuple[str, ...]
    outside_readers: tuple[str, ...]
    about: str


@dataclass(slots=True, frozen=True)
class EventType:
    """One type of event.

    `owner` answers for it: the service that decides on an upstream event, the writer of any other. The record
    key equals the field `key_field` of the data. `check` finds the faults that span several fields.
    `instants` are the fields of an upstream event that say when something happened.
    """

    name: str
    topic: str
    owner: str
    subject_kind: SubjectKind
    model: type[Data]
    key_field: str
    check: Callable[[Any], Iterable[Fault]] | None = None
    instants: tuple[str, ...] = ()


TOPICS: Final[Mapping[str, Topic]] = {
    topic.name: topic
    for topic in (
        Topic(
            UPSTREAM,
            ("checkout",),
            (),
            "What upstream checkout systems say, and the requests of partners and operators that they relay.",
        ),
        Topic(
            "orders.events",
            ("orders",),
            ("checkout",),
            "The state of orders, and every claim to issue or refund units.",
        ),
        Topic(
            "serials.events",
            ("serials",),
            (),
            "What became of granted units. Never a serial itself.",
        ),
        Topic(
            "refunds.events",
            ("refunds",),
            ("checkout",),
            "The way of every refund request, and the payouts that checkout is to make.",
        ),
        Topic(
            "invoices.events",
            ("invoices",),
            ("checkout",),
            "Tax invoices and closed months.",
        ),
        Topic(
            FEEDBACK,
            SERVICES,
            ("checkout",),
            "Exactly one answer to each event of checkout: accepted, or rejected with reason and place.",
        ),
    )
}


def _upstream(
    name: str,
    owner: str,
    model: type[Data],
    check: Callable[[Any], Iterable[Fault]] | None = None,
    about: Literal["order", "partner"] = "order",
) -> EventType:
    return EventType(name, UPSTREAM, owner, about, model, f"{about}_id", check, instants_of(model))


def _own(
    name: str, writer: str, about: SubjectKind, model: type[Data], key_field: str = "order_id"
) -> EventType:
    return EventType(name, f"{writer}.events", writer, about, model, key_field)


TYPES: Final[Mapping[str, EventType]] = {
    kind.name: kind
    for kind in (
        _upstream("payment.pending.v1", "orders", checkout.PaymentPending, checkout.check_pending),
        _upstream("payment.completed.v1", "orders", checkout.PaymentCompleted, checkout.check_completed),
        _upstream("payment.failed.v1", "orders", checkout.PaymentFailed),
        _upstream("payment.cancelled.v1", "orders", checkout.PaymentCancelled),
        _upstream("quarantine.decided.v1", "orders", checkout.QuarantineDecided),
        _upstream("issuance.requested.v1", "orders", checkout.IssuanceRequested, checkout.check_lines),
        _upstream("line.activated.v1", "refunds", checkout.LineActivated),
        _upstream("line.delivered.v1", "refunds", checkout.LineDelivered),
        _upstream("usage.recorded.v1", "refunds", checkout.UsageRecorded),
        _upstream("balance.granted.v1", "refunds", checkout.BalanceGranted),
        _upstream("refund.requested.v1", "refunds", checkout.RefundRequested, checkout.check_refund),
        _upstream("refund.proof_attached.v1", "refunds", checkout.RefundProofAttached),
        _upstream("refund.reviewed.v1", "refunds", checkout.RefundReviewed),
        _upstream("return.confirmed.v1", "refunds", checkout.ReturnConfirmed, checkout.check_lines),
        _upstream("refund.paid_out.v1", "refunds", checkout.RefundPaidOut),
        _upstream("refund.payout_failed.v1", "refunds", checkout.RefundPayoutFailed),
        _upstream("merge.requested.v1", "invoices", checkout.MergeRequested, about="partner"),
        _upstream("merge.undone.v1", "invoices", checkout.MergeUndone, about="partner"),
        _upstream("partner.changed.v1", "invoices", checkout.PartnerChanged, about="partner"),
        _upstream(
            "partner.withdrawal_requested.v1", "orders", checkout.PartnerWithdrawalRequested, about="partner"
        ),
        _own("order.registered.v1", "orders", "order", orders.OrderRegistered),
        _own("order.paid.v1", "orders", "order", orders.OrderPaid),
        _own("order.expired.v1", "orders", "order", orders.OrderExpired),
        _own("order.cancelled.v1", "orders", "order", orders.OrderCancelled),
        _own("issuance.granted.v1", "orders", "order", orders.IssuanceGranted),
        _own("issuance.granted.v2", "orders", "order", orders.IssuanceGrantedTogether),
        _own("issuance.denied.v1", "orders", "order", orders.IssuanceDenied),
        _own("refund.granted.v1", "orders", "order", orders.RefundGranted),
        _own("refund.denied.v1", "orders", "order", orders.RefundDenied),
        _own("payment.quarantined.v1", "orders", "order", orders.PaymentQuarantined),
        _own("quarantine.settled.v1", "orders", "order", orders.QuarantineSettled),
        _own("partner.withdrawn.v1", "orders", "partner", orders.PartnerWithdrawn, "partner_id"),
        _own(
            "partner.withdrawal_refused.v1",
            "orders",
            "partner",
            orders.PartnerWithdrawalRefused,
            "partner_id",
        ),
        _own("partner.purged.v1", "orders", "partner", orders.PartnerPurged, "partner_id"),
        _own("issuance.progressed.v1", "serials", "grant", serials.IssuanceProgressed),
        _own("serials.issued.v1", "serials", "grant", serials.SerialsIssued),
        _own("serials.issued.v2", "serials", "order", serials.SerialsIssuedTogether),
        _own("serial.registered.v1", "serials", "serial", serials.SerialRegistered),
        _own("serial.reissued.v1", "serials", "serial", serials.SerialReissued),
        _own("serial.revoked.v1", "serials", "serial", serials.SerialRevoked),
        _own("refund.locked.v1", "refunds", "line", refunds.RefundLocked),
        _own("refund.locked.v2", "refunds", "order", refunds.RefundLockedTogether),
        _own("refund.accepted.v1", "refunds", "refund", refunds.RefundAccepted),
        _own("refund.held.v1", "refunds", "refund", refunds.RefundHeld),
        _own("refund.rejected.v1", "refunds", "refund", refunds.RefundRejected),
        _own("refund.payout_requested.v1", "refunds", "refund", refunds.RefundPayoutRequested),
        _own("refund.completed.v1", "refunds", "refund", refunds.RefundCompleted),
        _own("refund.failed.v1", "refunds", "refund", refunds.RefundFailed),
        _own("refund.released.v1", "refunds", "refund", refunds.RefundReleased),
        _own("refund.bounced.v1", "refunds", "refund", refunds.RefundBounced),
        _own("refund.repaid.v1", "refunds", "refund", refunds.RefundRepaid),
        _own("refund.paid_twice.v1", "refunds", "refund", refunds.RefundPaidTwice),
        _own("refund.overpaid.v1", "refunds", "refund", refunds.RefundOverpaid),
        _own("refund.underpaid.v1", "refunds", "refund", refunds.RefundUnderpaid),
        _own("merge.answered.v1", "invoices", "merge", invoices.MergeAnswered, "partner_id"),
        _own("invoice.drafted.v1", "invoices", "invoice", invoices.InvoiceDrafted),
        _own("invoice.merged.v1", "invoices", "invoice", invoices.InvoiceMerged, "partner_id"),
        _own("invoice.unmerged.v1", "invoices", "invoice", invoices.InvoiceUnmerged, "partner_id"),
        _own("invoice.approved.v1", "invoices", "invoice", invoices.InvoiceApproved, "partner_id"),
        _own("invoice.issued.v1", "invoices", "invoice", invoices.InvoiceIssued, "partner_id"),
        _own("invoice.transmitted.v1", "invoices", "invoice", invoices.InvoiceTransmitted, "partner_id"),
        _own(
            "invoice.transmission_failed.v1",
            "invoices",
            "invoice",
            invoices.InvoiceTransmissionFailed,
            "partner_id",
        ),
        _own("invoice.issue_failed.v1", "invoices", "invoice", invoices.InvoiceIssueFailed, "partner_id"),
        _own("invoice.modified.v1", "invoices", "invoice", invoices.InvoiceModified, "partner_id"),
        _own("month.closed.v1", "invoices", "month", invoices.MonthClosed, "month"),
        EventType("event.accepted.v1", FEEDBACK, "each", "order", feedback.EventAccepted, "order_id"),
        EventType("event.rejected.v1", FEEDBACK, "each", "order", feedback.EventRejected, "order_id"),
    )
}


def owner_of(type_name: str | None) -> str:
    """The service that answers for an event of checkout; orders where nobody knows or can read it."""
    kind = TYPES.get(type_name) if type_name is not None else None
    return kind.owner if kind is not None and kind.topic == UPSTREAM else "orders"


@cache
def source_of(type_name: str, service: str) -> str:
    """What a service names as `ce_source` of an event of this type.

    An order and a partner may share an id, and what is said of either is numbered by source and subject: what
    orders says of partners has a source of its own.
    """
    kind = TYPES.get(type_name)
    if kind is None or kind.topic in (UPSTREAM, FEEDBACK) or kind.subject_kind != "partner":
        return f"/pawl/{service}"
    return f"/pawl/{service}/partners"


def edited_source(service: str) -> str:
    """The `ce_source` of events that operators send in the place of refused ones of checkout."""
    return f"/pawl/{service}/edited"


EDITED: Final = frozenset(map(edited_source, SERVICES))
"""The sources of all such events."""


def service_of(source: str) -> str:
    """The service that names itself so; another text where it is none of ours."""
    return source.removeprefix("/pawl/").removesuffix("/partners")


def topics_of(types: Iterable[str]) -> tuple[str, ...]:
    """The topics that carry these types, in the order of `TOPICS`: what a service with such routes reads."""
    carrying = {TYPES[name].topic for name in types}
    return tuple(name for name in TOPICS if name in carrying)


def decode(envelope: Envelope, key: str | None, topic: str | None = None) -> BaseModel:
    """The validated data of an event whose record has this key. Raises Fault.

    With `topic`, a type that belongs to another topic is unknown: nobody may say another one's events.
    """
    kind = TYPES.get(envelope.type)
    if kind is None or (topic is not None and kind.topic != topic):
        raise _named(_unknown(envelope, topic), envelope)
    try:
        data = kind.model.model_validate_json(envelope.body)
        if b"NaN" in envelope.body or b"Infinity" in envelope.body:
            _refuse_no_numbers(envelope.body)
    except ValidationError as error:
        raise _named(together(faults_of(error, kind.model, envelope.body)), envelope) from None
    except Fault as fault:
        raise _named(fault, envelope) from None
    faults = list(kind.check(data)) if kind.check is not None else []
    faults.extend(_from_the_future(kind, data, envelope.time))
    if key is None or getattr(data, kind.key_field) != key:
        faults.append(_wrong_key(data, kind.key_field, key))
    if faults:
        raise _named(together(faults), envelope)
    return data


def decode_newest(envelope: Envelope, key: str | None, topic: str) -> BaseModel:
    """As `decode`, told as the successor of the type where it has one. Raises Fault."""
    data = decode(envelope, key, topic)
    successor = SUCCESSORS.get(envelope.type)
    if successor is None:
        return data
    document = successor.upcast(orjson.loads(envelope.body))
    return TYPES[successor.type].model.model_validate_json(orjson.dumps(document))


def newest_model(type_name: str) -> type[Data]:
    """What a handler of this type gets: the model of the type, or that of its successor."""
    successor = SUCCESSORS.get(type_name)
    return TYPES[type_name if successor is None else successor.type].model


def encode(data: Mapping[str, Any] | BaseModel) -> bytes:
    """The data of an event as it goes on the wire: instants in +09:00, without fields that were not set."""
    document = data.model_dump(exclude_unset=True) if isinstance(data, BaseModel) else data
    return orjson.dumps(document, default=_wire, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _wire(value: Any) -> Any:
    if isinstance(value, datetime):
        return wire_time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    raise TypeError(f"{type(value).__name__} has no place in an event")


def _from_the_future(kind: EventType, data: BaseModel, time: datetime) -> Iterator[Fault]:
    """What is said to have happened more than a day after the event that tells of it."""
    for name in kind.instants:
        instant = getattr(data, name)
        if instant is not None and instant - time > LATEST:
            rule = f"{name} must be at most a day after the time of the event, {shown(wire_time(time))}"
            yield Fault("out_of_range", f"/{name}", f"{rule}, got {shown(wire_time(instant))}")


def _refuse_no_numbers(body: bytes) -> None:
    """pydantic takes NaN and Infinity for numbers, which JSON does not have."""
    if canonical(body).startswith(b"\0"):
        raise Fault("unreadable", "", "the body must be JSON in UTF-8: NaN and Infinity are not")


def _unknown(envelope: Envelope, topic: str | None) -> Fault:
    where = f" on {topic}" if topic is not None and envelope.type in TYPES else ""
    return Fault(
        "unknown_type",
        "/type",
        f"type must be one of the published language{where}, got {shown(envelope.type)}",
    )


def _wrong_key(data: BaseModel, field: str, key: str | None) -> Fault:
    rule = f"the record key must be the {field} {shown(getattr(data, field))}"
    got = "none that is an id" if key is None else shown(key)
    return Fault("wrong_key", f"/{field}", f"{rule}, got {got}")


def _named(fault: Fault, envelope: Envelope) -> Fault:
    fault.envelope = Readable(
        envelope.source,
        envelope.id,
        envelope.type,
        envelope.subject,
        envelope.time,
        envelope.correlation,
    )
    return fault
