"""Plays a case: a story of checkout in a file of JSON lines, as a real report told it.

A line is an event (`type`, `key`, `data`, maybe `time` and `source`) or, where its type begins with `~`,
something to wait for or to do. Every id gets the name of its file behind it, so that all cases can be played
on one system.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from shared.clock import now
from shared.events.catalogue import FEEDBACK, UPSTREAM, owner_of
from shared.kst import KST
from tests.support.driver import SOURCE, Checkout, Heard

IDS = frozenset({"order_id", "payment_id", "partner_id", "request_id", "refund_request_id", "payout_id"})
MANY_IDS = frozenset({"payment_ids"})
PARTIES = frozenset({"requested_by", "actor"})
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
A_MOMENT = timedelta(seconds=2)
EXPIRY_SECONDS = 60.0


class Answered(NamedTuple):
    """An event of a case and what it was answered: `accepted`, or the code and pointer of its rejection."""

    type: str
    outcome: str
    owner: str


class Case:
    """One file, and what became of it."""

    def __init__(self, checkout: Checkout, path: Path, close_month: Any, earlier: Mapping[str, str]) -> None:
        self.checkout = checkout
        self.name = path.stem.partition("-")[0]
        self._close_month = close_month
        text = path.read_text(encoding="utf-8")
        for month, instead in earlier.items():
            text = text.replace(month, instead)
        self.lines = [orjson.loads(line) for line in text.splitlines() if line.strip()]
        self.keys: set[str] = set()
        self.said: list[tuple[str, tuple[str, int, int], dict[str, Any]]] = []
        self._deadlines: list[datetime] = []

    async def play(self) -> "Case":
        """Says everything, waits where it says so, and returns when all is quiet."""
        for line in self.lines:
            await self._play(line["type"], line)
        await self.checkout.drain()
        return self

    async def _play(self, kind: str, line: Mapping[str, Any]) -> None:
        data = line.get("data", {})
        match kind:
            case "~until":
                await self._until(data)
            case "~sleep":
                await self._rest(data["seconds"])
            case "~close":
                await self.checkout.drain()
                # These months were closed as they were, whatever was in progress.
                await self._close_month(data["month"], data["at"], despite=True)
                await self.checkout.drain()
            case _:
                await self._say(kind, line)

    async def _say(self, kind: str, line: Mapping[str, Any]) -> None:
        key = self.id(line["key"])
        self.keys.add(key)
        data = await self._filled(line["data"])
        if "deposit_deadline" in data:
            self._deadlines.append(datetime.fromisoformat(data["deposit_deadline"]))
        if "partner" in data:
            self.keys.add(data["partner"]["partner_id"])
        attributes = {
            "specversion": "1.0",
            "id": f"evt-{uuid4().hex}",
            "source": line.get("source", SOURCE),
            "type": f"{kind}.v1",
            "time": line.get("time") or now().astimezone(KST).isoformat(),
        }
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        place = await self.checkout.publish(key.encode(), orjson.dumps(data), headers)
        self.said.append((f"{kind}.v1", place, data))

    async def _until(self, wanted: Mapping[str, Any]) -> None:
        """What follows from what was said has followed when all is quiet; only expiry takes time to pass."""
        await self.checkout.drain()
        if wanted["type"] == "order.expired":
            found = partial(self.events, "order.expired")
            await self.checkout.until(found, f"order.expired of {self.name}", EXPIRY_SECONDS)

    async def _rest(self, seconds: float) -> None:
        """A rest is for what is on its way, or for a deadline that passes meanwhile."""
        end = now() + timedelta(seconds=seconds)
        passing = [deadline for deadline in self._deadlines if deadline < end]
        if passing:
            await asyncio.sleep(max(0.0, (max(passing) + A_MOMENT - now()).total_seconds()))
        await self.checkout.drain()

    def id(self, text: str) -> str:
        """An id of the file as it is on this system."""
        return f"{text}.{self.name}"

    async def _filled(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: await self._filled(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [await self._filled(item, name[:-1] if name in MANY_IDS else "") for item in value]
        if not isinstance(value, str):
            return value
        if moment := re.fullmatch(r"@now([+-])(\d+)([smhd])", value):
            sign, count, unit = moment.groups()
            away = timedelta(**{UNITS[unit]: int(count)})
            return (now() + away if sign == "+" else now() - away).astimezone(KST).isoformat()
        if value.startswith("@refund:"):
            return await self._refund(self.id(value.removeprefix("@refund:")))
        is_party = name in PARTIES and value.startswith("P-")
        return self.id(value) if name in IDS or is_party else value

    async def _refund(self, request: str) -> str:
        """The id of the refund that a request has become."""

        def found() -> str | None:
            said = [event.data for event in self.events("refund")]
            ids = [data["refund_id"] for data in said if data.get("refund_request_id") == request]
            return next(map(str, ids), None)

        return await self.checkout.until(found, f"a refund of {request}")

    # -- what became of it ----------------------------------------------------------------------------------

    def events(self, kind: str) -> list[Heard]:
        """What the services have said about this case, by the beginning of its type, each event once."""
        heard = [record for key in sorted(self.keys) for record in self.checkout.by_key[key]]
        own = [record for record in heard if record.topic not in (UPSTREAM, FEEDBACK)]
        return list({record.id: record for record in own if record.type.startswith(f"{kind}.")}.values())

    def answers(self) -> Iterator[Answered]:
        """The one answer to each event, in the order of the file. Raises AssertionError for none or two."""
        for kind, place, _ in self.said:
            given = self.checkout.answers_at(place)
            assert len(given) == 1, f"{kind} at {place} has {len(given)} answers"
            (answer,) = given
            outcome = answer.data["outcome"]
            if outcome == "rejected":
                outcome = f"{answer.data['code']} {answer.data['pointer']}"
            assert answer.source == f"/pawl/{owner_of(kind)}"
            yield Answered(kind, outcome, answer.source)

    def payments_without_a_place(self) -> list[str]:
        """Accepted payments whose won are neither on an order nor in a case."""
        placed: dict[tuple[str, str], list[int]] = {}
        for event in self.events("order.paid"):
            for payment in event.data.get("payment_ids") or [event.data["payment_id"]]:
                placed.setdefault((event.key, payment), []).append(event.data["amount"])
        for event in self.events("payment.quarantined"):
            placed.setdefault((event.key, event.data["payment_id"]), []).append(event.data["amount"])
        accepted = [answer.outcome == "accepted" for answer in self.answers()]
        return [
            f"{data['order_id']}: {data['amount']} won as {data['payment_id']}"
            for (kind, _, data), was_taken in zip(self.said, accepted, strict=True)
            if kind == "payment.completed.v1"
            and was_taken
            and data["amount"] not in placed.get((data["order_id"], data["payment_id"]), [])
            and not self._was_taken_back(data)
        ]

    def _was_taken_back(self, payment: Mapping[str, Any]) -> bool:
        """Whether the order was cancelled with this payment before it was heard of."""
        return any(e.data["payment_id"] == payment["payment_id"] for e in self.events("order.cancelled"))

    def orders_that_differ_from_their_payment(self) -> list[str]:
        """Paid orders whose snapshot is not the one of the payment that they name."""
        payments = [data for kind, _, data in self.said if kind == "payment.completed.v1"]
        said = {(data["order_id"], data["payment_id"]): data for data in reversed(payments)}
        parts = ("partner", "payment_method", "evidence", "issue_policy", "vat_mode", "lines")
        return [
            f"{event.key}: {part}"
            for event in self.events("order.paid")
            for part in parts
            if not _contains(event.data[part], said[event.key, event.data["payment_id"]][part])
        ]

    def told(self) -> str:
        """Everything that was heard, for a message."""
        heard = [record for key in sorted(self.keys) for record in self.checkout.by_key[key]]
        lines = [f"  {record.topic} {record.key} {record.type} {record.data}" for record in heard]
        return f"{self.name} came to:\n" + "\n".join(lines)


def _contains(said: Any, wanted: Any) -> bool:
    """Whether a value says all that is wanted, and maybe more fields."""
    if isinstance(wanted, dict):
        return isinstance(said, dict) and all(_contains(said.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(said, list)
            and len(said) == len(wanted)
            and all(_contains(one, two) for one, two in zip(said, wanted, strict=True))
        )
    return bool(said == wanted)


def matches(case: Case, events: Sequence[Heard], wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each wanted event is there, and no other. Ids are those of the file."""
    left = list(events)
    for one in wanted:
        here = {name: case.id(value) if name in IDS else value for name, value in one.items()}
        found = next((event for event in left if _contains(event.data, here)), None)
        if found is None:
            return False
        left.remove(found)
    return not left
