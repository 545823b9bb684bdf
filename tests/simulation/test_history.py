"""The figures that README shows are those that the services come to today."""

import pytest

from devtools.pictures import RECORD
from ops.replay.demo import EXAMPLE
from ops.replay.recording import Recording
from tests.simulation.history import replay

OF_THE_RUN = {"seconds", "orders_per_second", "events_per_second", "units_per_second", "check"}
"""What depends on the machine, and the report of the auditor, who needs a database."""


@pytest.mark.faults  # a minute of work
def test_the_recorded_demo_ended_as_the_whole_history_ends_today() -> None:
    recorded, today = Recording.read(RECORD).result.summary, replay(EXAMPLE)

    for figure in today.document.keys() - OF_THE_RUN:
        assert recorded.document[figure] == today.document[figure], figure
    assert recorded.document.keys() == today.document.keys()
    assert recorded.invoices == today.invoices
    # How many answers are read depends on what overtakes what: who waits for another topic is told so.
    assert recorded.events["published"] == today.events["published"]
    assert recorded.document["check"]["ok"]
