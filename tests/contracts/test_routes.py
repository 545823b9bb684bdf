"""What a service does with an event type: the handler names its payload, and the owner has one for it."""

from typing import Any, get_args, get_type_hints

import pytest

from shared.events.catalogue import FEEDBACK, SERVICES, TYPES, UPSTREAM, newest_model
from shared.operators.deciding import CANCELLABLE
from tests.support.routes import ROUTES

EVERY = [
    pytest.param(service, name, id=f"{service}-{name}") for service in SERVICES for name in ROUTES[service]
]


@pytest.mark.parametrize(("service", "name"), EVERY)
def test_the_signature_of_a_handler_names_the_payload_of_its_type(service: str, name: str) -> None:
    """`Event[PaymentPending]`, or `Event[A | B]` for several types: mypy then sees the fields.

    A type that is no longer said arrives as its successor.
    """
    hints = get_type_hints(ROUTES[service][name].handle)
    (payload,) = get_args(hints["event"])
    named = get_args(payload) or (payload,)

    assert payload is not Any
    assert newest_model(name) in named


@pytest.mark.parametrize("name", [name for name, kind in TYPES.items() if kind.topic == UPSTREAM])
def test_the_owner_of_an_upstream_type_has_a_handler_for_it(name: str) -> None:
    assert name in ROUTES[TYPES[name].owner], (
        f"{TYPES[name].owner} answers for {name} and has no route for it"
    )


@pytest.mark.parametrize("name", [name for name, kind in TYPES.items() if kind.topic == UPSTREAM])
def test_no_other_service_handles_an_upstream_type(name: str) -> None:
    """An edited event is handled by its owner and stands in no topic: another reader would never see it."""
    assert {service for service in SERVICES if name in ROUTES[service]} <= {TYPES[name].owner}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_routes_for_types_that_exist_and_are_not_its_own(service: str) -> None:
    for name in ROUTES[service]:
        assert TYPES[name].topic not in (f"{service}.events", FEEDBACK), name


@pytest.mark.parametrize("service", SERVICES)
def test_what_can_be_cancelled_is_what_operators_are_told(service: str) -> None:
    """`pawl todo` and `pawl order` name the command for exactly these types."""
    own = {name for name in CANCELLABLE if name in ROUTES[service]}

    assert {name for name, route in ROUTES[service].items() if route.cancel is not None} == own
