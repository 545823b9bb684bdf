"""`python -m benchmarks`: measures Pawl against its goals, and says where the time of a hop goes."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import hop, machine, report
from benchmarks.goals import QUICK, TRIALS, Goal, Result, Sizes, Trial
from benchmarks.profiling import PRELOADED, profile_hop
from benchmarks.stage import Stage, fresh_stage
from shared.clock import monotonic
from shared.telemetry import set_up_logging

LONGEST_TRIAL_SECONDS = 300.0


def main() -> None:
    """Reads the command line and measures. Exit code 0 also when a goal is missed: this is no test."""
    asked = _arguments()
    set_up_logging("benchmarks", "error")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if asked.profile:
        text = asyncio.run(profile(asked.events))
        print(text)
        if asked.output is not None:
            asked.output.write_text(text)
    else:
        asyncio.run(
            measure(asked.goals, asked.runs or (2 if asked.quick else 5), QUICK if asked.quick else Sizes())
        )


async def measure(names: Sequence[str], runs: int, sizes: Sizes) -> None:
    """One warm-up and `runs` runs of each trial. A trial that fails is said, and leaves the others alone."""
    trials = [trial for trial in TRIALS if not names or {g.name.split()[0] for g in trial.goals} & set(names)]
    results: list[Result] = []
    async with fresh_stage() as stage:
        where = await machine.describe(stage)
        tell(machine.sentence(where))
        if where["load_before"] > (os.cpu_count() or 1) / 2:
            tell(f"This machine is busy (load {where['load_before']}): even ratios suffer.")
        for trial in trials:
            results += await _try(stage, trial, runs, sizes)
    if not results:
        sys.exit("nothing was measured")
    print(report.table(results))
    if not names:
        report.write(where, results)
        tell(f"Written: {report.HERE / 'results.json'}, results.txt and results.svg beside it.")


async def _try(stage: Stage, trial: Trial, runs: int, sizes: Sizes) -> list[Result]:
    results = {goal.name: Result(goal) for goal in trial.goals}
    for number in range(runs + 1):
        started = monotonic()
        try:
            async with asyncio.timeout(LONGEST_TRIAL_SECONDS):
                values = await trial.measure(stage, QUICK if number == 0 else sizes)
        except (TimeoutError, AssertionError, RuntimeError, OSError) as failure:
            tell(f"{_names(trial.goals)}: run {number} failed: {type(failure).__name__}: {failure}")
            continue
        if number == 0:
            continue  # the Java virtual machine compiles in the first run
        for name, value in values.items():
            results[name].runs.append(value)
        said = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        tell(f"run {number} of {runs}, {monotonic() - started:.0f} s: {said}")
    return [result for result in results.values() if result.runs]


async def profile(events: int) -> str:
    """Where the time of the orders hop goes."""
    async with fresh_stage(PRELOADED) as stage:
        return await profile_hop(stage, hop.ours, events)


def tell(sentence: str) -> None:
    """Says how it goes, on standard error."""
    print(sentence, file=sys.stderr, flush=True)


def _names(goals: Sequence[Goal]) -> str:
    return ", ".join(goal.name for goal in goals)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("goals", nargs="*", help="only these, such as G1 G4; nothing is written then")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer runs, in about four minutes")
    parser.add_argument("--runs", type=int, help="runs of each trial (5; with --quick 2)")
    parser.add_argument("--profile", action="store_true", help="where the time of the orders hop goes")
    parser.add_argument("--events", type=int, default=20_000, help="events of the profile")
    parser.add_argument("--output", type=Path, help="where to put the profile as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
