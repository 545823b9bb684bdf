"""What serials does on each event. The map at the end is the table of contents."""

from uuid import UUID

from services.serials.domain import issue_units, start_issuing
from services.serials.store import World
from shared.runtime.decisions import Applied, Context, Event, Outcome, Reject, Route


def record_grant(world: World, event: Event, context: Context) -> Outcome:
    """Units were granted: issue a small grant at once, leave a large one to the issuing worker.

    A grant that is known changes nothing, so that no repetition ever makes a second set.
    """
    if UUID(event.data.grant_id) in world.known:
        return Applied()
    grant = start_issuing(event, world.new_batch_id(), world.policy.window_days)
    if not world.fits(grant.quantity):
        world.add(grant)
        return Applied()
    issued, fact = issue_units(grant, grant.quantity)
    world.add(issued)
    return Applied([fact])


def refuse_late(world: World, event: Event, reject: Reject, context: Context) -> Applied:
    """Serials answers for no upstream event, so it never refuses one. Raises: that is a mistake in here."""
    raise AssertionError(f"serials cannot refuse {event.type}: {reject.detail}")


ROUTES: dict[str, Route] = {
    # Untracked: grants are independent of each other and known by their id, in whatever order they come.
    "issuance.granted.v1": Route(record_grant, tracked=False),
}
