"""`pawl up`: the whole system, until Ctrl-C."""

import asyncio
import json
import signal
from contextlib import suppress
from typing import Annotated, Any

import typer

from ops.gateway.command import SEED
from ops.local.prometheus import require_prometheus
from ops.local.running import READY_SECONDS, RunningSystem, Wanted, run_system
from ops.shell.options import Directory, Json, KafkaAddress, PostgresUrl, Wait
from ops.shell.output import tell_on_stderr
from ops.shell.problem import Problem
from ops.shell.run_directory import DEFAULT
from ops.shell.system import require_brokers
from ops.shell.urls import require_postgres, without_password
from ops.tax_agent.command import SEED as TAX_AGENT_SEED
from shared.brokers import Brokers

KafkaPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="A fixed port for the embedded broker.", show_default=False),
]
PostgresPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="A fixed port for the embedded database.", show_default=False),
]
Secure = Annotated[
    bool, typer.Option("--secure", help="Kafka asks everybody for a login and allows what acls.yaml says.")
]

Watch = Annotated[
    bool, typer.Option("--watch", help="Start Prometheus too, with the alerts of deploy/alerts.")
]
WithGateway = Annotated[
    bool, typer.Option("--with-gateway", help="Answer payouts, as `pawl gateway` does. No money moves.")
]
GatewaySeed = Annotated[int, typer.Option("--gateway-seed", min=0, help="Another one behaves in other ways.")]
WithTaxAgent = Annotated[
    bool, typer.Option("--with-tax-agent", help="Issue documents through one, as `pawl tax-agent` is.")
]
TaxAgentSeed = Annotated[
    int, typer.Option("--tax-agent-seed", min=0, help="Another one behaves in other ways.")
]


def up(
    kafka: KafkaAddress = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    kafka_port: KafkaPort = None,
    postgres_port: PostgresPort = None,
    secure: Secure = False,
    watch: Watch = False,
    with_gateway: WithGateway = False,
    gateway_seed: GatewaySeed = SEED,
    with_tax_agent: WithTaxAgent = False,
    tax_agent_seed: TaxAgentSeed = TAX_AGENT_SEED,
    wait: Wait = READY_SECONDS,
    as_json: Json = False,
) -> None:
    """Start Kafka, PostgreSQL, the four services and the console, and keep them running until Ctrl-C.

    The console is there where the database is an embedded one. What they hold stays in the run directory and
    is there again next time.

    Example: [bold]pawl up[/bold]

    Example: [bold]pawl up --with-gateway[/bold]

    Example: [bold]pawl up --kafka broker:9092 --postgres postgresql://admin:secret@db:5432/postgres[/bold]
    """
    if kafka is not None:
        require_brokers(kafka)
    if postgres is not None:
        require_postgres(postgres)
    wanted = Wanted(
        directory=directory or DEFAULT,
        kafka=kafka,
        postgres=postgres,
        kafka_port=kafka_port,
        postgres_port=postgres_port,
        restart_servers=True,
        secure=secure,
        prometheus=require_prometheus() if watch else "",
        console=True,
        gateway_seed=gateway_seed if with_gateway else None,
        tax_agent_seed=tax_agent_seed if with_tax_agent else None,
        ready_seconds=wait,
    )
    asyncio.run(stay_up(wanted, as_json))


async def stay_up(wanted: Wanted, as_json: bool) -> None:
    """Run until SIGINT or SIGTERM; then end in order. Raises Problem when it ends before it was ready."""
    main = asyncio.current_task()
    assert main is not None
    _listen_for_the_end(main)
    ready = False
    # The first signal cancels this task; what it has opened is closed on the way out.
    with suppress(asyncio.CancelledError):
        async with run_system(wanted) as running:
            ready = True
            announce(running, as_json)
            assert running.watching is not None
            await running.watching
    if not ready:
        raise Problem("Stopped before it was ready.")
    tell_on_stderr("Stopped.")


def _listen_for_the_end(main: asyncio.Task[Any]) -> None:
    asked = False

    def end() -> None:
        nonlocal asked
        if asked:
            tell_on_stderr("Still stopping: first the services, then the servers ...")
            return
        asked = True
        tell_on_stderr("\nStopping the services, then the servers ...")
        main.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)


def announce(running: RunningSystem, as_json: bool) -> None:
    """Say on stdout where everything is: one line of JSON, or a text for people."""
    print(json.dumps(where(running)) if as_json else text(running), flush=True)


def where(running: RunningSystem) -> dict[str, Any]:
    """The addresses as `pawl up --json` prints them. Their logins may read everything and write nothing."""
    system = running.system
    return {
        "kafka": system.kafka,
        **({"kafka_checkout": system.kafka_checkout} if system.kafka_checkout else {}),
        "postgres": system.ops_url,
        "services": {
            name: {
                "health": service.health,
                "metrics": service.metrics,
                "asyncapi": service.asyncapi,
                "pid": running.services.pid(name),
            }
            for name, service in system.services.items()
        },
        **({"prometheus": system.prometheus} if system.prometheus else {}),
        **({"console": system.console} if system.console else {}),
        **({"gateway_seed": running.wanted.gateway_seed} if system.gateway else {}),
        **({"tax_agent": running.tax_agent} if running.tax_agent else {}),
    }


def text(running: RunningSystem) -> str:
    """The addresses, and what to try next."""
    system = running.system
    lines = [
        "Pawl is up.",
        "",
        f"  Kafka     {Brokers.at(system.kafka)}",
        f"  Postgres  {without_password(system.ops_url)}",
        *(f"  {name:<9} {service.health}  {service.metrics}" for name, service in system.services.items()),
        *([f"  console   {system.console}"] if system.console else []),
        *([f"  watched   {system.prometheus}/alerts"] if system.prometheus else []),
        *(
            [f"  payouts   a simulated gateway answers, seed {running.wanted.gateway_seed}"]
            if system.gateway
            else []
        ),
        *(
            [f"  documents a simulated tax agent issues, seed {running.wanted.tax_agent_seed}"]
            if running.tax_agent
            else []
        ),
        f"  data, logs, keys and passwords are in {system.directory}",
        "",
        "Try next, in another terminal:",
        "  pawl replay examples/online_retail.csv.gz   a year of real orders",
        "  pawl lag                                    who is behind, and how far",
        "  pawl check                                  does every rule hold",
        "",
        "Ctrl-C stops it; what it holds is kept.",
    ]
    return "\n".join(lines)
