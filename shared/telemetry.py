"""What a process tells about itself: log lines as JSON, FastStream's metrics, spans where they are wanted."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from prometheus_client import CollectorRegistry

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


def is_traced(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a collector of spans is named."""
    return any(environment.get(name) for name in COLLECTORS)


def middlewares(service: str, registry: CollectorRegistry) -> Sequence[Any]:
    """FastStream's own metrics (batches by topic), and a span for each batch where a collector is named.

    The collector and everything else about spans is set with OpenTelemetry's own variables.
    """
    metrics = KafkaPrometheusMiddleware(registry=registry, app_name=f"pawl-{service}")
    return [metrics, _tracing(service)] if is_traced() else [metrics]


def _tracing(service: str) -> Any:
    """Spans over OTLP and HTTP. Its libraries are imported here: without a collector nobody needs them."""
    from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"pawl-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return KafkaTelemetryMiddleware(tracer_provider=provider)
