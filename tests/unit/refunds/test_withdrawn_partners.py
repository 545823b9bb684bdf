"""A partner that has left is noted, so that its own tokens find nothing; no order changes."""

from datetime import UTC, datetime

from services.refunds.handlers import ROUTES
from services.refunds.state import WithdrawnPartner, World
from shared.events.orders import PartnerWithdrawn
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
