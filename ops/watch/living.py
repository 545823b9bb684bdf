"""Whether each service lives: what it says of itself over HTTP."""

import asyncio
from typing import NamedTuple

import orjson

from ops.shell.http_client import Answer, fetch
from ops.shell.system import System
from shared.events.catalogue import SERVICES

HEALTH_SECONDS = 3.0
ALIVE = "alive"


class Life(NamedTuple):
    """How a service is: `alive`, `starting`, `stopping`, `stalled`, `silent`, or `unknown` (without address).

    `why` says more where it is not alive.
    """

    status: str
    why: str = ""


async def read_lives(system: System) -> dict[str, Life]:
    """How each service is. Asks all of them at once, and waits a few seconds for none that is silent."""
    lives = await asyncio.gather(*(_ask(system, service) for service in SERVICES))
    return dict(zip(SERVICES, lives, strict=True))


async def _ask(system: System, service: str) -> Life:
    endpoint = system.services.get(service)
    if endpoint is None:
        return Life("unknown", f"no address: PAWL_SERVICES={service}=http://HOST:PORT")
    return life_of(await fetch(endpoint.health, timeout=HEALTH_SECONDS))


def life_of(answer: Answer) -> Life:
    """What an answer of `/health` means."""
    if answer.status == 0:
        return Life("silent", answer.text)
    if answer.status == 200:
        return Life(ALIVE)
    try:
        report = orjson.loads(answer.text)
        return Life(report["status"], report["why"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return Life("silent", f"it answers {answer.status}")
