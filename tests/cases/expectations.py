"""How each case ends by the contract (docs/events.md, docs/domain.md).

`answers` are the rejections by the place of the event in its file; every other event is accepted. `events`
are those of a type, all of them, each with the fields that matter. `sums` are won over all events of a type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NONE: tuple[Mapping[str, Any], ...] = ()
ONE: tuple[Mapping[str, Any], ...] = ({},)


@dataclass(frozen=True)
class End:
    """How a case ends."""

    events: Mapping[str, Sequence[Mapping[str, Any]]]
    answers: Mapping[int, str] = field(default_factory=dict)
    sums: Mapping[tuple[str, str], int] = field(default_factory=dict)
    blockers: frozenset[str] = frozenset()


def case(amount: int, reason: str, payment_id: str) -> dict[str, Any]:
    """A case in quarantine."""
    return {"amount": amount, "reason": reason, "payment_id": payment_id}


GIVEN_BACK: Mapping[str, Any] = {"order.cancelled": NONE, "order.paid": ONE}

ENDS: Mapping[str, End] = {
    # The snapshot of the payment counts, whatever was said while the order was pending.
    "a1": End(
        {
            "order.registered": ONE,
            "order.paid": [{"issue_policy": "automatic"}],
            "serials.issued": ONE,
            "payment.quarantined": NONE,
        }
    ),
    "a2": End({"order.paid": ONE, "invoice.drafted": [{"business_number": "1348672683"}]}),
    "a3": End(
        {
            "order.paid": [{"payment_method": "card", "evidence": "card_slip"}],
            "invoice.drafted": NONE,
            "refund.payout_requested": [{"amount": 17_600}],
            "refund.held": NONE,
        }
    ),
    "a5": End(
        {
            "order.registered": [{"order_id": "kd-401"}],
            "order.paid": [{"order_id": "kd-401"}, {"order_id": "kd-402"}],
            "payment.quarantined": NONE,
        }
    ),
    "a6": End({"order.paid": NONE, "payment.quarantined": NONE}, {0: "inconsistent /evidence"}),
    # A payment id pays one order, once.
    "b1": End(
        {
            "order.paid": [{"order_id": "ga-201"}],
            "payment.quarantined": [{"order_id": "ga-202", **case(176_000, "payment_used", "pay-201")}],
            "serials.issued": [{"order_id": "ga-201"}],
        }
    ),
    "c1": End(
        {"order.paid": ONE, "payment.quarantined": [case(1_320_000, "payment_conflict", "1001")]},
    ),
    "c2": End({"order.paid": ONE, "payment.quarantined": [case(1_320_000, "second_payment", "b-1002")]}),
    "c3": End(
        {"order.paid": ONE, "order.registered": NONE, "order.cancelled": NONE},
        {1: "inconsistent /partner/partner_id"},
    ),
    "c5": End(
        {"order.paid": ({}, {}), "invoice.issue_failed": NONE}, sums={("invoice.issued", "total"): 352_000}
    ),
    # Money that was taken back.
    "d1": End(
        {
            "order.paid": ONE,
            "order.cancelled": ONE,
            "payment.quarantined": [case(176_000, "order_closed", "tx-301")],
        }
    ),
    "e1": End(
        {
            **GIVEN_BACK,
            "refund.completed": [{"amount": 176_000}],
            "payment.quarantined": [case(-176_000, "cancelled_after_refund", "pay-ga-401")],
        }
    ),
    "e3": End(
        {
            **GIVEN_BACK,
            "refund.completed": [{"amount": 70_400}],
            "payment.quarantined": [case(-70_400, "partly_cancelled", "pay-ga-403")],
        }
    ),
    "k1": End({**GIVEN_BACK, "payment.quarantined": [case(-17_600, "partly_cancelled", "pay-ga-901")]}),
    # Free units, free orders, discounts.
    "f1": End(
        {
            "refund.completed": [{"refund_request_id": "rr-501", "amount": 176_000}],
            "issuance.granted": NONE,
            "issuance.denied": [{"line_id": "1", "left": 0}, {"line_id": "2", "left": 0}],
            "partner.withdrawn": ONE,
            "partner.withdrawal_refused": NONE,
        }
    ),
    "f2": End(
        {
            "order.paid": [{"amount": 0}],
            "serials.issued": ONE,
            "invoice.drafted": NONE,
            "payment.quarantined": NONE,
        }
    ),
    "h4": End({"order.paid": NONE}, {0: "out_of_range /lines/1/unit_price"}),
    # Attempts and deposits.
    "g1": End({**GIVEN_BACK, "payment.quarantined": NONE}),
    "g2": End({**GIVEN_BACK, "serials.issued": ONE}),
    "g3": End(
        {
            **GIVEN_BACK,
            "payment.quarantined": [case(170_000, "wrong_amount", "dep-a")],
            "quarantine.settled": [{"payment_id": "dep-a", "amount": 170_000}],
        }
    ),
    "h1": End(
        {
            "order.expired": ONE,
            "order.paid": NONE,
            "payment.quarantined": [case(176_000, "told_late", "pay-ga-701")],
        }
    ),
    "h2": End({"order.expired": NONE, "order.paid": ONE, "payment.quarantined": NONE}),
    "h3": End(
        {
            "order.registered": NONE,
            "order.paid": NONE,
            "payment.quarantined": [case(158_400, "wrong_amount", "pay-ga-703")],
        },
        {0: "inconsistent /amount"},
    ),
    "h5": End(
        {
            "order.paid": NONE,
            "payment.quarantined": [
                case(100_000, "wrong_amount", "dep-1"),
                case(76_000, "wrong_amount", "dep-2"),
            ],
        }
    ),
    # The session's services give a deposit a second of grace, so that the order has expired before the news.
    "h6": End(
        {
            "order.expired": ONE,
            "order.paid": NONE,
            "payment.quarantined": [case(176_000, "told_late", "pay-kd-404")],
        }
    ),
    # Payouts.
    "i1": End(
        {
            "refund.completed": [{"amount": 70_400}],
            "refund.bounced": [{"refund_request_id": "rr-801"}],
            "payment.quarantined": NONE,
        }
    ),
    "i2": End({"refund.payout_requested": ({}, {}, {}), "refund.released": ONE, "refund.completed": NONE}),
    # A payout that is on its way is not given up: only a failed one is released.
    "o1": End(
        {
            "refund.payout_requested": [{"refund_request_id": "rr-503"}],
            "refund.released": NONE,
            "refund.rejected": [{"refund_request_id": "rr-504", "reason": "requester_withdrew"}],
            "refund.completed": NONE,
        },
        {2: "inconsistent /decision"},
    ),
    "x1": End({"refund.payout_requested": ({}, {}, {}), "refund.held": NONE}),
    "t7": End(
        {"refund.rejected": [{"reason": "more_than_paid"}], "refund.accepted": NONE},
        {
            1: "out_of_range /lines/0/quantity",
            2: "out_of_range /lines/0/quantity",
            3: "inconsistent /lines/1/line_id",
        },
    ),
    "s1": End(
        {"refund.completed": ({},) * 6, "payment.quarantined": NONE},
        sums={("refund.completed", "amount"): 22_332, ("refund.completed", "vat"): 22_332 // 11},
    ),
    "s2": End({"order.paid": NONE, "payment.quarantined": [case(17_600_000, "wrong_amount", "pay-jb-202")]}),
    "v1": End(
        {
            "order.cancelled": ONE,
            "issuance.granted": NONE,
            "refund.granted": NONE,
            "payment.quarantined": NONE,
        }
    ),
    "p1": End({"order.paid": ONE, "payment.quarantined": NONE, "serials.issued": ONE}),
    # Documents and their dates.
    "m1": End(
        {
            "invoice.issued": [{"total": 176_000}],
            "invoice.modified": [{"total": -70_400, "modification": "supply_value_changed"}],
        }
    ),
    "m2": End({"refund.completed": NONE, "invoice.modified": NONE}, {2: "out_of_range /paid_out_at"}),
    # Said before the tenth, and heard of now: late is what is issued late, whoever caused that.
    "m3": End({"invoice.issued": [{"total": 176_000, "written_date": "2025-07-31", "late": True}]}),
    "m4": End(
        {"invoice.issue_failed": ONE, "invoice.issued": [{"business_number": "7000000041", "late": True}]}
    ),
    "m8": End({"order.paid": NONE, "serials.issued": NONE}, {0: "out_of_range /paid_at"}),
    "u1": End({"invoice.issued": [{"business_number": "7000000245", "total": 176_000}]}),
    "s3": End({"invoice.drafted": [{"month": "2025-12"}, {"month": "2026-01"}]}),
    # Merges: each request is answered.
    "n1": End(
        {
            "merge.answered": [
                {"request_id": "mr-161", "merged": []},
                {"request_id": "mr-162", "merged": []},
            ],
            "invoice.merged": NONE,
        }
    ),
    "n3": End(
        {
            "invoice.merged": ONE,
            "merge.answered": [{"request_id": "mr-181"}],
            "invoice.issued": [{"total": 45_809}],
            "payment.quarantined": [case(-17_600, "cancelled_after_issue", "pay-jb-182")],
        }
    ),
    "n4": End({"invoice.issue_failed": NONE}, sums={("invoice.issued", "total"): 70_400}),
    "s4": End({"invoice.merged": ONE, "merge.answered": [{"request_id": "mr-205", "excluded": []}]}),
    "w1": End(
        {
            "invoice.merged": ONE,
            "merge.answered": [{"request_id": "mr-31", "excluded": []}],
            "invoice.issued": [{"supply": 5_427, "vat": 540, "total": 5_967}],
        }
    ),
    "y3": End(
        {"merge.answered": [{"request_id": "mr-341"}, {"request_id": "mr-342"}], "invoice.merged": NONE}
    ),
    # Partners who want to leave.
    "q1": End(
        {
            "serials.issued": [{"order_id": "jb-191"}],
            "payment.quarantined": [{"order_id": "jb-192", **case(176_000, "payment_used", "7001")}],
            "partner.withdrawn": NONE,
            "partner.withdrawal_refused": [{"partner_id": "P-92"}],
        },
        blockers=frozenset({"quarantined_money"}),
    ),
    "q2": End({"order.paid": ONE, "serials.issued": ONE}),
    "q4": End(
        {
            "payment.quarantined": [case(170_000, "wrong_amount", "pay-jb-195")],
            "partner.withdrawn": NONE,
            "partner.withdrawal_refused": [{"partner_id": "P-95"}],
        },
        blockers=frozenset({"quarantined_money"}),
    ),
}

EXCLUSIONS: Mapping[str, Mapping[str, str]] = {
    "n1": {"pay-jb-161": "only_one_payment", "pay-jb-162": "other_partner"},
    "y3": {"pay-kc-341": "only_one_payment", "pay-kc-342": "units_not_issued"},
}
"""Why the payments of a merge were left out, as the first answer says it."""

EARLIER: Mapping[str, Mapping[str, str]] = {"q1": {"2025-02": "2024-02", "2025-03": "2024-03"}}
"""Months of a case that another one closes too: it is played a year earlier."""
