"""What is numbered together: no two aggregates share a source and a subject."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.catalogue import TYPES, UPSTREAM, service_of, source_of
from shared.subjects import subject_of


@pytest.mark.parametrize(
    ("parts", "subject"),
    [
        (("A-1", "1"), "A-1/1"),
        (("A", "1/2"), "A/1%2F2"),
        (("A/1", "2"), "A%2F1/2"),
        (("A%2F1", "2"), "A%252F1/2"),
        (("P-17", "merge/10"), "P-17/merge%2F10"),
    ],
)
def test_a_part_does_not_look_like_the_border_of_two(parts: tuple[str, str], subject: str) -> None:
    assert subject_of(*parts) == subject


IDS = st.text("A/%2F", min_size=1, max_size=5)


@given(st.tuples(IDS, IDS), st.tuples(IDS, IDS))
def test_different_ids_never_have_one_subject(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (subject_of(*one) == subject_of(*other)) == (one == other)


def test_an_order_and_a_partner_of_one_id_have_two_sources() -> None:
    assert source_of("order.paid.v1", "orders") == "/pawl/orders"
    assert source_of("partner.withdrawn.v1", "orders") == "/pawl/orders/partners"
    assert source_of("event.accepted.v1", "invoices") == "/pawl/invoices"


def test_every_source_names_its_service() -> None:
    own = [kind for kind in TYPES.values() if kind.topic not in (UPSTREAM, "checkout.feedback")]

    assert all(service_of(source_of(kind.name, kind.owner)) == kind.owner for kind in own)
