"""What one process tells the outside: counters, gauges and histograms, each with a sentence."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.runtime.todo_gauges import TodoGauges

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(slots=True)
class Metrics:
    """The Prometheus metrics of one service, each with a sentence."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    handled: Counter = field(init=False)
    duplicates: Counter = field(init=False)
    rejected: Counter = field(init=False)
    parked: Counter = field(init=False)
    published: Counter = field(init=False)
    forgotten: Counter = field(init=False)
    missed: Counter = field(init=False)
    retries: Counter = field(init=False)
    batch_size: Histogram = field(init=False)
    batch_seconds: Histogram = field(init=False)
    hop_seconds: Histogram = field(init=False)
    lag_events: Gauge = field(init=False)
    lag_seconds: Gauge = field(init=False)
    outbox_events: Gauge = field(init=False)
    unsent: Gauge = field(init=False)
    waiting: Gauge = field(init=False)
    todo: TodoGauges = field(init=False)

    def __post_init__(self) -> None:
        registry = self.registry
        self.handled = Counter("pawl_events_handled", "Events that a handler applied.", registry=registry)
        self.duplicates = Counter(
            "pawl_events_duplicate", "Events that were known already and changed nothing.", registry=registry
        )
        self.rejected = Counter(
            "pawl_events_rejected", "Records put into the dead letters, by code.", ["code"], registry=registry
        )
        self.parked = Counter(
            "pawl_events_parked",
            "Events that began to wait with their key, by kind.",
            ["kind"],
            registry=registry,
        )
        self.published = Counter(
            "pawl_facts_published", "Outbox rows that the broker acknowledged.", registry=registry
        )
        self.forgotten = Counter(
            "pawl_rows_forgotten",
            "Events and event ids from before the horizon that were removed.",
            ["what"],
            registry=registry,
        )
        self.missed = Counter(
            "pawl_records_missed",
            "Records that were deleted, or passed over by a group that was moved, before they were read.",
            ["kind"],
            registry=registry,
        )
        self.retries = Counter(
            "pawl_retries",
            "Repeats after trouble that passes, by what was repeated.",
            ["what"],
            registry=registry,
        )
        self.batch_size = Histogram(
            "pawl_batch_records",
            "Records in one batch.",
            buckets=(1, 5, 20, 50, 100, 200, 500, 1000, 2000, 5000),
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "pawl_batch_seconds",
            "Seconds from poll to commit of one batch.",
            buckets=BUCKETS,
            registry=registry,
        )
        self.hop_seconds = Histogram(
            "pawl_hop_seconds",
            "Seconds from the broker's timestamp of the oldest record of a batch to its commit.",
            buckets=BUCKETS,
            registry=registry,
        )
        self.lag_events = Gauge(
            "pawl_lag_events", "Records that wait in the partitions of this process.", registry=registry
        )
        self.lag_seconds = Gauge(
            "pawl_lag_seconds",
            "Age in seconds of the last record that this process committed.",
            registry=registry,
        )
        self.outbox_events = Gauge(
            "pawl_outbox_facts", "Events that are committed and not yet published.", registry=registry
        )
        self.unsent = Gauge(
            "pawl_unsent_events",
            "Events that the broker refuses, or that wait behind one of their key.",
            registry=registry,
        )
        self.waiting = Gauge(
            "pawl_waiting_events", "Events that wait with their key, by kind.", ["kind"], registry=registry
        )
        self.todo = TodoGauges(registry)
