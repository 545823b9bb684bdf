"""A list of more than 1,000 payments is told in numbered parts, none larger than a topic takes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import orjson
import pytest
from msgspec.structs import replace

from services.invoices.events import (
    MOST_PAYMENTS,
    document_corrected,
    invoice_issued,
    invoice_merged,
    invoice_unmerged,
    merge_answered,
    parts_of,
)
from services.invoices.state import Document, MergeRequest, Verdict
from services.orders.events import MOST_BLOCKERS, partner_withdrawal_refused
from services.orders.state import Blocker, Partner
from shared.events.envelope import MAX_OWN_BYTES
from shared.money import Money
from shared.runtime.decisions import NewEvent

AT = datetime(2026, 11, 10, tzinfo=UTC)
WIDEST = "\N{MATHEMATICAL BOLD CAPITAL A}"


@dataclass
class Paid:
    payment_id: str
    order_id: str
    standing: Money = field(default_factory=lambda: Money(160_000, 16_000))


def payments(count: int, prefix: str = "pay") -> list[Any]:
    return [Paid(_id(prefix, n), _id("A", n)) for n in range(count)]


def _id(prefix: str, number: int) -> str:
    text = f"{prefix}-{number}-"
    return text + WIDEST * (128 - len(text))


def document(sequence: int) -> Document:
    return Document(
        UUID(int=1), "merged", "issued", "P-17", "1168200276", "2026-10",
        amount=Money(10**15, 10**14), sequence=sequence, document_key="2026-10-1168200276-000001",
        written_date=AT.date(), issued_at=AT, modification="correction",
    )  # fmt: skip


def told(count: int) -> dict[str, tuple[NewEvent, ...]]:
    """Every event that names so many payments, each the last of its document."""
    some, at = payments(count), document(7 + parts_of(count))
    request = cast(MergeRequest, AskedMerge())
    verdicts = [Verdict(each.payment_id, None, "open_refund", each.order_id) for each in some]
    return {
        "invoice.merged.v1": invoice_merged(at, some, {}),
        "invoice.unmerged.v1": invoice_unmerged(at, some),
        "invoice.issued.v1": invoice_issued(at, some, AT),
        "invoice.modified.v1": document_corrected(document(8), "before", some, "wrong number " * 15)[1],
        "merge.answered.v1": merge_answered(request, verdicts, at),
    }


class AskedMerge:
    partner_id, request_id = "P-17", "m/1"
    business_number, month = "1168200276", "2026-10"


NAMES = sorted(told(1))


@pytest.mark.parametrize("name", NAMES)
def test_a_list_that_fits_is_told_as_ever(name: str) -> None:
    (event,) = told(MOST_PAYMENTS)[name]

    assert not {"part", "parts", "count", "more"} & event.data.keys()


@pytest.mark.parametrize("count", [1_001, 2_000, 2_001, 9_999, 10_000])
@pytest.mark.parametrize("name", NAMES)
def test_a_longer_one_comes_in_parts_that_follow_each_other(name: str, count: int) -> None:
    parts = told(count)[name]

    assert [event.data["part"] for event in parts] == list(range(1, parts_of(count) + 1))
    assert [event.sequence for event in parts] == list(
        range(parts[0].sequence, parts[0].sequence + len(parts))
    )
    assert [event.data["more"] for event in parts] == [True] * (len(parts) - 1) + [False]
    assert {(event.data["parts"], event.data["count"]) for event in parts} == {(len(parts), count)}
    named = [payment for event in parts for payment in _named(event)]
    assert named == [each.payment_id for each in payments(count)]


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_document_is_no_larger_than_what_readers_take(name: str) -> None:
    for event in told(10_000)[name]:
        assert len(orjson.dumps(event.data)) < MAX_OWN_BYTES


def test_members_come_before_those_that_were_left_out() -> None:
    parts = invoice_merged(document(9), payments(1_500), {f"out-{n}": "open_refund" for n in range(800)})

    assert [len(event.data["payment_ids"]) for event in parts] == [1_000, 500, 0]
    assert [len(event.data["excluded"]) for event in parts] == [0, 500, 300]
    assert [event.sequence for event in parts] == [7, 8, 9]


def test_a_correction_of_a_long_document_counts_its_parts() -> None:
    corrected, parts = document_corrected(
        replace(document(1), order_id=None), "before", payments(2_500), "why"
    )

    assert (corrected.sequence, [event.sequence for event in parts]) == (3, [1, 2, 3])


def test_a_partner_that_cannot_leave_hears_of_the_first_thousand_reasons() -> None:
    blockers = [Blocker("serials_left", _id("A", n), _id("1", n), 1_000_000) for n in range(2_500)]

    refused = partner_withdrawal_refused(Partner("P-17"), blockers)

    assert len(refused.data["blockers"]) == MOST_BLOCKERS
    assert (refused.data["count"], refused.data["more"]) == (2_500, True)
    assert len(orjson.dumps(refused.data)) < MAX_OWN_BYTES
    assert "more" not in partner_withdrawal_refused(Partner("P-17"), blockers[:1_000]).data


def _named(event: NewEvent) -> list[str]:
    if event.type == "merge.answered.v1":
        return [*event.data["merged"], *(each["payment_id"] for each in event.data["excluded"])]
    return list(event.data["payment_ids"])
