"""The serials service, put together."""

from functools import partial

from services.serials.alarm import Alarm
from services.serials.api import http_routes
from services.serials.commands import COMMANDS
from services.serials.expiry import sweep_daily
from services.serials.find import FIND
from services.serials.handlers import ROUTES, refuse_late
from services.serials.issuing import Issuer
from services.serials.rotating import Rotator
from services.serials.settings import SerialsSettings
from services.serials.store import Store
from services.serials.todo import TODO
from services.serials.writer import SerialWriter
from shared.runtime.service import Service
from shared.runtime.surroundings import Surroundings


def build(settings: SerialsSettings) -> Service:
    """Serials reads what orders grants, issues, hands out, and registers."""
    store = Store(SerialWriter(settings.vault()), settings.policy(), settings.sealer())
    limits = settings.limits()

    async def issue_grants(surroundings: Surroundings) -> None:
        await Issuer(surroundings, store, settings.serials_idle_seconds).run()

    async def watch_attempts(surroundings: Surroundings) -> None:
        await Alarm(surroundings, store.writer.vault, limits).run()

    async def rotate_keys(surroundings: Surroundings) -> None:
        await Rotator(surroundings, store.writer.vault).run()

    return Service(
        name="serials",
        routes=ROUTES,
        store=store,
        refuse_late=refuse_late,
        agents=(
            issue_grants,
            watch_attempts,
            rotate_keys,
            partial(sweep_daily, seconds=settings.serials_sweep_seconds),
        ),
        http_routes=partial(
            http_routes, store=store, limits=limits, registration_url=settings.serials_registration_url
        ),
        commands=COMMANDS,
        todo=TODO,
        find=FIND,
    )
