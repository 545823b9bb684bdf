"""Publishes the planned history in causal order, as fast as the system takes it.

`schedule` says what may go together and what has to wait; many orders are in flight at once. A month is
closed, beside everything else, when all that it takes is settled and the services have caught up with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ops.replay.ledger import Ledger
from ops.replay.plan import SOURCE, Close, Plan, Step, StepKind
from ops.replay.schedule import Schedule
from ops.replay.settling import missing, settled, unpaid
from ops.replay.states import Answer, Payout, Return
from shared import kst

WINDOW = 500
PATIENCE = 60.0
PAYOUT_TAKES = timedelta(seconds=1)
RETURN_TAKES = timedelta(seconds=1)
NAMED = 3
LOOK_AGAIN = 0.1  # seconds, while a month is being closed


class Stalled(Exception):
    """No answer for too long; the message names what the replay waits for."""


@dataclass(slots=True, frozen=True)
class UpstreamEvent:
    """One event to publish: `id` is the ce_id, `key` the record key and subject, `data` the body."""

    id: str
    type: str
    key: str
    time: datetime
    data: dict[str, object]
    source: str = SOURCE


class Topics(Protocol):
    """The system's topics as the driver sees them."""

    async def backlog(self) -> Iterable[Answer]:
        """Every answer that is in the topics by now and was not returned before."""

    async def answered(self) -> Mapping[str, str]:
        """The events of this source that the services know: ce_id and rejection code, empty for accepted."""

    async def publish(self, events: Sequence[UpstreamEvent]) -> None:
        """Publishes events in this order; returns when the broker has them."""

    async def next_answers(self, seconds: float) -> Sequence[Answer]:
        """The next answers; empty when none came for that long."""

    async def caught_up(self, seconds: float) -> bool:
        """Waits until every service has handled all published events; False when that takes longer."""


@dataclass(slots=True)
class Progress:
    """How far the replay is. `steps` counts events of the history that are settled, `orders` those paid."""

    steps: int = 0
    of_steps: int = 0
    orders: int = 0
    published: int = 0
    repeated: int = 0
    doing: str = "reading what the topics hold"


Clock = Callable[[], float]
CloseMonth = Callable[[str, datetime], Awaitable[None]]


class Driver:
    """Drives one plan to its end. `run` returns the ledger with everything that was answered.

    `pays`: it answers payouts; otherwise somebody else does.
    """

    def __init__(
        self,
        plan: Plan,
        topics: Topics,
        close_month: CloseMonth,
        clock: Clock,
        window: int = WINDOW,
        patience: float = PATIENCE,
        pays: bool = True,
    ) -> None:
        self.plan, self.topics, self.close_month, self.clock = plan, topics, close_month, clock
        self.window, self.patience, self.pays = window, patience, pays
        self.ledger = Ledger(plan)
        self.progress = Progress(of_steps=plan.steps)
        self.schedule = Schedule(plan.history)
        self.in_flight: dict[str, list[Step]] = {}
        self.closing: asyncio.Task[None] | None = None
        self.closed: set[str] = set()
        self.answered_at = clock()

    async def run(self) -> Ledger:
        """Raises Stalled when the system stops answering."""
        await self._read_backlog(live=False)
        self.ledger.remember(await self.topics.answered())
        self.answered_at = self.clock()
        try:
            await self._play()
        finally:
            if self.closing is not None:
                self.closing.cancel()
        # Once for the events published until now, once more for what followed from them.
        await self._catch_up()
        await self._catch_up()
        await self._read_backlog(live=True)
        return self.ledger

    @property
    def is_known(self) -> bool:
        """Whether an earlier run had settled the whole history."""
        return self.progress.repeated == self.progress.steps

    async def _play(self) -> None:
        """Publishes the history and waits until all of it is settled and every month is closed."""
        ledger, schedule = self.ledger, self.schedule
        while schedule.ready or schedule.next_close or self.in_flight or ledger.payouts or ledger.returns:
            self._close_what_is_due()
            await self._publish()
            if self.in_flight or ledger.payouts or ledger.returns or self.closing:
                await self._listen()

    async def _publish(self) -> None:
        """Publishes the next steps of as many keys as the window has room for."""
        events = [_payout(payout) for payout in self.ledger.payouts.values() if self.pays]
        events += [_return(back) for back in self.ledger.returns.values()]
        self.ledger.payouts.clear()
        self.ledger.returns.clear()
        ready = self.schedule.ready
        while ready and len(self.in_flight) < self.window:
            events.extend(self._advance(ready.popleft()))
        if events:
            await self.topics.publish(events)
            self.progress.published += len(events)

    def _advance(self, key: str) -> Iterator[UpstreamEvent]:
        """Takes steps of one key until some have to be waited for.

        It publishes a step that an earlier run has settled all the same: the services know it as a repeat.
        """
        while key not in self.in_flight and (steps := self.schedule.take(key)):
            said = [step for step in steps if not unpaid(self.ledger, step)]
            yield from (UpstreamEvent(step.id, step.type, key, step.time, step.data) for step in said)
            self._sort_out(key, steps)
            self.progress.repeated += len(said) - len(self.in_flight.get(key, ()))

    def _sort_out(self, key: str, steps: Iterable[Step]) -> None:
        """Keeps in flight what has to be waited for."""
        open_ones = []
        for step in steps:
            if unpaid(self.ledger, step) or settled(self.ledger, step):
                self._done(step)
            else:
                open_ones.append(step)
        if open_ones:
            self.in_flight[key] = open_ones

    def _done(self, step: Step) -> None:
        self.schedule.settle(step)
        self.progress.steps += 1
        self.progress.orders += step.kind is StepKind.DOCUMENT

    async def _listen(self) -> None:
        """Takes in answers; the keys whose steps they settle go on before others begin."""
        answers = await self.topics.next_answers(LOOK_AGAIN if self.closing else min(1.0, self.patience))
        touched = dict.fromkeys(filter(None, map(self.ledger.record, answers)))
        now = self.clock()
        if touched or self.closing:
            self.answered_at = now
        elif now - self.answered_at >= self.patience:
            raise Stalled(self._complaint())
        for key in touched:
            if key in self.in_flight:
                self._sort_out(key, self.in_flight.pop(key))
                if key not in self.in_flight:
                    self.schedule.ready.appendleft(key)

    def _complaint(self) -> str:
        waits = [
            f"{key} waits for {next(missing(self.ledger, steps[0]), 'its next event')}"
            for key, steps in self.in_flight.items()
        ]
        others = f" and {len(waits) - NAMED} more" if len(waits) > NAMED else ""
        return (
            f"no answer for {self.patience:.0f} s: {'; '.join(waits[:NAMED])}{others}. "
            f"Ask `pawl lag` which service stands still, and `pawl order {next(iter(self.in_flight), 'ID')}` "
            "what it waits for; replay the same file again to go on from here."
        )

    def _close_what_is_due(self) -> None:
        """Starts to close what is due; lets go on who waited for what is closed, maybe in an earlier run."""
        while (due := self.schedule.due) and due[0].month in self.closed | self.ledger.books.closed.keys():
            self.schedule.close()
        if self.closing is not None and self.closing.done():
            self.closing.result()
            self.closing = None
        if self.closing is None and due:
            self.closing = asyncio.create_task(self._close(due))
        if self.schedule.next_close is not None:
            self.progress.doing = f"replaying {self.schedule.next_close.month}"

    async def _close(self, closes: Sequence[Close]) -> None:
        await self._catch_up()
        for close in closes:
            await self.close_month(close.month, close.at)
            self.closed.add(close.month)

    async def _catch_up(self) -> None:
        if not await self.topics.caught_up(self.patience):
            raise Stalled(
                f"the services did not catch up within {self.patience:.0f} s with what is settled: "
                "ask `pawl lag` which one is behind and `pawl dead ls` whether it has parked events"
            )

    async def _read_backlog(self, live: bool) -> None:
        for answer in await self.topics.backlog():
            self.ledger.record(answer, live)


def _return(back: Return) -> UpstreamEvent:
    """The goods of a refund are back one second of history time after they were awaited."""
    at = back.awaited_since + RETURN_TAKES
    return UpstreamEvent(
        id=f"{back.order_id}:return:{back.refund_id}",
        type="return.confirmed.v1",
        key=back.order_id,
        time=at,
        data={
            "order_id": back.order_id,
            "refund_id": back.refund_id,
            "confirmed_at": kst.wire_time(at),
        },
    )


def _payout(payout: Payout) -> UpstreamEvent:
    """The bank transfer of a refund: it arrives one second of history time after it was asked for."""
    at = payout.asked_at + PAYOUT_TAKES
    return UpstreamEvent(
        id=f"{payout.order_id}:payout:{payout.refund_id}",
        type="refund.paid_out.v1",
        key=payout.order_id,
        time=at,
        data={
            "order_id": payout.order_id,
            "refund_id": payout.refund_id,
            "payout_id": f"po-{payout.refund_id}",
            "paid_out_at": kst.wire_time(at),
        },
    )
