"""Who may do what: four roles, each with scopes of its own, and the persons of a demo. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, get_args

from msgspec import Struct

from shared.web.scopes import scopes_of

Role = Literal["viewer", "operator", "finance", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

_LOOK: Final = ("serials:read", "refunds:read", "invoices:read", "partners:read", "ops:read")

USUAL_SCOPES: Final[Mapping[Role, Sequence[str]]] = MappingProxyType(
    {
        "viewer": _LOOK,
        "operator": (*_LOOK, "serials:manage", "refunds:request", "refunds:manage", "ops:write"),
        "finance": (*_LOOK, "invoices:manage", "invoices:approve", "refunds:payouts", "evidence:read"),
        "admin": (
            *_LOOK,
            *("serials:manage", "serials:export", "refunds:request", "refunds:manage", "refunds:payouts"),
            *("invoices:manage", "invoices:approve", "partners:manage", "evidence:read", "ops:write"),
        ),
    }
)
"""What a role may do unless CONSOLE_ROLES says otherwise. Nobody registers serials for customers here."""


class Person(Struct, frozen=True):
    """Somebody who acts. `id` is the `sub` of tokens, and what audit logs name."""

    id: str
    role: Role


DEMO: Final = {role: Person(f"demo:{role}", role) for role in ROLES}
"""The four persons of an embedded system, by role."""


def may(scopes: Mapping[Role, Sequence[str]], role: Role, scope: str | None) -> bool:
    """Whether a role may do what needs this scope (None: what everybody may who is signed in)."""
    return scope is None or scope in scopes_of(scopes[role])


def role_of(groups: Iterable[str], names: Mapping[Role, Sequence[str]]) -> Role | None:
    """The role with the most rights that these groups give; None where they give none. Case counts."""
    given = frozenset(groups)
    return next((role for role in reversed(ROLES) if not given.isdisjoint(names.get(role, ()))), None)
