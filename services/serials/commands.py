"""What is asked of serials over HTTP: an account registers one, an operator or a partner lets one die."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from services.serials import decisions
from services.serials.decisions import Replaced, Ruling
from services.serials.state import Grant, Serial, World
from shared.events.fields import Id, Reason
from shared.kst import wire_time
from shared.runtime.commands import Command, CommandOutcome, CommandRoute, Done, Refused, told
from shared.runtime.decisions import Context, Decided
from shared.web.fields import Body
from shared.web.problems import Problem

REGISTER: Final = "serial.register"
REISSUE: Final = "serial.reissue"
REVOKE: Final = "serial.revoke"

Decision = Decided[Replaced] | Problem


class Registering(Body):
    """Which account registers a serial that was found by its characters; those are in no command."""

    account: Id


class EndBody(Body):
    """Why a serial is to die. With `apply: false` it is only shown what that does."""

    reason: Reason
    apply: bool = True


def register(world: World, command: Command[Registering], context: Context) -> CommandOutcome:
    """The account uses the serial; the same account again gets the same answer."""
    serial = world.serials[UUID(command.key)]
    grant = world.grants[serial.grant_id]
    decided = decisions.register_serial(serial, grant, command.data.account, command.time)
    if isinstance(decided, Problem):
        return Refused(decided)
    world.put_serials(decided.state)
    return Done(registration_document(decided.state, grant), decided.events)


def reissue(world: World, command: Command[EndBody], context: Context) -> CommandOutcome:
    """The serial dies, and a new one takes its place: for a partner within the quota of the grant."""
    grant_quota = world.policy.reissue_quota

    def decide(serial: Serial, grant: Grant, ruling: Ruling) -> Decision:
        quota = None if command.partner_id is None else grant_quota(grant)
        return decisions.reissue_serial(serial, grant, ruling, quota)

    return _end(world, command, decide)


def revoke(world: World, command: Command[EndBody], context: Context) -> CommandOutcome:
    """The serial dies, and nothing takes its place."""
    return _end(world, command, decisions.revoke_serial)


def _end(
    world: World, command: Command[EndBody], decide: Callable[[Serial, Grant, Ruling], Decision]
) -> CommandOutcome:
    serial = world.serials[UUID(command.subject)]
    grant = world.grants[serial.grant_id]
    decided = decide(serial, grant, Ruling(command.actor, command.data.reason, command.time))
    if isinstance(decided, Problem):
        return Refused(decided)
    dead, counted, new = decided.state
    world.put_serials(dead, *([] if new is None else [new]))
    world.put_grant(counted)
    before, after = {"state": serial.state}, {"state": dead.state}
    answer = {
        "serial_id": command.subject,
        "new_serial_id": None if new is None else str(new.serial_id),
        "new_unit": None if new is None else new.serial_id.int - grant.batch_id.int,
        "order_id": grant.order_id,
        "grant_id": str(grant.grant_id),
        "revoked": counted.revoked,
        "reissued": counted.reissued,
        "reissue_quota": world.policy.reissue_quota(grant),
        "applied": command.data.apply,
        "before": before,
        "after": after,
        "events": told(decided.events),
    }
    return Done(answer, decided.events, before, {**after, "new_serial_id": answer["new_serial_id"]})


def registration_document(serial: Serial, grant: Grant) -> dict[str, Any]:
    """A registration as its account is told: the product without its price."""
    assert serial.registration is not None
    product = grant.product
    return {
        "serial_id": str(serial.serial_id),
        "state": serial.state,
        "product": {
            "product_id": product.product_id,
            "product_name": product.product_name,
            "usage_days": product.usage_days,
        },
        "registered_at": wire_time(serial.registration.registered_at),
        "usage_ends_at": wire_time(serial.registration.usage_ends_at),
    }


COMMANDS: Final = {
    REGISTER: CommandRoute(register, is_audited=False),
    REISSUE: CommandRoute(reissue),
    REVOKE: CommandRoute(revoke),
}
"""Every command of serials, by its name."""
