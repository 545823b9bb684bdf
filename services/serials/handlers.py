"""What serials does on each event. The map at the end is the table of contents."""

from typing import Any
from uuid import UUID

from services.serials.decisions import issue_units, start_issuing
from services.serials.state import World
from shared.events.orders import IssuanceGranted
from shared.runtime.decisions import Applied, Context, Event, Outcome, Reject, Route, keep


def record_grant(world: World, event: Event[IssuanceGranted], context: Context) -> Outcome:
    """Units were granted: issue a small grant at once, leave a large one to the issuing worker.

    A grant that is recorded already changes nothing, so that no repetition ever makes a second set.
    """
    if UUID(event.data.grant_id) in world.recorded:
        return Applied()
    started = start_issuing(event, world.new_batch_id(), world.policy.window_days)
    grant = started.state
    if world.fits(grant.quantity):
        return keep(world, issue_units(grant, grant.quantity))
    return keep(world, started)


def refuse_late(world: World, event: Event[Any], reject: Reject, context: Context) -> Applied:
    """Serials answers for no upstream event, so it never refuses one. Raises: that is a mistake in here."""
    raise AssertionError(f"serials cannot refuse {event.type}: {reject.detail}")


ROUTES: dict[str, Route] = {
    # Untracked: grants are independent of each other and known by their id, in whatever order they come.
    "issuance.granted.v1": Route(record_grant, tracked=False),
}
