"""The HTTP side of a service in this process: its real routes and limits, no server and no socket."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from shared.operators.todo import Thresholds
from shared.queries import load
from shared.runtime import http
from shared.runtime.consumer import PartitionConsumer
from shared.runtime.evidence_routes import EvidenceEndpoint
from shared.runtime.health import Health
from shared.runtime.operator_routes import OperatorEndpoints
from shared.runtime.outbox import Outbox
from shared.runtime.retry import TRANSIENT
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.runtime.surroundings import Surroundings
from shared.sealing import Sealer
from shared.settings import ServiceSettings
from shared.web.access import HttpMetrics
from shared.web.application import application
from shared.web.routes import HttpRoute
from shared.web.scopes import SCOPES
from shared.web.tokens import Tokens
from tests.support import keys
from tests.support.tokens import Provider

ALL = " ".join(SCOPES)
SEALER = Sealer(keys.DATA, "test")
OF_A_SERVICE: dict[str, Any] = {
    "kafka_bootstrap_servers": "broker:9092",
    "database_url": "postgresql://nobody@localhost/x",
    **{name.lower(): text for name, text in keys.KEY_SETTINGS.items()},
    "serials_registration_url": "https://register.example/s?code={serial}",
}
SUPPLIER: dict[str, Any] = {
    "invoices_supplier_number": "118-81-20586",
    "invoices_supplier_name": "예시 공급자",
    "invoices_supplier_representative": "홍길동",
}


def app_of(
    routes: Sequence[HttpRoute], tokens: Tokens | None, service: str = "orders", **more: Any
) -> FastAPI:
    """The application of these routes."""
    metrics = HttpMetrics(more.pop("registry", None) or CollectorRegistry())
    document = {"info": {"title": f"Pawl {service}", "description": ""}, "operations": {}}
    return application(service, routes, tokens, metrics, document, passing=TRANSIENT, **more)


def client_of(
    app: FastAPI, headers: dict[str, str] | None = None, address: str = "127.0.0.1"
) -> httpx.AsyncClient:
    """Somebody who asks it, from an address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers)


def operator_of(routes: Sequence[HttpRoute], service: str = "orders", **claims: Any) -> httpx.AsyncClient:
    """Somebody whose token allows everything."""
    provider = Provider()
    return client_of(app_of(routes, provider.tokens(), service), provider.allowing(ALL, **claims))


def service_of(name: str) -> Service:
    """A service put together, with no server behind it."""
    settings = import_module(f"services.{name}.settings")
    (model,) = (
        kind
        for kind in vars(settings).values()
        if isinstance(kind, type) and issubclass(kind, ServiceSettings) and kind is not ServiceSettings
    )
    made: Service = import_module(f"services.{name}.app").build(model(**OF_A_SERVICE, **SUPPLIER))
    return made


def routes_of(
    name: str,
    surroundings: Surroundings | None = None,
    fold: Any = None,
    sealer: Sealer = SEALER,
) -> list[HttpRoute]:
    """Every route of a service: what every service answers, and its own."""
    service, nowhere = service_of(name), surroundings or Surroundings(None, Outbox(name, {}))
    metrics = Metrics()
    idle = PartitionConsumer(_handle_nothing, metrics, lambda why: None)
    health = Health(name, [idle], 60, lambda: True, started=True)

    async def observe() -> None:
        """There is nothing to see."""

    common = http.Endpoints(service, "broker:9092", nowhere, health, metrics, observe)
    queries = load(f"services.{name}")
    of_operators = OperatorEndpoints(service, queries, nowhere, fold, sealer, Thresholds())
    evidence = EvidenceEndpoint(service, queries, nowhere)
    return [*common.routes(), *evidence.routes(), *of_operators.routes(), *service.http_routes(nowhere)]


async def _handle_nothing(records: Any) -> None:
    """No record comes here."""
