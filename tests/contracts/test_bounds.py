"""Every event has a stated upper bound, and the largest document of its type keeps it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import orjson
import pytest
import yaml
from msgspec.structs import replace

from services.invoices.events import (
    MOST_PAYMENTS,
    document_corrected,
    invoice_issued,
    invoice_merged,
    invoice_unmerged,
    merge_answered,
)
from services.invoices.state import Document, MergeRequest, Verdict
from services.orders.decisions.quarantine import MOST_TOGETHER
from services.orders.events import MOST_BLOCKERS, issuance_granted, order_paid, order_registered
from services.orders.state import Claim, Order, Purpose
from services.refunds.policies.app_stores import stores_document
from shared.events.catalogue import FEEDBACK, TYPES, UPSTREAM, encode
from shared.events.envelope import MAX_BYTES, MAX_ID, MAX_OWN_BYTES, MAX_SUBJECT, write_headers
from shared.events.fields import MAX_LINES, MAX_PAYMENTS
from shared.money import NOTHING, Money
from shared.runtime.sending import size_of
from tests.support.guides import ROOT, codes, section, table
from tests.support.largest import WIDEST, Unbounded, largest
from tests.unit.orders.builders import AT, DEADLINE, paid_order

GUIDE = ROOT / "docs" / "events.md"
HEADING = "How large an event gets"
OWN: Final = sorted(name for name, kind in TYPES.items() if kind.topic != UPSTREAM)
ID = UUID("0199f0c1-0000-7c11-9a51-2f6f3f3c1b01")


def rows() -> list[list[str]]:
    return table(section(GUIDE, HEADING))


def stated() -> dict[str, int]:
    """The bound of each type of ours, as docs/events.md states it."""
    return {name: int(row[1].replace(",", "")) for row in rows()[1:] for name in codes(row[0])}


# The largest documents: by the schema, where that bounds them


CUT: Final[Mapping[str, Mapping[str, Any]]] = {
    "partner.withdrawal_refused.v1": {"/blockers": MOST_BLOCKERS},
    "refund.rejected.v1": {"/stores": len(stores_document())},
    # Not published yet; when it is, it is told in parts as the others are.
    "invoice.approved.v1": {"/payment_ids": MOST_PAYMENTS},
    "event.accepted.v1": {"/order_id": MAX_ID, "/partner_id": MAX_ID},
    "event.rejected.v1": {"/order_id": MAX_ID, "/partner_id": MAX_ID},
}
"""What bounds a list or a text beside the schema, which also reads what earlier versions have written."""


# ... and by what makes them, where a record of checkout or a number of parts bounds them


def wide(number: int) -> str:
    text = f"{number}-"
    return text + WIDEST * (MAX_ID - len(text))


@cache
def largest_order() -> Order:
    """The order of a document of checkout that is as long as one may be, and that repeats nothing absent."""
    lines = [
        {
            "line_id": str(n),
            "kind": "serials",
            "product_id": "p",
            "unit_price": 0,
            "quantity": 1,
            "usage_days": 1,
        }
        for n in range(MAX_LINES)
    ]
    room = MAX_BYTES - len(orjson.dumps(lines)) - 1_000
    name = "\x01" * ((room // MAX_LINES - len('"product_name":"",')) // 6)
    order = paid_order(*({**line, "product_name": name} for line in lines), amount=0)
    said = orjson.dumps([{**line, "product_name": name} for line in lines])
    assert MAX_BYTES - 20_000 < len(said) + 1_000 <= MAX_BYTES
    return order


def differing() -> list[str]:
    """Every place in which a snapshot may differ from that of the pending order."""
    sold = ("product_id", "product_name", "unit_price", "quantity", "usage_days", "discount")
    fields = ("line_id", "kind", *sold)
    partner = ("business_number", "invoice_email", "name", "partner_id")
    whole = ("evidence", "issue_policy", "payment_method", "vat_mode")
    return [
        *(f"/{name}" for name in whole),
        *(f"/partner/{name}" for name in partner),
        *(f"/lines/{n}/{name}" for n in range(MAX_LINES) for name in fields),
    ]


def registered() -> Sequence[Any]:
    return [order_registered(replace(largest_order(), deposit_deadline=DEADLINE, expected=0)).data]


def paid() -> Sequence[Any]:
    order = largest_order()
    together = replace(order, payment_ids=tuple(wide(n) for n in range(MOST_TOGETHER)))
    return [order_paid(order, differing()).data, order_paid(together, ()).data]


def granted() -> Sequence[Any]:
    order = largest_order()
    claims = [
        Claim(ID, name, order.order_id, 0, Purpose.ISSUE, 1, wide(0), NOTHING, AT) for name in order.lines
    ]
    return [issuance_granted(order, wide(0), claims).data]


class Paid:
    """A payment on a document, with the longest ids."""

    def __init__(self, number: int) -> None:
        self.payment_id, self.order_id = wide(number), wide(number)
        self.standing = Money(10**15, 10**14)


PAYMENTS: Final[Any] = [Paid(number) for number in range(MAX_PAYMENTS)]


def document() -> Document:
    at = datetime(2026, 11, 10, tzinfo=UTC)
    return Document(
        ID, "merged", "issued", wide(0), "1" * 20, "2026-10",
        amount=Money(10**18, 10**17), sequence=1_000, document_key=wide(1),
        written_date=at.date(), issued_at=at, modification="correction",
    )  # fmt: skip


def answered() -> Sequence[Any]:
    request = MergeRequest(wide(0), wide(1), False, "1" * 20, "2026-10", None, AT, True, b"c" * 16)
    verdicts = [Verdict(each.payment_id, None, "merged_by_operator", each.order_id) for each in PAYMENTS]
    return [event.data for event in merge_answered(request, verdicts, document())]


def merged() -> Sequence[Any]:
    left_out = {each.payment_id: "merged_by_operator" for each in PAYMENTS[:5_500]}
    return [event.data for event in invoice_merged(document(), PAYMENTS[5_500:], left_out)]


def modified() -> Sequence[Any]:
    return [event.data for event in document_corrected(document(), wide(2), PAYMENTS, "\x01" * 2_000)[1]]


MADE: Final[Mapping[str, Callable[[], Sequence[Any]]]] = {
    "order.registered.v1": registered,
    "order.paid.v1": paid,
    "issuance.granted.v2": granted,
    "merge.answered.v1": answered,
    "invoice.merged.v1": merged,
    "invoice.unmerged.v1": lambda: [event.data for event in invoice_unmerged(document(), PAYMENTS)],
    "invoice.issued.v1": lambda: [event.data for event in invoice_issued(document(), PAYMENTS, AT)],
    "invoice.modified.v1": modified,
}


def largest_of(name: str) -> int:
    """The bytes of the largest document of this type."""
    documents = MADE[name]() if name in MADE else [largest(name, CUT.get(name, {}))]
    return max(len(encode(each)) for each in documents)


def test_every_type_of_ours_has_one_bound() -> None:
    named = [name for row in rows()[1:] for name in codes(row[0])]

    assert sorted(named) == OWN


@pytest.mark.parametrize("name", OWN)
def test_the_largest_document_of_a_type_keeps_its_bound(name: str) -> None:
    assert largest_of(name) <= stated()[name] <= MAX_OWN_BYTES


@pytest.mark.parametrize("name", OWN)
def test_a_bound_is_not_far_from_what_it_bounds(name: str) -> None:
    assert stated()[name] <= 3 * largest_of(name) + 5_000


def test_what_checkout_says_has_the_bound_of_a_record() -> None:
    first = rows()[0]

    assert codes(first[0]) == [UPSTREAM]
    assert int(first[1].replace(",", "")) == MAX_BYTES


def test_a_record_of_the_largest_event_fits_into_its_topic() -> None:
    """Key and headers stand beside the value."""
    topics = yaml.safe_load((ROOT / "deploy" / "kafka" / "topics.yaml").read_text())
    long = WIDEST * MAX_ID
    headers = write_headers(
        id=str(ID),
        source="/pawl/orders/partners",
        type=max(OWN, key=len),
        subject=WIDEST * MAX_SUBJECT,
        time="2026-10-21T14:03:05.123456+09:00",
        sequence=10**18,
        correlation=long,
        causation=long,
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
    )

    record = size_of(long.encode(), b" " * MAX_OWN_BYTES, headers)

    assert FEEDBACK in topics["topics"]
    assert record < topics["defaults"]["config"]["max.message.bytes"]


def test_a_type_without_a_bound_is_noticed() -> None:
    with pytest.raises(Unbounded, match="/payment_ids"):
        largest("invoice.issued.v1", {})
