"""The serials service, put together."""

import sys
from functools import partial
from typing import Final

from services.serials.alarm import Alarm
from services.serials.api import http_routes
from services.serials.commands import COMMANDS
from services.serials.events import ONLY_HERE
from services.serials.exhibits import EVIDENCE
from services.serials.expiry import sweep_daily
from services.serials.find import FIND
from services.serials.handlers import ROUTES, refuse_late
from services.serials.issuing import Issuer
from services.serials.rotating import Rotator
from services.serials.settings import SerialsSettings
from services.serials.store import SQL, Store
from services.serials.todo import TODO
from services.serials.writer import SerialWriter
from shared.runtime.service import Service
from shared.runtime.surroundings import Surroundings

SWITCH_SECONDS: Final = 0.0005
"""Threads that make serials by the million give way to the event loop after so long. The usual 5 ms come many
times in a batch of small orders, which then take four times as long as alone instead of twice (`make bench`).
"""


def build(settings: SerialsSettings) -> Service:
    """Serials reads what orders grants, issues, hands out, and registers."""
    sys.setswitchinterval(SWITCH_SECONDS)
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
        evidence=EVIDENCE,
        has_left=SQL.has_left,
        only_here=ONLY_HERE,
    )
