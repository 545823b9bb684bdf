"""What FastStream's middlewares make of a batch: counts by topic, and a span that links to its records."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.clock import monotonic
from shared.runtime.consumer import PartitionConsumer
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from shared.telemetry import COLLECTORS, close_spans, middlewares, open_spans
from tests.support.batches import Hand, through_middlewares
from tests.support.collector import collecting
from tests.support.toy import own, said
from tests.support.traces import OTHER_TRACE, TRACE, traced

LIBRARIES = {"opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf"}


def consumer_of(metrics: Metrics, failing: bool = False) -> PartitionConsumer:
    async def handle(records: Sequence[Record]) -> None:
        if failing:
            raise ValueError("unforeseen")

    return PartitionConsumer(handle, metrics, lambda why: None)


def metered(metrics: Metrics, failing: bool = False) -> Hand:
    return through_middlewares(consumer_of(metrics, failing), middlewares("orders", metrics.registry))


def value(metrics: Metrics, name: str, handler: str, **labels: str) -> float | None:
    """One of FastStream's metrics, by its name without `faststream_received_`."""
    given = {"app_name": "pawl-orders", "broker": "kafka", "handler": handler, **labels}
    return metrics.registry.get_sample_value(f"faststream_received_{name}", given)


async def test_a_batch_counts_its_records_their_bytes_and_its_time() -> None:
    metrics, records = Metrics(), [said("pay-1"), said("pay-2"), replace(said("pay-3"), value=None)]

    await metered(metrics)(records)

    assert value(metrics, "messages_total", "checkout.events") == 3
    assert value(metrics, "processed_messages_total", "checkout.events", status="acked") == 3
    size = sum(len(record.value or b"") for record in records)
    assert value(metrics, "messages_size_bytes_sum", "checkout.events") == size
    assert value(metrics, "processed_messages_duration_seconds_count", "checkout.events") == 1
    assert value(metrics, "messages_in_process", "checkout.events") == 0


async def test_a_batch_of_several_topics_counts_under_all_of_them() -> None:
    """Not under the topic of its first record, which would take what belongs to the others."""
    metrics = Metrics()
    hand = metered(metrics)

    await hand([own("r-1", 1), said("pay-1"), said("pay-2")])
    await hand([said("pay-3")])

    assert value(metrics, "messages_total", "checkout.events,orders.events") == 3
    assert value(metrics, "messages_total", "checkout.events") == 1
    assert value(metrics, "messages_total", "orders.events") is None


async def test_a_batch_that_fails_counts_as_a_failure() -> None:
    metrics = Metrics()

    with pytest.raises(ValueError, match="unforeseen"):
        await metered(metrics, failing=True)([said("pay-1")])

    name, why = "processed_messages_exceptions_total", "ValueError"
    assert value(metrics, name, "checkout.events", exception_type=why) == 1


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    yield spans
    spans.shutdown()


def spanned(spans: TracerProvider) -> Hand:
    metrics = Metrics()
    return through_middlewares(
        consumer_of(metrics), middlewares("orders", metrics.registry, spans), traced=True
    )


def linked(spans: Sequence[ReadableSpan]) -> list[str]:
    """The trace contexts that spans link to."""
    links = [link.context for span in spans for link in span.links]
    return [f"00-{link.trace_id:032x}-{link.span_id:016x}-{link.trace_flags:02x}" for link in links]


async def test_a_batch_has_a_span_that_links_to_the_traces_of_its_records(
    spans: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    await spanned(spans)([traced(said("pay-1")), said("pay-2"), traced(said("pay-3"), OTHER_TRACE)])

    finished = exporter.get_finished_spans()
    assert [span.name for span in finished] == ["checkout.events create", "checkout.events process"]
    assert linked(finished) == [TRACE, OTHER_TRACE]
    assert {(span.attributes or {})["messaging.batch.message_count"] for span in finished} == {3}


async def test_a_batch_without_traces_has_a_span_without_links(
    spans: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    await spanned(spans)([said("pay-1"), traced(said("pay-2"), "sampled")])

    assert len(exporter.get_finished_spans()) == 2
    assert linked(exporter.get_finished_spans()) == []


async def test_each_batch_has_a_trace_of_its_own(
    spans: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    hand = spanned(spans)
    await hand([traced(said("pay-1"))])
    await hand([traced(said("pay-2"))])

    traces = {span.context.trace_id for span in exporter.get_finished_spans() if span.context}

    assert len(traces) == 2


@pytest.mark.parametrize("environment", [{}, dict.fromkeys(COLLECTORS, "")], ids=["not set", "empty"])
def test_without_a_collector_there_are_no_spans(environment: Mapping[str, str]) -> None:
    assert open_spans("orders", environment) is None
    close_spans(None, 1)


PUT_TOGETHER = """
import json, sys
import services.orders.__main__
from shared.runtime.signals import Metrics
from shared.telemetry import middlewares, open_spans
middlewares("orders", Metrics().registry, open_spans("orders"))
print(json.dumps(list(sys.modules)))
"""


def test_without_a_collector_a_service_imports_no_library_of_spans() -> None:
    ran = subprocess.run([sys.executable, "-c", PUT_TOGETHER], env={}, capture_output=True, check=True)
    assert LIBRARIES.isdisjoint(json.loads(ran.stdout))


@pytest.mark.parametrize("setting", COLLECTORS)
def test_either_setting_names_a_collector(setting: str) -> None:
    spans = open_spans("orders", {setting: "http://127.0.0.1:1"})
    close_spans(spans, 1)

    assert spans is not None
    assert set(sys.modules) >= LIBRARIES


async def test_the_last_spans_are_sent_when_the_service_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        spans = open_spans("orders")
        assert spans is not None
        await spanned(spans)([traced(said("pay-1"))])
        assert collector.posts == []

        close_spans(spans, 30)

    assert [path for path, _ in collector.posts] == ["/v1/traces"]
    assert collector.has(TRACE)
    assert not collector.has(OTHER_TRACE)
    assert b"pawl-orders" in collector.posts[0][1]


async def test_a_collector_that_does_not_answer_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
        spans = open_spans("orders")
        assert spans is not None
        await spanned(spans)([traced(said("pay-1"))])

        started = monotonic()
        close_spans(spans, 0.1)

        assert monotonic() - started < 4
