"""What may become of a serial: registered once in its window, else reissued or revoked; decisions alone."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serials.commands import COMMANDS, REGISTER, REISSUE, REVOKE, EndBody, Registering
from services.serials.decisions import Replaced, Ruling, register_serial, reissue_serial, revoke_serial
from services.serials.state import Policy, Product, Revocation, Serial, SerialState, World, state_at
from shared.events.examples import golden
from shared.kst import KST
from shared.runtime.commands import Command, CommandOutcome, Done, Refused
from shared.runtime.decisions import Decided
from shared.web.problems import Problem
from tests.support.commands import Person
from tests.support.granted import CONTEXT
from tests.unit.serials.builders import AT, BATCH, DEADLINE, GRANTED_AT, grant, serial

OTHER = UUID("0199f0c1-1111-7c11-9a51-2f6f3f000002")
LOST = Ruling("operator:kim", "lost in the mail", AT)


def done(decision: Decided[Any] | Problem) -> Decided[Any]:
    assert isinstance(decision, Decided)
    return decision


def why(decision: Decided[Any] | Problem) -> str:
    assert isinstance(decision, Problem)
    return decision.kind.code


def test_only_a_serial_that_nobody_registered_expires_and_only_after_its_deadline() -> None:
    after = DEADLINE + timedelta(microseconds=1)

    assert state_at(SerialState.ACTIVE, DEADLINE, DEADLINE) is SerialState.ACTIVE
    assert state_at(SerialState.ACTIVE, DEADLINE, after) is SerialState.EXPIRED
    assert state_at(SerialState.REGISTERED, DEADLINE, after) is SerialState.REGISTERED
    assert state_at(SerialState.REVOKED, DEADLINE, after) is SerialState.REVOKED


@pytest.mark.parametrize(
    ("stored", "at", "expected"),
    [
        (SerialState.ACTIVE, AT, "registered"),
        (SerialState.ACTIVE, DEADLINE, "registered"),
        (SerialState.ACTIVE, DEADLINE + timedelta(microseconds=1), "registration_expired"),
        (SerialState.REGISTERED, AT, "already_registered"),
        (SerialState.REGISTERED, DEADLINE + timedelta(days=1), "already_registered"),
        (SerialState.REVOKED, AT, "serial_revoked"),
        (SerialState.REVOKED, DEADLINE + timedelta(days=1), "serial_revoked"),
    ],
)
def test_who_registers_is_told_what_the_serial_is_by_then(
    stored: SerialState, at: datetime, expected: str
) -> None:
    decision = register_serial(serial(stored), grant(), "acct-2", at)

    said = decision.state.state if isinstance(decision, Decided) else decision.kind.code
    assert said == expected


def test_the_account_that_has_it_is_told_the_same_as_long_as_it_asks() -> None:
    registered = serial(SerialState.REGISTERED)

    again = done(register_serial(registered, grant(), "acct-1", DEADLINE + timedelta(days=400)))

    assert again == Decided(registered)


@given(st.timedeltas(timedelta(0), timedelta(days=1_200)), st.integers(1, 400))
def test_whenever_it_is_registered_no_day_of_its_usage_is_lost(after: timedelta, days: int) -> None:
    registered_at = GRANTED_AT + after
    product = Product("p", "P", 0, days)
    open_still = grant(product=product, registration_deadline=registered_at)

    registered = done(register_serial(serial(), open_still, "acct-1", registered_at)).state

    ends = registered.registration.usage_ends_at
    assert ends - registered_at >= timedelta(days=days)
    assert (ends.astimezone(KST).date() - registered_at.date()).days == days
    assert (ends + timedelta(microseconds=1)).astimezone(KST).time() == datetime.min.time()


def test_a_registration_is_told_as_the_language_says() -> None:
    (event,) = done(register_serial(serial(), grant(), "user-5", AT)).events

    document = golden()["serial.registered.v1"]
    assert event.type == "serial.registered.v1"
    assert (event.key, event.subject, event.sequence) == ("A-1001", str(serial().serial_id), 1)
    assert event.correlation == "story-7"
    assert event.data == {**document.data, "serial_id": event.subject}


def test_a_revoked_serial_is_dead_and_its_grant_counts_it() -> None:
    replaced, (event,) = done(revoke_serial(serial(), grant(), LOST))

    assert replaced.dead.state is SerialState.REVOKED
    assert replaced.dead.revocation == Revocation(AT, "lost in the mail")
    assert replaced == Replaced(replaced.dead, grant(revoked=1))
    assert (event.type, event.data["reason"], event.data["actor"]) == (
        "serial.revoked.v1",
        "lost in the mail",
        "operator:kim",
    )


def test_a_reissued_serial_dies_first_and_the_new_one_takes_its_place() -> None:
    replaced, events = done(reissue_serial(serial(), grant(reissued=2, revoked=5), LOST, None))

    assert replaced.dead.revocation == Revocation(AT, "reissued")
    assert replaced.new is not None
    assert replaced.new == Serial(UUID(int=BATCH.int + 103), grant().grant_id, serial().serial_id)
    assert replaced.grant == grant(reissued=3, revoked=6)
    dead, new = events
    assert (dead.type, dead.subject, dead.data["reason"]) == (
        "serial.revoked.v1", str(serial().serial_id), "reissued"
    )  # fmt: skip
    assert (new.type, new.subject, new.sequence) == (
        "serial.reissued.v1", str(replaced.new.serial_id), 1
    )  # fmt: skip
    assert (new.data["replaces"], new.data["reason"]) == (dead.subject, "lost in the mail")
    assert set(new.data) == set(golden()["serial.reissued.v1"].data)
    assert set(dead.data) == set(golden()["serial.revoked.v1"].data)


def test_the_events_of_a_serial_are_counted_over_its_whole_life() -> None:
    reissued = serial(replaces=OTHER)

    (registered,) = done(register_serial(reissued, grant(), "acct-1", AT)).events
    (revoked,) = done(revoke_serial(reissued, grant(), LOST)).events

    assert registered.sequence == revoked.sequence == 2


@pytest.mark.parametrize(
    ("stored", "at", "expected"),
    [
        (SerialState.REGISTERED, AT, "registered"),
        (SerialState.REVOKED, AT, "serial_revoked"),
        (SerialState.ACTIVE, DEADLINE + timedelta(microseconds=1), "registration_expired"),
    ],
)
def test_only_what_can_still_be_registered_is_reissued_or_revoked(
    stored: SerialState, at: datetime, expected: str
) -> None:
    ruling = LOST._replace(at=at)

    assert why(revoke_serial(serial(stored), grant(), ruling)) == expected
    assert why(reissue_serial(serial(stored), grant(), ruling, None)) == expected


def test_the_quota_of_a_grant_is_five_in_a_hundred_and_five_at_least() -> None:
    policy = Policy()

    quotas = [policy.reissue_quota(grant(quantity=units)) for units in (1, 100, 119, 120, 1_000_000)]
    assert quotas == [5, 5, 5, 6, 50_000]
    assert Policy(reissue_percent=0, reissue_least=0).reissue_quota(grant()) == 0


@given(st.integers(0, 10))
def test_a_partner_has_no_more_reissued_than_its_quota(before: int) -> None:
    counted = grant(reissued=before, revoked=before)

    decision = reissue_serial(serial(), counted, LOST, 5)

    assert isinstance(decision, Problem) == (before >= 5)


def test_a_long_name_of_whoever_did_it_fits_into_the_event() -> None:
    (event,) = done(revoke_serial(serial(), grant(), LOST._replace(actor="k" * 200))).events

    assert event.data["actor"] == "k" * 128


def decide(command: Command[Any], *, quota: int = 5) -> tuple[World, CommandOutcome]:
    """What becomes of a command, and of the world."""
    world = World(Policy(reissue_least=quota, reissue_percent=0), lambda: BATCH)
    known = serial()
    world.serials = {known.serial_id: known}
    world.grants = {known.grant_id: grant()}
    return world, COMMANDS[command.type].handle(world, command, CONTEXT)


def end(name: str, partner_id: str | None = None) -> Command[Any]:
    body = EndBody(reason="lost in the mail")
    return Person("kim", partner_id).commands(
        name, "A-1001", body, "k-1", at=AT, subject=str(serial().serial_id)
    )


def test_a_registration_leaves_no_row_in_the_audit_log_and_what_ends_a_serial_does() -> None:
    assert [COMMANDS[name].is_audited for name in (REGISTER, REISSUE, REVOKE)] == [False, True, True]


def test_what_is_registered_and_what_replaces_is_kept_for_the_next_command_of_the_batch() -> None:
    registering = Person().commands(REGISTER, str(serial().serial_id), Registering(account="acct-1"), at=AT)

    registered, outcome = decide(registering)
    reissued, _ = decide(end(REISSUE))

    assert isinstance(outcome, Done)
    assert registered.serials[serial().serial_id].state is SerialState.REGISTERED
    assert [each.state for each in reissued.serials.values()] == ["revoked", "active"]
    assert reissued.grants[grant().grant_id] == grant(reissued=1, revoked=1)


def test_an_operator_may_exceed_the_quota_and_a_partner_not() -> None:
    _, of_operator = decide(end(REISSUE), quota=0)
    _, of_partner = decide(end(REISSUE, "P-17"), quota=0)

    assert isinstance(of_operator, Done)
    assert isinstance(of_partner, Refused)
    assert of_partner.problem.kind.code == "reissue_quota"
