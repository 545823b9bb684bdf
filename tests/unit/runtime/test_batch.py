"""What one batch does with its items: applies, waits, refuses, knows already; each answered exactly once."""

from dataclasses import replace

import pytest

from shared.runtime.batch import BEHIND, BLOCKED, GAP, WAITING, Batch, Known, Parked, events_of
from shared.runtime.decisions import Reject, Route, Wait
from shared.runtime.intake import Item
from shared.runtime.outbox import COLUMNS, OutboxRows
from tests.support.toy import CONTEXT, OWN, World, item, own, record_it, said, toy

SUBJECT = ("/pawl/orders", "A-1")
PARTITIONS = {"orders.events": 12, "checkout.feedback": 12}


def batch_of(*given: Item, known: Known | None = None, world: World | None = None) -> Batch:
    """A batch that has taken these items; ids that `known` does not mention are new."""
    known = known or Known()
    if not known.contents:
        known.fresh = known.fresh | {(i.source or "", i.event_id or "") for i in given if i.upstream}
    batch = Batch(toy(), world or World(), known, OutboxRows("orders", PARTITIONS), CONTEXT)
    batch.take_all(given)
    return batch


def parked(one: Item, kind: str, row: int = 1, reason: str = "order A-1 to be paid") -> Known:
    return Known(parked={one.key: [Parked(one, kind, reason, row)]})


def answers(batch: Batch) -> list[str]:
    return [name for name in said_by(batch) if name.startswith("event.")]


def said_by(batch: Batch) -> list[str]:
    """The types that go out, in order."""
    return [row[COLUMNS.index("type")] for row in batch.rows.rows]


class TestDuplicates:
    def test_a_new_event_is_applied_answered_and_followed_by_its_fact(self) -> None:
        batch = batch_of(item(said("pay-1")))

        assert batch.world.applied == ["pay-1"]
        assert said_by(batch) == ["event.accepted.v1", "order.expired.v1"]
        assert [row[COLUMNS.index("topic")] for row in batch.rows.rows] == [
            "checkout.feedback",
            "orders.events",
        ]

    def test_the_same_event_twice_in_a_batch_is_applied_and_answered_once(self) -> None:
        batch = batch_of(item(said("pay-1")), item(said("pay-1")))

        assert batch.world.applied == ["pay-1"]
        assert answers(batch) == ["event.accepted.v1"]
        assert batch.duplicates == 1

    def test_the_same_event_in_a_later_batch_changes_and_says_nothing(self) -> None:
        again = item(said("pay-1"))
        known = Known(contents={(again.source or "", "pay-1"): again.content or b""})

        batch = batch_of(again, known=known)

        assert batch.world.applied == []
        assert len(batch.rows) == 0
        assert batch.refusals == []

    def test_an_id_that_another_service_has_answered_is_taken(self) -> None:
        used = replace(item(said("pay-1")), event=None, route=None, content=b"\0" * 16, foreign=True)

        batch = batch_of(used, item(said("pay-1")))

        assert batch.world.applied == []
        assert [refusal.fault.code for refusal in batch.refusals] == ["duplicate_id"]

    def test_an_id_that_another_service_uses_later_changes_nothing(self) -> None:
        later = replace(item(said("pay-1")), event=None, route=None, content=b"\0" * 16, foreign=True)

        batch = batch_of(item(said("pay-1")), later)

        assert batch.world.applied == ["pay-1"]
        assert batch.refusals == []

    def test_other_content_under_a_known_id_is_refused_within_a_batch(self) -> None:
        first, other = item(said("pay-1")), item(said("pay-2", event_id="pay-1"))

        batch = batch_of(first, other)

        assert batch.world.applied == ["pay-1"]
        assert [(r.item, r.fault.code) for r in batch.refusals] == [(other, "duplicate_id")]

    def test_other_content_under_a_known_id_is_refused_across_batches(self) -> None:
        other = item(said("pay-2", event_id="pay-1"))
        known = Known(contents={(other.source or "", "pay-1"): b"0123456789abcdef"})

        batch = batch_of(other, known=known)

        assert batch.world.applied == []
        assert [refusal.fault.code for refusal in batch.refusals] == ["duplicate_id"]

    def test_a_wrong_document_claims_its_id_so_that_a_repeat_gets_no_second_answer(self) -> None:
        wrong = item(said("pay-1", cancelled_at="yesterday"))

        batch = batch_of(wrong, item(said("pay-1", cancelled_at="yesterday")))

        assert [refusal.item for refusal in batch.refusals] == [wrong]
        assert batch.duplicates == 1


class TestWaiting:
    def test_an_event_that_waits_is_accepted_at_once_and_never_again(self) -> None:
        one = item(said("pay-1"))
        first = batch_of(one, world=World(behave={"pay-1": Wait("order A-1 to be paid")}))
        assert answers(first) == ["event.accepted.v1"]
        assert [(p.kind, p.reason) for p in first.newly_parked()] == [(WAITING, "order A-1 to be paid")]

        later = batch_of(item(said("pay-2")), known=parked(one, WAITING))

        assert later.world.applied == ["pay-2", "pay-1"]
        assert answers(later) == ["event.accepted.v1"]
        assert later.settled_rows() == [1]

    def test_what_waits_is_tried_again_in_the_order_it_came(self) -> None:
        early, late = item(said("pay-1")), item(said("pay-2"))
        known = Known(parked={"A-1": [Parked(early, WAITING, "waits", 1), Parked(late, WAITING, "waits", 2)]})

        batch = batch_of(item(said("pay-3")), known=known)

        assert batch.world.applied == ["pay-3", "pay-1", "pay-2"]

    def test_what_waits_does_not_hold_up_the_events_of_its_own_key(self) -> None:
        waiting = item(said("pay-1"))
        world = World(behave={"pay-1": Wait("order A-1 to be paid")})

        batch = batch_of(waiting, item(said("pay-2")), world=world)

        assert batch.world.applied == ["pay-2"]
        assert [p.item for p in batch.newly_parked()] == [waiting]

    def test_the_reason_is_kept_up_to_date(self) -> None:
        one = item(said("pay-1"))
        world = World(behave={"pay-1": Wait("its refund")})

        batch = batch_of(item(said("pay-2")), known=parked(one, WAITING), world=world)

        assert [(p.row, p.reason) for p in batch.changed_rows()] == [(1, "its refund")]
        assert batch.settled_rows() == []

    def test_a_rejection_of_what_was_accepted_already_becomes_a_fact(self) -> None:
        one = item(said("pay-1"))
        world = World(behave={"pay-1": Reject("inconsistent", "/lines", "no such line")})

        batch = batch_of(item(said("pay-2")), known=parked(one, WAITING), world=world)

        assert batch.world.applied == ["pay-2", "refused inconsistent"]
        assert batch.refusals == []
        assert batch.settled_rows() == [1]

    def test_a_rejection_at_once_is_a_refusal_and_no_acceptance(self) -> None:
        world = World(behave={"pay-1": Reject("inconsistent", "/lines", "no such line")})

        batch = batch_of(item(said("pay-1")), world=world)

        assert [refusal.fault.code for refusal in batch.refusals] == ["inconsistent"]
        assert answers(batch) == []

    def test_the_events_that_wait_are_loaded_for_as_well(self) -> None:
        one, fresh = item(said("pay-1")), item(said("pay-2"))

        assert events_of([fresh], parked(one, WAITING).parked) == [fresh.event, one.event]


class TestSequences:
    def test_facts_of_ours_apply_in_sequence_and_move_the_cursor(self) -> None:
        batch = batch_of(item(own("r-1", 1)), item(own("r-2", 2)))

        assert batch.world.applied == ["r-1", "r-2"]
        assert batch.moved_cursors() == [(*SUBJECT, 2, 0)]
        assert answers(batch) == []

    def test_a_regression_is_known_already(self) -> None:
        batch = batch_of(item(own("r-1", 1)), known=Known(cursors={SUBJECT: 1}))

        assert batch.world.applied == []
        assert batch.moved_cursors() == []
        assert batch.duplicates == 1

    def test_a_gap_waits_and_is_healed_by_the_missing_fact(self) -> None:
        late = item(own("r-2", 2))

        first = batch_of(late)
        assert [(p.kind, p.reason) for p in first.newly_parked()] == [
            (GAP, "sequence 1 of A-1 from /pawl/orders")
        ]
        assert first.moved_cursors() == []

        second = batch_of(item(own("r-1", 1)), known=parked(late, GAP))
        assert second.world.applied == ["r-1", "r-2"]
        assert second.moved_cursors() == [(*SUBJECT, 2, 0)]

    def test_a_gap_inside_a_batch_is_healed_in_it_and_never_parked(self) -> None:
        batch = batch_of(item(own("r-3", 3)), item(own("r-2", 2)), item(own("r-1", 1)))

        assert batch.world.applied == ["r-1", "r-2", "r-3"]
        assert batch.newly_parked() == []

    def test_an_untracked_route_takes_any_sequence_and_moves_nothing(self) -> None:
        service = toy(routes={OWN: Route(record_it, tracked=False)})
        batch = Batch(service, World(), Known(), OutboxRows("orders", PARTITIONS), CONTEXT)

        batch.take_all([item(own("r-9", 9), service), item(own("r-3", 3), service)])

        assert batch.world.applied == ["r-9", "r-3"]
        assert batch.moved_cursors() == []

    def test_a_fact_that_changes_nothing_here_still_moves_its_sequence(self) -> None:
        unrouted = replace(item(own("r-1", 1)), route=None)

        batch = batch_of(unrouted, item(own("r-2", 2)))

        assert batch.world.applied == ["r-2"]
        assert batch.moved_cursors() == [(*SUBJECT, 2, 0)]


class TestBlocked:
    def test_a_failing_event_blocks_its_key_and_no_other(self) -> None:
        world = World(behave={"pay-1": ValueError("no such grant")})

        batch = batch_of(item(said("pay-1")), item(said("pay-2")), item(said("pay-3", "A-2")), world=world)

        assert batch.world.applied == ["pay-3"]
        assert [(p.kind, p.reason) for p in batch.newly_parked()] == [
            (BLOCKED, "ValueError: no such grant"),
            (BEHIND, "behind a blocked event of its key"),
        ]
        assert answers(batch) == ["event.accepted.v1"] * 3

    def test_what_waits_does_not_pass_a_blocked_event(self) -> None:
        blocked, waiting = item(said("pay-1")), item(said("pay-2"))
        known = Known(
            parked={"A-1": [Parked(blocked, BLOCKED, "broken", 1), Parked(waiting, WAITING, "waits", 2)]}
        )

        batch = batch_of(item(said("pay-3")), known=known)

        assert batch.world.applied == []
        assert [p.kind for p in batch.newly_parked()] == [BEHIND]

    def test_reopening_handles_everything_of_the_key_in_its_order(self) -> None:
        blocked, behind = item(said("pay-1")), item(said("pay-2"))
        known = Known(
            parked={"A-1": [Parked(blocked, BLOCKED, "broken", 1), Parked(behind, BEHIND, "behind", 2)]}
        )
        batch = batch_of(known=known)

        batch.reopen("A-1")

        assert batch.world.applied == ["pay-1", "pay-2"]
        assert batch.settled_rows() == [1, 2]
        assert answers(batch) == []

    def test_reopening_what_is_still_broken_leaves_the_rest_behind_it(self) -> None:
        blocked, behind = item(said("pay-1")), item(said("pay-2"))
        known = Known(
            parked={"A-1": [Parked(blocked, BLOCKED, "broken", 1), Parked(behind, BEHIND, "behind", 2)]}
        )
        batch = batch_of(known=known, world=World(behave={"pay-1": ValueError("still broken")}))

        batch.reopen("A-1")

        assert batch.world.applied == []
        assert [p.kind for p in batch.parked["A-1"]] == [BLOCKED, BEHIND]

    def test_an_item_that_the_store_refuses_is_parked_or_buried(self) -> None:
        good, wrong = item(said("pay-1")), item(said("pay-2", cancelled_at="yesterday"))
        fresh = {(one.source or "", one.event_id or "") for one in (good, wrong)}
        batch = batch_of(known=Known(fresh=fresh))

        batch.block(good, "CheckViolationError: orders_check")
        batch.block(wrong, "CheckViolationError: orders_check")

        assert [p.kind for p in batch.newly_parked()] == [BLOCKED]
        assert [refusal.item for refusal in batch.refusals] == [wrong]


@pytest.mark.parametrize("kind", [WAITING, GAP, BLOCKED, BEHIND])
def test_an_event_is_never_answered_again_however_it_waited(kind: str) -> None:
    one = item(said("pay-1"))
    batch = batch_of(known=parked(one, kind))

    batch.reopen("A-1")

    assert batch.world.applied == ["pay-1"]
    assert answers(batch) == []
