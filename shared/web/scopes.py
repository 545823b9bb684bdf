"""What a token may allow: a closed list, one scope for each kind of work."""

from collections.abc import Iterable
from types import MappingProxyType

SCOPES = MappingProxyType(
    {
        "serials:register": "register a serial",
        "serials:read": "look at grants and serials, by their last four characters",
        "serials:export": "take readable serials out",
        "serials:manage": "reissue and revoke serials, rotate their keys",
        "refunds:read": "look at refunds, and at what can be refunded for how much",
        "refunds:request": "ask for a refund, attach a proof to it",
        "refunds:manage": "decide about a refund, have a partner forgotten",
        "refunds:payouts": "take bank accounts out, to pay refunds by hand",
        "invoices:read": "look at months and their documents",
        "invoices:manage": "merge a business, correct a document",
        "invoices:approve": "close a month: issue its documents",
        "partners:read": "see what keeps a partner from leaving, and which products sell most",
        "partners:manage": "change what is known of a partner, have one leave",
        "evidence:read": "take out what is known of an order that is disputed, see what pages hide",
        "ops:read": "look at dead letters, at what waits, at what needs somebody, and at money in quarantine",
        "ops:write": "handle a dead letter or a blocked event again, send it right, close it; "
        "cancel what waits, decide about cases",
    }
)
"""Each scope with what it allows."""

INCLUDED = MappingProxyType({"partners:read": "partners:manage", "evidence:read": "ops:write"})
"""Who may do the second may also look at the first: one who decides sees what the decision stands on."""


def scopes_of(words: Iterable[str]) -> frozenset[str]:
    """What a token allows that names these scopes; words that are no scope allow nothing."""
    named = frozenset(words) & SCOPES.keys()
    return named | {scope for scope, by in INCLUDED.items() if by in named}
