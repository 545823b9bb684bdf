"""An embedded Prometheus that watches a system of `pawl up`, where its program is installed."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from ops.local.ports import HOST
from ops.local.supervisor import Launch
from ops.shell.http_client import fetch
from ops.shell.problem import Problem, explain_os_errors

PROGRAM: Final = "PAWL_PROMETHEUS"
RULES: Final = Path(__file__).parents[2] / "deploy" / "alerts" / "pawl.rules.yml"
SCRAPE_SECONDS: Final = 5
KEPT: Final = "30d"


def require_prometheus(environment: Mapping[str, str] = os.environ) -> str:
    """The path of the program. Raises Problem where it is not installed."""
    named = environment.get(PROGRAM, "prometheus")
    found = shutil.which(named)
    if found is None:
        raise Problem(
            f"There is no program {named} here.",
            f"On Debian and Ubuntu: apt-get install prometheus. Or name it: {PROGRAM}=/path/to/prometheus. "
            "Prometheus and Grafana in containers: docker compose --profile watch up -d",
        )
    return found


def configuration(services: Mapping[str, str], rules: Path = RULES) -> dict[str, Any]:
    """What it scrapes and which alerts it knows. `services` are their base URLs, by name."""
    return {
        "global": {
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "evaluation_interval": f"{SCRAPE_SECONDS}s",
        },
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "pawl",
                "static_configs": [
                    {"targets": [url.removeprefix("http://")], "labels": {"service": name}}
                    for name, url in services.items()
                ],
            }
        ],
    }


def launch_of(program: str, directory: Path, port: int, services: Mapping[str, str], log: Path) -> Launch:
    """How it is started, with its data and its configuration in the directory."""
    with explain_os_errors("preparing Prometheus", directory):
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "prometheus.yml"
        file.write_text(yaml.safe_dump(configuration(services), sort_keys=False))
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--storage.tsdb.retention.time={KEPT}",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    ]
    return Launch("prometheus", command, {}, log)


async def until_ready(url: str) -> None:
    """Waits until it answers."""
    while (await fetch(f"{url}/-/ready")).status != 200:
        await asyncio.sleep(0.1)
