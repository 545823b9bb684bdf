"""What serials does with a grant: once, at the logical time of the grant, whether it is small or large."""

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.serials.decisions import issue_units, start_issuing, tell_issued
from services.serials.handlers import ROUTES, record_grants, refuse_late
from services.serials.state import Grant, GrantState, Order, Part, Policy, World
from shared.events import examples
from shared.events.orders import IssuanceGrantedTogether
from shared.ids import RUN_LIMIT, uuid7, uuid7_run
from shared.runtime.decisions import Applied, Event, NewEvent, Reject
from tests.support.granted import CONTEXT, GRANTED_AT, granted

BATCH = UUID("0199f0c1-1111-7c11-9a51-2f6f3f000000")
GRANT = UUID("0199f0c1-0000-7c11-9a51-2f6f3f3c1b01")


def new_world(**policy: int) -> World:
    return World(Policy(**policy), lambda: uuid7_run(RUN_LIMIT))


def started(event: Event[IssuanceGrantedTogether]) -> Grant:
    return start_issuing(event, event.data.grants[0], BATCH, 91)


def issued(grant: Grant, units: int) -> tuple[Grant, list[NewEvent]]:
    """The grant after so many more units, and the events that follow: none once it is whole."""
    after, events = issue_units(grant, units)
    return after, list(events)


def handle(world: World, event: Event[IssuanceGrantedTogether]) -> Applied:
    outcome = record_grants(world, event, CONTEXT)
    assert isinstance(outcome, Applied)
    return outcome


def test_a_small_grant_is_issued_with_its_event() -> None:
    world = World(Policy(), lambda: BATCH)

    outcome = handle(world, granted(60, grant_id=GRANT))

    (event,) = outcome.events
    assert (event.type, event.subject, event.sequence) == ("serials.issued.v2", "A-1001", 1)
    assert event.data == {
        "order_id": "A-1001",
        "issued_at": "2026-10-23T09:00:01+09:00",
        "registration_deadline": "2027-01-22T23:59:59.999999+09:00",
        "grants": [{"grant_id": str(GRANT), "batch_id": str(BATCH), "line_id": "1", "quantity": 60}],
    }
    (grant,) = world.new
    assert (grant.state, grant.issued, grant.issued_at) == (GrantState.ISSUED, 60, GRANTED_AT)


def test_a_large_grant_is_left_to_the_worker_and_says_nothing_yet() -> None:
    world = new_world(small_grant=100)

    assert handle(world, granted(101)).events == ()

    (grant,) = world.new
    assert (grant.state, grant.left, grant.issued_at) == (GrantState.ISSUING, 101, None)


def test_what_is_whole_of_one_decision_is_said_together_and_a_large_grant_by_itself() -> None:
    world = new_world(small_grant=100)

    (event,) = handle(world, granted(60, more=[101, 40])).events

    assert [grant["line_id"] for grant in event.data["grants"]] == ["1", "3"]
    assert [(grant.line_id, grant.left) for grant in world.new] == [("1", 0), ("2", 101), ("3", 0)]
    assert world.orders["A-1001"] == Order("A-1001", 1)

    (_, large, _) = world.new
    after, said = tell_issued(world.orders["A-1001"], [issue_units(large, 101).state])
    assert [(one.sequence, len(one.data["grants"])) for one in said] == [(2, 1)]
    assert after == Order("A-1001", 2)


def test_nothing_is_said_of_an_order_whose_grants_are_all_recorded_or_large() -> None:
    world = new_world(small_grant=100)
    event = granted(101)

    assert handle(world, event).events == ()
    assert handle(world, event).events == ()

    assert world.orders == {"A-1001": Order("A-1001", 0)}


def test_a_batch_issues_only_so_many_units_at_once() -> None:
    world = new_world(small_grant=100, at_once=250)

    events = [len(handle(world, granted(100)).events) for _ in range(4)]

    assert events == [1, 1, 0, 0]
    assert [grant.issued for grant in world.new] == [100, 100, 0, 0]


def test_a_grant_that_is_recorded_is_no_change() -> None:
    world = new_world()
    handle(world, granted(60, grant_id=GRANT))

    again = handle(world, granted(60, grant_id=GRANT))

    assert again.events == ()
    assert len(world.new) == 1


def test_a_grant_recorded_by_an_earlier_batch_is_no_change() -> None:
    world = new_world()
    world.recorded.add(GRANT)

    assert handle(world, granted(60, grant_id=GRANT)).events == ()
    assert world.new == []


def test_a_line_of_another_kind_is_refused_and_leaves_no_trace() -> None:
    world = new_world()

    with pytest.raises(ValueError, match="kind serials"):
        record_grants(world, granted(60, kind="goods", more=[5]), CONTEXT)

    assert (world.recorded, world.new) == (set(), [])


@given(st.integers(1, 1_000_000), st.lists(st.integers(1, 400_000), max_size=40))
def test_the_progress_of_a_grant_is_contiguous_and_ends_before_its_last_unit(
    quantity: int, chunks: list[int]
) -> None:
    grant = started(granted(quantity))
    events, parts = [], []

    for chunk in [*chunks, quantity]:
        units = min(chunk, grant.left)
        if units:
            parts.append(grant.next_part(units))
            grant, said = issued(grant, units)
            events += said

    assert [event.sequence for event in events] == list(range(1, len(parts)))
    assert all(event.type == "issuance.progressed.v1" for event in events)
    assert [event.data["issued"] for event in events] == [part.first + part.units - 1 for part in parts[:-1]]
    assert grant.state is GrantState.ISSUED
    assert sum(part.units for part in parts) == quantity
    assert [part.first for part in parts] == [1, *(part.first + part.units for part in parts[:-1])]


@given(st.integers(1, 1_000), st.integers(1, 1_000))
def test_a_grant_is_issued_exactly_when_its_last_unit_exists(quantity: int, units: int) -> None:
    grant = started(granted(quantity))

    after, _ = issued(grant, min(units, quantity))

    assert (grant.state, grant.issued_at) == (GrantState.ISSUING, None)
    if after.left:
        assert (after.state, after.issued_at) == (GrantState.ISSUING, None)
    else:
        assert (after.state, after.issued_at) == (GrantState.ISSUED, GRANTED_AT)


def test_no_unit_more_than_granted_can_be_issued() -> None:
    grant, _ = issued(started(granted(60)), 60)

    with pytest.raises(ValueError, match="0 units left"):
        issue_units(grant, 1)
    with pytest.raises(ValueError, match="cannot be issued"):
        issue_units(replace(grant, issued=0), 0)


def test_a_part_says_which_serials_of_the_grant_it_is() -> None:
    grant, _ = issued(started(granted(60, grant_id=GRANT)), 20)

    assert grant.next_part(15) == Part(GRANT, BATCH, 21, 15)


def test_a_grant_late_in_the_evening_of_seoul_counts_from_that_day() -> None:
    time = datetime.fromisoformat("2026-10-22T15:30:00+00:00")

    grant = started(granted(1, time=time))

    assert grant.registration_deadline.isoformat() == "2027-01-22T23:59:59.999999+09:00"


def test_serials_never_refuses_what_others_own() -> None:
    with pytest.raises(AssertionError):
        refuse_late(new_world(), granted(), Reject("inconsistent", "", "no"), CONTEXT)
    assert set(ROUTES) == {
        "issuance.granted.v1",
        "issuance.granted.v2",
        "partner.withdrawn.v1",
        "partner.purged.v1",
    }
    assert not any(route.tracked for route in ROUTES.values())


def test_ids_of_grants_never_meet() -> None:
    world = new_world()
    for _ in range(50):
        handle(world, granted(1, grant_id=uuid7()))

    batches = sorted(grant.batch_id.int for grant in world.new)

    assert all(later - earlier >= RUN_LIMIT for earlier, later in pairwise(batches))


def golden(type_name: str) -> dict[str, Any]:
    path = Path(examples.__file__).parent / "serials.events" / f"{type_name}.json"
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["data"]
    return data


def test_whole_grants_say_the_golden_document() -> None:
    expected = golden("serials.issued.v2")
    world = new_world()
    (event,) = handle(world, granted(60, more=[5])).events
    said = json.loads(orjson.dumps(event.data))

    of_units = ("line_id", "quantity")
    assert [{name: one[name] for name in of_units} for one in said["grants"]] == [
        {name: one[name] for name in of_units} for one in expected["grants"]
    ]
    assert {**said, "grants": []} == {**expected, "grants": []}
    assert said["grants"][0].keys() == expected["grants"][0].keys()


def test_half_a_grant_says_the_golden_document() -> None:
    _, (event,) = issued(started(granted(100_000, grant_id=GRANT)), 50_000)

    assert (event.data, event.sequence) == (golden("issuance.progressed.v1"), 1)
