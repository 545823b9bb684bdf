"""The serials service, put together."""

from services.serials.api import http_routes
from services.serials.find import FIND
from services.serials.handlers import ROUTES, refuse_late
from services.serials.issuing import Issuer
from services.serials.settings import SerialsSettings
from services.serials.store import Store
from services.serials.todo import TODO
from services.serials.writer import SerialWriter
from shared.runtime.service import Service
from shared.runtime.surroundings import Surroundings


def build(settings: SerialsSettings) -> Service:
    """Serials reads what orders grants, and issues."""
    vault = settings.vault()
    store = Store(SerialWriter(vault), settings.policy())

    async def issue_grants(surroundings: Surroundings) -> None:
        await Issuer(surroundings, store, settings.serials_idle_seconds).run()

    return Service(
        name="serials",
        routes=ROUTES,
        store=store,
        refuse_late=refuse_late,
        agents=(issue_grants,),
        http_routes=lambda surroundings: http_routes(surroundings, vault, settings.serials_registration_url),
        todo=TODO,
        find=FIND,
    )
