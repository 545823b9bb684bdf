"""What a process tells about itself: log lines as JSON, FastStream's metrics, spans where they are wanted."""

import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from faststream.kafka.prometheus.provider import BatchKafkaMetricsSettingsProvider
from faststream.message import StreamMessage
from faststream.prometheus import ConsumeAttrs, PrometheusMiddleware
from prometheus_client import CollectorRegistry

from shared.clock import monotonic

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""The standard settings of OpenTelemetry that name where spans go."""

QUIET_SECONDS = 60.0
CLIENTS: Final = {"aiokafka": "Kafka", "asyncpg": "Postgres"}
"""The server that each client library talks to."""


class TroubleFilter(logging.Filter):
    """Leaves out lines about trouble that passes where they only repeat what has been said.

    Such are those of the two clients, from warnings on, and ours that have a field `trouble`. While one of
    the servers that it concerns is known to be away (shared/runtime/servers.py says so), none is needed. At
    other times each is said once in QUIET_SECONDS, with how often it was left out since.
    """

    def __init__(self) -> None:
        super().__init__()
        self._heard: dict[str, Callable[[], None]] = {}
        self._left_out_by_server: Counter[str] = Counter()
        self._away: set[str] = set()
        self._said_at: dict[tuple[str, str], float] = {}
        self._left_out: Counter[tuple[str, str]] = Counter()

    def tell(self, server: str, hear: Callable[[], None]) -> None:
        """Calls `hear` at every line of trouble that this server ("Kafka", "Postgres") may have caused."""
        self._heard[server] = hear

    @contextmanager
    def while_away(self, server: str) -> Iterator[None]:
        """Inside the block it is known that this server does not answer."""
        self._away.add(server)
        try:
            yield
        finally:
            self._away.discard(server)

    def left_out(self, server: str) -> int:
        """How many lines were left out because of this server since this was last asked."""
        return self._left_out_by_server.pop(server, 0)

    def filter(self, record: logging.LogRecord) -> bool:
        servers = _concerned(record)
        for server in servers:
            if server in self._heard:
                self._heard[server]()
        if away := self._away & servers:
            self._left_out_by_server.update(away)
            return False
        return not servers or self._is_news(record)

    def _is_news(self, record: logging.LogRecord) -> bool:
        event = record.msg["event"] if isinstance(record.msg, dict) else str(record.msg)
        line = (record.name, event)
        if line in self._said_at and monotonic() - self._said_at[line] < QUIET_SECONDS:
            self._left_out[line] += 1
            return False
        self._said_at[line] = monotonic()
        if record.exc_info and record.name.startswith("asyncpg"):
            # It goes through twenty frames of the client, and says no more than its last line.
            record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]!r}", ()
            record.exc_info = None
        if left_out := self._left_out.pop(line, 0):
            if isinstance(record.msg, dict):
                record.msg["left_out"] = left_out
            else:
                record.msg, record.args = f"{record.getMessage()} ({left_out} times more before)", ()
        return True


def _concerned(record: logging.LogRecord) -> set[str]:
    """The servers that may have caused what this line tells.

    The Kafka client adds a traceback to what it did not foresee, which is always worth a line.
    """
    if client := CLIENTS.get(record.name.partition(".")[0]):
        foreseen = client == "Postgres" or not record.exc_info
        return {client} if foreseen and record.levelno >= logging.WARNING else set()
    if isinstance(record.msg, dict) and "trouble" in record.msg:
        return {"Kafka", "Postgres"}
    return set()


trouble_filter = TroubleFilter()


def set_up_logging(service: str, level: str) -> None:
    """Sends every log line of this process to stderr as JSON, with the name of the service.

    What only repeats is left out (TroubleFilter), unless the level is `debug`.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared_processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared_processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_processors,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    if number > logging.DEBUG:
        handler.addFilter(trouble_filter)
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler], force=True)
    for chatty in (*CLIENTS, "faststream", "uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))
    structlog.contextvars.bind_contextvars(service=service)


class _BatchOfTopics(BatchKafkaMetricsSettingsProvider):
    """A batch counts under the names of all its topics: FastStream would take that of its first record."""

    def get_consume_attrs_from_message(self, msg: StreamMessage[Any]) -> ConsumeAttrs:
        topics = sorted({record.topic for record in msg.raw_message})
        return {**super().get_consume_attrs_from_message(msg), "destination_name": ",".join(topics)}


def middlewares(
    service: str, registry: CollectorRegistry, spans: "TracerProvider | None" = None
) -> Sequence[Any]:
    """FastStream's own metrics, put into this registry, and a span for each batch where there are spans.

    The metrics' label `handler` names the topics of a batch.
    """
    metrics = PrometheusMiddleware[Any, Any](
        settings_provider_factory=lambda message: _BatchOfTopics(),
        registry=registry,
        app_name=f"pawl-{service}",
    )
    if spans is None:
        return [metrics]
    from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware

    return [metrics, KafkaTelemetryMiddleware(tracer_provider=spans)]


def open_spans(service: str, environment: Mapping[str, str] = os.environ) -> "TracerProvider | None":
    """Where the spans of this process go, over OTLP and HTTP; None where no collector is named.

    What else there is to choose about spans is set with OpenTelemetry's own variables. Its libraries are
    imported here: without a collector nobody needs them.
    """
    if not any(environment.get(name) for name in COLLECTORS):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": f"pawl-{service}"})
    # Its own way to end would hold up the exit of the process for a collector that is away; see close_spans.
    spans = TracerProvider(resource=resource, shutdown_on_exit=False)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return spans


def close_spans(spans: "TracerProvider | None", patience_seconds: float) -> None:
    """Sends the last spans; those that the collector does not take within this time are lost.

    In a thread that ends with the process: its own patience with a collector that is away is half a minute.
    """
    if spans is not None:
        closing = threading.Thread(target=spans.shutdown, name="close_spans", daemon=True)
        closing.start()
        closing.join(patience_seconds)
