"""`python -m benchmarks.finding`: how long what operators look for takes at 1,000,000 orders.

A PostgreSQL of its own with the settings of `pawl up`; rows are made by the server itself, set by set, under
the constraints that they have in service. Every look is asked with other values each time, over a connection
with the rights of operators, as `pawl todo`, `find`, `partner`, `refund` and `document` do it.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from ops.local.ports import Ports
from ops.local.postgres import EmbeddedPostgres, wipe
from ops.setup.provision import Database, kept_passwords, migrate, provision
from ops.shell.databases import connect_to, connected, urls_of
from ops.watch.find import LOOKS, find_everywhere
from ops.watch.show.document import document_of
from ops.watch.show.partner import partner_of
from ops.watch.show.refund import refunds_of
from ops.watch.todo.listing import CAUSES, read_everything
from shared.clock import monotonic, now
from shared.events.catalogue import SERVICES
from shared.operators.finding import read_word
from shared.operators.reading import EVERY_SERVICE
from shared.operators.todo import Moment
from shared.queries import load

ROWS = Path(__file__).with_name("finding.sql")
PARTNERS = 20_000
GOAL_MS = 50.0


class Times(NamedTuple):
    """Milliseconds of one look, sorted."""

    name: str
    milliseconds: Sequence[float]

    def at(self, part: float) -> float:
        """The quantile."""
        return self.milliseconds[min(len(self.milliseconds) - 1, int(part * len(self.milliseconds)))]


def main() -> None:
    """Measures and prints a table; exit code 1 when a look of a word is slower than the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=200, help="how often each look is asked")
    asked = parser.parse_args()
    looks, lists = asyncio.run(measure(asked.orders, asked.times))
    for times in (*looks, *lists):
        print(f"{times.name:<34} median {times.at(0.5):7.2f} ms   p99 {times.at(0.99):7.2f} ms")
    if any(times.at(0.99) > GOAL_MS for times in looks):
        sys.exit(f"a look took longer than {GOAL_MS:.0f} ms")


async def measure(orders: int, times: int) -> tuple[list[Times], list[Times]]:
    """The looks of words and the views, then the statements of the list."""
    async with fresh_database() as database:
        began = monotonic()
        await fill(database, orders)
        print(f"{orders:,} orders made in {monotonic() - began:.0f} s", flush=True)
        looks = [await _statements(database, orders, times, service) for service in SERVICES]
        return [each for of_service in looks for each in of_service] + await _views(
            database, orders, times
        ), await _lists(database, max(times // 10, 5))


@asynccontextmanager
async def fresh_database() -> AsyncIterator[Database]:
    """An empty database with our schemas, removed at the end."""
    folder = _folder()
    postgres = EmbeddedPostgres(folder / "postgres", Ports(folder / "ports.json"))
    try:
        await postgres.start()
        database = await provision(postgres.url(), kept_passwords(folder / "passwords.json", postgres.url()))
        await migrate(database)
        yield database
    finally:
        await postgres.stop()
        wipe(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    """A folder that the account of the server can enter."""
    folder = Path(tempfile.mkdtemp(prefix="pawl-finding-"))
    folder.chmod(0o755)
    return folder


async def fill(database: Database, orders: int) -> None:
    """So many orders of 20,000 partners with their payments, claims, serials, refunds and documents."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(f"SET pawl.orders = '{orders}'")
        await connection.execute(f"SET pawl.partners = '{PARTNERS}'")
        for statement in ROWS.read_text().split(";\n"):
            if statement.strip():
                await connection.execute(statement)
    finally:
        await connection.close()


def words_of(number: int) -> dict[str, tuple[Any, ...]]:
    """The arguments of each look for the order of this number; finding.sql makes the same ids."""
    order, partner = f"A-{number}", number % PARTNERS
    year, months = divmod(10 + number % 12, 12)
    claim = UUID(int=(1 << 100) + number)
    return {
        "find_order": (order,),
        "find_payment": (f"pay-{number}",),
        "find_grant": (claim,),
        "find_issue_request": (f"iss-{number}",),
        "find_partner": (f"P-{partner}",),
        "find_partner_by_name": (f"Partner {partner}",),
        "find_partner_by_email": (f"tax{partner}@example.com",),
        "find_partner_by_number": (f"{1_000_000_000 + partner}",),
        "find_wish_to_leave": (f"leave-{partner}",),
        "find_wish_to_merge": (f"merge-{partner}",),
        "find_serial": (UUID(int=((number << 24) | 1)),),
        "find_last_four": (order, f"{number % 10_000:04}"),
        "find_refund": (UUID(int=(2 << 100) + number),),
        "find_refund_request": (f"rr-{number}",),
        "find_payout": (f"po-{number}",),
        "find_document_by_key": (f"{2025 + year}-{months + 1:02}-{1_000_000_000 + partner}-{number + 1:06}",),
        "find_document_by_id": (UUID(int=(3 << 100) + number),),
    }


async def _statements(database: Database, orders: int, times: int, service: str) -> list[Times]:
    chance, sql = Random(1), load(f"services.{service}")
    connection = await connect_to(database.ops_url, service)
    try:
        found = []
        for look in LOOKS[service]:
            statement = getattr(sql, look.query)

            async def ask(number: int, statement: str = statement, query: str = look.query) -> bool:
                return bool(await connection.fetch(statement, *words_of(number)[query]))

            found.append(await timed(f"{service}: {look.query}", ask, orders, times, chance))
        return found
    finally:
        await connection.close()


async def timed(
    name: str, ask: Callable[[int], Awaitable[bool]], orders: int, times: int, chance: Random
) -> Times:
    """Asks for orders by chance; what finds nothing measures nothing, so most have to be found."""
    taken, hits = [], 0
    for _ in range(times):
        number = chance.randrange(orders // 10) * 10
        began = monotonic()
        hits += await ask(number)
        taken.append((monotonic() - began) * 1000)
    assert hits > times * 0.9, f"{name} found {hits} of {times}"
    return Times(name, sorted(taken))


async def _views(database: Database, orders: int, times: int) -> list[Times]:
    """What the commands ask, over connections that are there."""
    chance = Random(2)
    async with connected(urls_of(database.ops_url)) as connections:
        refunds, invoices = connections["refunds"], connections["invoices"]
        views: dict[str, Callable[[int], Awaitable[Any]]] = {
            "pawl partner": lambda number: partner_of(connections, f"P-{number % PARTNERS}"),
            "pawl refund": lambda number: refunds_of(refunds, f"rr-{number}"),
            "pawl document": lambda number: document_of(
                invoices, words_of(number)["find_document_by_key"][0]
            ),
        }
        found = []
        for name, view in views.items():

            async def ask(number: int, view: Callable[[int], Awaitable[Any]] = view) -> bool:
                return bool(await view(number))

            found.append(await timed(name, ask, orders, times, chance))
        return found


async def _largest_order(database: Database, times: int) -> Times:
    """The last four characters among 100,000 serials, which are read one by one: no index is kept for it."""
    connection = await connect_to(database.ops_url, "serials")
    statement = load("services.serials").find_last_four

    async def ask(number: int) -> bool:
        return bool(await connection.fetch(statement, "A-large", f"{number % 10_000:04}"))

    try:
        return await timed("last four of 100,000 serials", ask, 100_000, times, Random(3))
    finally:
        await connection.close()


async def _lists(database: Database, times: int) -> list[Times]:
    moment, lists = Moment(now()), [await _largest_order(database, times)]
    for service in SERVICES:
        connection = await connect_to(database.ops_url, service)
        try:
            for cause in CAUSES[service]:
                sql = EVERY_SERVICE if cause.query in EVERY_SERVICE else load(f"services.{service}")
                taken = []
                for _ in range(times):
                    began = monotonic()
                    await connection.fetch(getattr(sql, cause.query), *cause.arguments(moment))
                    taken.append((monotonic() - began) * 1000)
                lists.append(Times(f"{service}: {cause.query}", sorted(taken)))
        finally:
            await connection.close()
    whole: dict[str, Callable[[], Awaitable[Any]]] = {
        "pawl todo, connecting included": lambda: read_everything(database.ops_url, moment),
        "pawl find, connecting included": lambda: find_everywhere(database.ops_url, read_word("A-10")),
    }
    for name, command in whole.items():
        taken = []
        for _ in range(times):
            began = monotonic()
            await command()
            taken.append((monotonic() - began) * 1000)
        lists.append(Times(name, sorted(taken)))
    return lists


if __name__ == "__main__":
    main()
