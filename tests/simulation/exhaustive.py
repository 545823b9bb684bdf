"""Every interleaving of a small order, over the real code of all four services.

A state is the four databases, how far every consumer has come in every topic, and how many faults are left.
A step is one delivery: of a document of checkout (in any order), of the next event of a topic to one of its
readers, or a fault: in every state every document and every event that was heard is delivered again, which
must change nothing; and so many times an event overtakes the one before it.
Relays are immediate: an event that is published late is, to its readers, an event that is read late. Invoices
only listens to the other three, so it begins when they are done, and then reads their topics in every order.

The databases of one service are interned by their content and their steps are remembered, so the real code
runs once for each pair of database and record, and the walk over all combinations is one over small tuples.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from services.invoices.calendar import cut_off
from shared.events.catalogue import SERVICES, TYPES, source_of, topics_of
from shared.events.envelope import write_headers
from shared.kst import month_of, wire_time
from shared.runtime.intake import Intake
from shared.runtime.records import StoredRecord
from tests.simulation.checkout import SOURCE, START, Said
from tests.simulation.checks import Checks, goes_on
from tests.simulation.memory import Row, Snapshot, Table
from tests.simulation.promises import Violation, must
from tests.simulation.story import ORDER, order_snapshot, payment, refund_request
from tests.simulation.system import System, without_the_machine
from tests.support.routes import ROUTES

READERS = tuple(
    (service, topic)
    for service in SERVICES
    for topic in topics_of(ROUTES[service])
    if topic not in ("checkout.events", "invoices.events")
)
INVOICES = SERVICES.index("invoices")
MONTH = month_of(START)
LATER = START + timedelta(days=40)


class State(NamedTuple):
    """Where everything stands: databases by number, offsets by reader, events that may still overtake others.

    `listening`: the others are done, and invoices has begun.
    """

    databases: tuple[int, ...]
    offsets: tuple[int, ...]
    faults: int
    listening: bool = False


class Step(NamedTuple):
    """One thing that may happen next."""

    name: str
    service: int
    what: Any
    reader: int | None = None
    offset: int = 0
    fault: bool = False


@dataclass(slots=True)
class Scenario:
    """What checkout says, in any order; `close` adds the month close, `failures` how often a payout fails.

    `bounces`: how often a payout comes back after it was made.

    `faults` and `invoices_faults` say how many events may overtake others on their way to the first three
    services and to invoices.
    """

    name: str
    said: Sequence[Said]
    faults: int = 1
    invoices_faults: int = 0
    failures: int = 1
    bounces: int = 0
    close: bool = False
    expire: bool = False


@dataclass(slots=True)
class Found:
    """What a walk has seen."""

    states: int = 0
    steps: int = 0
    executions: int = 0
    ends: int = 0

    @property
    def told(self) -> str:
        """The numbers in words."""
        return (
            f"{self.states} states, {self.steps} steps, {self.ends} ends, "
            f"the real code ran {self.executions} times"
        )


@dataclass(slots=True)
class _Memory:
    """All databases of one service that were ever reached."""

    snapshots: list[Snapshot] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    next: dict[tuple[int, Any], int] = field(default_factory=dict)
    logs: list[tuple[StoredRecord, ...]] = field(default_factory=list)


class Walk:
    """Walks through every state of a scenario. Raises Violation with the way that led to it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.system = System(partitions=1)
        self.found = Found()
        self._memories = [_Memory() for _ in SERVICES]
        self._documents: dict[str, StoredRecord] = {}
        self._concerns: dict[tuple[str, StoredRecord], bool] = {}
        self._intakes = {name: Intake(site.service) for name, site in self.system.sites.items()}
        self._way: dict[State, tuple[State, str] | None] = {}
        for said in scenario.said:
            self._document(said)

    def run(self) -> Found:
        """Visits everything that can be reached."""
        with without_the_machine(self.system):
            self.system.set_wall(LATER)
            start = State(
                tuple(self._intern(n) for n in range(len(SERVICES))),
                (0,) * len(READERS),
                self.scenario.faults,
            )
            self._way[start] = None
            stack = [start]
            while stack:
                state = stack.pop()
                try:
                    stack.extend(self._visit(state))
                except Violation as violation:
                    raise Violation(violation.check, f"{violation.detail}\n{self._tell(state)}") from None
        self.found.states = len(self._way)
        return self.found

    def _visit(self, state: State) -> Iterator[State]:
        moves = list(self._steps(state))
        if all(move.fault for move in moves):
            if state.listening:
                self.found.ends += 1
                self._check_end(state)
            elif (
                begun := state._replace(listening=True, faults=self.scenario.invoices_faults)
            ) not in self._way:
                self._way[begun] = (state, "(invoices begins to listen)")
                yield begun
        for move in moves:
            self.found.steps += 1
            after = self._take(state, move)
            if after not in self._way:
                self._way[after] = (state, move.name)
                yield after

    # what may happen

    def _steps(self, state: State) -> Iterator[Step]:
        if not state.listening:
            yield from self._documents_to_say(state)
        elif self.scenario.close and MONTH not in self._tables(INVOICES, state.databases[INVOICES])["months"]:
            yield Step("the month is closed", INVOICES, "close")
        for reader, (service, topic) in enumerate(READERS):
            if (service == "invoices") != state.listening:
                continue
            log = self._log(state, topic)
            at = state.offsets[reader]
            number = SERVICES.index(service)
            if at < len(log):
                yield Step(f"{service} reads {_type(log[at])}", number, log[at], reader, at + 1)
            for again in log[:at]:
                yield Step(f"{service} reads {_type(again)} again", number, again, fault=True)
            if state.faults and at + 1 < len(log):
                yield Step(f"{service} reads {_type(log[at + 1])} too early", number, log[at + 1], fault=True)

    def _documents_to_say(self, state: State) -> Iterator[Step]:
        for said in (*self.scenario.said, *self._answers(state)):
            record = self._document(said)
            owner = SERVICES.index(TYPES[said.type].owner)
            heard = (SOURCE, said.id) in self._tables(owner, state.databases[owner])["inbox"]
            if not heard:
                yield Step(f"checkout says {said.id}", owner, record)
            else:
                yield Step(f"checkout says {said.id} again", owner, record, fault=True)
        if self.scenario.expire:
            orders = self._tables(0, state.databases[0])["orders"].values()
            if any(order["state"] == "pending_deposit" for order in orders):
                yield Step("the deadline passes", 0, "expire")

    def _answers(self, state: State) -> Iterator[Said]:
        """What the gateway and the operator may do about each refund as it stands."""
        for refund in self._tables(2, state.databases[2]).get("refunds", {}).values():
            yield from self._answers_about(refund)

    def _answers_about(self, refund: Row) -> Iterator[Said]:
        refund_id, steps = str(refund["refund_id"]), refund["steps"]
        about = {"order_id": ORDER, "refund_id": refund_id}
        tag = f"{refund['refund_request_id']}-{steps}-{refund_id[-9:-6]}"
        if refund["state"] == "paying_out":
            paid = {**about, "payout_id": f"out-{refund_id}", "paid_out_at": wire_time(START)}
            yield Said(ORDER, f"out-{tag}", "refund.paid_out.v1", START, paid)
            first_asked = 4 if refund["returned_at"] is None else 5
            if steps <= first_asked + 2 * (self.scenario.failures - 1):
                failed = {**about, "payout_id": f"try-{steps}", "reason": "account_closed"}
                yield Said(ORDER, f"fail-{tag}", "refund.payout_failed.v1", START, failed)
        elif refund["state"] == "completed" and steps <= 2 + 3 * self.scenario.bounces:
            payout_id = f"out-{refund_id}" if steps == 5 else f"out-{steps - 1}-{refund_id}"
            came_back = {**about, "payout_id": payout_id, "reason": "account_closed"}
            yield Said(ORDER, f"back-{tag}", "refund.payout_failed.v1", START, came_back)
        elif refund["state"] == "bounced":
            data = {**about, "decision": "retry", "actor": "operator"}
            yield Said(ORDER, f"again-{tag}", "refund.reviewed.v1", START, data)
        elif refund["state"] == "repaying":
            paid = {**about, "payout_id": f"out-{steps}-{refund_id}", "paid_out_at": wire_time(START)}
            yield Said(ORDER, f"repay-{tag}", "refund.paid_out.v1", START, paid)
        elif refund["state"] == "failed":
            for decision in ("retry", "release"):
                data = {**about, "decision": decision, "actor": "operator"}
                yield Said(ORDER, f"{decision}-{tag}", "refund.reviewed.v1", START, data)
        elif refund["state"] in ("held", "in_review"):
            yield from self._answers_about_wait(refund["why"], about, tag)

    def _answers_about_wait(self, why: str, about: dict[str, str], tag: str) -> Iterator[Said]:
        if why == "return_awaited":
            some = {**about, "lines": [{"line_id": "1", "quantity": 1}]}
            yield Said(ORDER, f"back-{tag}", "return.confirmed.v1", START, about)
            yield Said(ORDER, f"some-{tag}", "return.confirmed.v1", START, some)
        else:
            part = {**about, "decision": "approve", "amount": 1_000, "actor": "operator"}
            yield Said(ORDER, f"part-{tag}", "refund.reviewed.v1", START, part)
            for decision in ("approve", "reject"):
                data = {**about, "decision": decision, "actor": "operator"}
                yield Said(ORDER, f"{decision}-{tag}", "refund.reviewed.v1", START, data)

    # what follows from it

    def _take(self, state: State, move: Step) -> State:
        databases, offsets = list(state.databases), list(state.offsets)
        if move.reader is not None:
            offsets[move.reader] = move.offset
        if move.what is not None:
            before = databases[move.service]
            after = self._memories[move.service].next.get((before, move.what))
            if after is None:
                after = self._execute(state, move)
                self._memories[move.service].next[before, move.what] = after
            databases[move.service] = after
        if move.fault and databases[move.service] == state.databases[move.service]:
            return state
        if move.fault and not state.faults:
            raise Violation("what is known changes nothing", move.name)
        faults = state.faults - move.fault
        there = State(tuple(databases), tuple(offsets), faults, state.listening)
        return there._replace(offsets=self._past_what_concerns_nobody(there))

    def _past_what_concerns_nobody(self, state: State) -> tuple[int, ...]:
        offsets = []
        for reader, (service, topic) in enumerate(READERS):
            log, at = self._log(state, topic), state.offsets[reader]
            while at < len(log) and not self._concerns_reader(service, log[at]):
                at += 1
            offsets.append(at)
        return tuple(offsets)

    def _concerns_reader(self, service: str, record: StoredRecord) -> bool:
        known = self._concerns.get((service, record))
        if known is None:
            item = self._intakes[service].read_one(record)
            known = self._concerns[service, record] = item is not None and not item.foreign
        return known

    def _execute(self, state: State, move: Step) -> int:
        self.found.executions += 1
        site = self.system.sites[SERVICES[move.service]]
        before = self._memories[move.service].snapshots[state.databases[move.service]]
        site.database.restore(before)
        site.database.ids = _first_id(move.what)
        known = len(self._memories[move.service].snapshots)
        match move.what:
            case "expire":
                site.expire()
            case "close":
                site.close(MONTH, cut_off(MONTH, 5, 18))
            case record:
                site.handle([record])
        self.system.watch.look()
        number = self._intern(move.service)
        if number >= known:
            self._check_step(state, move, before[0], number)
        return number

    def _intern(self, service: int) -> int:
        database, memory = self.system.sites[SERVICES[service]].database, self._memories[service]
        content = database.content()
        number = memory.numbers.get(content)
        if number is None:
            number = memory.numbers[content] = len(memory.snapshots)
            memory.snapshots.append(database.snapshot())
            memory.logs.append(self._log_of(SERVICES[service]))
        return number

    def _log_of(self, service: str) -> tuple[StoredRecord, ...]:
        topic = f"{service}.events"
        rows = self.system.sites[service].database.tables["outbox"].values()
        return tuple(
            StoredRecord(topic, 0, offset, row["key"].encode(), row["data"], _headers(service, row))
            for offset, row in enumerate(row for row in rows if row["topic"] == topic)
        )

    def _log(self, state: State, topic: str) -> tuple[StoredRecord, ...]:
        writer = SERVICES.index(topic.removesuffix(".events"))
        return self._memories[writer].logs[state.databases[writer]]

    def _tables(self, service: int, number: int) -> dict[str, Table]:
        return defaultdict(dict, self._memories[service].snapshots[number][0])

    def _document(self, said: Said) -> StoredRecord:
        if said.id not in self._documents:
            self._documents[said.id] = said.put(self.system.broker)
        return self._documents[said.id]

    # what must hold

    def _load(self, databases: Sequence[int]) -> Checks:
        for service, number in enumerate(databases):
            database = self.system.sites[SERVICES[service]].database
            database.restore(self._memories[service].snapshots[number])
            database.changed.extend((name, key) for name, rows in database.tables.items() for key in rows)
        checks = Checks(self.system)
        checks.upstream = self._heard
        return checks

    def _heard(self) -> list[StoredRecord]:
        heard = {i for site in self.system.sites.values() for _, i in site.database.tables["inbox"]}
        return [record for id_, record in self._documents.items() if id_ in heard]

    def _check_step(self, state: State, move: Step, before: dict[str, Table], number: int) -> None:
        databases = list(state.databases)
        databases[move.service] = number
        try:
            self._load(databases).step()
            self._check_change(move.service, before)
        except Violation as violation:
            raise Violation(violation.check, f"{violation.detail} (after: {move.name})") from None

    def _check_change(self, service: int, before: dict[str, Table]) -> None:
        tables = self.system.sites[SERVICES[service]].database.tables
        if SERVICES[service] == "orders":
            for order_id, order in before.get("orders", {}).items():
                now = tables["orders"][order_id]["state"]
                must(not goes_on(order["state"], now), "what has ended stays ended",
                     f"{order_id} went from {order['state']} to {now}")  # fmt: skip
        if SERVICES[service] == "invoices":
            for invoice_id, document in before.get("documents", {}).items():
                if document["state"] == "issued":
                    must(tables["documents"][invoice_id] == document,
                         "an issued document never changes", str(invoice_id))  # fmt: skip

    def _check_end(self, state: State) -> None:
        checks = self._load(state.databases)
        refunds = self.system.sites["refunds"].database.tables["refunds"].values()
        paid = {
            str(r["refund_id"]): r["supply"] + r["vat"] - r["fee"]
            for r in refunds
            if r["state"] == "completed"
        }
        checks.rest(frozenset(), paid, relayed=False)

    def _tell(self, state: State) -> str:
        names: list[str] = []
        at: State | None = state
        while at is not None and (came := self._way.get(at)) is not None:
            at, name = came
            names.append(name)
        return "\n".join(f"{number:3}. {name}" for number, name in enumerate(reversed(names), start=1))


def _first_id(what: Any) -> int:
    """Ids that follow from what is handled, so that ways that meet are seen to meet."""
    name = what if isinstance(what, str) else repr(what.headers)
    return int.from_bytes(blake2b(name.encode(), digest_size=3).digest()) << 8


def _headers(service: str, row: Row) -> tuple[tuple[str, bytes], ...]:
    return tuple(
        write_headers(
            id=str(row["event_id"]), source=source_of(row["type"], service), type=row["type"],
            subject=row["subject"], time=row["time"], sequence=row["sequence"],
            correlation=row["correlation"], causation=row["causation"],
        )
    )  # fmt: skip


def _type(record: StoredRecord) -> str:
    return dict(record.headers)["ce_type"].decode()


def _said(id_: str, type_name: str, **data: Any) -> Said:
    return Said(ORDER, id_, type_name, START, {"order_id": ORDER, **data})


def _issue(request_id: str, units: int | None = None) -> Said:
    data: dict[str, Any] = {"request_id": request_id}
    if units is not None:
        data["lines"] = [{"line_id": "1", "quantity": units}]
    return _said(request_id, "issuance.requested.v1", **data)


def _refund(request_id: str, units: int | None = None) -> Said:
    return _said(request_id, "refund.requested.v1", **refund_request(request_id, units))


def _cancel(number: int) -> Said:
    data = {"payment_id": f"pay-{number}", "cancelled_at": wire_time(START + timedelta(days=1))}
    return _said(f"cancel-{number}", "payment.cancelled.v1", **data)


def _pay(number: int = 1, **changes: Any) -> Said:
    return _said(f"pay-{number}", "payment.completed.v1", **payment(number, **changes))


def _line(kind: str, line_id: str = "1", units: int = 2, unit_price: int = 2_000) -> dict[str, Any]:
    (line,) = order_snapshot(units)["lines"]
    return {**line, "line_id": line_id, "kind": kind, "unit_price": unit_price}


def _use(used: int, hours: int) -> Said:
    data = {"line_id": "1", "used": used, "recorded_at": wire_time(START + timedelta(hours=hours))}
    return _said(f"used-{used}", "usage.recorded.v1", **data)


def _bonus(won: int) -> Said:
    data = {"line_id": "1", "bonus": won, "expires_at": wire_time(START + timedelta(days=7))}
    return _said("bonus", "balance.granted.v1", **data)


def _pending() -> Said:
    deadline = wire_time(START + timedelta(days=7))
    data = order_snapshot(payment_method="virtual_account")
    return _said("pending", "payment.pending.v1", **data, deposit_deadline=deadline)


SCENARIOS = (
    Scenario("issue one, refund the rest", [_pay(), _issue("i-1", 1), _refund("r-1")], 2, 1),
    Scenario("issue both or refund both", [_pay(), _issue("i-1"), _refund("r-1", 2)], 2, 1),
    Scenario("issued at once, refund asked", [_pay(issue_policy="automatic"), _refund("r-1", 1)], 3, 2),
    Scenario("two refunds of one unit", [_pay(), _refund("r-1", 1), _refund("r-2", 1)], 1, 0, failures=0),
    Scenario("two refunds and an issue", [_pay(), _refund("r-1", 1), _refund("r-2", 1), _issue("i-1", 1)],
             0, 0, failures=0),
    Scenario("taken back while refunding", [_pay(), _refund("r-1", 1), _cancel(1)], 2, 1),
    Scenario("taken back while issuing", [_pay(), _issue("i-1", 1), _cancel(1)], 3, 2),
    Scenario(
        "a deposit in time or too late",
        [_pending(), _pay(payment_method="virtual_account"), _issue("i-1", 1), _refund("r-1", 1)],
        0,
        1,
        failures=0,
        expire=True,
    ),
    Scenario("paid twice", [_pay(), _pay(2), _cancel(2), _cancel(1)], 2, 2),
    Scenario("a payout that bounces", [_pay(), _refund("r-1", 1)], 1, 1, failures=0, bounces=1),
    Scenario("refund around the month close", [_pay(), _refund("r-1", 1)], 2, 1, close=True),
    Scenario("goods that come back, all or some", [_pay(lines=[_line("goods")]), _refund("r-1", 2)], 1, 0),
    Scenario("a service that is used",
             [_pay(lines=[_line("metered")]), _use(1, 2), _use(2, 1), _refund("r-1")], 0, 0),
    Scenario("a balance with a late bonus",
             [_pay(lines=[_line("prepaid", units=1, unit_price=10_000)]), _bonus(1_000), _use(1_500, 2),
              _refund("r-1")], 0, 0),
    Scenario("goods and serials of one order",
             [_pay(lines=[_line("goods"), _line("serials", "2", 1)]), _refund("r-1"), _issue("i-1")], 0, 0,
             failures=0),
)  # fmt: skip


def explore(scenario: Scenario) -> Found:
    """Walks through a scenario."""
    return Walk(scenario).run()
