"""`python -m benchmarks`: measures Pawl against its goals, and says where the time goes."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import bulk, hop, machine, passes, registering, report
from benchmarks.goals import QUICK, TRIALS, Goal, Result, Sizes, Trial
from benchmarks.profiling import PRELOADED, profile_work
from benchmarks.stage import Stage, fresh_stage
from shared.clock import monotonic
from shared.telemetry import set_up_logging

LONGEST_RUN_SECONDS = 300.0
LARGE_MONTH = 1_000_000
T = TypeVar("T")


def main() -> None:
    """Reads the command line and measures. Exit code 0 also when a goal is missed: this is no test."""
    asked = _arguments()
    set_up_logging("benchmarks", "error")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if asked.profile:
        text = asyncio.run(_until_told(PROFILES[asked.profile](asked.events)))
        print(text)
        if asked.output is not None:
            asked.output.write_text(text)
        return
    plan = Plan(2, QUICK, 350) if asked.quick else Plan(5, Sizes(), 1_500)
    plan.runs = asked.runs or plan.runs
    plan.sizes = replace(plan.sizes, payments=asked.payments or plan.sizes.payments)
    if not asyncio.run(_until_told(measure(asked.goals, plan))):
        sys.exit("nothing was measured: every run failed, as said above")


@dataclass(slots=True)
class Plan:
    """How often and how much. On a slow machine the last runs are left out, so that it ends in `seconds`."""

    runs: int
    sizes: Sizes
    seconds: float


async def measure(names: Sequence[str], plan: Plan) -> list[Result]:
    """A warm-up and the runs of each trial. A trial that fails is said, and leaves the others alone."""
    trials = [trial for trial in TRIALS if not names or _names_of(trial) & set(names)]
    results: list[Result] = []
    began = monotonic()
    async with fresh_stage() as stage:
        where = await machine.describe(stage)
        tell(machine.sentence(where))
        if where["load_before"] > (os.cpu_count() or 1) / 2:
            tell(f"This machine is busy (load {where['load_before']}): even ratios suffer.")
        for number, trial in enumerate(trials, 1):
            results += await _try(stage, trial, plan, began + plan.seconds * number / len(trials))
            if results and not names:
                report.write(where, results)  # after each one: whoever interrupts keeps what was measured
    if results:
        print(report.table(results))
    if results and not names:
        tell(f"Written: {report.HERE / 'results.json'}, results.txt and results.svg beside it.")
    return results


async def _try(stage: Stage, trial: Trial, plan: Plan, deadline: float) -> list[Result]:
    results = {goal.name: Result(goal) for goal in trial.goals}
    for number in range(plan.runs + 1):
        started = monotonic()
        if number > 1 and started > deadline:
            tell(f"{_names(trial.goals)}: time is up after {number - 1} of {plan.runs} runs")
            break
        try:
            async with asyncio.timeout(LONGEST_RUN_SECONDS * max(1, plan.sizes.payments // LARGE_MONTH)):
                # the Java virtual machine compiles in the first one, which does not count
                values = await trial.measure(stage, QUICK if number == 0 else plan.sizes)
        except (TimeoutError, AssertionError, RuntimeError, OSError) as failure:
            tell(f"{_names(trial.goals)}: run {number} failed: {type(failure).__name__}: {failure}")
            continue
        if number == 0:
            continue
        for name, value in values.items():
            results[name].add(value)
        said = ", ".join(f"{name} {value.value:.3g}" for name, value in values.items())
        tell(f"run {number} of {plan.runs}, {monotonic() - started:.0f} s: {said}")
    return [result for result in results.values() if result.runs]


async def _until_told(work: Coroutine[Any, Any, T]) -> T:
    """Does the work; a signal to end cancels it, so that no server stays behind."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        sys.exit("ended by a signal; everything that was started is stopped")


async def profile_orders(events: int) -> str:
    """Where the time of the orders hop goes."""
    async with fresh_stage(PRELOADED) as stage:
        return await profile_work(stage, hop.ours, events)


async def profile_registrations(count: int) -> str:
    """Where the time of registrations goes, among a million serials."""
    async with fresh_stage(PRELOADED) as stage:
        await registering.fill_table(stage, bulk.LARGEST_GRANT)
        return await profile_work(stage, registering.ours, count)


async def profile_passes(orders: int) -> str:
    """What an order costs in each service: alone, in small batches, in large ones, and with many lines."""
    async with fresh_stage(PRELOADED) as stage:
        tables = [
            await passes.order_costs(stage, batch, max(3, min(60, orders // batch)), lines)
            for batch, lines in PASSES
        ]
    return "\n\n".join(tables)


PASSES = ((1, 1), (25, 1), (500, 1), (1, 22), (100, 22))
"""Orders at once, and how many lines each has."""
PROFILES = {"hop": profile_orders, "registrations": profile_registrations, "passes": profile_passes}


def tell(sentence: str) -> None:
    """Says how it goes, on standard error."""
    print(sentence, file=sys.stderr, flush=True)


def _names(goals: Sequence[Goal]) -> str:
    return ", ".join(goal.name for goal in goals)


def _names_of(trial: Trial) -> set[str]:
    """What its goals are called on the command line."""
    return {goal.name.split()[0] for goal in trial.goals}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("goals", nargs="*", help="only these, such as G1 G4; nothing is written then")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer runs, in six minutes")
    parser.add_argument("--runs", type=int, help="runs of each trial (5; with --quick 2)")
    parser.add_argument("--payments", type=int, help="payments of the month of G8 (1,000,000)")
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        nargs="?",
        const="hop",
        help="where the time goes: of the orders hop, or of these",
    )
    parser.add_argument("--events", type=int, default=20_000, help="events, or requests, of the profile")
    parser.add_argument("--output", type=Path, help="where to put the profile as well")
    asked = parser.parse_args()
    known = set().union(*map(_names_of, TRIALS))
    if unknown := set(asked.goals) - known:
        wanted = ", ".join(sorted(known, key=lambda name: int(name[1:])))
        parser.error(f"no goal is called {', '.join(sorted(unknown))}; there are {wanted}")
    return asked


if __name__ == "__main__":
    main()
