"""What every service says on `checkout.feedback`: exactly one answer to each event of upstream checkout."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from shared.events.faults import MAX_FAULTS, Code, Fault
from shared.events.fields import Count, Data, Id, Name, Subject

_OF_PARTNERS = ("partner.", "merge.")


class EventReference(Data):
    """Which event is answered: as much of it as could be read."""

    id: Subject
    source: Subject | None = None
    type: Id | None = None


class RecordPosition(Data):
    """Where the answered record stands in Kafka."""

    topic: Name
    partition: Count
    offset: Count


HowSent = Literal["wrong_partition"]
"""What is wrong with how an event was sent, though it was taken: the partition is not that of its key."""


class Answer(Data):
    """`order_id` is the record key; rows about a partner carry it as `partner_id` too.

    `event` is absent only where the record has no readable id. `warning` says what is wrong with how the
    record was sent, whatever became of what it says.
    """

    order_id: str
    partner_id: str | None = None
    event: EventReference | None = None
    position: RecordPosition
    warning: HowSent | None = None


class FaultFound(Data):
    """One fault of a document: what, where and by which rule."""

    code: Code
    pointer: Annotated[str, Field(max_length=2_000)]
    detail: Annotated[str, Field(max_length=2_000)]


class EventAccepted(Answer):
    """event.accepted.v1: the document is understood and recorded; a refusal by a rule is a later event."""

    outcome: Literal["accepted"]


class EventRejected(Answer):
    """event.rejected.v1: the document is wrong and changed nothing. `retry`: may it pass as it is, later?

    `faults` are the first of everything that is wrong, in the order of the document; `code`, `pointer` and
    `detail` are those of the first.
    """

    outcome: Literal["rejected"]
    code: Code
    pointer: Annotated[str, Field(max_length=2_000)]
    detail: Annotated[str, Field(max_length=2_000)]
    retry: bool
    help: Name
    faults: Annotated[list[FaultFound], Field(max_length=MAX_FAULTS)] | None = None


def accepted(
    *,
    order_id: str,
    source: str | None,
    event_id: str | None,
    event_type: str | None,
    position: Sequence[Any],
    warning: HowSent | None = None,
) -> dict[str, Any]:
    """The data of event.accepted.v1. `order_id` is the record key, `position` (topic, partition, offset)."""
    return {**_about(order_id, source, event_id, event_type, position, warning), "outcome": "accepted"}


def rejected(
    *,
    order_id: str,
    source: str | None,
    event_id: str | None,
    event_type: str | None,
    position: Sequence[Any],
    fault: Fault,
    warning: HowSent | None = None,
) -> dict[str, Any]:
    """The data of event.rejected.v1; a wrong document stays wrong, so sending it again never helps."""
    return {
        **_about(order_id, source, event_id, event_type, position, warning),
        "outcome": "rejected",
        "code": fault.code,
        "pointer": fault.pointer,
        "detail": fault.detail,
        "retry": False,
        "help": fault.help,
        "faults": [
            {"code": found.code, "pointer": found.pointer, "detail": found.detail} for found in fault.all
        ],
    }


def _about(
    key: str,
    source: str | None,
    event_id: str | None,
    event_type: str | None,
    position: Sequence[Any],
    warning: HowSent | None,
) -> dict[str, Any]:
    about: dict[str, Any] = {"order_id": key}
    if (event_type or "").startswith(_OF_PARTNERS):
        about["partner_id"] = key
    if event_id:
        named = {"source": source, "id": event_id, "type": event_type}
        about["event"] = {name: value for name, value in named.items() if value}
    topic, partition, offset = position
    about["position"] = {"topic": topic, "partition": partition, "offset": offset}
    if warning is not None:
        about["warning"] = warning
    return about
