"""The refunds service, put together."""

from functools import partial

from services.refunds.api import http_routes
from services.refunds.asking_again import ask_for_answers
from services.refunds.asking_banks import check_holders
from services.refunds.commands import COMMANDS
from services.refunds.exhibits import EVIDENCE
from services.refunds.find import FIND
from services.refunds.handlers import ROUTES, refuse_late
from services.refunds.holder_check import HttpHolderCheck
from services.refunds.settings import RefundsSettings
from services.refunds.store import SQL, Store
from services.refunds.todo import TODO
from shared.runtime.service import Agent, Service


def build(settings: RefundsSettings) -> Service:
    """What makes the runtime the refunds service."""
    store = Store(settings.sealer(), settings.policy())
    agents: list[Agent] = [partial(ask_for_answers, store=store, settings=settings)]
    if settings.refunds_holder_check_url:
        bank = HttpHolderCheck(
            settings.refunds_holder_check_url,
            settings.refunds_holder_check_token.get_secret_value(),
            settings.refunds_holder_check_seconds,
        )
        agents.append(partial(check_holders, store=store, bank=bank))
    return Service(
        name="refunds",
        routes=ROUTES,
        store=store,
        refuse_late=refuse_late,
        http_routes=partial(http_routes, store=store, card_is_slip=settings.invoices_card_is_slip),
        commands=COMMANDS,
        agents=agents,
        todo=TODO,
        find=FIND,
        evidence=EVIDENCE,
        has_left=SQL.has_left,
    )
