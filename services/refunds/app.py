"""The refunds service, put together."""

from services.refunds.api import http_routes
from services.refunds.commands import COMMANDS
from services.refunds.find import FIND
from services.refunds.handlers import ROUTES, refuse_late
from services.refunds.settings import RefundsSettings
from services.refunds.store import SQL, Store
from services.refunds.todo import TODO
from shared.runtime.service import Service


def build(settings: RefundsSettings) -> Service:
    """What makes the runtime the refunds service."""
    return Service(
        name="refunds",
        routes=ROUTES,
        store=Store(settings.sealer()),
        refuse_late=refuse_late,
        http_routes=http_routes,
        commands=COMMANDS,
        todo=TODO,
        find=FIND,
        has_left=SQL.has_left,
    )
