"""The orders service, put together."""

from services.orders.expiry import expire_deposits
from services.orders.handlers import ROUTES, refuse_late
from services.orders.settings import OrdersSettings
from services.orders.store import load, save
from shared.runtime.service import Service


def build(settings: OrdersSettings) -> Service:
    """What makes the runtime the orders service."""
    return Service(
        name="orders",
        topics=("checkout.events", "serials.events", "refunds.events", "invoices.events"),
        routes=ROUTES,
        load=load,
        save=save,
        refuse_late=refuse_late,
        agents=(expire_deposits,),
    )
