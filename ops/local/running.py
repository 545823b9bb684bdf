"""One running system: servers, topics, database, four services; and its orderly end."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ops.local.child import last_lines
from ops.local.jars import broker_jars
from ops.local.kafka import EmbeddedKafka
from ops.local.ports import HOST, Ports
from ops.local.postgres import EmbeddedPostgres
from ops.local.prometheus import launch_of, until_ready
from ops.local.supervisor import Launch, Supervisor
from ops.setup.broker import ADMINISTRATOR
from ops.setup.logins import kept_kafka_passwords, secure_broker
from ops.setup.provision import Database, kept_passwords, migrate, provision
from ops.setup.topics import create_topics
from ops.shell.http_client import fetch
from ops.shell.output import Tell, tell_on_stderr
from ops.shell.private_files import read_or_make
from ops.shell.problem import Problem
from ops.shell.run_directory import ProcessMark, RunDirectory, RunState, end_processes
from ops.shell.system import Endpoint, System
from ops.shell.tokens import IF_BROKEN, KEYS_OF_SERVICES, new_key, settings_of
from shared.brokers import Brokers
from shared.events.catalogue import SERVICES

# Enough for a machine that has thirty other things to do. What ends while it starts is told at once.
READY_SECONDS = 300.0
RETRY_SECONDS = 5.0
EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "serials": {"SERIALS_REGISTRATION_URL": "https://register.example/{serial}"},
    "invoices": {
        "INVOICES_FOUR_EYES": "false",
        "INVOICES_SUPPLIER_NUMBER": "118-81-20586",
        "INVOICES_SUPPLIER_NAME": "예시 공급자",
        "INVOICES_SUPPLIER_REPRESENTATIVE": "홍길동",
    },
}
"""What a service needs before it shows something, unless the environment says it: without a page on which
customers register no serial is handed out, and without a supplier there is no tax document. One
person may close a month here."""
TELL_SECONDS = 15.0
CONSOLE_TRIES = 300
"""Ten in a second."""
T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Wanted:
    """The parts of a system to run.

    `services` names those to start. `kafka` and `postgres` are addresses of servers that run already (None:
    embedded ones). `environment` is added to that of each service; `command` is the command line of one.
    `secure`: Kafka asks everybody for a login (an address given for it is then its administrator's).
    With `restart_servers` an embedded server that dies starts again, as services always do. `prometheus` is
    the program that watches it all (empty: none). With `console` that starts too, where the database is an
    embedded one and the key of tokens our own. With a `gateway_seed` a simulated payment gateway answers
    payouts, and with a `tax_agent_seed` a simulated tax agent issues documents. Everything has
    `ready_seconds` to start.
    """

    directory: Path
    services: Sequence[str] = SERVICES
    kafka: str | None = None
    postgres: str | None = None
    kafka_port: int | None = None
    postgres_port: int | None = None
    postgres_settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Callable[[str], Sequence[str]] = lambda service: [sys.executable, "-m", f"services.{service}"]
    ready_seconds: float = READY_SECONDS
    restart_servers: bool = False
    secure: bool = False
    prometheus: str = ""
    console: bool = False
    gateway_seed: int | None = None
    tax_agent_seed: int | None = None


def _examples(service: str) -> dict[str, str]:
    return {name: os.environ.get(name) or text for name, text in EXAMPLES.get(service, {}).items()}


class RunningSystem:
    """A system in this process's care. `kafka` and `postgres` are None when they are somebody else's."""

    def __init__(self, wanted: Wanted, folder: RunDirectory, tell: Tell) -> None:
        self.wanted = wanted
        self.folder = folder
        self.database: Database
        self.kafka: EmbeddedKafka | None = None
        self.postgres: EmbeddedPostgres | None = None
        self.services = Supervisor([])
        self.companions = Supervisor([], tell, self._mark_companions)
        self.watching: asyncio.Task[None] | None = None
        self.tax_agent = ""
        self._tell = tell
        self._ports = Ports(folder.ports)
        self._marks: dict[str, ProcessMark] = {}
        self._kafka_logins: dict[str, Brokers] = {}
        self._waits_for = ["Kafka", "PostgreSQL"]
        own = ProcessMark.of("pawl up", os.getpid())
        assert own is not None
        self._state = RunState(up=own)

    @property
    def system(self) -> System:
        """The addresses, as other commands find them."""
        return System(
            directory=self.folder.path,
            kafka=self._state.kafka,
            postgres=self._state.postgres,
            ops_url=self._state.ops,
            services={name: Endpoint(name, url) for name, url in self._state.services.items()},
            kafka_admin=self._state.kafka_admin,
            kafka_checkout=self._state.kafka_checkout,
            prometheus=self._state.prometheus,
            console=self._state.console,
            gateway=self._state.gateway,
        )

    async def start(self, jars: Sequence[Path]) -> None:
        """Everything up to the moment when each service is healthy. Raises Problem."""
        telling = asyncio.create_task(self._tell_what_it_waits_for())
        try:
            async with asyncio.timeout(self.wanted.ready_seconds):
                kafka, postgres = await together(self._start_kafka(jars), self._start_postgres())
                await together(self._make_topics(kafka), self._prepare_database(postgres))
                if self.wanted.tax_agent_seed is not None:
                    self._start_tax_agent(self.wanted.tax_agent_seed)
                self._start_services()
                await self._until_healthy()
                if self.wanted.prometheus:
                    await self._start_prometheus(self.wanted.prometheus)
        except TimeoutError:
            raise await self._not_ready() from None
        finally:
            telling.cancel()
        self._state.ready = True
        self._write_state()
        if self.wanted.gateway_seed is not None:
            self.start_gateway(self.wanted.gateway_seed)
        if self.wanted.console and self.postgres is not None and self._state.signs_tokens:
            await self._start_console()

    async def _tell_what_it_waits_for(self) -> None:
        waited = 0.0
        while True:
            await asyncio.sleep(TELL_SECONDS)
            waited += TELL_SECONDS
            self._tell(
                f"Waiting for {self._missing} ({waited:.0f} s of {self.wanted.ready_seconds:.0f} s) ..."
            )

    @property
    def _missing(self) -> str:
        return " and ".join(self._waits_for) or "the services"

    async def stop(self) -> None:
        """Services first, so that they can publish what they have left; then the servers."""
        await asyncio.gather(self.services.stop_all(), self.companions.stop_all())
        await asyncio.gather(*(server.stop() for server in (self.kafka, self.postgres) if server))

    async def watch(self) -> None:
        """Start again what dies, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.services.watch())
            tasks.create_task(self.companions.watch())
            for name, server in (("Kafka", self.kafka), ("PostgreSQL", self.postgres)):
                if server and self.wanted.restart_servers:
                    tasks.create_task(self._keep_alive(name, server))

    async def _keep_alive(self, name: str, server: EmbeddedKafka | EmbeddedPostgres) -> None:
        while True:
            await asyncio.sleep(0.5)
            if not server.is_alive:
                self._tell(f"{name} has ended; it starts again. Its log of before: {server.log}.1")
                await self._start_again(name, server)

    async def _start_again(self, name: str, server: EmbeddedKafka | EmbeddedPostgres) -> None:
        try:
            await server.start()
        except Problem as problem:
            self._tell(f"{problem}\nThe next try is in {RETRY_SECONDS:.0f} s.")
            await asyncio.sleep(RETRY_SECONDS)
        else:
            self._tell(f"{name} is back.")

    async def _start_kafka(self, jars: Sequence[Path]) -> str:
        if self.wanted.kafka:
            return self.wanted.kafka
        password = self.kafka_passwords()[ADMINISTRATOR] if self.wanted.secure else ""
        self.kafka = EmbeddedKafka(
            self.folder.kafka,
            self._ports,
            self.folder.logs / "kafka.log",
            self.wanted.kafka_port,
            lambda pid: self._mark("kafka", pid),
            password,
        )
        await self.kafka.start(jars)
        return self.kafka.administrator.address()

    async def _start_postgres(self) -> str:
        if self.wanted.postgres:
            return self.wanted.postgres
        self.postgres = EmbeddedPostgres(
            self.folder.postgres,
            self._ports,
            self.folder.logs / "postgres.log",
            self.wanted.postgres_port,
            self.wanted.postgres_settings,
            lambda pid: self._mark("postgres", pid),
        )
        await self.postgres.start()
        return self.postgres.url()

    async def _make_topics(self, kafka: str) -> None:
        created = await create_topics(kafka)
        self._state.kafka = kafka
        if self.wanted.secure:
            await self._secure_kafka(Brokers.at(kafka))
        self._waits_for.remove("Kafka")
        if created:
            self._tell(f"Created the topics {', '.join(created)}.")

    async def _secure_kafka(self, administrator: Brokers) -> None:
        passwords = self.kafka_passwords(administrator.password)
        await secure_broker(administrator, passwords)
        self._state.kafka_admin = administrator.address()
        for name in ("ops", "checkout", *SERVICES):
            login = administrator.log_in_as(f"pawl_{name}", passwords[f"pawl_{name}"])
            self._kafka_logins[name] = login
        self._state.kafka = self._kafka_logins["ops"].address()
        self._state.kafka_checkout = self._kafka_logins["checkout"].address()

    def kafka_passwords(self, administrator: str = "") -> dict[str, str]:
        """The passwords on a broker that asks for logins, by name."""
        return kept_kafka_passwords(self.folder.kafka_passwords, administrator)

    async def _prepare_database(self, server_url: str) -> None:
        self.database = await provision(server_url, kept_passwords(self.folder.passwords, server_url))
        self._state.postgres, self._state.ops = self.database.admin_url, self.database.ops_url
        for service, names in (await migrate(self.database)).items():
            if names:
                self._tell(f"Migrated {service}: {', '.join(names)}.")
        self._waits_for.remove("PostgreSQL")

    def _start_services(self) -> None:
        keys = self.folder.service_keys(self._state.postgres)
        self._state.services = {name: self._base_url(name) for name in self.wanted.services}
        tokens = self._token_settings()
        launches = [self._launch(name, keys | tokens) for name in self.wanted.services]
        self.services = Supervisor(launches, self._tell, self._mark_services)
        self.services.start_all()

    async def _start_prometheus(self, program: str) -> None:
        port, log = self._ports.take("prometheus"), self.folder.logs / "prometheus.log"
        self._waits_for.append("Prometheus")
        launch = launch_of(program, self.folder.prometheus, port, self._state.services, log)
        self.companions.add(launch)
        self._state.prometheus = f"http://{HOST}:{port}"
        await until_ready(self._state.prometheus)
        self._waits_for.remove("Prometheus")

    async def _start_console(self) -> None:
        """A face of what runs; that it does not start is told, and hinders nobody."""
        port = self._ports.take("console-http")
        environment = {
            "DATABASE_URL": self.database.console_url,
            "PAWL_POSTGRES": self._state.ops,
            "PAWL_KAFKA": self._state.kafka,
            "PAWL_SERVICES": ",".join(f"{name}={url}" for name, url in self._state.services.items()),
            "HTTP_HOST": HOST,
            "HTTP_PORT": str(port),
            "CONSOLE_DEMO_DIRECTORY": str(self.folder.path),
            "PYTHONUNBUFFERED": "1",
        }
        log = self.folder.logs / "console.log"
        self.companions.add(Launch("console", [sys.executable, "-m", "console"], environment, log))
        url = f"http://{HOST}:{port}"
        for _ in range(CONSOLE_TRIES):
            if (await fetch(f"{url}/health")).status == 200:
                self._state.console = url
                self._write_state()
                return
            if not self.companions.is_alive("console"):
                break
            await asyncio.sleep(0.1)
        self._tell(f"The console does not answer. Its log: {log}")

    def start_gateway(self, seed: int) -> None:
        """Payouts are answered from now on, those too that nobody has answered before."""
        self._state.gateway = True
        where = ["--dir", str(self.folder.path), "--seed", str(seed)]
        command = [sys.executable, "-m", "ops.pawl", "gateway", *where]
        self.companions.add(Launch("gateway", command, {}, self.folder.logs / "gateway.log"))

    def _start_tax_agent(self, seed: int) -> None:
        """Documents are issued by it from now on; it knows what it was given in an earlier run."""
        port = self._ports.take("tax-agent")
        self.tax_agent = f"http://{HOST}:{port}"
        kept = str(self.folder.path / "tax-agent.jsonl")
        where = ["--port", str(port), "--seed", str(seed), "--file", kept]
        command = [sys.executable, "-m", "ops.pawl", "tax-agent", *where]
        self.companions.add(Launch("tax-agent", command, {}, self.folder.logs / "tax-agent.log"))

    def _tax_agent_settings(self, name: str) -> dict[str, str]:
        if name != "invoices" or not self.tax_agent:
            return {}
        return {
            "INVOICES_TAX_AGENT_URL": self.tax_agent,
            "INVOICES_BUSINESS_STATUS_URL": f"{self.tax_agent}/businesses",
        }

    def _token_settings(self) -> dict[str, str]:
        """How services check tokens: with the key of this directory, unless the environment names others."""
        if os.environ.get(KEYS_OF_SERVICES) or KEYS_OF_SERVICES in self.wanted.environment:
            return {}
        self._state.signs_tokens = True
        return settings_of(read_or_make(self.folder.token_key, new_key, IF_BROKEN))

    def _base_url(self, name: str) -> str:
        return f"http://{HOST}:{self._ports.take(f'{name}-http')}"

    def _launch(self, name: str, keys: Mapping[str, str]) -> Launch:
        own_keys = {
            key: value
            for key, value in keys.items()
            if name == "serials" or key.startswith(("DATA_", "TOKEN_"))
        }
        environment = {
            **kafka_environment(self._kafka_logins.get(name) or Brokers.at(self._state.kafka)),
            "DATABASE_URL": self.database.service_url(name),
            "HTTP_HOST": HOST,
            "HTTP_PORT": self._state.services[name].rpartition(":")[2],
            "PYTHONUNBUFFERED": "1",
            "STARTUP_PATIENCE_SECONDS": str(self.wanted.ready_seconds),
            **own_keys,
            **_examples(name),
            **self._tax_agent_settings(name),
            **self.wanted.environment,
        }
        return Launch(name, self.wanted.command(name), environment, self.folder.logs / f"{name}.log")

    async def _until_healthy(self) -> None:
        await together(*(self._until_one_is_healthy(name) for name in self.services.names))

    async def _until_one_is_healthy(self, name: str) -> None:
        url = self.system.service(name).health
        while (await fetch(url)).status != 200:
            if not self.services.is_alive(name):
                log = self.services.log(name)
                raise Problem(
                    f"The service {name} ended with code {self.services.exit_code(name)} while starting. "
                    f"Its last lines:\n{last_lines(log)}",
                    f"Its whole log: {log}",
                )
            await asyncio.sleep(0.1)

    async def _not_ready(self) -> Problem:
        seconds = f"{self.wanted.ready_seconds:.0f} s"
        for name in self.services.names:
            answer = await fetch(self.system.service(name).health)
            if answer.status != 200:
                log = self.services.log(name)
                problem = f"The service {name} is not healthy after {seconds}."
                return Problem(
                    f"{problem} Its answer: {answer.text[:300] or 'none'}\n{last_lines(log)}",
                    f"Its whole log: {log}. On a busy machine give it longer: --wait SECONDS",
                )
        return Problem(
            f"Not ready after {seconds}: {self._missing}.",
            f"The logs are in {self.folder.logs}. On a busy machine give it longer: --wait SECONDS. What is "
            "done stays done.",
        )

    def _mark_services(self) -> None:
        self._mark_all(self.services)

    def _mark_companions(self) -> None:
        self._mark_all(self.companions)

    def _mark_all(self, supervisor: Supervisor) -> None:
        for name, pid in supervisor.pids().items():
            self._mark(name, pid)

    def _mark(self, name: str, pid: int) -> None:
        mark = ProcessMark.of(name, pid)
        if mark:
            self._marks[name] = mark
        self._write_state()

    def _write_state(self) -> None:
        self._state.processes = list(self._marks.values())
        self.folder.write_state(self._state)


def kafka_environment(brokers: Brokers) -> dict[str, str]:
    """The environment in which a service finds Kafka and its login there."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": brokers.servers,
        "KAFKA_SECURITY_PROTOCOL": brokers.protocol,
        "KAFKA_SASL_MECHANISM": brokers.mechanism,
        "KAFKA_SASL_USERNAME": brokers.username,
        "KAFKA_SASL_PASSWORD": brokers.password,
        "KAFKA_SASL_PASSWORD_FILE": brokers.password_file,
        "KAFKA_SSL_CA_FILE": brokers.ca_file,
        "KAFKA_SSL_CERT_FILE": brokers.cert_file,
        "KAFKA_SSL_KEY_FILE": brokers.key_file,
    }
    return {name: str(value) for name, value in environment.items() if value}


@asynccontextmanager
async def run_system(wanted: Wanted, tell: Tell = tell_on_stderr) -> AsyncIterator[RunningSystem]:
    """A system that is ready inside the block and stopped after it. Raises Problem.

    The one-time download of the broker's jars does not count towards `ready_seconds`.
    """
    folder = RunDirectory(wanted.directory)
    folder.create()
    async with AsyncExitStack() as at_the_end:
        folder.lock()
        at_the_end.callback(folder.unlock)
        await asyncio.to_thread(end_orphans, folder, tell)
        jars = [] if wanted.kafka else await asyncio.to_thread(broker_jars, tell=tell)
        running = RunningSystem(wanted, folder, tell)
        at_the_end.callback(folder.forget_state)
        at_the_end.push_async_callback(running.stop)
        await running.start(jars)
        running.watching = asyncio.create_task(running.watch())
        at_the_end.push_async_callback(_cancel, running.watching)
        yield running


@asynccontextmanager
async def running_system(
    directory: Path,
    services: bool | Sequence[str] = True,
    kafka: str | None = None,
    postgres: str | None = None,
    environment: Mapping[str, str] | None = None,
    tell: Tell = tell_on_stderr,
    ready_seconds: float = READY_SECONDS,
) -> AsyncIterator[RunningSystem]:
    """run_system() in short: all services, none, or those named; what dies inside the block starts again."""
    names = SERVICES if services is True else (services or ())
    wanted = Wanted(
        directory, names, kafka, postgres, environment=environment or {}, ready_seconds=ready_seconds
    )
    async with run_system(wanted, tell) as running:
        yield running


async def together(*parts: Coroutine[Any, Any, T]) -> list[T]:
    """Do several things at once; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            doing = [tasks.create_task(part) for part in parts]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in doing]


def end_orphans(folder: RunDirectory, tell: Tell) -> None:
    """End what a killed `pawl up` left behind. Only safe under the lock, which says that none is alive."""
    state = folder.read_state()
    if state is None:
        return
    ended = end_processes(state.processes)
    folder.forget_state()
    if ended:
        tell(f"Ended what the last run had left behind: {', '.join(ended)}.")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
