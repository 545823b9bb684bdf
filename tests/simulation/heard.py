"""What a client outside would have recorded of a simulated history, as `pawl record` writes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

from ops.audit.history.entries import ENDED, RECORDER, Entry
from ops.audit.history.judge import Judged, judge
from ops.audit.history.recorder import EPOCH, entries_of
from shared.runtime.records import StoredRecord
from tests.simulation.checks import Checks
from tests.simulation.engine import Simulation
from tests.simulation.memory import Broker, Written


@contextmanager
def listening() -> Iterator[list[Written]]:
    """The records that brokers write while this is open, a millisecond each."""
    written: list[Written] = []
    append = Broker.append

    def appended(broker: Broker, *arguments: object, **more: object) -> StoredRecord:
        record = append(broker, *arguments, **more)  # type: ignore[arg-type]
        assert isinstance(record, Written)
        written.append(record)
        return record

    with patch.object(Broker, "append", appended):
        yield written


def judged(seed: int) -> Judged:
    """What the judge of recorded histories says about a history that has come to rest.

    The simulation's own checks look away: this is about what can be seen from outside.
    """
    with listening() as written, patch.object(Checks, "step"), patch.object(Checks, "rest"):
        Simulation(seed).run()
    entries = [entry for record in written for entry in entries_of(record)]
    ended_at = EPOCH + timedelta(milliseconds=len(written))
    return judge([*entries, Entry(ended_at, RECORDER, "info", ENDED, data={"quiet": True})])
