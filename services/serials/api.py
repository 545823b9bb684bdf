"""The HTTP routes of serials."""

from collections.abc import Sequence

from services.serials.attempts import Limits
from services.serials.campaigns import campaign_routes
from services.serials.registering import registration_routes
from services.serials.store import Store
from shared.runtime.surroundings import Surroundings
from shared.web.routes import HttpRoute


def http_routes(surroundings: Surroundings, store: Store, limits: Limits) -> Sequence[HttpRoute]:
    """The routes beside those of every service."""
    return [*registration_routes(surroundings, store, limits), *campaign_routes(surroundings)]
