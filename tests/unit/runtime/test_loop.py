"""The event loop that a service runs on: what the Kafka client expects of it when a broker goes away."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from shared.runtime import app


async def a_connection_that_breaks(service: Any, settings: Any) -> int:
    """Writes to a connection after it broke, as the client does until it has noticed."""
    accepted = asyncio.Event()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        accepted.set()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await accepted.wait()
    writer.transport.abort()
    await writer.wait_closed()
    try:
        with suppress(OSError):  # what the client takes for a broken connection
            writer.write(b"a request")
    finally:
        server.close()
    return 0


def test_a_write_to_a_broken_connection_is_no_unforeseen_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of any other kind ends the task in the client that finds the broker again."""
    monkeypatch.setattr(app, "read_settings", lambda model: SimpleNamespace(log_level="info"))
    monkeypatch.setattr(app, "calm_garbage_collector", lambda: None)
    monkeypatch.setattr(app, "set_up_logging", lambda name, level: None)
    monkeypatch.setattr(app, "run", a_connection_that_breaks)

    with pytest.raises(SystemExit) as ended:
        app.main(app.ServiceSettings, lambda settings: SimpleNamespace(name="orders"))  # type: ignore[arg-type, return-value]

    assert ended.value.code == 0
