"""The orders service, put together."""

from functools import partial

from services.orders.api import http_routes
from services.orders.commands import COMMANDS
from services.orders.exhibits import EVIDENCE
from services.orders.expiry import expire_deposits
from services.orders.find import FIND
from services.orders.handlers import ROUTES, refuse_late
from services.orders.ranking import rebuild_nightly
from services.orders.settings import OrdersSettings
from services.orders.store import SQL, Store
from services.orders.todo import TODO
from shared.runtime.service import Service


def build(settings: OrdersSettings) -> Service:
    """What makes the runtime the orders service."""
    store = Store(settings.invoices_card_is_slip)
    return Service(
        name="orders",
        routes=ROUTES,
        store=store,
        refuse_late=refuse_late,
        http_routes=partial(http_routes, store=store, archive_years=settings.archive_years),
        commands=COMMANDS,
        agents=(
            partial(expire_deposits, store=store, settings=settings),
            partial(rebuild_nightly, store=store),
        ),
        todo=TODO,
        find=FIND,
        evidence=EVIDENCE,
        has_left=SQL.has_left,
        reports=frozenset({"partner.withdrawal_refused.v1"}),
    )
