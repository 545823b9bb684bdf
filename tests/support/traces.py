"""Records with a W3C trace context."""

from dataclasses import replace

from shared.runtime.records import StoredRecord

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def traced(record: StoredRecord, trace: str = TRACE) -> StoredRecord:
    """The same record as a tracing client sends it."""
    return replace(record, headers=[*record.headers, ("traceparent", trace.encode())])
