"""The serials service, put together."""

import asyncio

from services.serials.handlers import ROUTES, refuse_late
from services.serials.issuing import Issuer
from services.serials.settings import SerialsSettings
from services.serials.store import SerialWriter, Store
from shared.runtime.service import Service
from shared.runtime.surroundings import Surroundings


def build(settings: SerialsSettings) -> Service:
    """Serials reads what orders grants, and issues."""
    policy = settings.policy()
    writer = SerialWriter(settings.vault())
    granted = asyncio.Event()
    store = Store(writer, policy, granted)

    async def issue_grants(surroundings: Surroundings) -> None:
        await Issuer(surroundings, writer, policy.chunk, granted, settings.serials_idle_seconds).run()

    return Service(
        name="serials",
        routes=ROUTES,
        store=store,
        refuse_late=refuse_late,
        agents=(issue_grants,),
    )
