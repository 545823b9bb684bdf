"""How people come in: as persons of a demo, through an OpenID provider, or past a proxy that knows them."""

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct
from starlette.requests import Request

from console.people import Person, Role
from console.provider import Provider, Registration, person_of
from console.settings import ConsoleSettings
from ops.shell.problem import Exit, Problem


class Demo(Struct, frozen=True):
    """Everybody may be any of four persons; only where `signing.demo_signer` allows it."""


class ByProvider(Struct, frozen=True):
    """Whoever the provider signs in."""

    provider: Provider


class ByProxy(Struct, frozen=True):
    """Whoever a proxy names in a header; it has to take that header away from what others send.

    `proxies` are the addresses that are believed. `names` are the groups of each role, which stand in
    `groups_header` between commas.
    """

    proxies: frozenset[str]
    person_header: str
    groups_header: str
    names: Mapping[Role, tuple[str, ...]]

    def person(self, request: Request) -> Person:
        """Who asks. Raises Problem for nobody, for what comes past the proxy, and without a role."""
        if request.client is None or request.client.host not in self.proxies:
            raise Problem("This console is reached through its proxy only.", "", Exit.USAGE)
        name = self._only(request, self.person_header)
        groups = self._only(request, self.groups_header).split(",")
        return person_of(name, (group.strip() for group in groups), self.names)

    def _only(self, request: Request, header: str) -> str:
        """A header that the proxy sets. Raises Problem where there are two: one is not the proxy's."""
        there = request.headers.getlist(header)
        if len(there) > 1:
            raise Problem(
                "A header that names who asks comes twice.",
                "The proxy has to take away what others send.",
                Exit.USAGE,
            )
        return there[0] if there else ""


Door: TypeAlias = Demo | ByProvider | ByProxy


def door_of(settings: ConsoleSettings) -> Door:
    """The door that the settings name; there is exactly one."""
    names = {role: tuple(groups) for role, groups in settings.console_groups.items()}
    if settings.console_oidc_issuer:
        return ByProvider(
            Provider(
                Registration(
                    settings.console_oidc_issuer,
                    settings.console_oidc_client_id,
                    settings.console_oidc_client_secret.get_secret_value(),
                    settings.own_url,
                    settings.console_oidc_person_claim,
                    settings.console_oidc_groups_claim,
                    names,
                )
            )
        )
    if settings.console_proxy_header:
        proxies = frozenset(filter(None, map(str.strip, settings.console_proxies.split(","))))
        return ByProxy(proxies, settings.console_proxy_header, settings.console_proxy_groups_header, names)
    return Demo()


def is_still(door: Door, request: Request, person: Person) -> bool:
    """Whether a session is still that of who asks: a proxy says so with each request."""
    if not isinstance(door, ByProxy):
        return True
    try:
        return door.person(request) == person
    except Problem:
        return False
