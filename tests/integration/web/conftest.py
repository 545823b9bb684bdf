"""A tabletop of the four services for each test, and a small history on it."""

from tests.support.tabletop import history, table

__all__ = ["history", "table"]
