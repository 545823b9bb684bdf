"""One service as a process: the FastStream application, its relay, its agents, its HTTP side, its end."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from ssl import SSLCertVerificationError
from typing import Any

import asyncpg
import orjson
import structlog
from aiokafka.errors import KafkaError
from faststream import FastStream
from starlette.types import ASGIApp

from shared import migrations
from shared.brokers import somebody_listens, untrusted
from shared.clock import monotonic, now
from shared.crash_points import crash_at_points
from shared.events.catalogue import FEEDBACK, UPSTREAM
from shared.kafka import MissingTopic, new_producer, oldest_record, partition_counts, security_of
from shared.postgres import NoSession, connect, open_pool, require_session
from shared.queries import load
from shared.runtime import http
from shared.runtime.command_queue import CommandQueue
from shared.runtime.consumer import PartitionConsumer, new_broker, subscribe
from shared.runtime.evidence_routes import EvidenceEndpoint
from shared.runtime.fold import Fold
from shared.runtime.health import STALLED_EXIT_CODE, Health, watch_loop
from shared.runtime.offsets import HandledOffsets
from shared.runtime.operator_routes import OperatorEndpoints
from shared.runtime.outbox import Outbox
from shared.runtime.recovery import NotAlone, Recoverer
from shared.runtime.refusing import tell_refusal
from shared.runtime.relay import Relay
from shared.runtime.retention import Retention
from shared.runtime.retry import TRANSIENT
from shared.runtime.schema_behind import require_up_to_date
from shared.runtime.servers import servers_of
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.runtime.surroundings import Surroundings
from shared.runtime.sweep import end_silent_sessions, retry_waiting
from shared.runtime.tasks import end_all
from shared.runtime.topic_events import SchemaBehind
from shared.runtime.topics import Topics
from shared.runtime.troubles import Troubles
from shared.settings import S, ServiceSettings, WrongSetting, read_settings
from shared.telemetry import close_spans, middlewares, open_spans, set_up_logging
from shared.web.access import HttpMetrics
from shared.web.application import application, nobody_has_left

SQL = load("shared.runtime")
HEARTBEAT_SECONDS = 0.5
# More than the longest pause between two attempts, and the attempt itself.
AFTER_AN_OUTAGE_SECONDS = 15.0
LAST_SPANS_SECONDS = 2.0
PATIENCE_WITH_A_HANDSHAKE = 5.0
RECOVER, APPLY = "recover", "--apply"
"""What a process is started with that brings its schema forward and ends."""
SOMETHING_LOST = 3
NO_RECOVERY: tuple[type[BaseException], ...] = (NotAlone, *TRANSIENT)

log = structlog.get_logger("pawl.app")


class CannotStart(Exception):
    """Something outside this process keeps it from starting; the message says what and what to do."""


class Runtime:
    """Everything that one running service consists of."""

    def __init__(
        self, service: Service, settings: ServiceSettings, pool: asyncpg.Pool, partitions: dict[str, int]
    ):
        self.service = service
        self.settings = settings
        self.pool = pool
        self.metrics = Metrics()
        self.troubles = Troubles()
        self.sealer = settings.sealer()
        on_crash_point = crash_at_points(settings.crash_at, settings.pause_at)
        self.topics = Topics(settings.brokers(), partitions, pool, self._begin_anew, self.troubles)
        self.outbox = Outbox(service.name, partitions, on_crash_point, self.topics.earlier)
        self.fold = Fold(
            service,
            pool,
            self.outbox,
            self.sealer,
            self.metrics,
            timedelta(seconds=settings.wait_deadline_seconds),
            self.troubles,
        )
        self.commands = CommandQueue(self.fold.decide, self.fold.decide_alone, self.fold.try_out)
        self.surroundings = Surroundings(
            pool,
            self.outbox,
            on_crash_point,
            self.commands.send,
            self.commands.send_alone,
            self.metrics,
            troubles=self.troubles,
        )
        queries = load(f"services.{service.name}")
        self.evidence = EvidenceEndpoint(service, queries, self.surroundings)
        self.operators = OperatorEndpoints(
            service,
            queries,
            self.surroundings,
            self.fold,
            self.sealer,
            settings.thresholds(),
        )
        self.relay = Relay(
            lambda: connect(settings.postgres(), service.name),
            self.outbox,
            lambda: new_producer(settings.brokers(), service.name),
            self.metrics,
            on_crash_point,
            self._before_leading,
            self.troubles,
        )
        self.retention = Retention(
            pool,
            lambda: oldest_record(settings.brokers(), _remembered(service, partitions)),
            lambda: self.relay.leading,
            self.metrics,
        )
        self.consumers = [
            PartitionConsumer(
                self.fold.handle,
                self.metrics,
                self.give_up,
                on_crash_point,
                HandledOffsets(pool, self.metrics),
                self.troubles,
            )
            for _ in range(settings.partition_consumers)
        ]
        self.health = Health(
            service.name,
            self.consumers,
            settings.stall_seconds,
            lambda: self.relay.leading,
            details=self.surroundings.health,
            troubles=self.troubles,
            relay_stands=self.relay.stands,
            unsent=lambda: self.relay.unsent,
        )
        self.exit_code = 0
        self.stream: FastStream | None = None

    def application(self) -> ASGIApp:
        """What this service answers over HTTP: what every service has, and its own."""
        common = http.Endpoints(
            self.service,
            self.settings.kafka_bootstrap_servers.split(",")[0],
            self.surroundings,
            self.health,
            self.metrics,
            self.observe,
        )
        return application(
            self.service.name,
            # What customers ask by the thousand stands before what operators ask: paths are tried in turn.
            [
                *self.service.http_routes(self.surroundings),
                *common.routes(),
                *self.evidence.routes(),
                *self.operators.routes(),
            ],
            self.settings.tokens(),
            HttpMetrics(self.metrics.registry),
            common.asyncapi(),
            at_once=self.settings.http_at_once,
            passing=TRANSIENT,
            has_left=nobody_has_left if self.service.has_left is None else self._has_left,
        )

    async def _before_leading(self) -> None:
        """Raises where it must not publish: its lock would be another's, or its schema is behind."""
        await require_session(self.settings.postgres())
        await require_up_to_date(
            self.settings.brokers(), self.service.name, self.topics.partitions, self.pool
        )

    async def _begin_anew(self, topics: Collection[str]) -> None:
        for consumer in self.consumers:
            await consumer.begin_anew(topics)

    async def _has_left(self, partner_id: str) -> bool:
        assert self.service.has_left is not None
        left: bool = await self.pool.fetchval(self.service.has_left, partner_id)
        return left

    def give_up(self, why: str) -> None:
        """Ends the process; what is not committed comes again after the restart."""
        self.exit_code = STALLED_EXIT_CODE
        log.critical("giving up", why=why)
        if self.stream is not None:
            self.stream.exit()

    async def observe(self) -> None:
        """Reads the gauges that are not kept up to date by themselves."""
        self.metrics.lag_events.set(sum(consumer.lag() for consumer in self.consumers))
        with suppress(*TRANSIENT):
            backlog = await self.pool.fetchrow(SQL.outbox_backlog)
            self.metrics.outbox_events.set(backlog["events"] if backlog else 0)
            self.metrics.unsent.set(await self.pool.fetchval(SQL.unsent_count))
            waiting = await self.pool.fetch(SQL.parked_summary)
            self.metrics.waiting.clear()
            for row in waiting:
                self.metrics.waiting.labels(row["kind"]).set(row["events"])
            await self.metrics.todo.keep_fresh(self.operators.what_needs_somebody, now())

    async def beat(self) -> None:
        """Keeps the heartbeat, and ends the process when its work stands still though the servers answer.

        They may have come back just now, so the work gets a while to go on. Where somebody has to mend
        something first, a restart changes nothing.
        """
        suspected_at: float | None = None
        while True:
            self.health.heartbeat = monotonic()
            stalled = self.health.stalled() if self.health.started and not self.health.stopping else None
            if not stalled or self.health.lasting_troubles() or not await self._servers_answer():
                suspected_at = None
            elif suspected_at is None:
                suspected_at = monotonic()
            elif monotonic() - suspected_at >= AFTER_AN_OUTAGE_SECONDS:
                self.give_up(stalled)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _servers_answer(self) -> bool:
        """Whether Postgres and a broker answer: while they do not, waiting is the right thing to do."""
        if not await somebody_listens(self.settings.kafka_bootstrap_servers, 5):
            return False
        try:
            async with asyncio.timeout(5):
                return await self.pool.fetchval("SELECT true") is True
        except TRANSIENT:
            return False


def main(model: type[S], build: Callable[[S], Service]) -> None:
    """Runs one service until it is asked to stop. Exit codes: 0 stopped, 1 cannot start, 70 stalled."""
    try:
        settings = read_settings(model)
        service = build(settings)
        calm_garbage_collector()
        set_up_logging(service.name, settings.log_level)
        # Not uvloop: on it, a write to a connection that broke is a RuntimeError, which aiokafka does not
        # expect. It ends the task that keeps its metadata, and a broker that came back is never found.
        if sys.argv[1:2] == [RECOVER]:
            sys.exit(asyncio.run(recover(service, settings, apply=sys.argv[2:] == [APPLY])))
        sys.exit(asyncio.run(run(service, settings)))
    except (WrongSetting, CannotStart) as error:
        sys.exit(f"pawl: {error}")


def calm_garbage_collector() -> None:
    """A batch makes many objects and no cycles: looking for them every 700 allocations is a fifth of it.

    A batch of 2,000 records has more than 100,000 at once, counted by how often the collector came for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 20, 20)


async def recover(service: Service, settings: ServiceSettings, *, apply: bool) -> int:
    """Brings a restored schema forward from the topics, or says what it would do: a JSON document on stdout.

    Returns 0, or 3 where something cannot be brought forward and nothing was changed. Raises CannotStart.
    """
    partitions = await _patiently(settings, lambda: _partitions(service, settings))
    pool = await _patiently(settings, lambda: _pool(service, settings))
    runtime = Runtime(service, settings, pool, partitions)
    connection = await connect(settings.postgres(), service.name)
    try:
        recoverer = Recoverer(service, runtime.fold, runtime.outbox, settings.brokers(), partitions)
        result = await recoverer.recover(connection, apply=apply)
    except NO_RECOVERY as trouble:
        raise CannotStart(f"nothing was changed: {trouble}") from None
    finally:
        await connection.close()
        await pool.close()
    sys.stdout.write(orjson.dumps(result.to_document()).decode() + "\n")
    return SOMETHING_LOST if result.lost else 0


async def run(service: Service, settings: ServiceSettings) -> int:
    """Starts everything, serves until a signal, stops in order. Returns the exit code."""
    listener = _bind(settings)
    partitions = await _patiently(settings, lambda: _partitions(service, settings))
    pool = await _patiently(settings, lambda: _pool(service, settings))
    try:
        await _patiently(
            settings, lambda: require_up_to_date(settings.brokers(), service.name, partitions, pool)
        )
    except SchemaBehind as behind:
        log.critical("it does not start", why=str(behind), ends_after=settings.refusal_seconds)
        await pool.close()
        await tell_refusal(listener, service.name, behind, settings.refusal_seconds)
        raise CannotStart(str(behind)) from None
    runtime = Runtime(service, settings, pool, partitions)
    await _patiently(settings, runtime.topics.begin)
    spans = open_spans(service.name)
    broker = new_broker(
        settings.kafka_bootstrap_servers,
        settings.stop_grace_seconds,
        client_id=f"pawl-{service.name}",
        allow_auto_create_topics=False,
        security=security_of(settings.brokers()),
        middlewares=middlewares(service.name, runtime.metrics.registry, spans),
    )
    for consumer in runtime.consumers:
        subscribe(
            broker,
            consumer,
            topics=service.topics,
            group=f"pawl-{service.name}",
            max_records=settings.max_records,
            traced=spans is not None,
        )
    runtime.stream = FastStream(broker, logger=None)
    runtime.stream.after_startup(partial(_started, runtime))
    runtime.stream.on_shutdown(partial(_stopping, runtime))
    try:
        async with _beside(runtime, listener):
            await runtime.stream.run()
    except KafkaError as error:
        raise CannotStart(f"Kafka at {settings.kafka_bootstrap_servers}: {error}") from None
    finally:
        await asyncio.wait([asyncio.ensure_future(pool.close())], timeout=5)
        close_spans(spans, LAST_SPANS_SECONDS)
    return runtime.exit_code


@asynccontextmanager
async def _beside(runtime: Runtime, listener: Any) -> AsyncIterator[None]:
    """What runs beside the consumers, and is stopped after them so that their last events still go out."""
    server = http.server_for(runtime.application(), runtime.settings.proxies())
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    tasks = [
        _named(runtime.relay.run(), "relay"),
        _named(runtime.topics.watch(), "topics"),
        _named(end_silent_sessions(runtime.pool), "end_silent_sessions"),
        _named(retry_waiting(runtime.pool, runtime.fold), "retry_waiting"),
        _named(runtime.retention.run(runtime.settings.forget_every_seconds), "retention"),
        _named(runtime.beat(), "beat"),
        *(
            _named(server.watch(), f"watch {server.name}")
            for server in servers_of(runtime.settings, runtime.service.name)
        ),
        *(_named(consumer.commit_forever(), "commit") for consumer in runtime.consumers),
        *(
            _named(agent(runtime.surroundings), getattr(agent, "__name__", "agent"))
            for agent in runtime.service.agents
        ),
    ]
    for task in tasks:
        task.add_done_callback(lambda ended: _died(runtime, ended))
    watch_loop(runtime.health)
    try:
        yield
    finally:
        await _drain_outbox(runtime)
        await end_all(tasks)
        server.should_exit = True
        await serving


def _named(coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
    return asyncio.create_task(coroutine, name=name)


def _died(runtime: Runtime, task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        runtime.give_up(f"{task.get_name()} failed: {type(failure).__name__}: {failure}")


async def _drain_outbox(runtime: Runtime) -> None:
    """Lets the relay publish what the last batches committed, for as long as the grace lasts."""
    with suppress(*TRANSIENT):
        async with asyncio.timeout(runtime.settings.stop_grace_seconds / 2):
            await runtime.relay.drain(runtime.pool)


async def _started(runtime: Runtime) -> None:
    runtime.health.started = True
    log.info("service started", topics=list(runtime.service.topics), consumers=len(runtime.consumers))


async def _stopping(runtime: Runtime) -> None:
    runtime.health.stopping = True
    for consumer in runtime.consumers:
        await consumer.commit()
    log.info("service stops")


def _remembered(service: Service, partitions: dict[str, int]) -> dict[str, int]:
    """The topics that inbox and outbox must remember as long as the broker does.

    Of the other services' topics only cursors are kept, and these are kept for ever.
    """
    others = set(service.topics) - {UPSTREAM}
    return {topic: count for topic, count in partitions.items() if topic not in others}


def _bind(settings: ServiceSettings) -> Any:
    try:
        return http.bind(settings.http_host, settings.http_port)
    except OSError as error:
        place = f"{settings.http_host}:{settings.http_port}"
        raise CannotStart(f"cannot listen on {place} ({error.strerror}); choose another HTTP_PORT") from None


async def _partitions(service: Service, settings: ServiceSettings) -> dict[str, int]:
    topics = {*service.topics, f"{service.name}.events", FEEDBACK}
    if why := await untrusted(settings.brokers(), PATIENCE_WITH_A_HANDSHAKE):
        raise CannotStart(
            f"Kafka shows a certificate that is not trusted ({why}): name its CA in KAFKA_SSL_CA_FILE, and a "
            "host that stands in the certificate in KAFKA_BOOTSTRAP_SERVERS"
        )
    try:
        return await partition_counts(settings.brokers(), sorted(topics))
    except MissingTopic as error:
        raise CannotStart(str(error)) from None


async def _pool(service: Service, settings: ServiceSettings) -> asyncpg.Pool:
    database = settings.postgres()
    try:
        await require_session(database)
        pending = await migrations.pending(database, service.name)
        if pending:
            raise CannotStart(f"the schema {service.name} lacks {', '.join(pending)}: run `pawl migrate`")
        return await open_pool(database, service.name, settings.partition_consumers + 6)
    except NoSession as error:
        raise CannotStart(str(error)) from None
    except SSLCertVerificationError as error:
        raise CannotStart(
            f"PostgreSQL shows a certificate that is not trusted ({error.verify_message or error}): name its "
            "CA as sslrootcert of DATABASE_URL, and a host that stands in the certificate"
        ) from None
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise CannotStart(f"DATABASE_URL is refused: {error}; check role, password and database") from None


async def _patiently(settings: ServiceSettings, operation: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Repeats a first contact for a while, since servers and services often start together."""
    deadline = monotonic() + settings.startup_patience_seconds
    while True:
        try:
            return await operation()
        except TRANSIENT as error:
            if monotonic() > deadline:
                raise CannotStart(
                    f"no answer: {type(error).__name__}: {error}; is it running, are address and login right?"
                ) from None
            log.warning("waiting for the servers", trouble=f"{type(error).__name__}: {error}"[:200])
            await asyncio.sleep(0.25)
