"""A Prometheus that watches a system, asked over HTTP."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlencode

from ops.shell.http_client import fetch
from shared.events.catalogue import SERVICES
from tests.support.patience import PATIENCE

DASHBOARDS = Path(__file__).parents[2] / "deploy" / "dashboards"


async def answers_of(url: str, expression: str) -> int:
    """How many series answer to a query; it is one that Prometheus can read."""
    answer = await fetch(f"{url}/api/v1/query?{urlencode({'query': expression})}", timeout=PATIENCE)
    assert answer.status == 200, f"{expression}: {answer.text}"
    return len(json.loads(answer.text)["data"]["result"])


async def until_all_are_up(url: str) -> None:
    """Returns once every service was scraped."""
    async with asyncio.timeout(PATIENCE):
        while (await fetch(f"{url}/-/ready")).status != 200 or await answers_of(url, UP) < len(SERVICES):
            await asyncio.sleep(0.25)


UP = 'up{job="pawl"} == 1'


async def rules_of(url: str) -> set[str]:
    """The alerts that it knows."""
    groups = json.loads((await fetch(f"{url}/api/v1/rules", timeout=PATIENCE)).text)["data"]["groups"]
    return {rule["name"] for group in groups for rule in group["rules"]}


def queries_of_dashboards() -> list[str]:
    """Every query of every panel, as Grafana would send it."""
    return [
        target["expr"].replace("$__rate_interval", "1m")
        for file in sorted(DASHBOARDS.glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]
