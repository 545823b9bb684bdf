"""deploy/kafka/ has the topics of the catalogue, and gives each service the rights that its work needs."""

from collections.abc import Mapping
from typing import Any

import pytest

from ops.setup.topics import wanted_topics
from ops.shell.acls import acls, topics_read
from services.invoices import handlers as invoices
from services.orders import handlers as orders
from services.refunds import handlers as refunds
from services.serials import handlers as serials
from shared.events.catalogue import SERVICES, TOPICS, TYPES

ROUTES: Mapping[str, Mapping[str, Any]] = {
    "orders": orders.ROUTES,
    "serials": serials.ROUTES,
    "refunds": refunds.ROUTES,
    "invoices": invoices.ROUTES,
}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_read_the_topics_of_its_routes_and_no_other(service: str) -> None:
    reads = topics_read()[service]

    assert set(reads) == {TYPES[event_type].topic for event_type in ROUTES[service]}
    assert len(reads) == len(set(reads))


@pytest.mark.parametrize("principal", [*SERVICES, "checkout"])
def test_a_principal_may_write_the_topics_that_the_catalogue_says_it_writes(principal: str) -> None:
    writes = acls()[f"pawl_{principal}"]["writes"]

    assert set(writes) == {topic.name for topic in TOPICS.values() if principal in topic.writers}


def test_the_topics_that_setup_makes_are_those_of_the_catalogue() -> None:
    assert {topic.name for topic in wanted_topics()} == set(TOPICS)
