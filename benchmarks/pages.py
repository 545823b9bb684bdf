"""The console among many orders (G14): how long pages take, what open ones cost, what services feel of it.

`python -m benchmarks.pages` asks for all of it once at 1,000,000 orders. Everything is a process of its own,
as people run it: four services, the console, Kafka and PostgreSQL. Pages are asked for over HTTP by somebody
who is signed in, with other ids each time; style sheets are not loaded.
"""

import argparse
import asyncio
import html
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
import orjson
import psutil

from benchmarks.finding import PARTNERS, Times, fill, words_of
from benchmarks.material import payment, payments
from benchmarks.pipeline import crew_of, p99, send_steadily
from benchmarks.stage import Stage, fresh_stage
from benchmarks.worker import LAST
from console.live import MOST_OF_SESSION
from ops.local.ports import HOST, Ports
from ops.shell.tokens import new_key, settings_of
from shared.clock import monotonic
from shared.events.catalogue import SERVICES

ROOT: Final = Path(__file__).parents[1]
ROWS: Final = Path(__file__).with_name("pages.sql")
ORDERS: Final = 1_000_000
GOAL_MS: Final = 200.0
TIMES: Final = 40
RATE: Final = 20
"""Orders a second beside the console."""
PHASE_SECONDS: Final = 15.0
PHASES: Final = ("warm up", "alone", "used", "alone", "used")
LIVE: Final = 100
LIVE_SECONDS: Final = 30.0
PEOPLE: Final = 3
READING_SECONDS: Final = 1.0
"""Each of them looks at a page for so long before the next."""
START_SECONDS: Final = 60.0
LETTER: Final = "SELECT id FROM orders.dead_letters WHERE key = $1"
PROXY_HEADER: Final = "X-Forwarded-User"
NAMED: Final = {PROXY_HEADER: "benchmark", "X-Forwarded-Groups": "admin"}
OPEN_MONTH, CLOSED_MONTH = "2026-10", "2026-09"
T = TypeVar("T")


class Shown(NamedTuple):
    """What one run says.

    `pages` are the times of each; `live` is what so many open pages cost, in cores, of the console and of
    PostgreSQL. `alone` and `used` are p99 of an order in milliseconds without and with people at the console.
    """

    pages: Sequence[Times]
    live: float
    alone: float
    used: float


def main() -> None:
    """Measures and prints a table; exit code 1 when a page is slower than the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--times", type=int, default=TIMES, help="how often each page is asked for")
    asked = parser.parse_args()
    shown = asyncio.run(_alone(asked.orders, asked.times))
    for times in shown.pages:
        print(f"{times.name:<34} median {times.at(0.5):7.1f} ms   p95 {times.at(0.95):7.1f} ms")
    print(f"{LIVE} open pages cost {shown.live:.3f} of a core")
    print(f"p99 of an order: {shown.alone:.0f} ms alone, {shown.used:.0f} ms while the console is used")
    if any(times.at(0.95) > GOAL_MS for times in shown.pages):
        sys.exit(f"a page took longer than {GOAL_MS:.0f} ms")


async def _alone(orders: int, times: int) -> Shown:
    async with fresh_stage() as stage:
        return await shown(stage, orders, times)


async def shown(stage: Stage, orders: int, times: int = TIMES, seconds: float = PHASE_SECONDS) -> Shown:
    """Fills the database with so many orders, asks for each page so often; `seconds` are those of a phase."""
    await stage.clear()
    await fill(stage.database, orders)
    async with stage.connected() as connection:
        for statement in ROWS.read_text().split(";\n"):
            if statement.strip():
                await connection.execute(statement)
    return await among(stage, orders, times, seconds)


async def among(stage: Stage, orders: int, times: int, seconds: float) -> Shown:
    """The same with so many orders in the database already."""
    key = new_key()
    ports = Ports(stage.directory / "ports.json")
    urls = {name: f"http://{HOST}:{ports.take(f'{name}-http')}" for name in SERVICES}
    per_phase = int(RATE * seconds)
    messages = payments(per_phase * len(PHASES), "automatic", "real")
    environment = {
        name: {**settings_of(key), "HTTP_PORT": url.rpartition(":")[2]} for name, url in urls.items()
    }
    async with (
        crew_of(stage, "ours", len(messages), environment) as crew,
        _console(stage, key, urls, ports.take("console-http")) as console,
    ):
        await crew.until("ready")
        crew.tell("go")
        people = _People(console, orders, await _refused(stage))
        due: dict[str, float] = {}
        alone: list[str] = []
        used: list[str] = []
        for number, phase in enumerate(PHASES):
            sending = send_steadily(stage, messages[number * per_phase : (number + 1) * per_phase], RATE)
            sent = await (people.beside(sending) if phase == "used" else sending)
            due |= sent
            {"alone": alone, "used": used}.get(phase, []).extend(sent)
        await crew.until("done")
        pages = await people.ask_for_everything(times)
        live = await _cost_of_live_pages(stage, console, [message[0] for message in messages[:LIVE]])
        notes = await crew.stop()
    ends = [(notes[service], type_name) for service, type_name in LAST.items()]
    took = {key: max(at[type_name][key] for at, type_name in ends) - due[key] for key in due}
    return Shown(pages, live, p99([took[each] for each in alone]), p99([took[each] for each in used]))


class _Console(NamedTuple):
    """Where the console is, and its process."""

    url: str
    pid: int

    @asynccontextmanager
    async def session(self) -> AsyncIterator[httpx.AsyncClient]:
        """A browser of somebody who has just signed in and may do everything."""
        headers = {**NAMED, "Origin": self.url}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=START_SECONDS) as browser:
            answer = await browser.post("/sign-in", data={"to": "/"})
            if not browser.cookies:
                raise AssertionError(f"nobody is signed in: {answer.status_code}")
            yield browser


async def _refused(stage: Stage) -> str:
    """The name of a dead letter: a payment that orders refuses for its amount."""
    order_id, body, headers = payment(0, "automatic", "refused")
    await send_steadily(stage, [(order_id, orjson.dumps(orjson.loads(body) | {"amount": -5}), headers)], RATE)
    async with stage.connected() as connection, asyncio.timeout(START_SECONDS):
        while not (found := await connection.fetchval(LETTER, order_id)):
            await asyncio.sleep(0.1)
    return f"orders:{found}"


@asynccontextmanager
async def _console(stage: Stage, key: str, urls: Mapping[str, str], port: int) -> AsyncIterator[_Console]:
    """The console before these services, with a door for whoever a proxy on this machine names."""
    url = f"http://{HOST}:{port}"
    environment = {
        "DATABASE_URL": stage.database.console_url,
        "PAWL_POSTGRES": stage.database.ops_url,
        "PAWL_KAFKA": stage.kafka,
        "PAWL_SERVICES": ",".join(f"{name}={address}" for name, address in urls.items()),
        "HTTP_PORT": str(port),
        "LOG_LEVEL": "warning",
        "CONSOLE_URL": url,
        "CONSOLE_TOKEN_KEY": key,
        "CONSOLE_PROXY_HEADER": PROXY_HEADER,
        "CONSOLE_PROXIES": HOST,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "console"), cwd=ROOT, env={**os.environ, **environment}
    )
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(START_SECONDS):
            while not await _answers(client, f"{url}/health"):
                await asyncio.sleep(0.1)
        yield _Console(url, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


def addresses(chance: Random, orders: int, letter: str) -> dict[str, Callable[[], str]]:
    """Every page, with an address by chance of what the SQL files make; `letter` is a dead letter."""

    def word(name: str) -> str:
        """An argument of a look for an order that was issued and refunded in part."""
        return str(words_of(chance.randrange(orders // 10) * 10)[name][0])

    def real() -> str:
        """An order that has gone through the services."""
        return f"real-{chance.randrange(LIVE):07d}"

    def number() -> str:
        """A business of the month that is open: drafts are of each twelfth order, the eleventh first."""
        return f"{1_000_000_000 + (chance.randrange(orders // 12) * 12 + 11) % PARTNERS}"

    return {
        "needs somebody": lambda: "/needs",
        "thresholds": lambda: "/needs/thresholds",
        "order": lambda: f"/order?id={real()}",
        "refused": lambda: "/refused",
        "refused, one cause": lambda: "/refused?code=out_of_range",
        "refused, one record": lambda: f"/refused/{letter}",
        "refused, lists": lambda: "/refused-lists",
        "refunds": lambda: "/refunds",
        "refunds, all": lambda: "/refunds?all=yes",
        "refund": lambda: f"/refund?id={word('find_refund')}",
        "refund, eligibility": lambda: f"/refund/check?order={word('find_order')}",
        "month, open": lambda: f"/month?month={OPEN_MONTH}",
        "month, closed": lambda: f"/month?month={CLOSED_MONTH}",
        "business": lambda: f"/business?month={OPEN_MONTH}&number={number()}",
        "documents": lambda: f"/documents?month={CLOSED_MONTH}",
        "documents of a business": lambda: f"/documents?month={OPEN_MONTH}&business={number()}",
        "document": lambda: f"/document?id={quote(word('find_document_by_key'))}",
        "partner": lambda: f"/partner?id={word('find_partner')}",
        "issuances": lambda: "/issuances",
        "issuances of a partner": lambda: f"/issuances?partner={word('find_partner')}",
        "issuance": lambda: f"/issuance?id={word('find_grant')}",
        "serial": lambda: f"/serial?id={word('find_serial')}",
        "leak": lambda: "/leak",
        "find": lambda: f"/find?word={word('find_partner_by_email')}",
        "find nothing": lambda: f"/find?word=nothing-{chance.randrange(10**9)}",
        "audit": lambda: "/audit",
        "audit of a person": lambda: f"/audit?actor=person-{chance.randrange(50)}",
        "audit of somebody unknown": lambda: "/audit?actor=nobody",
        "audit about a thing": lambda: f"/audit?target={word('find_refund')}",
        "audit of a service": lambda: "/audit?service=refunds",
    }


class _People:
    """Who looks at pages, and what they look at."""

    def __init__(self, console: _Console, orders: int, letter: str) -> None:
        self._console = console
        self._addresses = addresses(Random(4), orders, letter)

    async def ask_for_everything(self, times: int) -> list[Times]:
        """How long each page takes somebody who is alone; the first answer of each does not count."""
        found = []
        async with self._console.session() as browser:
            for name, address in self._addresses.items():
                taken = [await _time(browser, name, address()) for _ in range(times + 1)]
                found.append(Times(name, sorted(taken[1:])))
        return found

    async def beside(self, work: Coroutine[Any, Any, T]) -> T:
        """Does the work while several people go from page to page."""
        people = [asyncio.create_task(self._go_round(number)) for number in range(PEOPLE)]
        try:
            return await work
        finally:
            for person in people:
                person.cancel()
            ended = await asyncio.gather(*people, return_exceptions=True)
            for error in ended:
                if not isinstance(error, asyncio.CancelledError):
                    raise error

    async def _go_round(self, number: int) -> None:
        names = list(self._addresses)
        async with self._console.session() as browser:
            for place in count(number * len(names) // PEOPLE):
                # A page may say that it could not be read in time; that services do not is what is looked at.
                await browser.get(self._addresses[names[place % len(names)]]())
                await asyncio.sleep(READING_SECONDS)


async def _time(browser: httpx.AsyncClient, name: str, address: str) -> float:
    """Milliseconds until the page is there, or says that it could not be read in time.

    Raises AssertionError for any other answer.
    """
    began = monotonic()
    answer = await browser.get(address)
    taken = (monotonic() - began) * 1000
    if answer.status_code not in (200, 303, 503) or "/sign-in" in answer.headers.get("location", ""):
        said = re.sub(r"<[^>]*>|\s+", " ", answer.text)[-400:]
        raise AssertionError(f"{name}: {address} is answered with {answer.status_code}: {said}")
    return taken


async def _cost_of_live_pages(stage: Stage, console: _Console, orders: Sequence[str]) -> float:
    """Cores that pages of these orders cost while they stay open, beyond what is used without them."""
    async with AsyncExitStack() as stack:
        before = await _cores(stage, console)
        for first in range(0, len(orders), MOST_OF_SESSION):
            browser = await stack.enter_async_context(console.session())
            for order_id in orders[first : first + MOST_OF_SESSION]:
                shown = (await browser.get("/order", params={"id": order_id})).text
                watched = re.search(r'data-watched="([^"]+)"', shown)
                if watched is None:
                    raise AssertionError(f"the page of {order_id} watches nothing")
                stream = browser.stream("GET", f"/live?{html.unescape(watched[1])}")
                (await stack.enter_async_context(stream)).raise_for_status()
        return await _cores(stage, console) - before


async def _cores(stage: Stage, console: _Console) -> float:
    """Cores that the console and PostgreSQL use in some seconds."""
    async with stage.connected() as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        server = psutil.Process(psutil.Process(backend).ppid())
    processes = [psutil.Process(console.pid), server]

    def used() -> float:
        children = [each for process in processes for each in (process, *process.children())]
        return sum(_seconds(each) for each in children) + sum(
            process.cpu_times().children_user + process.cpu_times().children_system for process in processes
        )

    began, before = monotonic(), used()
    await asyncio.sleep(LIVE_SECONDS)
    return (used() - before) / (monotonic() - began)


def _seconds(process: psutil.Process) -> float:
    """Of one process; a connection that has ended since counts as a child of the server that has."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
