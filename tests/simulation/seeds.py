"""Which history a seed is: each fourth one is tampered with."""

from tests.simulation.engine import ORDERS, Outcome, Simulation
from tests.simulation.tampering import Tampered

TAMPERED_EACH = 4


def simulation_of(seed: int, orders: int = ORDERS) -> Simulation:
    """The history with this number."""
    return Tampered(seed, orders) if seed % TAMPERED_EACH == 0 else Simulation(seed, orders)


def run_seed(seed: int, orders: int = ORDERS) -> Outcome:
    """One history by its number."""
    return simulation_of(seed, orders).run()
