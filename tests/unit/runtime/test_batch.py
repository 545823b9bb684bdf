"""What one batch does with its messages: applies, waits, refuses, knows; each answered exactly once."""

import dataclasses
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from shared.events.catalogue import FEEDBACK
from shared.partitioner import partition_for
from shared.runtime.batch import BEHIND, BLOCKED, GAP, WAITING, Batch, Parked, PriorState, events_of
from shared.runtime.decisions import Reject, Route, Wait
from shared.runtime.intake import InboundMessage
from shared.runtime.outgoing import COLUMNS, OutboxRows
from shared.runtime.records import StoredRecord
from tests.support.toy import CONTEXT, OWN, World, message, own, record_it, said, toy

SUBJECT = ("/pawl/orders", "A-1")
PARTITIONS = {"checkout.events": 12, "orders.events": 12, "checkout.feedback": 12}


def batch_of(*given: InboundMessage, prior: PriorState | None = None, world: World | None = None) -> Batch:
    """A batch that has taken these messages; ids that `prior` does not mention are new."""
    prior = prior or PriorState()
    if not prior.contents:
        prior.fresh = prior.fresh | {(i.source or "", i.event_id or "") for i in given if i.upstream}
    batch = Batch(toy(), world or World(), prior, OutboxRows("orders", PARTITIONS), CONTEXT)
    batch.take_all(given)
    return batch


def parked(one: InboundMessage, kind: str, row: int = 1, reason: str = "order A-1 to be paid") -> PriorState:
    return PriorState(parked={one.key: [Parked(one, kind, reason, row)]})


def answers(batch: Batch) -> list[str]:
    return [name for name in said_by(batch) if name.startswith("event.")]


def answers_in_full(batch: Batch) -> list[dict[str, Any]]:
    """The data of each answer, in order."""
    rows = [dict(zip(COLUMNS, row, strict=False)) for row in batch.rows.rows]
    return [orjson.loads(row["data"]) for row in rows if row["topic"] == "checkout.feedback"]


def said_by(batch: Batch) -> list[str]:
    """The types that go out, in order."""
    return [row[COLUMNS.index("type")] for row in batch.rows.rows]


class TestDuplicates:
    def test_a_new_event_is_applied_answered_and_followed_by_its_event(self) -> None:
        batch = batch_of(message(said("pay-1")))

        assert batch.world.applied == ["pay-1"]
        assert said_by(batch) == ["event.accepted.v1", "order.expired.v1"]
        assert [row[COLUMNS.index("topic")] for row in batch.rows.rows] == [
            "checkout.feedback",
            "orders.events",
        ]

    def test_the_same_event_twice_in_a_batch_is_applied_and_answered_once(self) -> None:
        batch = batch_of(message(said("pay-1")), message(said("pay-1")))

        assert batch.world.applied == ["pay-1"]
        assert answers(batch) == ["event.accepted.v1"]
        assert batch.duplicates == 1

    def test_the_same_event_in_a_later_batch_changes_and_says_nothing(self) -> None:
        again = message(said("pay-1"))
        prior = PriorState(contents={(again.source or "", "pay-1"): again.content or b""})

        batch = batch_of(again, prior=prior)

        assert batch.world.applied == []
        assert len(batch.rows) == 0
        assert batch.refusals == []

    def test_an_id_that_another_service_has_answered_is_taken(self) -> None:
        used = replace(message(said("pay-1")), event=None, route=None, content=b"\0" * 16, foreign=True)

        batch = batch_of(used, message(said("pay-1")))

        assert batch.world.applied == []
        assert [refusal.fault.code for refusal in batch.refusals] == ["duplicate_id"]

    def test_an_id_that_another_service_uses_later_changes_nothing(self) -> None:
        later = replace(message(said("pay-1")), event=None, route=None, content=b"\0" * 16, foreign=True)

        batch = batch_of(message(said("pay-1")), later)

        assert batch.world.applied == ["pay-1"]
        assert batch.refusals == []

    def test_other_content_under_a_known_id_is_refused_within_a_batch(self) -> None:
        first, other = message(said("pay-1")), message(said("pay-2", event_id="pay-1"))

        batch = batch_of(first, other)

        assert batch.world.applied == ["pay-1"]
        assert [(r.message, r.fault.code) for r in batch.refusals] == [(other, "duplicate_id")]

    def test_other_content_under_a_known_id_is_refused_across_batches(self) -> None:
        other = message(said("pay-2", event_id="pay-1"))
        prior = PriorState(contents={(other.source or "", "pay-1"): b"0123456789abcdef"})

        batch = batch_of(other, prior=prior)

        assert batch.world.applied == []
        assert [refusal.fault.code for refusal in batch.refusals] == ["duplicate_id"]

    def test_a_wrong_document_claims_its_id_so_that_a_repeat_gets_no_second_answer(self) -> None:
        wrong = message(said("pay-1", cancelled_at="yesterday"))

        batch = batch_of(wrong, message(said("pay-1", cancelled_at="yesterday")))

        assert [refusal.message for refusal in batch.refusals] == [wrong]
        assert batch.duplicates == 1


class TestAnswers:
    """An answer is about the one record that it answers: its id, source, type, key and place."""

    def test_each_answer_names_its_own_event(self) -> None:
        orders = ["A-1", "A-2", "A-3", "A-4", "A-3"]
        given = [
            message(said(f"pay-{number}", order, event_id=f"evt-{number}"))
            for number, order in enumerate(orders, start=1)
        ]
        world = World(behave={"pay-2": Wait("order A-2"), "pay-3": RuntimeError("unforeseen")})

        batch = batch_of(*given, world=world)

        assert [(p.message.event_id, p.kind) for p in batch.newly_parked()] == [
            ("evt-2", WAITING),
            ("evt-3", BLOCKED),
            ("evt-5", BEHIND),
        ]
        # These records lie in partition 0, wherever their keys belong.
        assert [{**answer, "warning": None} for answer in answers_in_full(batch)] == [
            {
                "order_id": each.key,
                "event": {"source": each.source, "id": each.event_id, "type": each.type},
                "position": each.position._asdict(),
                "outcome": "accepted",
                "warning": None,
            }
            for each in given
        ]

    def test_what_is_handled_again_is_answered_for_nothing_else(self) -> None:
        """An event that waited goes through with a later one: the answer is the later one's."""
        waiting, later = message(said("pay-1", event_id="evt-1")), message(said("pay-2", event_id="evt-2"))

        batch = batch_of(later, prior=parked(waiting, WAITING))

        assert batch.world.applied == ["pay-2", "pay-1"]
        assert [answer["event"]["id"] for answer in answers_in_full(batch)] == ["evt-2"]
        causes = [row[COLUMNS.index("causation")] for row in batch.rows.rows]
        assert causes == ["evt-2", "evt-2", "evt-1"]


class TestWaiting:
    def test_an_event_that_waits_is_accepted_at_once_and_never_again(self) -> None:
        one = message(said("pay-1"))
        first = batch_of(one, world=World(behave={"pay-1": Wait("order A-1 to be paid")}))
        assert answers(first) == ["event.accepted.v1"]
        assert [(p.kind, p.reason) for p in first.newly_parked()] == [(WAITING, "order A-1 to be paid")]

        later = batch_of(message(said("pay-2")), prior=parked(one, WAITING))

        assert later.world.applied == ["pay-2", "pay-1"]
        assert answers(later) == ["event.accepted.v1"]
        assert later.settled_rows() == [1]

    def test_what_waits_is_tried_again_in_the_order_it_came(self) -> None:
        early, late = message(said("pay-1")), message(said("pay-2"))
        prior = PriorState(
            parked={"A-1": [Parked(early, WAITING, "waits", 1), Parked(late, WAITING, "waits", 2)]}
        )

        batch = batch_of(message(said("pay-3")), prior=prior)

        assert batch.world.applied == ["pay-3", "pay-1", "pay-2"]

    def test_what_waits_does_not_hold_up_the_events_of_its_own_key(self) -> None:
        waiting = message(said("pay-1"))
        world = World(behave={"pay-1": Wait("order A-1 to be paid")})

        batch = batch_of(waiting, message(said("pay-2")), world=world)

        assert batch.world.applied == ["pay-2"]
        assert [p.message for p in batch.newly_parked()] == [waiting]

    def test_the_reason_is_kept_up_to_date(self) -> None:
        one = message(said("pay-1"))
        world = World(behave={"pay-1": Wait("its refund")})

        batch = batch_of(message(said("pay-2")), prior=parked(one, WAITING), world=world)

        assert [(p.row, p.reason) for p in batch.changed_rows()] == [(1, "its refund")]
        assert batch.settled_rows() == []

    def test_a_rejection_of_what_was_accepted_already_becomes_an_event(self) -> None:
        one = message(said("pay-1"))
        world = World(behave={"pay-1": Reject("inconsistent", "/lines", "no such line")})

        batch = batch_of(message(said("pay-2")), prior=parked(one, WAITING), world=world)

        assert batch.world.applied == ["pay-2", "refused inconsistent"]
        assert batch.refusals == []
        assert batch.settled_rows() == [1]

    def test_a_rejection_at_once_is_a_refusal_and_no_acceptance(self) -> None:
        world = World(behave={"pay-1": Reject("inconsistent", "/lines", "no such line")})

        batch = batch_of(message(said("pay-1")), world=world)

        assert [refusal.fault.code for refusal in batch.refusals] == ["inconsistent"]
        assert answers(batch) == []

    def test_the_events_that_wait_are_loaded_for_as_well(self) -> None:
        one, fresh = message(said("pay-1")), message(said("pay-2"))

        assert events_of([fresh], parked(one, WAITING).parked) == [fresh.event, one.event]


class TestSequences:
    def test_events_of_ours_apply_in_sequence_and_move_the_cursor(self) -> None:
        batch = batch_of(message(own("r-1", 1)), message(own("r-2", 2)))

        assert batch.world.applied == ["r-1", "r-2"]
        assert batch.moved_cursors() == [(*SUBJECT, 2, 0)]
        assert answers(batch) == []

    def test_a_regression_is_prior_already(self) -> None:
        batch = batch_of(message(own("r-1", 1)), prior=PriorState(cursors={SUBJECT: 1}))

        assert batch.world.applied == []
        assert batch.moved_cursors() == []
        assert batch.duplicates == 1

    def test_an_event_that_the_store_refuses_since_somebody_else_has_handled_it_is_done(self) -> None:
        batch = batch_of(prior=PriorState(cursors={SUBJECT: 1}))

        batch.block(message(own("r-1", 1)), "CheckViolationError: orders_check")
        batch.block(message(own("r-2", 2)), "CheckViolationError: orders_check")

        assert [p.message.event and p.message.event.sequence for p in batch.newly_parked()] == [2]
        assert batch.duplicates == 1

    def test_a_gap_waits_and_is_healed_by_the_missing_event(self) -> None:
        late = message(own("r-2", 2))

        first = batch_of(late)
        assert [(p.kind, p.reason) for p in first.newly_parked()] == [
            (GAP, "sequence 1 of A-1 from /pawl/orders")
        ]
        assert first.moved_cursors() == []

        second = batch_of(message(own("r-1", 1)), prior=parked(late, GAP))
        assert second.world.applied == ["r-1", "r-2"]
        assert second.moved_cursors() == [(*SUBJECT, 2, 0)]

    def test_a_gap_inside_a_batch_is_healed_in_it_and_never_parked(self) -> None:
        batch = batch_of(message(own("r-3", 3)), message(own("r-2", 2)), message(own("r-1", 1)))

        assert batch.world.applied == ["r-1", "r-2", "r-3"]
        assert batch.newly_parked() == []

    def test_an_untracked_route_takes_any_sequence_and_moves_nothing(self) -> None:
        service = toy(routes={OWN: Route(record_it, tracked=False)})
        batch = Batch(service, World(), PriorState(), OutboxRows("orders", PARTITIONS), CONTEXT)

        batch.take_all([message(own("r-9", 9), service), message(own("r-3", 3), service)])

        assert batch.world.applied == ["r-9", "r-3"]
        assert batch.moved_cursors() == []

    def test_an_event_that_changes_nothing_here_still_moves_its_sequence(self) -> None:
        unrouted = replace(message(own("r-1", 1)), route=None)

        batch = batch_of(unrouted, message(own("r-2", 2)))

        assert batch.world.applied == ["r-2"]
        assert batch.moved_cursors() == [(*SUBJECT, 2, 0)]


class TestBlocked:
    def test_a_failing_event_blocks_its_key_and_no_other(self) -> None:
        world = World(behave={"pay-1": ValueError("no such grant")})

        batch = batch_of(
            message(said("pay-1")), message(said("pay-2")), message(said("pay-3", "A-2")), world=world
        )

        assert batch.world.applied == ["pay-3"]
        assert [(p.kind, p.reason) for p in batch.newly_parked()] == [
            (BLOCKED, "ValueError: no such grant"),
            (BEHIND, "behind a blocked event of its key"),
        ]
        assert answers(batch) == ["event.accepted.v1"] * 3

    def test_what_waits_does_not_pass_a_blocked_event(self) -> None:
        blocked, waiting = message(said("pay-1")), message(said("pay-2"))
        prior = PriorState(
            parked={"A-1": [Parked(blocked, BLOCKED, "broken", 1), Parked(waiting, WAITING, "waits", 2)]}
        )

        batch = batch_of(message(said("pay-3")), prior=prior)

        assert batch.world.applied == []
        assert [p.kind for p in batch.newly_parked()] == [BEHIND]

    def test_reopening_handles_everything_of_the_key_in_its_order(self) -> None:
        blocked, behind = message(said("pay-1")), message(said("pay-2"))
        prior = PriorState(
            parked={"A-1": [Parked(blocked, BLOCKED, "broken", 1), Parked(behind, BEHIND, "behind", 2)]}
        )
        batch = batch_of(prior=prior)

        batch.reopen("A-1")

        assert batch.world.applied == ["pay-1", "pay-2"]
        assert batch.settled_rows() == [1, 2]
        assert answers(batch) == []

    def test_reopening_what_is_still_broken_leaves_the_rest_behind_it(self) -> None:
        blocked, behind = message(said("pay-1")), message(said("pay-2"))
        prior = PriorState(
            parked={"A-1": [Parked(blocked, BLOCKED, "broken", 1), Parked(behind, BEHIND, "behind", 2)]}
        )
        batch = batch_of(prior=prior, world=World(behave={"pay-1": ValueError("still broken")}))

        batch.reopen("A-1")

        assert batch.world.applied == []
        assert [p.kind for p in batch.parked["A-1"]] == [BLOCKED, BEHIND]

    def test_a_message_that_the_store_refuses_is_parked_or_a_dead_letter(self) -> None:
        good, wrong = message(said("pay-1")), message(said("pay-2", cancelled_at="yesterday"))
        fresh = {(one.source or "", one.event_id or "") for one in (good, wrong)}
        batch = batch_of(prior=PriorState(fresh=fresh))

        batch.block(good, "CheckViolationError: orders_check")
        batch.block(wrong, "CheckViolationError: orders_check")

        assert [p.kind for p in batch.newly_parked()] == [BLOCKED]
        assert [refusal.message for refusal in batch.refusals] == [wrong]


@pytest.mark.parametrize("kind", [WAITING, GAP, BLOCKED, BEHIND])
def test_an_event_is_never_answered_again_however_it_waited(kind: str) -> None:
    one = message(said("pay-1"))
    batch = batch_of(prior=parked(one, kind))

    batch.reopen("A-1")

    assert batch.world.applied == ["pay-1"]
    assert answers(batch) == []


@pytest.mark.parametrize(("partition", "warning"), [(5, None), (6, "wrong_partition"), (12, None)])
def test_a_record_in_another_partition_than_that_of_its_key_is_answered_with_a_warning(
    partition: int, warning: str | None
) -> None:
    """A-1001 belongs to partition 5 of 12; of a thirteenth this service knows nothing yet."""
    batch = batch_of(message(dataclasses.replace(said("pay-1", "A-1001"), partition=partition)))

    answers = [orjson.loads(row[COLUMNS.index("data")]) for row in batch.rows.rows if row[0] == FEEDBACK]
    assert [answer.get("warning") for answer in answers] == [warning]


def test_a_record_in_the_partition_of_its_key_by_an_earlier_number_is_right() -> None:
    """A-1001 belongs to partition 5 of 12, and belonged to another one of 5."""
    place = partition_for("A-1001", 5)
    prior, earlier = PriorState(), {"checkout.events": {5}}
    rows = OutboxRows("orders", PARTITIONS, earlier)
    record = dataclasses.replace(said("pay-1", "A-1001"), partition=place)

    assert place != partition_for("A-1001", 12)
    assert Batch(toy(), World(), prior, rows, CONTEXT).warning_of(message(record)) is None
    assert batch_of().warning_of(message(record)) == "wrong_partition"


def test_a_refusal_can_carry_the_warning_too() -> None:
    batch = batch_of()
    record = dataclasses.replace(said("pay-1", "A-1001", payment_id=1), partition=6)

    assert batch.warning_of(message(record)) == "wrong_partition"


class TestMakingGood:
    def test_a_right_event_after_a_wrong_one_of_the_same_request_makes_it_good(self) -> None:
        wrong = message(said("pay-1", event_id="e-1", amount=-5))

        batch = batch_of(wrong, message(said("pay-1", event_id="e-2")))

        (letter,) = batch.made_good()
        assert letter is batch.refusals[0].letter
        assert letter.made_good_by == "made good by e-2 of https://checkout.example/toy"

    def test_it_does_so_across_batches(self) -> None:
        (letter,) = letters_of(said("pay-1", event_id="e-1", amount=-5))
        letter.row = 17

        batch = batch_of(message(said("pay-1", event_id="e-2")), prior=PriorState(letters={"A-1": [letter]}))

        assert [each.row for each in batch.made_good()] == [17]

    def test_a_wrong_event_after_a_right_one_stays_open(self) -> None:
        right, wrong = (
            message(said("pay-1", event_id="e-1")),
            message(said("pay-1", event_id="e-2", amount=-5)),
        )

        assert batch_of(right, wrong).made_good() == []

    @pytest.mark.parametrize(
        "other",
        [
            said("pay-2"),
            said("pay-1", event_id="e-2", cancelled_at="2031-10-21T14:03:06+09:00"),
            said("pay-1", "A-2", event_id="e-2"),
        ],
        ids=["another payment", "another cancellation", "another order"],
    )
    def test_an_event_of_another_request_makes_nothing_good(self, other: StoredRecord) -> None:
        batch = batch_of(message(said("pay-1", event_id="e-1", amount=-5)), message(other))

        assert batch.made_good() == []
        assert batch.handled == 1

    def test_one_that_names_no_request_stays_open(self) -> None:
        assert letters_of(said("pay-1", cancelled_at=None)) == [None]
        assert letters_of(said("pay-1", type_name="payment.imagined.v1")) == [None]

    def test_a_wrong_record_key_is_made_good_under_the_right_one(self) -> None:
        misplaced = replace_key(said("pay-1", event_id="e-1"), b"another")

        batch = batch_of(message(misplaced), message(said("pay-1", event_id="e-2")))

        assert [refusal.fault.code for refusal in batch.refusals] == ["wrong_key"]
        assert len(batch.made_good()) == 1

    def test_an_event_that_waits_makes_nothing_good_until_it_is_applied(self) -> None:
        wrong, waiting = said("pay-1", event_id="e-1", amount=-5), said("pay-1", event_id="e-2")
        world = World(behave={"pay-1": Wait("order A-1 to be paid")})
        batch = batch_of(message(wrong), message(waiting), world=world)
        assert batch.made_good() == []

        world.behave.clear()
        batch.retry("A-1")

        assert len(batch.made_good()) == 1

    def test_an_event_that_waited_and_is_refused_late_makes_nothing_good(self) -> None:
        (letter,) = letters_of(said("pay-1", event_id="e-1", amount=-5))
        waiting = message(said("pay-1", event_id="e-2"))
        prior = parked(waiting, WAITING)
        prior.letters = {"A-1": [letter]}

        batch = batch_of(prior=prior, world=World(behave={"pay-1": Reject("inconsistent", "", "no")}))
        batch.retry("A-1")

        assert batch.world.applied == ["refused inconsistent"]
        assert batch.made_good() == []

    def test_another_use_of_a_known_id_is_made_good_by_its_own_content_only(self) -> None:
        """The request that it names may as well be the one that it contradicts."""
        first, other = said("pay-1", event_id="e-1"), said("pay-1", event_id="e-1", amount=5)

        again = batch_of(message(first), message(other), message(said("pay-1", event_id="e-2")))
        told = batch_of(message(first), message(other), message(said("pay-1", event_id="e-3", amount=5)))

        assert [refusal.fault.code for refusal in again.refusals] == ["duplicate_id"]
        assert again.made_good() == []
        assert len(told.made_good()) == 1


def letters_of(*records: StoredRecord) -> list[Any]:
    """What would make these refused records good."""
    return [refusal.letter for refusal in batch_of(*map(message, records)).refusals]


def replace_key(record: StoredRecord, key: bytes) -> StoredRecord:
    return dataclasses.replace(record, key=key)
