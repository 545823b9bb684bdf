"""What needs somebody, and what a word names, in the tables that every service has. Pure."""

from collections.abc import Callable, Iterator, Sequence

from shared.operators.commands import pawl
from shared.operators.deciding import CANCELLABLE
from shared.operators.finding import Found, Look, by_text
from shared.operators.sentences import Sentence
from shared.operators.todo import Cause, Group, Moment, Row, Who, no_arguments


def every_service(service: str) -> tuple[Cause, ...]:
    """The causes that each service has, for this one."""
    return (
        Cause("todo_dead_letters", no_arguments, _for(service, _dead_letters)),
        Cause(
            "todo_parked",
            lambda moment: (moment.now - moment.thresholds.waiting, moment.now),
            _for(service, _parked),
        ),
        Cause("todo_gaps", no_arguments, _for(service, _gaps)),
        Cause("todo_unsent", no_arguments, _for(service, _unsent)),
    )


def _for(
    service: str, groups: Callable[[str, Sequence[Row]], Iterator[Group]]
) -> Callable[[Sequence[Row], Moment], Iterator[Group]]:
    return lambda rows, moment: groups(service, rows)


def _dead_letters(service: str, rows: Sequence[Row]) -> Iterator[Group]:
    """Checkout sends a wrong document right; one that a service wrote is a mistake in Pawl."""
    for row in rows:
        names = tuple(f"{service}:{number}" for number in row["members"])
        from_checkout = row["from_checkout"]
        sender = row["source"] or Sentence("an unknown sender")
        yield Group(
            service,
            "dead_letter",
            Sentence("{code} from {sender}", code=row["code"], sender=sender),
            row["count"],
            row["won"],
            row["since"],
            "checkout" if from_checkout else "operator",
            f"pawl dead {'show' if from_checkout else 'replay'} {names[0]}",
            members=names,
        )


_WHO: dict[str, Who] = {"blocked": "operator", "gap": "operator", "waiting": "checkout"}


def _parked(service: str, rows: Sequence[Row]) -> Iterator[Group]:
    """A blocked event is an operator's from the first moment, so it has no due instant."""
    for row in rows:
        names = tuple(f"{service}:p{number}" for number in row["members"])
        blocked = row["kind"] == "blocked"
        late = row["overdue"] and not blocked
        yield Group(
            service,
            f"event_{row['kind']}",
            row["type"],
            row["count"],
            None,
            row["since"],
            _WHO[row["kind"]],
            _next_of_parked(row, names[0]),
            due=None if blocked or late else row["due"],
            overdue=row["overdue"] if late else 0,
            overdue_since=row["due"] if late else None,
            members=names,
        )


def _unsent(service: str, rows: Sequence[Row]) -> Iterator[Group]:
    """An event that its topic does not take: somebody raises the limit of the topic."""
    for row in rows:
        names = tuple(f"{service}:o{number}" for number in row["members"])
        yield Group(
            service,
            "event_unsent",
            row["type"],
            row["count"],
            None,
            row["since"],
            "operator",
            pawl("dead", "show", names[0]),
            members=names,
        )


def _next_of_parked(row: Row, name: str) -> str:
    """What is to be done about the oldest: what somebody asked for can be cancelled."""
    if row["kind"] == "blocked":
        return pawl("dead", "replay", name)
    if row["kind"] == "waiting" and row["type"] in CANCELLABLE:
        return pawl("order", "cancel-request", row["oldest_key"], row["oldest_event"])
    return pawl("dead", "show", name)


def _gaps(service: str, rows: Sequence[Row]) -> Iterator[Group]:
    """What checkout has said and nobody heard, it has to say again; our own an operator publishes again."""
    for row in rows:
        names = tuple(f"{service}:{number}" for number in row["members"])
        yield Group(
            service,
            "records_missed",
            Sentence(
                "{records} records of {topic}, {kind}",
                records=row["records"],
                topic=row["topic"],
                kind=row["kind"],
            ),
            row["count"],
            None,
            row["since"],
            "operator",
            "pawl gaps ls",
            members=names,
        )


def find_in_every_service(service: str) -> tuple[Look, ...]:
    """What can be found in each service, for this one."""
    return (Look("find_dead_letters", by_text, lambda row: dead_letter(service, row)),)


def dead_letter(service: str, row: Row) -> Found:
    """A refused record, by the order or partner that it is about."""
    name = f"{service}:{row['id']}"
    said = {
        "type": row["type"] or "?",
        "code": row["code"],
        "place": f" {row['pointer']}" if row["pointer"] else "",
        "state": row["state"],
        "key": row["key"],
    }
    says = Sentence("{type} refused, {code}{place}, {state}, key {key}", **said)
    return Found(service, "dead_letter", name, says, pawl("dead", "show", name))
