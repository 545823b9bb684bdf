"""The four services put together without a server: the real fold, stores and agents over memory.

What is real: intake, fold, batch, every handler, decision and store, the outbox, the relay's headers and
mark, the month close, the deposit expirer, the issuing worker. What is not: sockets, clocks, random bytes and
SQL.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch
from uuid import UUID

import orjson

import services.invoices.handlers as invoices_handlers
import services.orders.expiry as expiry
import services.orders.handlers as orders_handlers
import services.orders.store as orders_store
import services.refunds.commands as refunds_commands
import services.refunds.handlers as refunds_handlers
import services.serials.commands as serials_commands
import services.serials.events as serials_events
import services.serials.handlers as serials_handlers
import services.serials.issuing as issuing
import services.serials.store as serials_store
import shared.runtime.fold as fold_module
import shared.runtime.outbox as outbox_module
import shared.runtime.relay as relay_module
import shared.runtime.retry as retry_module
from services.invoices import commands
from services.invoices.closes import Sizes
from services.invoices.closing import OpenRefunds, close_month
from services.invoices.commands import CorrectBody, MergeBody, correct, merge_month_of_business
from services.invoices.state import MonthSummary, NewId
from services.invoices.state import Policy as InvoicePolicy
from services.invoices.store import Store as InvoicesStore
from services.refunds.asking import REQUESTED
from services.refunds.commands import REQUEST, RequestBody
from services.refunds.store import Store as RefundsStore
from services.serials.commands import REGISTER, EndBody, Registering
from services.serials.state import Part, Policy
from services.serials.store import Store
from shared.events.canonical import content_hash
from shared.events.catalogue import SERVICES, TOPICS
from shared.events.checkout import RefundRequested
from shared.events.fields import Data
from shared.runtime.commands import Answer, Command, Work
from shared.runtime.decisions import Context
from shared.runtime.fold import Fold
from shared.runtime.outbox import Outbox
from shared.runtime.records import StoredRecord
from shared.runtime.relay import LostLead, Relay
from shared.runtime.service import Service
from shared.runtime.surroundings import Surroundings
from tests.simulation.agent import Agent
from tests.simulation.finance import Act, look_at_agent, take_step
from tests.simulation.kinds_book import Watch
from tests.simulation.memory import Broker, Connection, Database, Pool, Row, Running
from tests.simulation.tables import open_database
from tests.support.commands import Person

CHUNK = 3
SMALL_GRANT = 3
QUOTA = 1
"""How many serials of a grant its partner may have reissued."""
NEVER = timedelta(days=3650)
ANY_POLICY = InvoicePolicy()
"""What the operator has chosen where nobody closes months in steps."""


class Plain:
    """Seals nothing: what is sealed is tested elsewhere, and random bytes would differ from run to run."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        return plain

    def open(self, sealed: bytes, context: bytes) -> bytes:
        return sealed

    def new_data_key(self, context: bytes) -> bytes:
        return b"key"

    def with_data_key(self, sealed_key: bytes, key_id: str, context: bytes) -> "Plain":
        return self


class Silence:
    """Counts nothing and logs nothing."""

    def __getattr__(self, name: str) -> "Silence":
        return self

    def __call__(self, *_: Any, **__: Any) -> "Silence":
        return self


class Units:
    """Serials without their characters, as many as there are to be."""

    key_id = "test-1"

    def __init__(self, count: int) -> None:
        self.tags = self.texts = self.last_four = [b""] * count

    def __len__(self) -> int:
        return len(self.tags)


class UnitWriter:
    """Makes serials without their text: which unit exists is what matters here."""

    async def make(self, units: int) -> Units:
        return Units(units)

    async def write(self, connection: Connection, parts: Sequence[Part], kept: Units, home: int = 0) -> None:
        ids = [UUID(int=p.batch_id.int + p.first + n) for p in parts for n in range(p.units)]
        grants = [part.grant_id for part in parts for _ in range(part.units)]
        assert len(ids) == len(kept)
        await connection.execute(serials_store.SQL.note_key, kept.key_id)
        await connection.copy_records_to_table("serials", columns=ids, records=grants, timeout=0)  # type: ignore[arg-type]


class UnitStock:
    """Serials at hand, as many as are wanted."""

    async def take(self, units: int) -> Units:
        return Units(units)

    def expect(self, units: int, chunk: int) -> None:
        """Nothing to make ahead."""

    def close(self) -> None:
        """Nothing to stop."""


def new_serials_store() -> Store:
    """The store of serials with a writer of units."""
    policy = Policy(small_grant=SMALL_GRANT, chunk=CHUNK, reissue_percent=0, reissue_least=QUOTA)
    return Store(UnitWriter(), policy, Plain())  # type: ignore[arg-type]


@dataclass(slots=True)
class Site:
    """One service: its database, its fold and the agents that run beside it."""

    name: str
    database: Database
    service: Service
    fold: Fold
    outbox: Outbox
    relay: Relay
    invoices_store: InvoicesStore | None = None
    agent: Agent | None = None

    @property
    def surroundings(self) -> Surroundings:
        """What its agents work with."""
        return Surroundings(Pool(self.database), self.outbox)

    @property
    def topics(self) -> Sequence[str]:
        return self.service.topics

    def handle(self, records: Sequence[StoredRecord]) -> None:
        """One batch, from poll to commit."""
        Running(self.fold.handle(records)).finish()

    def sweep(self) -> None:
        """Gives everything that waits another chance."""
        rows = Running(Pool(self.database).fetch(fold_module.SQL.keys_to_retry, NEVER, 1_000)).finish()
        if rows:
            Running(self.fold.retry_keys([row["key"] for row in rows])).finish()

    def issue_chunk(self) -> int:
        """The issuing worker's next chunk; 0 when nothing is left to do."""
        issuer = issuing.Issuer(self.surroundings, new_serials_store())
        issuer._stock = UnitStock()  # type: ignore[assignment]
        units: int = Running(issuer.issue_chunk()).finish()
        return units

    def register(self, serial_id: UUID, account: str, key: str, at: datetime) -> Answer:
        """An account registers a serial, which was found by its characters."""
        return self._decide(to_register(self, serial_id, account, key, at))

    def end_serial(self, how: str, serial: Row, who: Person, key: str, at: datetime) -> Answer:
        """A partner or an operator reissues or revokes a serial."""
        order_id = self.database.tables["grants"][serial["grant_id"]]["order_id"]
        return self._decide(to_end(self, how, serial["serial_id"], order_id, who, key, at))

    def ask_refund(self, document: Mapping[str, Any], at: datetime) -> Answer:
        """A partner asks for a refund over HTTP, by the document of `refund.requested`."""
        return self._decide(to_ask_refund(self, document, at))

    def _decide(self, command: Command[Any]) -> Answer:
        (answer,) = Running(self.fold.decide([command])).finish()
        assert isinstance(answer, Answer)
        return answer

    def expire(self) -> int:
        """The deposit expirer's next look, at the wall time of the database."""
        store = self.service.store
        assert isinstance(store, orders_store.Store)
        looked: int = Running(expiry.expire_some(self.surroundings, store, timedelta(seconds=10))).finish()
        return looked

    def close(self, month: str, at: datetime) -> MonthSummary:
        """Closes a month, a partner a transaction."""
        assert self.invoices_store is not None
        new_id = self.database.new_id
        closing = close_like_finance(self.surroundings, self.invoices_store, month, at, new_id)
        summary: MonthSummary = Running(closing).finish()
        return summary

    def take_step(self, act: Act) -> str:
        """A person takes a step of a close."""
        assert self.invoices_store is not None
        assert self.agent is not None
        step = take_step(self.surroundings, self.invoices_store, self.agent, act, self.database.new_id)
        answer: str = Running(step).finish()
        return answer

    def look_at_agent(self, what: str, at: datetime) -> int:
        """The service gives documents to its tax agent, or asks it about them."""
        assert self.invoices_store is not None
        assert self.agent is not None
        looking = look_at_agent(self.surroundings, self.invoices_store, self.agent, what, at)
        count: int = Running(looking).finish()
        return count

    def merge_business(self, month: str, body: MergeBody, at: datetime) -> None:
        """An operator merges a month over a business, or takes such a merge apart."""
        Running(self.fold.decide_alone(*to_merge(self, month, body, at))).finish()

    def correct(self, month: str, body: CorrectBody, at: datetime) -> None:
        """An operator corrects a document, if it can be corrected."""
        Running(self.fold.decide_alone(*to_correct(self, month, body, at))).finish()


async def close_like_finance(
    surroundings: Surroundings, store: InvoicesStore, month: str, at: datetime, new_id: NewId
) -> MonthSummary:
    """Closes a month; where a refund is in progress, once more and despite it."""
    close = partial(close_month, surroundings, store, month, at, sizes=Sizes(1, in_a_set=0), new_id=new_id)
    try:
        return await close()
    except OpenRefunds:
        return await close(despite_open_refunds=True)


Alone = tuple[Command[Any], Work, bool]
"""What `Fold.decide_alone` is asked."""


def to_merge(site: Site, month: str, body: MergeBody, at: datetime) -> Alone:
    """The command that merges a month over a business, or takes such a merge apart."""
    assert site.invoices_store is not None
    work = partial(merge_month_of_business, site.invoices_store, month)
    return (
        _of_operator(site, "business.merge", f"{month} {body.business_number}", body, at),
        work,
        not body.apply,
    )


def to_correct(site: Site, month: str, body: CorrectBody, at: datetime) -> Alone:
    """The command that corrects a document."""
    assert site.invoices_store is not None
    work = partial(correct, site.invoices_store, month)
    return _of_operator(site, "document.correct", f"{month} {body.document}", body, at), work, not body.apply


def to_register(site: Site, serial_id: UUID, account: str, key: str, at: datetime) -> Command[Any]:
    """The command by which an account registers a serial."""
    said, new_id = Registering(account=account), site.database.new_id()
    return Person("shop-7").commands(REGISTER, str(serial_id), said, key, at=at, command_id=new_id)


def to_end(
    site: Site, how: str, serial_id: UUID, order_id: str, who: Person, key: str, at: datetime
) -> Command[Any]:
    """The command that reissues or revokes a serial."""
    said, new_id = EndBody(reason="lost in the mail"), site.database.new_id()
    more: dict[str, Any] = {"subject": str(serial_id), "at": at, "command_id": new_id}
    return who.commands(how, order_id, said, key, said.reason, **more)


def to_ask_refund(site: Site, document: Mapping[str, Any], at: datetime) -> Command[Any]:
    """The command that asks for a refund, as the HTTP route makes it."""
    content = content_hash(REQUESTED, orjson.dumps(document)).hex()
    said = RequestBody(request=RefundRequested.model_validate(document), content=content)
    new_id = site.database.new_id()
    return Person("portal").commands(REQUEST, document["order_id"], said, at=at, command_id=new_id)


def _of_operator(site: Site, name: str, key: str, body: Data, at: datetime) -> Command[Any]:
    return Person("operator-7").commands(name, key, body, at=at, command_id=site.database.new_id())


@dataclass(slots=True)
class Leader:
    """One process that leads the relay of a service, or believes so."""

    site: Site
    broker: Broker
    epoch: int = 0
    published: int = 0
    relay: Relay = field(init=False)

    def __post_init__(self) -> None:
        self.relay = new_relay(self.site)
        row = Running(Connection(self.site.database).fetchrow(relay_module.SQL.take_relay_lead)).finish()
        self.relay._epoch = row["epoch"]
        self.relay._published = self.relay._marked = self.published = row["published"]

    def waiting(self, most: int) -> list[Row]:
        """The next rows to publish."""
        connection = Connection(self.site.database)
        rows: list[Row] = Running(
            connection.fetch(relay_module.SQL.unpublished, self.published, most, self.relay._marked)
        ).finish()
        return rows

    def send(self, rows: Sequence[Row]) -> None:
        """Puts rows into their partitions, in order."""
        for row in rows:
            headers = self.relay._headers(row)
            self.broker.append(row["topic"], row["key"].encode(), row["data"], headers, row["partition"])

    def acknowledged(self, rows: Sequence[Row]) -> None:
        """The broker has said yes to all of them."""
        self.published = self.relay._published = rows[-1]["id"]

    def mark(self) -> bool:
        """Moves the mark; False when a later leader has taken over."""
        try:
            Running(self.relay._mark(Connection(self.site.database))).finish()
        except LostLead:
            return False
        return True


def new_relay(site: Site) -> Relay:
    return Relay(None, site.outbox, None, Silence())  # type: ignore[arg-type]


class System:
    """Four services and the topics between them."""

    def __init__(self, partitions: int, policy: InvoicePolicy = ANY_POLICY) -> None:
        self.policy = policy
        self.broker = Broker(dict.fromkeys(TOPICS, partitions))
        self.watch = Watch()
        self.sites = {
            name: _site(name, number, self.broker, self.watch, policy)
            for number, name in enumerate(SERVICES, start=1)
        }
        self.watch.databases = {name: site.database for name, site in self.sites.items()}
        self.wall = datetime(2026, 8, 1, tzinfo=UTC)

    def set_wall(self, wall: datetime) -> None:
        """The time on every wall."""
        self.wall = wall
        for site in self.sites.values():
            site.database.wall = wall


def _site(
    name: str, number: int, broker: Broker, watch: Watch | None = None, policy: InvoicePolicy = ANY_POLICY
) -> Site:
    database = open_database(name, number)
    service, store = _service(name, watch, policy)
    outbox = Outbox(name, broker.partitions)
    fold = Fold(service, Pool(database), outbox, Plain(), Silence(), NEVER)  # type: ignore[arg-type]
    fold._context = Context(new_id=database.new_id)
    relay = Relay(None, outbox, None, Silence())  # type: ignore[arg-type]
    return Site(name, database, service, fold, outbox, relay, store)


def _service(name: str, watch: Watch | None, policy: InvoicePolicy) -> tuple[Service, InvoicesStore | None]:
    if name == "orders":
        routes = watch.over_orders(orders_handlers.ROUTES) if watch else orders_handlers.ROUTES
        return Service(name, routes, orders_store.Store(), orders_handlers.refuse_late), None
    if name == "serials":
        return Service(
            name,
            serials_handlers.ROUTES,
            new_serials_store(),
            serials_handlers.refuse_late,
            commands=serials_commands.COMMANDS,
            only_here=serials_events.ONLY_HERE,
        ), None
    if name == "refunds":
        store = RefundsStore(Plain())  # type: ignore[arg-type]
        routes = watch.over_refunds(refunds_handlers.ROUTES) if watch else refunds_handlers.ROUTES
        return Service(
            name, routes, store, refunds_handlers.refuse_late, commands=refunds_commands.COMMANDS
        ), None
    invoices = InvoicesStore(policy)
    return Service(name, invoices_handlers.ROUTES, invoices, invoices_handlers.refuse_late), invoices


async def _no_pause(seconds: float) -> None:
    """Waiting is the simulator's business."""


@contextmanager
def without_the_machine(system: System) -> Iterator[None]:
    """Ids, time and pauses come from the simulation while this is open, and nothing is logged."""
    sites = system.sites
    by_outbox = {id(site.outbox): site.database for site in sites.values()}
    append = Outbox.append

    async def numbered(outbox: Outbox, connection: Any, rows: Any) -> None:
        with patch.object(outbox_module, "uuid7_batch", by_outbox[id(outbox)].new_event_ids):
            await append(outbox, connection, rows)

    silent, wall = Silence(), lambda: system.wall
    with ExitStack() as stack:
        for module, name, value in (
            (outbox_module.Outbox, "append", numbered),
            (fold_module, "now", wall),
            (fold_module, "sleep", _no_pause),
            (fold_module, "log", silent),
            (commands, "uuid7", sites["invoices"].database.new_id),
            (expiry, "now", wall),
            (expiry, "log", silent),
            (issuing, "log", silent),
            (serials_store, "uuid7_run", lambda count: sites["serials"].database.new_id()),
            (retry_module, "sleep", _no_pause),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield
