"""How long tests wait for what should happen, in seconds: said here once.

A test that passes is woken by what it waits for, so these bounds cost it nothing. They are what a machine
needs that has thirty other things to do at the same time. What must happen within a bound, or must not
happen, is asserted by the test itself with a number of its own.
"""

PATIENCE = 180.0
"""For one thing that takes moments on a quiet machine: a record, a row, an answer, a healthy service."""

PATIENCE_WITH_A_LOAD = 400.0
"""For a load of a thousand orders to come to its end, also after an outage."""

PATIENCE_WITH_A_START = 400.0
"""For servers and services to start, the first time with an empty disk cache."""
