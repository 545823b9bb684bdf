"""`python -m tests.simulation --seeds 200 --first 1` runs seeded histories of the whole system."""

import argparse
import sys
import time

from tests.simulation.bugs import PLANTED
from tests.simulation.engine import ORDERS, Outcome
from tests.simulation.exhaustive import SCENARIOS, explore
from tests.simulation.matrix import catch, table
from tests.simulation.promises import Violation
from tests.simulation.seeds import run_seed


def main() -> int:
    """0 when every promise was kept."""
    arguments = _arguments()
    if arguments.exhaustive:
        return _explore_all()
    if arguments.matrix:
        caught = [catch(bug) for bug in PLANTED]
        print(table(caught))
        return int(any(one.violation is None for one in caught))
    return _run_seeds(arguments.first, arguments.seeds, arguments.orders)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many histories")
    parser.add_argument("--first", type=int, default=1, help="the number of the first one")
    parser.add_argument("--orders", type=int, default=ORDERS, help="orders in each history")
    parser.add_argument(
        "--exhaustive", action="store_true", help="every interleaving of small orders instead"
    )
    parser.add_argument("--matrix", action="store_true", help="which check catches which planted bug instead")
    return parser.parse_args()


def _run_seeds(first: int, seeds: int, orders: int) -> int:
    began, failed, steps, facts = time.monotonic(), 0, 0, 0
    for seed in range(first, first + seeds):
        outcome = run_seed(seed, orders)
        steps, facts = steps + outcome.steps, facts + outcome.facts
        if outcome.violation is not None:
            failed += 1
            print(describe(outcome, orders))
        if sys.stderr.isatty():
            print(f"\r{seed - first + 1}/{seeds}", end="", file=sys.stderr)
    seconds = time.monotonic() - began
    print(f"{seeds} seeds from {first}: {seeds - failed} kept every promise, {failed} did not")
    print(f"{steps} steps, {facts} facts, {seeds / seconds:.1f} seeds a second")
    return int(failed > 0)


def describe(outcome: Outcome, orders: int) -> str:
    """What went wrong with a seed, and how to see it again with as few orders as show it."""
    fewest = orders
    for fewer in range(1, orders):
        smaller = run_seed(outcome.seed, fewer).violation
        if smaller is not None and outcome.violation is not None and smaller.check == outcome.violation.check:
            fewest = fewer
            break
    again = f"python -m tests.simulation --seeds 1 --first {outcome.seed} --orders {fewest}"
    return f"seed {outcome.seed}, step {outcome.step} ({outcome.did}): {outcome.violation}\n  again: {again}"


def _explore_all() -> int:
    failed = 0
    for scenario in SCENARIOS:
        try:
            found = explore(scenario)
        except Violation as violation:
            failed += 1
            print(f"{scenario.name}: {violation}")
        else:
            print(f"{scenario.name}: {found.told}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
