"""One seeded history: a random schedule of everything that can happen; then rest; then replay."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import asyncpg

from services.invoices.calendar import cut_off
from services.invoices.closing import MonthNotOver
from services.invoices.commands import CorrectBody, MergeBody
from services.serials.commands import REISSUE, REVOKE
from shared.business_number import from_seed
from shared.events.catalogue import SERVICES
from shared.runtime.records import StoredRecord
from tests.simulation.checkout import Checkout, months_of
from tests.simulation.checks import Checks
from tests.simulation.drafts import all_documents
from tests.simulation.memory import Crash, Fault, Held, Row, Running
from tests.simulation.promises import Violation, must
from tests.simulation.system import Leader, Site, System, without_the_machine
from tests.support.commands import Person

PARTITIONS = 2
ORDERS = 9
MOST_STEPS = 20_000
BROKEN = (Crash, asyncpg.PostgresConnectionError)
POINTS = ("statement", "statement", "before_commit", "after_commit", "answer_lost")
Place = tuple[str, int]
Places = dict[Place, int]


@dataclass(slots=True)
class Outcome:
    """What became of one seed."""

    seed: int
    steps: int
    facts: int
    violation: Violation | None = None
    step: int = 0
    did: str = ""


@dataclass(slots=True)
class Consumer:
    """How far a service has come in each partition, in memory and in Kafka."""

    site: Site
    at: Places
    committed: Places
    late: Places = field(default_factory=dict)

    def forget(self) -> None:
        """The process died: it comes back where its offsets say."""
        self.at = dict(self.committed)

    def take(self, records: Sequence[StoredRecord]) -> None:
        """Handles a batch that was polled."""
        self.site.handle(records)
        advance(self.at, records)

    def commit(self) -> None:
        """Says how far it came."""
        self.committed = dict(self.at)


class Simulation:
    """Runs one seed. The same seed, number of orders and code always make the same history."""

    def __init__(self, seed: int, orders: int = ORDERS) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.system = self._new_system()
        self.checks = Checks(self.system)
        self.checkout = Checkout(self.random, self.system.broker, orders)
        self.consumers = {
            name: self._new_consumer(site, [p for p in self.system.broker.logs if p[0] in site.topics])
            for name, site in self.system.sites.items()
        }
        self.leaders = {name: Leader(site, self.system.broker) for name, site in self.system.sites.items()}
        self.closed: list[str] = []
        self.is_faulty = True
        self.have_operators_merged = False
        self.did = ""
        self.steps = 0

    def _new_system(self) -> System:
        return System(PARTITIONS)

    def _new_consumer(self, site: Site, places: Sequence[Place]) -> Consumer:
        return Consumer(site, dict.fromkeys(places, 0), dict.fromkeys(places, 0))

    def run(self) -> Outcome:
        """The whole history; a broken promise ends it."""
        with without_the_machine(self.system):
            try:
                self.checkout.plan()
                self._live()
                self._come_to_rest()
                self._replay()
            except Violation as violation:
                return Outcome(self.seed, self.steps, self._facts(), violation, self.steps, self.did)
        return Outcome(self.seed, self.steps, self._facts())

    def _facts(self) -> int:
        return sum(len(site.database.tables["outbox"]) for site in self.system.sites.values())

    # a life with faults

    def _live(self) -> None:
        actions = self._actions()
        choices, weights = list(actions), list(actions.values())
        while any(self.checkout.queues.values()) and self.steps < MOST_STEPS:
            self._do(self.random.choices(choices, weights)[0])

    def _actions(self) -> Mapping[Callable[[], None], int]:
        """What may happen next, and how often it does."""
        return {
            self._say: 12,
            self._poll: 30,
            self._publish: 18,
            self._publish_badly: 5,
            self._commit_offsets: 6,
            self._two_owners: 3,
            self._stale_owner: 2,
            self._agents: 5,
            self._listen: 4,
            self._close_a_month: 1,
            self._merge_a_business: 1,
            self._correct_a_document: 1,
            self._register_a_serial: 4,
            self._end_a_serial: 2,
        }

    def _do(self, action: Callable[[], None]) -> None:
        self.steps += 1
        self.did = action.__name__.strip("_").replace("_", " ")
        action()
        for site in self.system.sites.values():
            site.database.fault = None
        self.checks.step()

    def _say(self) -> None:
        self.checkout.say()
        wall = self.checkout.now + timedelta(seconds=11)
        self.system.set_wall(max(self.system.wall, wall))

    def _listen(self) -> None:
        self.checkout.listen()

    def _consumer(self) -> Consumer:
        return self.consumers[self.random.choice(SERVICES)]

    def _batch(self, consumer: Consumer, at: Places, most: int = 4) -> list[StoredRecord]:
        """What a poll returns: some partitions, each in its order."""
        logs = self.system.broker.logs
        lagging = [place for place in at if at[place] < len(logs[place])]
        self.random.shuffle(lagging)
        records: list[StoredRecord] = []
        for place in lagging[: self.random.randint(1, 3)]:
            count = self.random.randint(1, most)
            records += logs[place][at[place] : at[place] + count]
        return records

    def _poll(self) -> None:
        consumer = self._consumer()
        records = self._batch(consumer, consumer.at)
        if self.random.random() < 0.15:
            kill = self.random.random() < 0.5
            consumer.site.database.fault = Fault(
                self.random.choice(POINTS), kill, self.random.randrange(0, 12)
            )
        self._handle(consumer, records)

    def _handle(self, consumer: Consumer, records: Sequence[StoredRecord]) -> None:
        if not records:
            return
        try:
            consumer.take(records)
        except Crash:
            consumer.forget()

    def _commit_offsets(self) -> None:
        consumer = self._consumer()
        if self.random.random() < 0.2:
            consumer.late = dict(consumer.committed)
        consumer.commit()

    def _stale_owner(self) -> None:
        """A consumer that was thought dead handles a batch from where it stood long ago."""
        consumer = self._consumer()
        at = consumer.late or dict.fromkeys(consumer.at, 0)
        records = self._batch(consumer, at, most=8)
        if records:
            consumer.site.handle(records)
            consumer.late = dict(at)
            advance(consumer.late, records)

    def _two_owners(self) -> None:
        """Two consumers of one service at the same time, the one inside the other's transaction."""
        consumer = self._consumer()
        mine, theirs = (self._batch(consumer, consumer.at) for _ in range(2))
        if not mine or not theirs:
            return
        database = consumer.site.database
        slow = Running(consumer.site.fold.handle(theirs))
        database.pausing = True
        for _ in range(self.random.randint(1, 6)):
            if slow.step() is None:
                break
        database.pausing = False
        try:
            consumer.site.handle(mine)
        except Held:
            slow.finish()
            consumer.site.handle(mine)
        slow.finish()
        advance(consumer.at, mine)

    def _publish(self) -> None:
        self._relay_some(self.random.choice(SERVICES))

    def _relay_some(self, name: str) -> None:
        leader = self.leaders[name]
        rows = leader.waiting(self.random.randint(1, 8))
        if rows:
            leader.send(rows)
            leader.acknowledged(rows)
        if self.random.random() < 0.7:
            leader.mark()

    def _publish_badly(self) -> None:
        """A send whose fate is unknown, a crash before the mark, a leader that was replaced and goes on."""
        self._relay_badly(self.random.choice(SERVICES))

    def _relay_badly(self, name: str) -> None:
        leader = self.leaders[name]
        rows = leader.waiting(self.random.randint(1, 16))
        match self.random.choice(["unknown", "lost_first", "before_mark", "replaced"]):
            case "unknown" if rows:
                leader.send(rows[: self.random.randint(1, len(rows))])
                self.leaders[name] = Leader(leader.site, leader.broker)
            case "lost_first" if rows:
                leader.send(rows[self._overtaking(rows) :])
                self.leaders[name] = Leader(leader.site, leader.broker)
            case "before_mark" if rows:
                leader.send(rows)
                leader.acknowledged(rows)
                self.leaders[name] = Leader(leader.site, leader.broker)
            case "replaced" if rows:
                later = self.leaders[name] = Leader(leader.site, leader.broker)
                some = later.waiting(self.random.randint(1, 8))
                later.send(some)
                later.acknowledged(some)
                marked = self.random.random() < 0.5 and later.mark()
                leader.send(rows)
                leader.acknowledged(rows)
                must(not leader.mark() or not marked, "a replaced relay never marks", name)

    def _overtaking(self, rows: Sequence[Row]) -> int:
        """Where to begin so that an event overtakes an earlier one about the same thing, if there are two."""
        seen: set[tuple[str, str]] = set()
        later = []
        for number, row in enumerate(rows):
            if (row["topic"], row["subject"]) in seen:
                later.append(number)
            seen.add((row["topic"], row["subject"]))
        return self.random.choice(later or list(range(len(rows))))

    def _agents(self) -> None:
        agent = self.random.choice(["issue", "issue", "expire", "sweep", "restart"])
        name = {"issue": "serials", "expire": "orders"}.get(agent) or self.random.choice(SERVICES)
        site = self.system.sites[name]
        if self.random.random() < 0.3:
            site.database.fault = Fault(self.random.choice(POINTS), self.random.random() < 0.5, 2)
        try:
            match agent:
                case "issue":
                    site.issue_chunk()
                case "expire":
                    site.expire()
                case "sweep":
                    site.sweep()
                case "restart":
                    self.consumers[name].forget()
        except BROKEN:
            self.consumers[name].forget()

    def _close_a_month(self) -> None:
        month = self.random.choice(["2026-08", "2026-09", "2026-10"])
        if self.random.random() < 0.7 and self._late_share() < 0.5:
            return
        if self.random.random() < 0.3:
            self.system.sites["invoices"].database.fault = Fault(
                self.random.choice(POINTS), True, self.random.randrange(0, 40)
            )
        self._close(month)

    def _late_share(self) -> float:
        left = sum(len(queue) for queue in self.checkout.queues.values())
        return 1 - left / (left + self.steps / 7 + 1)

    def _close(self, month: str) -> None:
        try:
            # September is closed after the day on which its documents are due.
            later = timedelta(days=20) if month.endswith("-09") else timedelta(seconds=1)
            at = cut_off(month, 5, 18) + later
            self.system.sites["invoices"].close(month, at)
            self.closed.append(month)
        except BROKEN:
            self.consumers["invoices"].forget()
        except MonthNotOver as early:
            raise Violation("months can be closed", str(early)) from early

    def _merge_a_business(self) -> None:
        """An operator merges the payments of a business number, or takes such a merge apart."""
        payments = self.system.sites["invoices"].database.tables["payments"].values()
        scopes = sorted({(p["month"], p["business_number"]) for p in payments})
        if scopes:
            month, number = self.random.choice(scopes)
            self._command_business(month, number, undo=self.random.random() < 0.3)

    def _command_business(self, month: str, number: str, *, undo: bool) -> None:
        site, apply = self.system.sites["invoices"], self.random.random() < 0.9
        body = MergeBody.model_construct(business_number=number, undo=undo, apply=apply)
        with self._dying("invoices"):
            site.merge_business(month, body, self.system.wall)

    def _correct_a_document(self) -> None:
        """An operator says that an issued document has the wrong number, or is there twice.

        At rest it is one that refunds have changed, where there is any.
        """
        site = self.system.sites["invoices"]
        issued = [d for d in site.database.tables["documents"].values() if d["state"] == "issued"]
        if not issued:
            return
        changed = {d["original_id"] for d in issued if d["refund_id"] is not None}
        chosen = [] if self.is_faulty else [d for d in issued if d["invoice_id"] in changed]
        document = self.random.choice(sorted(chosen or issued, key=lambda d: d["document_key"]))
        numbers = [None, None, document["business_number"], *map(from_seed, (30, 31)), "123-45-67890"]
        at = max(self.system.wall, document["issued_at"])
        body = CorrectBody.model_construct(
            document=document["document_key"],
            reason="looked at",
            business_number=self.random.choice(numbers),
            twice=self.random.random() < 0.25,
            apply=self.random.random() < 0.9,
        )
        with self._dying("invoices"):
            site.correct(document["month"], body, at)

    def _register_a_serial(self) -> None:
        """An account registers a serial, often one that somebody has; sometimes it asks once more."""
        serial, account = self._some_serial(), self.random.choice(("acct-1", "acct-2", "acct-3"))
        if serial is None:
            return
        site, key, at = self.system.sites["serials"], f"k-{self.steps}", self.system.wall
        for _ in range(self.random.randint(1, 2)):
            with self._dying("serials"):
                answer = site.register(serial["serial_id"], account, key, at)
                self.checks.serials.registered(serial["serial_id"], account, at, answer)

    def _end_a_serial(self) -> None:
        """A partner or an operator reissues or revokes a serial; sometimes it asks once more."""
        serial, how = self._some_serial(), self.random.choice((REISSUE, REISSUE, REVOKE))
        if serial is None:
            return
        site, key, at = self.system.sites["serials"], f"k-{self.steps}", self.system.wall
        who = Person("kim", self.random.choice((None, "P-1")))
        for _ in range(self.random.randint(1, 2)):
            with self._dying("serials"):
                answer = site.end_serial(how, serial, who, key, at)
                self.checks.serials.ended(how, serial["serial_id"], who.partner_id, at, answer)

    def _some_serial(self) -> Row | None:
        serials = self.system.sites["serials"].database.tables["serials"]
        return Row(serials[self.random.choice(sorted(serials))].items()) if serials else None

    @contextmanager
    def _dying(self, name: str) -> Iterator[None]:
        """Sometimes a service is killed, or loses its connection, while it does this."""
        if self.is_faulty and self.random.random() < 0.2:
            fault = Fault(self.random.choice(POINTS), self.random.random() < 0.5, self.random.randrange(0, 8))
            self.system.sites[name].database.fault = fault
        try:
            yield
        except BROKEN:
            self.consumers[name].forget()

    # rest

    def _come_to_rest(self) -> None:
        """No faults any more: everything is said, published, handled and decided until nothing moves."""
        self.is_faulty = False
        for _ in range(200):
            self._do(self._drain)
            if self._nudge() or self.checkout.ask_for_merges(months_of(self.system.broker)):
                continue
            if not self.have_operators_merged:
                self._do(self._merge_businesses)
                continue
            self._do(self._close_all)
            self._do(self._drain)
            self._do(self._correct_some)
            for _ in range(self.random.randint(0, 6)):
                self._do(self.random.choice((self._register_a_serial, self._end_a_serial)))
            self._do(self._drain)
            if not self._waiting_refunds() and not any(self.checkout.queues.values()):
                break
        self.checks.rest(frozenset(self.checkout.ghosts | self._never_paid()), self.checkout.payouts)
        self._documents_are_issued()

    def _drain(self) -> None:
        for _ in range(1_000):
            moved = False
            while self.checkout.say():
                moved = True
            self._say()
            self.system.set_wall(self.system.wall + timedelta(days=30))
            for name in SERVICES:
                moved |= self._settle(name)
            self.checkout.listen()
            if not moved and not any(self.checkout.queues.values()):
                return
        raise Violation("everything comes to rest", "the system goes on for ever")

    def _settle(self, name: str) -> bool:
        moved, consumer = False, self.consumers[name]
        site = consumer.site
        while records := self._batch(consumer, consumer.at, most=20):
            self._handle(consumer, records)
            moved = True
        if name == "serials":
            while site.issue_chunk():
                moved = True
        if name == "orders":
            site.expire()
        site.sweep()
        return self._relay_all(name) or moved

    def _relay_all(self, name: str) -> bool:
        """Publishes all there is; whether there was something."""
        leader, moved = self.leaders[name], False
        while rows := leader.waiting(50):
            leader.send(rows)
            leader.acknowledged(rows)
            moved = True
        leader.mark()
        return moved

    def _never_paid(self) -> set[str]:
        """Orders that were never registered nor paid: all their money, if there is any, is in quarantine.
        Requests about them wait, and are shown to operators when they are overdue."""
        outbox = self.system.sites["orders"].database.tables["outbox"].values()
        known = {row["key"] for row in outbox if row["type"] in ("order.registered.v1", "order.paid.v1")}
        return set(self.checkout.buyers) - known

    def _waiting_refunds(self) -> list[object]:
        over = ("completed", "rejected", "denied", "released")
        rows = self.system.sites["refunds"].database.tables["refunds"].values()
        return [row for row in rows if row["state"] not in over]

    def _nudge(self) -> bool:
        waiting = self._waiting_refunds()
        for refund in waiting:
            self.checkout.nudge(refund)  # type: ignore[arg-type]
        return bool(waiting)

    def _merge_businesses(self) -> None:
        """Before the books are closed an operator merges most of the businesses; some of that is undone."""
        self.have_operators_merged = True
        payments = self.system.sites["invoices"].database.tables["payments"].values()
        for month, number in sorted({(p["month"], p["business_number"]) for p in payments}):
            if self.random.random() < 0.9:
                self._command_business(month, number, undo=False)
                if self.random.random() < 0.3:
                    self._command_business(month, number, undo=True)
        self.checkout.ask_to_undo_merges(months_of(self.system.broker))

    def _correct_some(self) -> None:
        for _ in range(self.random.randint(0, 3)):
            self._correct_a_document()

    def _close_all(self) -> None:
        for month in months_of(self.system.broker):
            self._close(month)

    def _documents_are_issued(self) -> None:
        for document in all_documents(self.system.sites["invoices"].database.tables).values():
            wrong = document["state"] == "issue_failed" and document["business_number"] == "1234567890"
            must(document["state"] not in ("draft", "approved", "issue_failed") or wrong,
                 "a closed month is issued", f"{document['invoice_id']} is {document['state']}")  # fmt: skip

    # the same again

    def _replay(self) -> None:
        """Every topic from its beginning, partitions shuffled: not a row may change."""
        self.did = "replay"
        for name, consumer in self.consumers.items():
            before = consumer.site.database.content()
            at = {place: self.system.broker.first[place] for place in consumer.at}
            while records := self._batch(consumer, at, most=20):
                consumer.site.handle(records)
                advance(at, records)
            must(consumer.site.database.content() == before, "a replay changes nothing", name)


def advance(at: Places, records: Sequence[StoredRecord]) -> None:
    """These records were read."""
    for record in records:
        at[record.topic, record.partition] = record.offset + 1
