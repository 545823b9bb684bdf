"""Which history a seed is: each fourth one is tampered with."""

from tests.simulation.engine import ORDERS, Outcome, Simulation
from tests.simulation.tampering import Tampered

TAMPERED_EACH = 4


def is_tampered(seed: int) -> bool:
    """Whether people do to brokers and databases in this history what they do in life."""
    return seed % TAMPERED_EACH == 0


def simulation_of(seed: int, orders: int = ORDERS) -> Simulation:
    """The history with this number."""
    return Tampered(seed, orders) if is_tampered(seed) else Simulation(seed, orders)


def run_seed(seed: int, orders: int = ORDERS) -> Outcome:
    """One history by its number."""
    return simulation_of(seed, orders).run()
