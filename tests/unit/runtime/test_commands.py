"""Commands in one batch, and in the queue before it: what is decided together, and who hears of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from shared.kst import wire_time
from shared.runtime.batch import BLOCKED, WAITING, Batch, Parked, PriorState
from shared.runtime.command_queue import CommandQueue, response_of
from shared.runtime.commands import Answer, Command, CommandRoute, Done, KnownCommands, Refused, Work
from shared.runtime.decisions import NewEvent, Wait
from shared.runtime.outgoing import COLUMNS, OutboxRows
from shared.web.problems import CONFLICT, Problem
from tests.support.commands import Note, Person, take_note
from tests.support.patience import PATIENCE
from tests.support.toy import CONTEXT, World, message, said, toy

KIM, LEE = Person("kim"), Person("lee")
PARTITIONS = {"checkout.events": 12, "orders.events": 12, "checkout.feedback": 12}


def batch(prior: PriorState | None = None, world: World | None = None) -> Batch:
    return Batch(toy(), world or World(), prior or PriorState(), OutboxRows("orders", PARTITIONS), CONTEXT)


def waiting(kind: str) -> PriorState:
    return PriorState(parked={"A-1": [Parked(message(said("pay-1")), kind, "order A-1 to be paid", 1)]})


class TestBatch:
    def test_a_command_lets_events_go_on_that_waited_with_its_key(self) -> None:
        taking = batch(waiting(WAITING))

        outcome = taking.decide(KIM.notes("hello"), CommandRoute(take_note))

        assert isinstance(outcome, Done)
        assert taking.world.applied == ["pay-1"]
        assert taking.settled_rows() == [1]

    def test_what_still_waits_waits_on(self) -> None:
        taking = batch(waiting(WAITING), World(behave={"pay-1": Wait("order A-1 to be paid")}))

        taking.decide(KIM.notes("hello"), CommandRoute(take_note))

        assert taking.settled_rows() == []

    def test_a_command_overtakes_no_blocked_event_of_its_key(self) -> None:
        taking = batch(waiting(BLOCKED))

        outcome = taking.decide(KIM.notes("hello"), CommandRoute(take_note))

        assert isinstance(outcome, Refused)
        assert outcome.problem.kind.code == "key_blocked"
        assert "A-1" in str(outcome.problem)

    def test_a_refused_command_changes_nothing(self) -> None:
        taking = batch(waiting(WAITING))

        taking.decide(KIM.notes("hello", wish="refuse"), CommandRoute(take_note))

        assert (taking.world.applied, len(taking.rows)) == ([], 0)

    def test_events_of_a_command_are_caused_by_it_at_its_time(self) -> None:
        follows = NewEvent(
            "order.expired.v1", "A-1", 1, {"order_id": "A-1", "expired_at": "2026-10-21T14:03:07+09:00"}
        )
        taking, command = batch(), KIM.notes("hello")

        def say(world: Any, command: Command[Note], context: Any) -> Done:
            return Done({}, [follows])

        taking.decide(command, CommandRoute(say))

        row = dict(zip(COLUMNS, taking.rows.rows[0], strict=False))
        assert (row["key"], row["causation"]) == ("A-1", command.id)
        assert row["time"] == wire_time(command.time)


class TestKnownCommands:
    def known(self, *commands: Command[Any]) -> KnownCommands:
        return KnownCommands({each.identity: each.content_now for each in reversed(commands)})

    def test_of_two_with_one_key_the_first_is_decided_and_the_same_is_answered_the_same(self) -> None:
        first, again, other = KIM.notes("a", "k"), KIM.notes("a", "k"), KIM.notes("b", "k")
        known = self.known(first, again, other)

        assert list(known.to_decide([first, again, other])) == [first]
        known.answers[first.identity] = Answer(200, {"n": 1})
        assert known.answer_to(again) == Answer(200, {"n": 1})
        assert known.answer_to(other).document["code"] == "idempotency_key_reused"

    def test_keys_of_two_people_do_not_meet(self) -> None:
        mine, hers = KIM.notes("a", "k"), LEE.notes("b", "k")

        assert list(self.known(mine, hers).to_decide([mine, hers])) == [mine, hers]

    def test_a_sub_is_never_taken_for_a_source_of_checkout(self) -> None:
        assert Person("https://checkout.example/shop-1").notes("a", "evt-1").identity[0].startswith("token:")

    def test_without_a_key_each_command_is_one_of_its_own(self) -> None:
        first, second = KIM.notes("a"), KIM.notes("a")

        assert first.identity != second.identity

    @pytest.mark.parametrize(
        "other",
        [
            KIM.notes("a", "k", order="A-2"),
            KIM.notes("b", "k"),
            KIM.notes("a", "k", name="order.look"),
            Person("kim", partner_id="P-17").notes("a", "k"),
        ],
        ids=["order", "text", "name", "partner"],
    )
    def test_whatever_a_command_says_is_its_content(self, other: Command[Any]) -> None:
        assert other.content != KIM.notes("a", "k").content


async def nobody_alone(command: Command[Any], work: Work, dry_run: bool) -> Answer:
    """No command is decided alone here."""
    raise AssertionError


async def nobody_tries(command: Command[Any]) -> Answer:
    """No command is only tried out here."""
    raise AssertionError


class TestQueue:
    """The fold is played by a list of the batches that it was given."""

    @pytest.fixture(autouse=True)
    def _no_batches(self) -> None:
        self.batches: list[list[str]] = []

    async def test_the_first_is_decided_at_once_and_what_comes_meanwhile_together(self) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def decide(commands: Sequence[Command[Any]]) -> list[Answer]:
            self.batches.append([command.data.text for command in commands])
            begun.set()
            await go_on.wait()
            return [Answer(200, {"text": command.data.text}) for command in commands]

        queue = CommandQueue(decide, nobody_alone, nobody_tries, most=3)
        asking = [asyncio.create_task(queue.decide(KIM.notes("0")))]
        await begun.wait()
        asking += [asyncio.create_task(queue.decide(KIM.notes(str(n)))) for n in range(1, 6)]
        await asyncio.sleep(0)
        go_on.set()
        answers = await asyncio.gather(*asking)

        assert self.batches == [["0"], ["1", "2", "3"], ["4", "5"]]
        assert [answer.document["text"] for answer in answers] == list("012345")

    async def test_who_has_gone_before_its_batch_began_is_forgotten(self) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def decide(commands: Sequence[Command[Any]]) -> list[Answer]:
            self.batches.append([command.data.text for command in commands])
            begun.set()
            await go_on.wait()
            return [Answer(200, {}) for _ in commands]

        queue = CommandQueue(decide, nobody_alone, nobody_tries)
        first = asyncio.create_task(queue.decide(KIM.notes("first")))
        await begun.wait()
        gone = asyncio.create_task(queue.decide(KIM.notes("gone")))
        stays = asyncio.create_task(queue.decide(KIM.notes("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await stays

        assert self.batches == [["first"], ["stays"]]

    async def test_trouble_is_told_to_those_it_met_and_the_next_batch_has_its_own_chance(self) -> None:
        async def decide(commands: Sequence[Command[Any]]) -> list[Answer]:
            if commands[0].data.text == "bad":
                raise ConnectionRefusedError
            return [Answer(200, {}) for _ in commands]

        queue = CommandQueue(decide, nobody_alone, nobody_tries)
        with pytest.raises(ConnectionRefusedError):
            await queue.decide(KIM.notes("bad"))
        assert (await queue.decide(KIM.notes("good"))).status == 200

    async def test_nobody_waits_for_a_batch_that_was_broken_off(self) -> None:
        async def decide(commands: Sequence[Command[Any]]) -> list[Answer]:
            raise asyncio.CancelledError

        queue = CommandQueue(decide, nobody_alone, nobody_tries)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(queue.decide(KIM.notes("lost")), PATIENCE)


class TestAnswers:
    def test_a_kept_answer_is_the_same_again(self) -> None:
        answer = Answer.of(Refused(Problem(CONFLICT, retry_after=7, detail="taken")))

        assert Answer.unpacked(answer.packed()) == answer

    @pytest.mark.parametrize(("language", "part"), [("en", "does not allow"), ("ko", "현재 상태")])
    def test_a_kept_problem_is_told_in_the_language_of_who_asks_now(self, language: Any, part: str) -> None:
        answer = Answer.of(Refused(Problem(CONFLICT, retry_after=7, detail="taken")))

        response = response_of(answer, KIM.asks(language=language))

        assert response.status_code == 409
        assert part in orjson.loads(response.body)["title"]
        assert response.headers["retry-after"] == "7"
        assert response.media_type == "application/problem+json"
