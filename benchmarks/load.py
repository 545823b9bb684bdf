"""A lean load of HTTP requests, from a process of its own on the cores that it shares with whoever answers.

`python -m benchmarks.load` is that process: it reads a `Job` from standard input, keeps some connections to
127.0.0.1, sends each request once, writes what came of it to standard output, and ends.
"""

import asyncio
import gc
import re
import sys
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from shared.clock import monotonic

HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).parents[1]
TICK_SECONDS: Final = 0.002
"""How often it looks what is due: a request waits so long at most, and that counts."""
LONGEST_SECONDS: Final = 120.0

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Job(msgspec.Struct):
    """POST requests to send, a JSON text each, over so many connections.

    With a `rate` they are due at so many a second, whatever becomes of those before. Without one a connection
    sends the next as soon as it has its answer.
    """

    port: int
    path: str
    bodies: list[str]
    token: str = ""
    connections: int = 64
    rate: float = 0.0


class Answered(msgspec.Struct):
    """What came of a job: how often each status, how long all took, and 99 of 100 at most.

    The time of one request counts from when it was due; without a rate from when it was sent.
    """

    statuses: dict[int, int]
    seconds: float
    p99_ms: float

    def rate(self, status: int = 200) -> float:
        """Requests a second. Raises AssertionError when any was answered with another status."""
        if set(self.statuses) != {status}:
            raise AssertionError(f"answered with {self.statuses}")
        return self.statuses[status] / self.seconds


async def send(job: Job) -> Answered:
    """Has another process do the job."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        said, _ = await process.communicate(msgspec.json.encode(job))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the load ended with {process.returncode}")
    return msgspec.json.decode(said, type=Answered)


class _Load:
    """Hands requests to connections that are free, in turn: the server closes one that rests for seconds."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self._requests = requests
        self._waiting: deque[tuple[bytes, float | None]] = deque()
        self._free: deque[_Connection] = deque()
        self._statuses: Counter[int] = Counter()
        self._took: list[float] = []
        self._all: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, job: Job) -> Answered:
        loop = asyncio.get_running_loop()
        for _ in range(job.connections):
            await loop.create_connection(lambda: _Connection(self), HOST, job.port)
        started = monotonic()
        if job.rate:
            await self._offer_steadily(job.rate)
        else:
            for request in self._requests:
                self._offer(request, None)
        await self._all
        seconds = monotonic() - started
        took = sorted(self._took)
        return Answered(dict(self._statuses), seconds, took[int(len(took) * 0.99)] * 1_000)

    def has_connected(self, connection: "_Connection") -> None:
        self._free.append(connection)

    def has_answered(self, connection: "_Connection", status: int, seconds: float) -> None:
        self._statuses[status] += 1
        self._took.append(seconds)
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)
        if len(self._took) == len(self._requests):
            self._all.set_result(None)

    def has_lost(self, error: Exception | None) -> None:
        if not self._all.done():
            self._all.set_exception(error or ConnectionError("a connection was closed before its answer"))

    async def _offer_steadily(self, rate: float) -> None:
        started = monotonic()
        for number, request in enumerate(self._requests):
            due = started + number / rate
            while due > monotonic():
                await asyncio.sleep(TICK_SECONDS)
            self._offer(request, due)

    def _offer(self, request: bytes, due: float | None) -> None:
        if self._free:
            self._free.popleft().send(request, due)
        else:
            self._waiting.append((request, due))


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next."""

    def __init__(self, load: _Load) -> None:
        self._load, self._since, self._answer = load, 0.0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._load.has_connected(self)

    def send(self, request: bytes, due: float | None) -> None:
        self._since = due or monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._answer, 0, end)
        assert length is not None, "an answer that does not say its length"
        if len(self._answer) < end + 4 + int(length[1]):
            return
        status, self._answer = int(self._answer[9:12]), b""
        self._load.has_answered(self, status, monotonic() - self._since)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.has_lost(exc)


def _written(job: Job) -> list[bytes]:
    """The requests as they go over the wire."""
    lines = [
        f"POST {job.path} HTTP/1.1",
        f"Host: {HOST}:{job.port}",
        *([f"Authorization: Bearer {job.token}"] if job.token else []),
        "Content-Type: application/json",
    ]
    head = "\r\n".join(lines)
    bodies = [body.encode() for body in job.bodies]
    return [f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


async def _do(job: Job) -> Answered:
    async with asyncio.timeout(LONGEST_SECONDS):
        return await _Load(_written(job)).run(job)


def main() -> None:
    """Does the job that stands on standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_do(job))))


if __name__ == "__main__":
    main()
