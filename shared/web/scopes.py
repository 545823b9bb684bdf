"""What a token may allow: a closed list, one scope for each kind of work."""

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
        "evidence:read": "take out what is known of an order that is disputed",
        "ops:read": "look at dead letters, at what waits, at what needs somebody, and at money in quarantine",
        "ops:write": "handle a dead letter or a blocked event again, send it right, close it; "
        "cancel what waits, decide about cases",
    }
)
"""Each scope with what it allows."""
