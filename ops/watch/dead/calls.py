"""Showing one and ending one, through the HTTP side of its service."""

from typing import Any

import orjson

from ops.shell.asking import look, require_answer
from ops.shell.http_client import fetch
from ops.shell.problem import Exit, Problem
from ops.shell.refusals import code_of, detail_of
from ops.watch.dead.names import Name

ANSWER_SECONDS = 60.0
LOOK, CHANGE = "ops:read", "ops:write"


async def fetch_one(base: str, name: Name, token: str) -> dict[str, Any]:
    """The record with its cause. Raises Problem, with exit code 4 when there is none."""
    document: dict[str, Any] = await look(base + name.path, token, LOOK, "See what there is: pawl dead ls")
    return document


async def replay_one(base: str, name: Name, token: str, reason: str) -> dict[str, Any]:
    """What became of it: `replayed`, and if not, why. Raises Problem where that cannot be tried."""
    refused, document = await _tell(base, name, "replay", {"reason": reason}, token)
    return {"name": str(name), **({"replayed": False, **document} if refused else document)}


async def try_one(base: str, name: Name, token: str) -> tuple[bool, dict[str, Any]]:
    """Whether a dead letter would be refused again, and why or what it would write. Raises Problem."""
    return await _tell(base, name, "replay", {"reason": "only tried", "apply": False}, token)


async def resolve_one(base: str, name: Name, token: str, reason: str) -> dict[str, Any]:
    """How it ended: `resolved`, when, by whom and why. Raises Problem."""
    require_letter(name, "resolved")
    _, document = await _tell(base, name, "resolve", {"reason": reason}, token)
    return {"name": str(name), "resolved": True, **document}


async def edit_one(base: str, name: Name, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the edit led to, or would: `refused` is why not, where it is refused again. Raises Problem."""
    refused, document = await _tell(base, name, "edit", body, token)
    return {"name": str(name), **({"refused": document} if refused else document)}


def require_letter(name: Name, done: str) -> None:
    """Raises Problem (exit code 2) for a parked event or an unsent event, which only a replay moves."""
    if name.unsent:
        raise Problem(
            f"{name} is an event that readers wait for; only what was refused can be {done}.",
            f"Have its topic take it, then: pawl dead replay {name} --reason WHY",
            Exit.USAGE,
        )
    if name.parked:
        raise Problem(
            f"{name} is right and waits; only what was refused can be {done}.",
            f"Why it waits: pawl dead show {name}. Handle it again: pawl dead replay {name} --reason WHY",
            Exit.USAGE,
        )


async def _tell(
    base: str, name: Name, action: str, body: dict[str, Any], token: str
) -> tuple[bool, dict[str, Any]]:
    """Whether the record is refused again, and why or what came of it. Raises Problem for all else."""
    answer = await fetch(f"{base}{name.path}/{action}", orjson.dumps(body), ANSWER_SECONDS, token)
    require_answer(answer, base, CHANGE)
    if answer.status == 200:
        return False, orjson.loads(answer.text)
    code, detail = code_of(answer), detail_of(answer)
    if code == "still_refused":
        return True, orjson.loads(answer.text)["refused"]
    if answer.status == 404 or code == "conflict":
        raise Problem(f"{name}: {detail}", "See: pawl dead ls --all", Exit.NOTHING_MATCHED)
    raise Problem(f"{name}: {detail}", "", Exit.USAGE if answer.status == 422 else Exit.FAILED)
