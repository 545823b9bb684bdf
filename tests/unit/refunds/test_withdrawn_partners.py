"""A partner that has left, or was purged, is noted; no order changes by that."""

from datetime import UTC, datetime

from services.refunds.handlers import ROUTES
from services.refunds.state import PurgedPartner, WithdrawnPartner, World
from shared.events.orders import PartnerPurged, PartnerWithdrawn
from shared.ids import uuid7
from shared.runtime.decisions import Applied, Context, Event, Position
from tests.unit.refunds.desk import Desk

AT = datetime(2026, 11, 30, 1, 0, tzinfo=UTC)


def withdrawn() -> Event[PartnerWithdrawn]:
    name, said = "partner.withdrawn.v1", {"partner_id": "P-17", "withdrawn_at": AT.isoformat()}
    data = PartnerWithdrawn.model_validate(said)
    place = Position("orders.events", 0, 1)
    return Event("/pawl/orders/partners", "evt-1", name, "P-17", "P-17", AT, "P-17", 1, None, data, place)


def test_a_partner_that_has_left_is_noted_and_its_orders_stay_as_they_are() -> None:
    desk = Desk()
    desk.paid()
    world = World({"A-1": desk.order})

    outcome = ROUTES["partner.withdrawn.v1"].handle(world, withdrawn(), Context(uuid7))

    assert outcome == Applied()
    assert world.withdrawn == [WithdrawnPartner("P-17", AT)]
    assert world.orders == {"A-1": desk.order}


def test_a_purge_is_left_to_the_store_and_no_unit_or_won_changes() -> None:
    desk = Desk()
    desk.paid()
    world = World({"A-1": desk.order})
    said = {"partner_id": "P-17", "withdrawn_at": "2021-11-30T10:00:00+09:00", "purged_at": AT.isoformat()}
    place, name = Position("orders.events", 0, 2), "partner.purged.v1"
    data = PartnerPurged.model_validate(said)
    purged = Event("/pawl/orders/partners", "evt-2", name, "P-17", "P-17", AT, "P-17", 2, None, data, place)

    outcome = ROUTES[name].handle(world, purged, Context(uuid7))

    assert outcome == Applied()
    assert world.purged == [PurgedPartner("P-17", AT)]
    assert world.orders == {"A-1": desk.order}
