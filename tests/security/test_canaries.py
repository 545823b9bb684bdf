"""Secrets are let loose in a whole system, errors are provoked, and then everything that it left is searched.

A canary account number, holder and message travel in refund requests; readable serials, keys and passwords
are learnt with the keys of this system. Nothing may be found outside of the places that are made for it.
"""

import asyncio
import stat
from base64 import b64decode
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import psutil
import pytest

from ops.audit.check import audit
from ops.local.running import RunningSystem
from ops.shell.http_client import Answer, fetch
from ops.shell.tokens import token_of
from ops.watch.evidence.collecting import take_evidence
from ops.watch.lag import read_lag
from ops.watch.order import read_order
from services.refunds.store import Store
from services.serials.codes import grouped
from shared.events.catalogue import SERVICES, UPSTREAM
from shared.events.envelope import write_headers
from shared.sealing import Sealer
from tests.security.conftest import CHUNK, SMALL_GRANT
from tests.support.driver import Checkout
from tests.support.instances import until
from tests.support.patience import PATIENCE
from tests.support.readable import ask_serials, serials_of
from tests.support.stories import BEGINS, Story

ACCOUNT = "917364528016"
HOLDER = "Canary Holder QX7"
MESSAGE = "a canary sings ZV42"
PERSONAL = (ACCOUNT, ACCOUNT[:9], "917-364-528016", HOLDER, MESSAGE)
ASK = {
    "refund_request_id": "rr-1",
    "requested_by": "P-17",
    "role": "partner",
    "reason": "financial_burden",
    "message": MESSAGE,
    "destination": {
        "method": "bank_account",
        "bank_code": "088",
        "account_number": ACCOUNT,
        "holder": HOLDER,
    },
}
SERIALS_READ = 8
OPEN_PATHS = ("health", "metrics", "asyncapi.json", "openapi.json", "docs", "asyncapi", "nothing")
PATHS = tuple(
    f"v1/ops/{path}"
    for path in (
        *("dead", "dead?all=true", "dead/999999", "parked", "parked/999999", "nothing"),
        *("todo", "find?q=P-17", "find?q=A-1001"),
    )
)
"""Lists, and what is not there. A record that is there has a test of its own: whoever handles it sees it."""


@pytest.fixture(scope="module")
async def checkout(secure_system: RunningSystem) -> AsyncIterator[Checkout]:
    """Upstream, listening with the rights of the administrator."""
    checkout = Checkout(secure_system.system.administrator, secure_system.database)
    await checkout.start()
    yield checkout
    await checkout.stop()


@pytest.fixture(scope="module")
async def admin(secure_system: RunningSystem) -> AsyncIterator[Any]:
    """A connection that may do everything in this system's database."""
    connection = await asyncpg.connect(secure_system.database.admin_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def told(secure_system: RunningSystem, checkout: Checkout, admin: Any) -> Story:
    """Everything below has happened, and all is quiet. An order that was refunded to the canary's account."""
    story = await refunded(checkout)
    await asks_before_it_pays(checkout)
    await is_misunderstood(checkout, story)
    await is_blocked_by_the_database(checkout, admin, secure_system)
    await fails_to_issue(checkout, admin, secure_system)
    await types_serials(secure_system, story)
    await takes_serials_out(secure_system, story)
    await checkout.drain()
    return story


async def refunded(checkout: Checkout) -> Story:
    """Issued in part, refunded to the canary's account after a look at its proof."""
    story = await Story(checkout).is_paid(quantity=SMALL_GRANT)
    await story.asks_to_issue(SERIALS_READ)
    await story.until("serials.issued.v2")
    await story.says("refund.requested.v1", **ASK)
    held = await story.until("refund.held.v1")
    await story.attaches_proof(held.data["refund_id"])
    await story.is_reviewed(held.data["refund_id"], "approve")
    await story.until("refund.payout_requested.v1")
    await story.is_paid_out(held.data["refund_id"])
    await story.until("refund.completed.v1")
    return story


async def asks_before_it_pays(checkout: Checkout) -> None:
    """A request that waits for its order, for ever."""
    story = Story(checkout)
    await story.answer_to(await story.says("refund.requested.v1", **ASK))


async def is_misunderstood(checkout: Checkout, story: Story) -> None:
    """Requests that are refused, with the account in the right place and in wrong ones."""
    destination = ASK["destination"]
    wrong: list[dict[str, Any]] = [
        {**ASK, "role": "thief"},
        {key: value for key, value in ASK.items() if key != "reason"},
        {**ASK, "destination": {**destination, "account_number": int(ACCOUNT)}},
        {**ASK, "destination": {**destination, "account_number": [ACCOUNT]}},
        {**ASK, "destination": {**destination, "account_number": ACCOUNT * 20}},
        {**ASK, "destination": {**destination, "holder": [HOLDER]}},
        {**ASK, "destination": f"bank_account {ACCOUNT} {HOLDER}"},
        {**ASK, "destination": {**destination, "method": {"account_number": ACCOUNT}}},
        {**ASK, "message": [MESSAGE]},
    ]
    for data in wrong:
        await story.answer_to(await story.says("refund.requested.v1", **data))
    again = await story.says("refund.requested.v1", **ASK)
    await story.answer_to(again)
    checkout.answered_twice.add(again)
    await story.says("refund.requested.v1", event_id=again, **{**ASK, "message": f"{MESSAGE}!"})
    await says_badly(checkout, story)


async def says_badly(checkout: Checkout, story: Story) -> None:
    """Records that cannot be read, or are not what they say."""
    key, body = story.order_id.encode(), orjson.dumps({"order_id": story.order_id, **ASK})
    good = headers("refund.requested.v1", story)
    records = [
        (key, body[:-3], good),
        (key, body.replace(b'"rr-1"', b'"\xff"'), good),
        (key, body.replace(b'"rr-1"', b"NaN"), good),
        (key, body + body, good),
        (b"A-another", body, good),
        (key, body, headers("refund.imagined.v1", story)),
        (key, body, [(name, text) for name, text in good if name != "ce_time"]),
        (key, body, [(name, b"\xff" if name == "ce_subject" else text) for name, text in good]),
        (key, body, [("content-type", b"application/cloudevents+json")]),
    ]
    for record in records:
        place = await checkout.publish(*record)
        await checkout.until(lambda at=place: checkout.answers_at(at), f"an answer to {place}", PATIENCE)


def headers(type_name: str, story: Story) -> list[tuple[str, bytes]]:
    return write_headers(
        id=f"evt-{len(story.checkout.records)}",
        source="https://checkout.example/canary",
        type=type_name,
        subject=story.order_id,
        time=BEGINS,
    )


async def is_blocked_by_the_database(checkout: Checkout, admin: Any, system: RunningSystem) -> None:
    """A request that Postgres refuses: its key is blocked until an operator lets it go on."""
    story = await Story(checkout).is_paid(quantity=5)
    async with refusing(admin, "refunds.refunds", f"order_id <> '{story.order_id}'"):
        await story.says("refund.requested.v1", **ASK)
        parked = await until_found(
            admin, f"SELECT id FROM refunds.parked WHERE kind = 'blocked' AND key = '{story.order_id}'"
        )
    url = f"{system.system.service('refunds').base_url}/v1/ops/parked/{parked}/replay"
    token = token_of(system.system, "ops:write")
    answer = await fetch(url, orjson.dumps({"reason": "mended"}), PATIENCE, token)
    assert answer.status == 200, answer.text
    await story.until("refund.held.v1")


async def fails_to_issue(checkout: Checkout, admin: Any, system: RunningSystem) -> None:
    """A small grant and a chunk of a large one that Postgres refuses; both are issued in the end.

    The large one ends the service, which says why in its log before that.
    """
    story, small = Story(checkout), Story(checkout)
    deaths = len(system.services.deaths("serials"))
    async with refusing(admin, "serials.serials", "last_four = 'none'"):
        await small.pays(policy="automatic", quantity=1)
        await story.pays(policy="automatic", quantity=2 * CHUNK)
        parked = await until_found(admin, "SELECT id FROM serials.parked WHERE kind = 'blocked'")
        await until_died(system, "serials", deaths)
    assert parked
    await story.until("serials.issued.v2")


async def types_serials(system: RunningSystem, story: Story) -> None:
    """Serials come to the service in every place that a customer, a shop and an operator may put them."""
    first, second, third, *_ = await serials_of(system, story.order_id)
    text, bare = first.text, first.text.replace("-", "")
    register, manage = partial(_register, system), partial(_manage, system)
    asked = [
        await register({"serial": text, "account": "user-5"}, text),
        await register({"serial": bare.lower(), "account": "user-5"}, bare),
        await register({"serial": text, "account": "user-6"}),
        await register({"serial": [text], "account": "user-5"}),
        await register({"serial": {"text": text}, "account": text * 8}),
        await register({"serial": text}),
        await register({"account": text * 8}),
        await register(text),
        await register([text]),
        await register(f'{{"serial": "{text}"'.encode()),
        await register(f'{{"serial": "{text}\\ud800", "account": "user-5"}}'.encode()),
        await register({"serial": text, "account": 5}),
        await ask_serials(system, "registrations/check", "serials:read", {"serial": text}),
        await manage("serials/find", {"serial": text, "reason": f"lost {text}"}),
        await manage("serials/find", {"serial": text, "reason": "a customer called"}),
        await manage(f"serials/{text}/revoke", {"reason": "leaked"}),
        await manage(f"serials/{second.serial_id}/revoke", {"reason": f"{second.text} leaked"}),
        await manage(f"serials/{second.serial_id}/revoke", {"reason": "leaked"}),
        await manage(f"serials/{third.serial_id}/reissue", {"reason": "lost"}),
        await register({"serial": second.text, "account": "user-5"}),
    ]
    statuses = [answer.status for answer in asked]
    assert statuses == [
        200,
        200,
        409,
        *[422] * 4,
        *[400] * 3,
        404,
        422,
        200,
        422,
        200,
        400,
        422,
        200,
        200,
        410,
    ]
    told_again = [answer.text for answer in asked if text in answer.text or bare in answer.text]
    assert told_again == []


async def takes_serials_out(system: RunningSystem, story: Story) -> None:
    """Serials leave in every form, and are put where nobody should put them."""
    first, *_ = await serials_of(system, story.order_id)
    url = f"{system.system.service('serials').base_url}/v1"
    export, look = token_of(system.system, "serials:export"), token_of(system.system, "serials:read")
    listed = await fetch(f"{url}/orders/{story.order_id}/issuances", token=look)
    (grant_id,) = (each["grant_id"] for each in orjson.loads(listed.text)["items"])
    issuance = f"{url}/issuances/{grant_id}"
    taken = [
        await fetch(f"{issuance}/{form}?state=all&reason=canary", None, PATIENCE, export)
        for form in ("serials", "serials.csv", "serials.xlsx", "notice.csv")
    ]
    refused = [
        await fetch(place, None, PATIENCE, export)
        for place in (
            f"{issuance}/serials?reason=lost+{first.text}",
            f"{issuance}/serials?cursor={first.text}",
            f"{issuance}/serials.csv?from={first.text}",
            f"{issuance}/serials.csv?{first.text}=1",
            f"{issuance}/notice.csv?opt_out={first.text}",
            f"{url}/issuances/{first.text}/serials.csv",
        )
    ]
    unknown = await fetch(f"{url}/custody/{first.text}", token=look)
    told = [await fetch(f"{issuance}{place}", token=look) for place in ("", "/custody", "/notice", "/files")]
    assert [answer.status for answer in taken] == [200] * 4
    assert all(first.text in answer.text for answer in (*taken[:2], taken[3]))
    assert ([answer.status for answer in refused], unknown.status) == ([400] * 6, 404)
    assert [answer.status for answer in told] == [200] * 4
    assert [answer for answer in (*refused, unknown, *told) if first.text in answer.text] == []


async def _register(system: RunningSystem, body: Any, key: str = "") -> Answer:
    return await ask_serials(system, "registrations", "serials:register", body, key)


async def _manage(system: RunningSystem, path: str, body: Any) -> Answer:
    return await ask_serials(system, path, "serials:manage", body, f"key-{len(path)}-{body['reason'][-6:]}")


@asynccontextmanager
async def refusing(admin: Any, table: str, rule: str) -> AsyncIterator[None]:
    """Inside the block the table takes no new row against the rule."""
    await admin.execute(f"ALTER TABLE {table} ADD CONSTRAINT canary CHECK ({rule}) NOT VALID")
    try:
        yield
    finally:
        await admin.execute(f"ALTER TABLE {table} DROP CONSTRAINT canary")


async def until_found(admin: Any, query: str) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not (found := await admin.fetchval(query)):
            await asyncio.sleep(0.05)
    return found


async def until_died(system: RunningSystem, service: str, times: int) -> None:
    """Returns when a service has ended by itself more often than so many times."""

    async def has_died() -> bool:
        return len(system.services.deaths(service)) > times

    await until(has_died, f"{service} ends")


# -- what must not be found, and where ------------------------------------------------------------------


@pytest.fixture(scope="module")
async def serials(told: Story, secure_system: RunningSystem) -> list[str]:
    """The readable serials of the first order, those too that died or were reissued."""
    return [each.text.replace("-", "") for each in await serials_of(secure_system, told.order_id)]


@pytest.fixture(scope="module")
def secrets(serials: list[str], secure_system: RunningSystem) -> list[bytes]:
    """Every needle in every form in which it could be written down."""
    keys = secure_system.folder.service_keys()
    database, kafka = secure_system.database.passwords, secure_system.kafka_passwords()
    texts = [*PERSONAL, *database.values(), *kafka.values()]
    texts += [value for name, value in keys.items() if not name.endswith("_ID")]
    texts += [(secure_system.folder.postgres / "superuser.password").read_text()]
    texts += [secure_system.folder.token_key.read_text()]
    for serial in serials:
        texts += [serial, serial.lower(), grouped(serial), grouped(serial).lower()]
    return [form for text in texts for form in (text.encode(), text.encode().hex().encode())]


def assert_clean(secrets: Iterable[bytes], places: Iterable[tuple[str, bytes]]) -> None:
    """No needle is in any place; a failure names both, the needle by its first characters."""
    places = list(places)
    assert places
    assert sum(len(content) for _, content in places) > 0
    found = [(where, needle[:6]) for where, content in places for needle in secrets if needle in content]
    assert found == []


async def test_the_canaries_were_let_loose(
    told: Story, serials: list[str], checkout: Checkout, admin: Any, secure_system: RunningSystem
) -> None:
    """Without this the searches below would prove nothing."""
    assert len(set(serials)) == SERIALS_READ + 1, "one was reissued"
    said = b"".join(record.raw.value or b"" for record in checkout.records if record.topic == UPSTREAM)
    assert ACCOUNT.encode() in said
    details = await opened_details(secure_system, admin, told.order_id)
    assert (details["account"]["account_number"], details["message"]) == (ACCOUNT, MESSAGE)
    assert await admin.fetchval("SELECT count(*) FROM refunds.dead_letters") >= 15
    assert await admin.fetchval("SELECT count(*) FROM refunds.parked WHERE kind = 'waiting'") >= 1
    logs = secure_system.folder.logs
    assert "event blocked" in (logs / "refunds.log").read_text()
    assert "failed: CheckViolationError" in (logs / "serials.log").read_text()
    assert "Failing row contains" in (logs / "postgres.log").read_text()


async def opened_details(system: RunningSystem, admin: Any, order_id: str) -> Any:
    """What was sealed about the refund of an order, opened with the key of this system."""
    keys = system.folder.service_keys()
    sealer = Sealer(b64decode(keys["DATA_KEY"]), keys["DATA_KEY_ID"])
    query = "SELECT reference FROM refunds.refund_details WHERE order_id = $1"
    await admin.execute("SET search_path = refunds")
    return await Store(sealer).open_details(admin, await admin.fetchval(query, order_id))


async def test_no_log_holds_a_secret(told: Story, secrets: list[bytes], secure_system: RunningSystem) -> None:
    logs = sorted(secure_system.folder.logs.iterdir())

    assert {log.stem for log in logs} >= {*SERVICES, "kafka", "postgres"}
    assert_clean(secrets, ((log.name, log.read_bytes()) for log in logs))


async def test_no_topic_but_upstreams_own_holds_a_secret(
    told: Story, secrets: list[bytes], secure_system: RunningSystem
) -> None:
    kept = secure_system.folder.kafka / "data"
    files = [path for path in kept.rglob("*") if path.is_file() and not path.parent.name.startswith(UPSTREAM)]

    assert any(path.parent.name.startswith("checkout.feedback-") for path in files)
    assert any(path.parent.name.startswith("__cluster_metadata") for path in files)
    assert_clean(secrets, ((str(path), without_zeros(path)) for path in files))


def without_zeros(path: Path) -> bytes:
    """The content of a file that is filled up with zeros."""
    return path.read_bytes().rstrip(b"\0")


async def test_no_dump_of_the_database_holds_a_secret(told: Story, secrets: list[bytes], admin: Any) -> None:
    assert_clean(secrets, [place async for place in dump(admin)])


async def dump(admin: Any) -> AsyncIterator[tuple[str, bytes]]:
    """Every row of the four schemas as text, and every bytea also as the bytes that it holds."""
    tables = await admin.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY($1)", SERVICES
    )
    for schema, table in tables:
        for row in await admin.fetch(f'SELECT t.*, t::text AS whole FROM {schema}."{table}" t'):
            yield f"{schema}.{table}", b"\n".join(_as_bytes(value) for value in row.values())


def _as_bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else str(value).encode()


async def test_no_file_of_the_database_server_holds_a_secret(
    told: Story, secrets: list[bytes], serials: list[str], secure_system: RunningSystem, admin: Any
) -> None:
    """Tables, indexes and the write-ahead log as they lie on the disk."""
    await admin.execute("CHECKPOINT")
    assert secure_system.postgres is not None
    files = [path for path in secure_system.postgres.data.rglob("*") if path.is_file()]

    few = [needle.encode() for needle in (*PERSONAL, *serials, *secure_system.database.passwords.values())]
    assert any(path.parent.name == "pg_wal" for path in files)
    assert_clean(few, ((path.name, without_zeros(path)) for path in files))


async def test_no_answer_of_a_service_holds_a_secret(
    told: Story, secrets: list[bytes], secure_system: RunningSystem
) -> None:
    answers: list[tuple[str, bytes]] = []
    for service in SERVICES:
        base = secure_system.system.service(service).base_url
        token = token_of(secure_system.system, "ops:read")
        answers += [
            (f"{service}/{path}", (await fetch(f"{base}/{path}", token=token)).text.encode())
            for path in (*OPEN_PATHS, *PATHS)
        ]

    assert_clean(secrets, answers)


async def test_whoever_looks_at_a_dead_letter_sees_everything_but_the_account(
    told: Story, secure_system: RunningSystem
) -> None:
    shown = [
        (url, answer.text.encode())
        async for url, answer in single_views(secure_system)
        if answer.status == 200
    ]

    assert len(shown) >= 17
    assert_clean([ACCOUNT.encode(), ACCOUNT[:9].encode()], shown)
    assert any(b"***" in text for _, text in shown)


async def single_views(system: RunningSystem) -> AsyncIterator[tuple[str, Answer]]:
    for service in SERVICES:
        base = f"{system.system.service(service).base_url}/v1/ops"
        token = token_of(system.system, "ops:read")
        for kind in ("dead?all=true", "parked"):
            listed = orjson.loads((await fetch(f"{base}/{kind}", token=token)).text)["items"]
            for row in listed:
                url = f"{base}/{kind.partition('?')[0]}/{row['id']}"
                yield url, await fetch(url, token=token)


async def test_an_attempt_to_replay_what_is_still_wrong_says_nothing_secret(
    told: Story, secrets: list[bytes], secure_system: RunningSystem
) -> None:
    system = secure_system.system
    base = f"{system.service('refunds').base_url}/v1/ops/dead"
    listed = orjson.loads((await fetch(base, token=token_of(system, "ops:read"))).text)["items"]
    asked, token = orjson.dumps({"reason": "try again"}), token_of(system, "ops:write")

    answers = [await fetch(f"{base}/{row['id']}/replay", asked, PATIENCE, token) for row in listed]

    assert {answer.status for answer in answers} >= {409}
    assert_clean(secrets, [("replay", answer.text.encode()) for answer in answers])


async def test_no_command_of_operators_shows_a_secret(
    told: Story, secrets: list[bytes], secure_system: RunningSystem
) -> None:
    system = secure_system.system
    story = await read_order(system, told.order_id)
    assert story is not None
    report = await audit(system)
    lag = await read_lag(system, system.kafka)
    evidence = await take_evidence(system, told.order_id)

    documents = (story.to_document(), report.to_document(), str(lag), evidence)
    assert_clean(secrets, [("command", orjson.dumps(d, default=str)) for d in documents])


async def test_no_service_tells_a_secret_of_an_order_that_is_disputed(
    told: Story, secrets: list[bytes], secure_system: RunningSystem
) -> None:
    system = secure_system.system
    token = token_of(system, "evidence:read")
    path = f"/v1/orders/{told.order_id}/evidence"

    answers = [
        await fetch(f"{system.service(name).base_url}{path}", timeout=PATIENCE, token=token)
        for name in SERVICES
    ]

    assert [answer.status for answer in answers] == [200] * len(SERVICES)
    assert_clean(secrets, [("evidence", answer.text.encode()) for answer in answers])


def test_no_command_line_holds_a_secret(
    told: Story, secrets: list[bytes], secure_system: RunningSystem
) -> None:
    state = secure_system.folder.read_state()
    assert state is not None

    lines = [(mark.name, " ".join(psutil.Process(mark.pid).cmdline()).encode()) for mark in state.processes]

    assert {name for name, _ in lines} >= {*SERVICES, "kafka", "postgres"}
    assert_clean(secrets, lines)


def test_files_made_for_secrets_are_readable_by_their_owner_only(
    told: Story, secrets: list[bytes], secure_system: RunningSystem
) -> None:
    holding = list(files_with(secrets, secure_system.folder.path))

    assert {path.name for path in holding} >= {"run.json", "keys.json", "passwords.json", "kafka.json"}
    assert [str(path) for path in holding if stat.S_IMODE(path.stat().st_mode) != 0o600] == []


def files_with(secrets: Iterable[bytes], folder: Path) -> Iterator[Path]:
    """Files with a secret in them, the servers' data left out."""
    for path in folder.rglob("*"):
        if path.is_file() and "data" not in path.relative_to(folder).parts:
            content = path.read_bytes()
            if any(needle in content for needle in secrets):
                yield path
