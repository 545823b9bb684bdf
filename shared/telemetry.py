"""What a process tells about itself: log lines as JSON, FastStream's metrics, spans where they are wanted."""

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from faststream.kafka.prometheus.provider import BatchKafkaMetricsSettingsProvider
from faststream.message import StreamMessage
from faststream.prometheus import ConsumeAttrs, PrometheusMiddleware
from prometheus_client import CollectorRegistry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""The standard settings of OpenTelemetry that name where spans go."""


def set_up_logging(service: str, level: str) -> None:
    """Sends every log line of this process to stderr as JSON, with the name of the service."""
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
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler], force=True)
    for chatty in ("aiokafka", "faststream", "uvicorn", "asyncio"):
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
