"""The invoices service, put together."""

from functools import partial

from services.invoices.api import http_routes
from services.invoices.business_registry import HttpBusinessRegistry, NoRegistry
from services.invoices.commands import COMMANDS
from services.invoices.exhibits import EVIDENCE
from services.invoices.find import FIND
from services.invoices.handlers import ROUTES, refuse_late
from services.invoices.keeping import keep_months
from services.invoices.posting import Poster
from services.invoices.settings import InvoicesSettings
from services.invoices.store import SQL, Store
from services.invoices.submitting import Outside, submit_documents
from services.invoices.tax_agent import HttpTaxAgent
from services.invoices.todo import TODO
from shared.runtime.service import Agent, Service


def build(settings: InvoicesSettings) -> Service:
    """What makes the runtime the invoices service."""
    store = Store(settings.policy())
    outside = _outside(settings)
    agents: list[Agent] = [partial(keep_months, store=store)]
    if outside is not None:
        agents.append(partial(submit_documents, store=store, outside=outside))
    return Service(
        name="invoices",
        routes=ROUTES,
        store=store,
        refuse_late=refuse_late,
        http_routes=partial(
            http_routes,
            store=store,
            sizes=settings.sizes(),
            supplier=settings.supplier(),
            agent=None if outside is None else outside.agent,
        ),
        commands=COMMANDS,
        agents=agents,
        todo=TODO,
        find=FIND,
        evidence=EVIDENCE,
        has_left=SQL.has_left,
    )


def _outside(settings: InvoicesSettings) -> Outside | None:
    """The tax agent and who knows of businesses; None where documents are issued without an agent."""
    supplier, seconds = settings.supplier(), settings.invoices_tax_agent_seconds
    if not settings.invoices_tax_agent_url or supplier is None:
        return None
    agent = HttpTaxAgent(Poster(settings.invoices_tax_agent_url, settings.agent_token(), seconds))
    if not settings.invoices_business_status_url:
        return Outside(agent, NoRegistry(), supplier)
    registry = Poster(settings.invoices_business_status_url, settings.registry_token(), seconds)
    return Outside(agent, HttpBusinessRegistry(registry), supplier)
