"""The refunds service, put together."""

from functools import partial

from services.refunds.api import http_routes
from services.refunds.asking_again import ask_for_answers
from services.refunds.commands import COMMANDS
from services.refunds.exhibits import EVIDENCE
from services.refunds.find import FIND
from services.refunds.handlers import ROUTES, refuse_late
from services.refunds.settings import RefundsSettings
from services.refunds.store import SQL, Store
from services.refunds.todo import TODO
from shared.runtime.service import Service


def build(settings: RefundsSettings) -> Service:
    """What makes the runtime the refunds service."""
    store = Store(settings.sealer())
    return Service(
        name="refunds",
        routes=ROUTES,
        store=store,
        refuse_late=refuse_late,
        http_routes=partial(http_routes, store=store, card_is_slip=settings.invoices_card_is_slip),
        commands=COMMANDS,
        agents=(partial(ask_for_answers, store=store, settings=settings),),
        todo=TODO,
        find=FIND,
        evidence=EVIDENCE,
        has_left=SQL.has_left,
    )
