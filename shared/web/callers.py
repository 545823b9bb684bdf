"""Who asks, and where a request comes from."""

from dataclasses import dataclass

from shared.web.problems import INSUFFICIENT_SCOPE, Language, Problem


@dataclass(slots=True, frozen=True)
class Caller:
    """Who asks: the token's `sub`, what it allows, and the partner that it is limited to, if any."""

    sub: str
    scopes: frozenset[str]
    partner_id: str | None = None

    def require(self, scope: str) -> None:
        """Raises Problem (403) unless the token has this scope."""
        if scope not in self.scopes:
            header = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise Problem(INSUFFICIENT_SCOPE, headers={"WWW-Authenticate": header}, scope=scope)

    def may_see(self, partner_id: str | None) -> bool:
        """Whether something of this partner exists for the caller; what does not is answered with 404."""
        return self.partner_id is None or self.partner_id == partner_id


@dataclass(slots=True, frozen=True)
class Origin:
    """Where a request comes from: who asks, under which ids, and in which language the answer goes.

    `client` is the address that it comes from; empty where there is none.
    """

    caller: Caller
    idempotency_key: str | None
    traceparent: str | None
    correlation: str
    language: Language = "en"
    client: str = ""
