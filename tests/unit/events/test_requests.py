"""What makes two upstream events the same request, type by type; and that nothing else does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.catalogue import TYPES, UPSTREAM
from shared.events.examples import golden
from shared.events.requests import IDENTITIES, request_of
from shared.pointers import ABSENT, value_at, with_value

EVERY = sorted(name for name, kind in TYPES.items() if kind.topic == UPSTREAM)
NAMED = [name for name in EVERY if IDENTITIES[name] is not None]


def document_of(name: str) -> dict[str, Any]:
    """A document of the type in which everything is there that names its request."""
    document = dict(golden()[name].data)
    for pointer in IDENTITIES[name].pointers:
        if pointer == "/proof/reference":
            document.setdefault("proof", {"reference": "scan-1"})
        elif value_at(document, pointer) is ABSENT:
            document = with_value(document, pointer, "r-1")
    return document


def test_every_upstream_type_says_what_names_its_requests() -> None:
    assert sorted(IDENTITIES) == EVERY


@pytest.mark.parametrize("name", NAMED)
def test_what_names_a_request_is_a_field_of_its_type(name: str) -> None:
    for pointer in IDENTITIES[name].pointers:
        assert pointer.split("/")[1] in TYPES[name].model.model_fields


@pytest.mark.parametrize("name", NAMED)
def test_a_wrong_document_is_the_same_request_as_the_right_one(name: str) -> None:
    right = document_of(name)
    wrong = {**right, "unit_price": -5, "lines": "all", "amount": "much"}

    assert request_of(name, right) == request_of(name, wrong) is not None


@pytest.mark.parametrize("name", NAMED)
def test_another_order_is_another_request(name: str) -> None:
    right = document_of(name)

    assert request_of(name, right) != request_of(name, {**right, TYPES[name].key_field: "another"})


@pytest.mark.parametrize("name", NAMED)
@given(value=st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.lists(st.text())))
def test_another_name_is_another_request_or_none(name: str, value: Any) -> None:
    """So no event is ever taken for the request of another one."""
    right = document_of(name)
    for pointer in (f"/{TYPES[name].key_field}", *IDENTITIES[name].pointers):
        other = with_value(right, pointer, value)
        same = value_at(right, pointer) == value
        assert (request_of(name, other) == request_of(name, right)) == same
        assert request_of(name, with_value(right, pointer, ABSENT)) is None


def test_requests_of_two_types_are_never_the_same() -> None:
    document = {"order_id": "A-1", "refund_id": "r", "payout_id": "p", "payment_id": "x", "request_id": "y"}
    digests = [request.digest for name in NAMED if (request := request_of(name, document)) is not None]

    assert len(set(digests)) == len(digests) > 3


@pytest.mark.parametrize("document", [None, [], "text", 5, {"order_id": 5}, {"order_id": "A\0"}, {}])
@pytest.mark.parametrize("name", [*EVERY, "payment.imagined.v1", "order.paid.v1", None])
def test_what_is_no_document_of_a_known_type_is_no_request(name: str | None, document: Any) -> None:
    assert request_of(name, document) is None
