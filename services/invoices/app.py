"""The invoices service, put together."""

from functools import partial

from services.invoices.api import http_routes
from services.invoices.commands import COMMANDS
from services.invoices.exhibits import EVIDENCE
from services.invoices.find import FIND
from services.invoices.handlers import ROUTES, refuse_late
from services.invoices.settings import InvoicesSettings
from services.invoices.store import SQL, Store
from services.invoices.todo import TODO
from shared.runtime.service import Service


def build(settings: InvoicesSettings) -> Service:
    """What makes the runtime the invoices service."""
    store = Store(settings.policy())
    return Service(
        name="invoices",
        routes=ROUTES,
        store=store,
        refuse_late=refuse_late,
        http_routes=partial(http_routes, store=store, sizes=settings.sizes(), supplier=settings.supplier()),
        commands=COMMANDS,
        todo=TODO,
        find=FIND,
        evidence=EVIDENCE,
        has_left=SQL.has_left,
    )
