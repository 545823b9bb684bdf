"""`pawl gateway`: payouts are answered as a payment gateway would, until Ctrl-C."""

import asyncio
import signal
from contextlib import suppress
from typing import Annotated, Any, Final

import typer
from aiokafka.errors import KafkaError

from ops.gateway.run import open_gateway
from ops.shell.options import Directory, Json, KafkaAddress
from ops.shell.output import print_json, tell_on_stderr
from ops.shell.problem import Problem
from ops.shell.system import System, find_system

SEED: Final = 1
Seed = Annotated[int, typer.Option("--seed", min=0, help="Another one behaves in other ways.")]


def gateway(
    seed: Seed = SEED, kafka: KafkaAddress = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Answer the payouts that refunds asks for, as a payment gateway would, until Ctrl-C.

    Most are paid within 2 seconds. Some answers come late, get lost, come twice or contradict each other;
    some payouts fail, bounce or are made twice. The seed decides which. No money moves.

    Example: [bold]pawl gateway --seed 7[/bold]
    """
    system = find_system(kafka, None, directory)
    system.require_kafka()
    counts = asyncio.run(_answer(system, seed))
    if as_json:
        print_json({"seed": seed, "payouts": sum(counts.values()), "behaviours": counts})
    else:
        told = ", ".join(f"{number} {behaviour.replace('_', ' ')}" for behaviour, number in counts.items())
        print(f"Payouts answered: {told or 'none'}.")


async def _answer(system: System, seed: int) -> dict[str, int]:
    """Answers until SIGINT or SIGTERM; the payouts by behaviour. Raises Problem."""
    main = asyncio.current_task()
    assert main is not None
    _end_at_a_signal(main)
    counts: dict[str, int] = {}
    try:
        with suppress(asyncio.CancelledError):
            async with open_gateway(system.checkout, seed, tell=tell_on_stderr) as gateway:
                tell_on_stderr(f"Answering payouts with seed {seed}; Ctrl-C ends it.")
                counts = gateway.counts
                await gateway.run()
    except KafkaError as error:
        raise Problem(
            f"Kafka does not answer: {str(error) or type(error).__name__}",
            "The same command again answers what is still open.",
        ) from error
    return dict(counts)


def _end_at_a_signal(main: asyncio.Task[Any]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, main.cancel)
