"""Which machine a ratio was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.stage import Stage
from ops.local.jars import KAFKA_VERSION

LIBRARIES = ("aiokafka", "asyncpg", "faststream", "faststream-outbox", "pydantic", "orjson")


async def describe(stage: Stage) -> dict[str, Any]:
    """Processor, cores, memory and the versions of everything that takes part."""
    async with stage.connected() as connection:
        postgres = await connection.fetchval("SHOW server_version")
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "postgres": postgres,
        **{name: version(name) for name in LIBRARIES},
        "load_before": round(os.getloadavg()[0], 2),
    }


def sentence(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; "
        f"Python {machine['python']}, Apache Kafka {machine['kafka']}, PostgreSQL {machine['postgres']}, "
        f"faststream {machine['faststream']}, aiokafka {machine['aiokafka']}, asyncpg {machine['asyncpg']}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
