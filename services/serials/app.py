"""The serials service, put together."""

import asyncio

from services.serials.handlers import ROUTES, refuse_late
from services.serials.issuing import Issuer
from services.serials.settings import SerialsSettings
from services.serials.store import SerialWriter, Store
from shared.runtime.app import Runtime
from shared.runtime.service import Service


def build(settings: SerialsSettings) -> Service:
    """Serials reads what orders grants, and issues."""
    policy = settings.policy()
    writer = SerialWriter(settings.vault())
    granted = asyncio.Event()
    store = Store(writer, policy, granted)

    async def issue_grants(runtime: Runtime) -> None:
        idle = settings.serials_idle_seconds
        await Issuer(runtime.pool, runtime.outbox, writer, policy.chunk, granted, idle, runtime.reach).run()

    return Service(
        name="serials",
        topics=("orders.events",),
        routes=ROUTES,
        load=store.load,
        save=store.save,
        refuse_late=refuse_late,
        agents=(issue_grants,),
    )
