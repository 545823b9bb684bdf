"""Which history a seed is: each fourth one is tampered with, in another fourth months are closed in steps."""

from tests.simulation.engine import ORDERS, Outcome, Simulation
from tests.simulation.in_steps import InSteps
from tests.simulation.tampering import Tampered

TAMPERED_EACH = 4
IN_STEPS = 2
"""What is left of the seed of a history in steps, divided by the number of kinds."""


def is_tampered(seed: int) -> bool:
    """Whether people do to brokers and databases in this history what they do in life."""
    return seed % TAMPERED_EACH == 0


def is_in_steps(seed: int) -> bool:
    """Whether months are closed in steps in this history."""
    return seed % TAMPERED_EACH == IN_STEPS


def simulation_of(seed: int, orders: int = ORDERS) -> Simulation:
    """The history with this number."""
    if is_in_steps(seed):
        return InSteps(seed, orders)
    return Tampered(seed, orders) if is_tampered(seed) else Simulation(seed, orders)


def run_seed(seed: int, orders: int = ORDERS) -> Outcome:
    """One history by its number."""
    return simulation_of(seed, orders).run()
