"""The HTTP routes of serials."""

from collections.abc import Sequence

from services.serials.handing_out import HandingOut
from services.serials.issuances import issuance_routes
from services.serials.vault import Vault
from shared.runtime.surroundings import Surroundings
from shared.web.routes import HttpRoute


def http_routes(surroundings: Surroundings, vault: Vault, registration_url: str) -> Sequence[HttpRoute]:
    """The routes beside those of every service. Serials leave with the page on which they are registered."""
    handing_out = HandingOut(surroundings.pool, vault, registration_url)
    return issuance_routes(surroundings.pool, handing_out)
