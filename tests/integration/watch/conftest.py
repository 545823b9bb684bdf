"""A tabletop of the four services for each test, a small history on it, and a terminal before it."""

from tests.support.tabletop import history, table
from tests.support.terminal import terminal

__all__ = ["history", "table", "terminal"]
