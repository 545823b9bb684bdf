"""What serials does on each event. The map at the end is the table of contents."""

from typing import Any
from uuid import UUID

from services.serials.decisions import issue_units, start_issuing, tell_issued
from services.serials.state import Order, WithdrawnPartner, World
from shared.events.orders import IssuanceGrantedTogether, PartnerPurged, PartnerWithdrawn
from shared.runtime.decisions import Applied, Context, Event, Outcome, Reject, Route, keep


def record_grants(world: World, event: Event[IssuanceGrantedTogether], context: Context) -> Outcome:
    """Units were granted: issue small grants at once, leave large ones to the issuing worker.

    A grant that is recorded already changes nothing, so that no repetition ever makes a second set.
    """
    started = [
        start_issuing(event, granted, world.new_batch_id(), world.policy.window_days)
        for granted in event.data.grants
        if UUID(granted.grant_id) not in world.recorded
    ]
    whole = []
    for grant in started:
        fits = world.fits(grant.quantity)
        recorded = issue_units(grant, grant.quantity).state if fits else grant
        if fits:
            whole.append(recorded)
        world.add(recorded)
    if not started:
        return Applied()
    order = world.orders.get(event.key) or Order(event.key)
    return keep(world, tell_issued(order, whole))


def hide_from_partner(world: World, event: Event[PartnerWithdrawn], context: Context) -> Outcome:
    """partner.withdrawn: from now on tokens that are limited to the partner find nothing here."""
    world.withdrawn.append(WithdrawnPartner(event.key, event.data.withdrawn_at))
    return Applied()


def erase_partner(world: World, event: Event[PartnerPurged], context: Context) -> Outcome:
    """partner.purged: the custody log no longer says which of its people took serials; their units stay."""
    world.purged.append(event.key)
    return Applied()


def refuse_late(world: World, event: Event[Any], reject: Reject, context: Context) -> Applied:
    """Serials answers for no upstream event, so it never refuses one. Raises: that is a mistake in here."""
    raise AssertionError(f"serials cannot refuse {event.type}: {reject.detail}")


ROUTES: dict[str, Route] = {
    # Untracked: grants are independent of each other and known by their id, in whatever order they come.
    "issuance.granted.v1": Route(record_grants, tracked=False),
    "issuance.granted.v2": Route(record_grants, tracked=False),
    "partner.withdrawn.v1": Route(hide_from_partner, tracked=False),
    "partner.purged.v1": Route(erase_partner, tracked=False),
}
