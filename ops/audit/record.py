"""`pawl record FILE`: requests, answers and events as checkout sees them, for `pawl check --history`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

from ops.audit.history.recorder import Recorded
from ops.audit.history.recorder import record as record_topics
from ops.shell.databases import urls_of
from ops.shell.options import Directory, KafkaAddress, PostgresUrl
from ops.shell.output import tell_on_stderr
from ops.shell.problem import Problem, explain_os_errors
from ops.shell.system import System, find_system
from shared.kafka import MissingTopic


def record(
    file: Annotated[Path, typer.Argument(help="JSON Lines; docs/history.md has the format.")],
    seconds: Annotated[float, typer.Option(min=0, help="Go on listening for so long.")] = 0.0,
    kafka: KafkaAddress = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
) -> None:
    """Record all topics as a history of requests, answers and events.

    The file holds no account numbers and no free texts.

    Example: [bold]pawl record history.jsonl --seconds 60[/bold]
    """
    system = find_system(kafka, postgres, directory)
    recorded = asyncio.run(_record(system, file, seconds))
    state = "" if recorded.quiet else "; work was going on at its end"
    tell_on_stderr(f"{recorded.entries:,} lines in {file}{state}")
    tell_on_stderr(f"Judge it: pawl check --history {file}")


async def _record(system: System, file: Path, seconds: float) -> Recorded:
    urls = urls_of(system) if system.ops_url else None
    with explain_os_errors("writing the history", file, "write it elsewhere"), file.open("wb") as lines:
        try:
            return await record_topics(system.require_kafka(), urls, lines, seconds)
        except (KafkaError, MissingTopic) as error:
            raise Problem(f"Kafka does not answer: {str(error) or type(error).__name__}") from error
