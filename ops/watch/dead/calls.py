"""Showing and replaying one, through the HTTP side of its service."""

from collections.abc import Sequence
from typing import Any

import orjson

from ops.shell.http_client import Answer, fetch
from ops.shell.problem import Exit, Problem
from ops.shell.system import System
from ops.shell.tokens import require_allowed
from ops.watch.dead.names import Name

ANSWER_SECONDS = 60.0
LOOK, CHANGE = "ops:read", "ops:write"


async def fetch_one(base: str, name: Name, token: str) -> dict[str, Any]:
    """The record with its cause. Raises Problem, with exit code 4 when there is none."""
    answer = await fetch(base + name.path, None, ANSWER_SECONDS, token)
    _require_answer(answer, base, LOOK)
    if answer.status == 404:
        raise Problem(f"There is no {name}.", "See what there is: pawl dead ls", Exit.NOTHING_MATCHED)
    if answer.status != 200:
        raise Problem(f"{name.service} could not show {name}: {answer.text[:300]}", "See its log.")
    document: dict[str, Any] = orjson.loads(answer.text)
    return document


def _require_answer(answer: Answer, base: str, scope: str) -> None:
    if answer.status == 0:
        raise Problem(
            f"The service does not answer at {base}: {answer.text}",
            "Is it running? pawl up; or name it: --url URL",
        )
    require_allowed(answer, scope)


async def replay_one(base: str, name: Name, token: str, reason: str) -> dict[str, Any]:
    """What became of it: `replayed`, and if not, why. Raises Problem for no answer and for no such record."""
    body = orjson.dumps({"reason": reason})
    answer = await fetch(f"{base}{name.path}/replay", body, ANSWER_SECONDS, token)
    _require_answer(answer, base, CHANGE)
    if answer.status == 404:
        raise Problem(
            f"There is no open {name}; it may have been replayed before.",
            "See: pawl dead ls --all",
            Exit.NOTHING_MATCHED,
        )
    if answer.status not in (200, 409):
        raise Problem(f"{name.service} could not replay {name}: {answer.text[:300]}", "See its log.")
    document = orjson.loads(answer.text)
    if answer.status == 409:
        document = {"replayed": False, **document["refused"]}
    return {"name": str(name), **document}


async def replay_all(system: System, names: Sequence[Name], token: str, reason: str) -> list[dict[str, Any]]:
    """One after the other; the first one that is refused again ends it."""
    outcomes = []
    for name in names:
        outcome = await replay_one(system.service(name.service).base_url, name, token, reason)
        outcomes.append(outcome)
        if not outcome["replayed"]:
            break
    return outcomes
