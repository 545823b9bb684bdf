"""Where the system is: every command that needs its addresses starts here."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ops.shell.problem import Exit, Problem
from ops.shell.run_directory import DEFAULT, RunDirectory
from ops.shell.urls import require_postgres
from shared.brokers import Brokers

# The addresses of a system that `pawl up` did not start, e.g. in containers. An option wins.
KAFKA, POSTGRES, SERVICES = "PAWL_KAFKA", "PAWL_POSTGRES", "PAWL_SERVICES"
KAFKA_CHECKOUT = "PAWL_KAFKA_CHECKOUT"


@dataclass(slots=True, frozen=True)
class Endpoint:
    """The HTTP side of one service."""

    name: str
    base_url: str

    @property
    def health(self) -> str:
        return f"{self.base_url}/health"

    @property
    def metrics(self) -> str:
        return f"{self.base_url}/metrics"

    @property
    def asyncapi(self) -> str:
        return f"{self.base_url}/asyncapi.json"


@dataclass(slots=True, frozen=True)
class System:
    """The addresses of one system. An empty address was neither found nor given.

    `postgres` administers the database, `ops_url` reads everything and writes nothing. On a broker with
    logins `kafka` reads everything, `kafka_admin` makes topics and `kafka_checkout` is upstream; without them
    these two are empty. `prometheus` watches the system, where one was started with it, and `console` shows
    it. `gateway`: a simulated one answers payouts.
    """

    directory: Path
    kafka: str = ""
    postgres: str = ""
    ops_url: str = ""
    services: dict[str, Endpoint] = field(default_factory=dict)
    kafka_admin: str = ""
    kafka_checkout: str = ""
    prometheus: str = ""
    console: str = ""
    gateway: bool = False

    @property
    def checkout(self) -> str:
        """The broker as upstream reaches it."""
        return self.kafka_checkout or self.kafka

    @property
    def administrator(self) -> str:
        """The broker as its administrator reaches it."""
        return self.kafka_admin or self.kafka

    def require_kafka(self) -> str:
        """The broker's address. Raises Problem when it is not known."""
        return self.kafka or _missing("--kafka HOST:PORT")

    def require_ops_url(self) -> str:
        """The database address for reading. Raises Problem when it is not known."""
        return self.ops_url or _missing("--postgres URL")

    def service(self, name: str) -> Endpoint:
        """The endpoint of a service. Raises Problem when its address is not known."""
        try:
            return self.services[name]
        except KeyError:
            raise Problem(
                f"The address of the service {name} is not known.",
                f"Start the system with `pawl up`, or name it: {SERVICES}={name}=http://HOST:PORT",
            ) from None


def _missing(option: str) -> str:
    raise Problem(
        "No system is running here.", f"Start one with `pawl up`, or name one with {option}.", Exit.FAILED
    )


def find_system(
    kafka: str | None = None, postgres: str | None = None, directory: Path | None = None
) -> System:
    """The system that runs in the directory (default: $PAWL_DIR or .pawl), with the addresses given instead.

    Unless a directory is given, $PAWL_KAFKA, $PAWL_POSTGRES and $PAWL_SERVICES (name=URL, between commas) are
    addresses given too; $PAWL_KAFKA_CHECKOUT is that of upstream, where the broker asks for logins. Raises
    Problem when none runs there and no address is given.
    """
    services: dict[str, Endpoint] = {}
    checkout = None
    if directory is None:
        checkout = None if kafka else os.environ.get(KAFKA_CHECKOUT)
        kafka = kafka or os.environ.get(KAFKA)
        postgres = postgres or os.environ.get(POSTGRES)
        services = named_services(os.environ.get(SERVICES, ""))
    for address in filter(None, (kafka, checkout)):
        require_brokers(address)
    if postgres:
        require_postgres(postgres)
    folder = RunDirectory(directory or DEFAULT)
    state = folder.read_state()
    if state is None or state.up.find() is None:
        return _named_system(kafka, postgres, services, folder.path, checkout)
    if not state.ready:
        raise Problem(f"The system in {folder.path} is still starting.", "Try again in a moment.")
    return System(
        directory=folder.path,
        kafka=kafka or state.kafka,
        postgres=postgres or state.postgres,
        ops_url=postgres or state.ops,
        services={name: Endpoint(name, url) for name, url in state.services.items()} | services,
        kafka_admin="" if kafka else state.kafka_admin,
        kafka_checkout=checkout or ("" if kafka else state.kafka_checkout),
        console=state.console,
        gateway=state.gateway,
    )


def require_brokers(address: str) -> Brokers:
    """Where the brokers are and how to log in. Raises Problem for an address that cannot be one."""
    try:
        return Brokers.at(address)
    except ValueError as error:
        raise Problem(
            f"This is not an address of Kafka: {error}.",
            "Give host:port, or sasl_ssl://user:password@host:port (docs/security.md).",
            Exit.USAGE,
        ) from None


def named_services(text: str) -> dict[str, Endpoint]:
    """`orders=http://host:port,invoices=http://host:port` as endpoints. Raises Problem for anything else."""
    endpoints = {}
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, _, url = each.partition("=")
        if not url.startswith(("http://", "https://")):
            raise Problem(
                f"{SERVICES} holds {each!r}, which is not service=URL.",
                f"For example: {SERVICES}=orders=http://127.0.0.1:14002,invoices=http://127.0.0.1:14005",
                Exit.USAGE,
            )
        endpoints[name] = Endpoint(name, url.rstrip("/"))
    return endpoints


def _named_system(
    kafka: str | None,
    postgres: str | None,
    services: dict[str, Endpoint],
    directory: Path,
    checkout: str | None,
) -> System:
    if not kafka and not postgres:
        raise Problem(
            f"No system is running in {directory}.",
            "Start one with `pawl up`, name its directory (--dir) or its servers (--kafka, --postgres).",
        )
    return System(
        directory, kafka or "", postgres or "", postgres or "", services, kafka_checkout=checkout or ""
    )
