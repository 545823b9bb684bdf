"""What a simulated tax agent has, and what it answers. No socket and no clock: instants are passed in."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from ops.tax_agent.behaviour import (
    Behaviour,
    CallFault,
    Held,
    Standing,
    behaviour_of,
    fault_of,
    standing_of,
    state_of_business,
)
from shared.kst import wire_time

MOST: Final = 100
PAUSE_SECONDS: Final = 3
REFUSED: Final = ("refused",)
"""What stands like this was not made, and may be sent again under its key."""
HALVES: Final = ("supplier", "buyer")
DEMANDED: Final = ("business_number", "name", "representative")
"""What has to be known of both halves of a document (부가가치세법 제32조 제1항)."""
KEY_LENGTHS: Final = range(1, 25)


class Reply(NamedTuple):
    """What is said to a call; `body` is None where the caller gets no answer in time."""

    status: int
    body: Mapping[str, Any] | None
    headers: Mapping[str, str] = {}


class Desk:
    """The agent's desk. `held` has its documents by key, `counts` what became of them at their first sending.

    `faults` go wrong with the next calls, before those of the seed; with `is_faultless` nothing else does.
    `keep` is told of each document that is taken. `demands` are what both halves of a document must have.
    """

    def __init__(
        self,
        seed: int,
        pace: float = 1.0,
        *,
        is_faultless: bool = False,
        demands: Sequence[str] = DEMANDED,
        held: Iterable[Held] = (),
        keep: Callable[[Held], None] = lambda held: None,
    ) -> None:
        self.seed, self.pace = seed, pace
        self.held = {each.key: each for each in held}
        self.counts: Counter[str] = Counter()
        self.faults: list[CallFault] = []
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.demands = demands
        self._is_faultless, self._keep = is_faultless, keep
        self._dropped: set[str] = set()

    def answer(self, path: str, said: Any, at: datetime) -> Reply:
        """What is said to a call at the instant `at`."""
        self.calls.append((path, said))
        fault = self._fault()
        if fault == "rate_limited":
            return Reply(429, {"error": "too_many_requests"}, {"Retry-After": str(PAUSE_SECONDS)})
        if fault == "down":
            return Reply(503, {"error": "unavailable"})
        try:
            reply = self._answer(path, said, at)
        except (KeyError, TypeError, ValueError):
            return Reply(400, {"error": "not of the contract: docs/tax-agent.md"})
        if fault == "silent":
            return Reply(0, None)
        return Reply(200, {"documents": "?"}) if fault == "garbage" else reply

    def _fault(self) -> CallFault | None:
        if self.faults:
            return self.faults.pop(0)
        return None if self._is_faultless else fault_of(self.seed, len(self.calls))

    def _answer(self, path: str, said: Any, at: datetime) -> Reply:
        match path:
            case "/documents":
                documents = self._few(said["documents"])
                answers = [self._take(document, at) for document in documents]
                return Reply(200, {"documents": [answer for answer in answers if answer is not None]})
            case "/documents/status":
                known = [self.held[key] for key in self._few(said["keys"]) if key in self.held]
                return Reply(200, {"documents": [self._told(held, at) for held in known]})
            case "/documents/cancel":
                return Reply(200, {"answer": self._cancel(said["key"], at)})
            case "/businesses":
                rows = [
                    {"business_number": number, "state": state_of_business(self.seed, number)}
                    for number in self._few(said["business_numbers"])
                ]
                return Reply(200, {"businesses": rows})
            case _:
                return Reply(404, {"error": "no such path"})

    def _few(self, things: Any) -> Any:
        if not isinstance(things, list) or len(things) > MOST:
            raise ValueError(f"at most {MOST}")
        return things

    def _take(self, document: Mapping[str, Any], at: datetime) -> Mapping[str, Any] | None:
        """The answer about one document; None where it is left out."""
        held = Held(document["key"], date.fromisoformat(document["written_date"]), document["total"], at)
        if len(held.key) not in KEY_LENGTHS or held.total != document["supply"] + document["vat"]:
            return {"key": held.key, "answer": "refused", "reason": "incomplete"}
        if not all(document[half][name] for half in HALVES for name in self.demands):
            return {"key": held.key, "answer": "refused", "reason": "incomplete"}
        if document["modification"] is not None and document["original_approval_number"] is None:
            return {"key": held.key, "answer": "refused", "reason": "original_unknown"}
        before = self.held.get(held.key)
        if before is not None and self._standing(before, at).standing not in REFUSED:
            return {"key": held.key, "answer": "refused", "reason": "duplicate_key"}
        behaviour = self._behaviour(held.key)
        self.counts["sent again" if before or held.key in self._dropped else behaviour] += 1
        if behaviour == "dropped" and held.key not in self._dropped:
            self._dropped.add(held.key)
            return None
        self.held[held.key] = held
        self._keep(held)
        if behaviour == "lost" and before is None:
            return None
        return {"key": held.key, "answer": "taken"}

    def _behaviour(self, key: str) -> Behaviour:
        return "issued" if self._is_faultless else behaviour_of(self.seed, key)

    def _standing(self, held: Held, at: datetime) -> Standing:
        return standing_of(self.seed, held, self._behaviour(held.key), at, self.pace)

    def _told(self, held: Held, at: datetime) -> Mapping[str, Any]:
        standing = self._standing(held, at)
        return {
            "key": held.key,
            "standing": standing.standing,
            "approval_number": standing.approval_number,
            "at": None if standing.at is None else wire_time(standing.at),
            "reason": standing.reason,
            "total": held.total,
        }

    def _cancel(self, key: str, at: datetime) -> str:
        held = self.held.get(key)
        if held is None:
            return "unknown"
        if self._standing(held, at).standing not in ("working", "issued"):
            return "too_late"
        del self.held[key]
        return "cancelled"
