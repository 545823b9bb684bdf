"""Which history a seed is: each fourth one is tampered with, and two of four close months in steps."""

from collections.abc import Mapping

from tests.simulation.closing import InSteps, WithTaxAgent
from tests.simulation.engine import ORDERS, Outcome, Simulation
from tests.simulation.tampering import Tampered

TAMPERED_EACH = 4
CLOSING: Mapping[int, type[InSteps]] = {2: InSteps, 3: WithTaxAgent}
"""How a month is closed, by what is left of the seed; where nothing is said, in one stroke."""


def is_tampered(seed: int) -> bool:
    """Whether people do to brokers and databases in this history what they do in life."""
    return seed % TAMPERED_EACH == 0


def simulation_of(seed: int, orders: int = ORDERS) -> Simulation:
    """The history with this number."""
    if is_tampered(seed):
        return Tampered(seed, orders)
    return (CLOSING.get(seed % TAMPERED_EACH) or Simulation)(seed, orders)


def run_seed(seed: int, orders: int = ORDERS) -> Outcome:
    """One history by its number."""
    return simulation_of(seed, orders).run()
