"""Publishes the planned history in causal order, as fast as the system takes it.

Within one order (one record key) it publishes an event only when everything that follows from the one before
is settled: a refund travels from the refunds service to orders, while an issuance goes to orders at once, so
side by side the faster one would win and no two replays would end alike. Many orders are in flight at once.
It closes a month when all that happened before the cut-off is settled, and publishes nothing later before.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ops.replay.ledger import Ledger
from ops.replay.plan import Close, Plan, Step, StepKind
from ops.replay.settling import missing, settled, unpaid
from ops.replay.states import Answer, Payout
from shared import kst

WINDOW = 2_000
PATIENCE = 60.0
PAYOUT_TAKES = timedelta(seconds=1)
NAMED = 3


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
    """Drives one plan to its end. `run` returns the ledger with everything that was answered."""

    def __init__(
        self,
        plan: Plan,
        topics: Topics,
        close_month: CloseMonth,
        clock: Clock,
        window: int = WINDOW,
        patience: float = PATIENCE,
    ) -> None:
        self.plan, self.topics, self.close_month, self.clock = plan, topics, close_month, clock
        self.window, self.patience = window, patience
        self.ledger = Ledger(plan)
        self.progress = Progress(of_steps=plan.steps)
        self.in_flight: dict[str, Step] = {}
        self.waiting: dict[str, deque[Step]] = {}
        self.answered_at = clock()

    async def run(self) -> Ledger:
        """Raises Stalled when the system stops answering."""
        await self._read_backlog(live=False)
        self.ledger.remember(await self.topics.answered())
        for steps, close in _months(self.plan.history):
            await self._settle(steps)
            if close is not None:
                await self._close(close)
        # Once for the events published until now, once more for what followed from them.
        await self._catch_up()
        await self._catch_up()
        return self.ledger

    async def _settle(self, steps: Sequence[Step]) -> None:
        """Publishes the steps between two closes and waits until all of them are settled."""
        self.progress.doing = f"replaying {kst.month_of(steps[0].time)}" if steps else self.progress.doing
        ready = self._queue(steps)
        self.answered_at = self.clock()
        while ready or self.in_flight or self.ledger.payouts:
            await self._release(ready)
            if self.in_flight or self.ledger.payouts:
                ready.extend(await self._listen())

    def _queue(self, steps: Iterable[Step]) -> deque[str]:
        ready: deque[str] = deque()
        for step in steps:
            if step.key not in self.waiting:
                self.waiting[step.key] = deque()
                ready.append(step.key)
            self.waiting[step.key].append(step)
        return ready

    async def _release(self, ready: deque[str]) -> None:
        """Publishes the next step of as many keys as the window has room for."""
        events = [_payout(payout) for payout in self.ledger.payouts.values()]
        self.ledger.payouts.clear()
        while ready and len(self.in_flight) < self.window:
            events.extend(self._advance(ready.popleft()))
        if events:
            await self.topics.publish(events)
            self.progress.published += len(events)

    def _advance(self, key: str) -> Iterator[UpstreamEvent]:
        """Takes steps of one key until one has to be waited for.

        It publishes a step that an earlier run has settled all the same: the services know it as a repeat.
        """
        queue = self.waiting[key]
        while queue:
            step = queue.popleft()
            if unpaid(self.ledger, step):
                self._done(step)
                continue
            yield UpstreamEvent(step.id, step.type, step.key, step.time, step.data)
            if not settled(self.ledger, step):
                self.in_flight[key] = step
                return
            self.progress.repeated += 1
            self._done(step)
        del self.waiting[key]

    def _done(self, step: Step) -> None:
        self.progress.steps += 1
        self.progress.orders += step.kind is StepKind.DOCUMENT

    async def _listen(self) -> list[str]:
        """Takes in answers. Returns the keys whose step they settle, in the order of the answers."""
        answers = await self.topics.next_answers(min(1.0, self.patience))
        touched = dict.fromkeys(filter(None, map(self.ledger.record, answers)))
        now = self.clock()
        if touched:
            self.answered_at = now
        elif now - self.answered_at >= self.patience:
            raise Stalled(self._complaint())
        done = [k for k in touched if k in self.in_flight and settled(self.ledger, self.in_flight[k])]
        for key in done:
            self._done(self.in_flight.pop(key))
        return done

    def _complaint(self) -> str:
        waits = [
            f"{key} waits for {next(missing(self.ledger, step), 'its next event')}"
            for key, step in self.in_flight.items()
        ]
        others = f" and {len(waits) - NAMED} more" if len(waits) > NAMED else ""
        return (
            f"no answer for {self.patience:.0f} s: {'; '.join(waits[:NAMED])}{others}. "
            f"Ask `pawl lag` which service stands still, and `pawl order {next(iter(self.in_flight), 'ID')}` "
            "what it waits for; replay the same file again to go on from here."
        )

    async def _close(self, close: Close) -> None:
        if close.month in self.ledger.books.closed:
            return
        self.progress.doing = f"closing {close.month}"
        await self._catch_up()
        await self.close_month(close.month, close.at)

    async def _catch_up(self) -> None:
        if not await self.topics.caught_up(self.patience):
            raise Stalled(
                f"the services did not catch up within {self.patience:.0f} s though every order is settled: "
                "ask `pawl lag` which one is behind and `pawl dead ls` whether it has parked events"
            )
        await self._read_backlog(live=True)

    async def _read_backlog(self, live: bool) -> None:
        for answer in await self.topics.backlog():
            self.ledger.record(answer, live)


def _months(history: Sequence[Step | Close]) -> Iterator[tuple[list[Step], Close | None]]:
    """The steps before each close, then the rest."""
    steps: list[Step] = []
    for entry in history:
        if isinstance(entry, Close):
            yield steps, entry
            steps = []
        else:
            steps.append(entry)
    yield steps, None


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
