"""The HTTP routes of serials: what is handed out, what is registered, what becomes of it, and its keys."""

from collections.abc import Sequence

from services.serials.attempts import Limits
from services.serials.handing_out import HandingOut
from services.serials.issuances import issuance_routes
from services.serials.registering import registration_routes
from services.serials.rotation_routes import rotation_routes
from services.serials.store import Store
from shared.runtime.surroundings import Surroundings
from shared.web.routes import HttpRoute


def http_routes(
    surroundings: Surroundings, store: Store, limits: Limits, registration_url: str
) -> Sequence[HttpRoute]:
    """The routes beside those of every service. Serials leave with the page on which they are registered."""
    handing_out = HandingOut(surroundings.pool, store.writer.vault, registration_url)
    return [
        *issuance_routes(surroundings.pool, handing_out),
        *registration_routes(surroundings, store, limits),
        *rotation_routes(surroundings, store.writer.vault),
    ]
