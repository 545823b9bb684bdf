"""What operators and senders ask over HTTP, answered from a real database with the service's own role."""

from datetime import timedelta

import pytest

from ops.setup.provision import Database
from ops.watch.find import find_everywhere
from ops.watch.todo.listing import read_everything
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.operators.finding import find_document, read_word
from shared.operators.todo import Moment
from tests.support.serving import operator_on
from tests.support.tabletop import Tabletop, buy

CHECKOUT = "https://checkout.example/shop-1"
CLOCKS = {"at", "age_seconds", "overdue_seconds"}


async def refuse_one(table: Tabletop) -> str:
    """A paid order, and a request that its schema refuses; the id of the request."""
    await buy(table, "A-1")
    table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": -5}])
    await table.drain()
    return "issuance.requested.v1-A-1-1"


async def make_one_wait(table: Tabletop) -> str:
    """A request whose order has not come; its id."""
    table.say("issuance.requested.v1", "B-1")
    await table.drain()
    return f"issuance.requested.v1-B-1-{len(table.log['checkout.events']) - 1}"


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_says_of_itself_what_the_list_of_all_says_of_it(
    history: Tabletop, database: Database, service: str
) -> None:
    await refuse_one(history)
    listed = await read_everything(database.ops_url, Moment(now() + timedelta(seconds=1)))

    async with operator_on(history, service) as operator:
        told = (await operator.get("/v1/ops/todo")).json()

    expected = [group.to_document(now()) for group in listed.groups if group.service == service]
    assert [{k: v for k, v in group.items() if k not in CLOCKS} for group in told["groups"]] == [
        {k: v for k, v in group.items() if k not in CLOCKS} for group in expected
    ]
    assert service != "orders" or expected


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("text", ["A-1", "P-17", "rr-77", "iss-1", "116-82-00276", "nobody", "%", "no\0body"])
async def test_a_service_finds_what_the_look_up_in_all_finds_in_it(
    history: Tabletop, database: Database, service: str, text: str
) -> None:
    word = read_word(text)
    everywhere = await find_everywhere(database.service_url(service), word)

    async with operator_on(history, service) as operator:
        told = await operator.get("/v1/ops/find", params={"q": text})

    assert told.status_code == 200
    found = told.json()
    assert found == find_document(word, [each for each in everywhere.found if each.service == service])


async def test_the_end_of_a_serial_is_found_with_its_order(history: Tabletop) -> None:
    last_four = await history.pools["serials"].fetchval("SELECT min(last_four) FROM serials")
    order = await history.pools["serials"].fetchval(
        "SELECT order_id FROM serials JOIN grants USING (grant_id) WHERE last_four = $1 LIMIT 1", last_four
    )

    async with operator_on(history, "serials") as operator:
        found = await operator.get("/v1/ops/find", params={"q": last_four, "order": order})
        wrong = await operator.get("/v1/ops/find", params={"q": "GHZA5", "order": order})

    assert {each["kind"] for each in found.json()["found"]} == {"serial"}
    assert (wrong.status_code, wrong.json()["code"]) == (400, "wrong_parameter")


async def test_a_sender_that_lost_an_answer_asks_for_it(table: Tabletop) -> None:
    refused, waiting = await refuse_one(table), await make_one_wait(table)

    async with operator_on(table, "orders") as orders, operator_on(table, "refunds") as refunds:

        async def answer(operator: object, event_id: str, source: str = CHECKOUT) -> tuple[int, dict]:
            got = await operator.get("/v1/events", params={"source": source, "id": event_id})
            return got.status_code, got.json()

        paid = await answer(orders, "payment.completed.v1-A-1-0")
        wrong = await answer(orders, refused)
        early = await answer(orders, waiting)
        elsewhere = await answer(refunds, waiting)
        never = await answer(orders, "never-sent")
        stranger = await answer(orders, waiting, "https://somebody.example")

    assert (paid[0], paid[1]["outcome"], paid[1]["refused"]) == (200, "accepted", [])
    assert (wrong[1]["outcome"], wrong[1]["refused"][0]["code"]) == ("rejected", "out_of_range")
    assert wrong[1]["refused"][0]["pointer"] == "/lines/0/quantity"
    assert (early[1]["outcome"], early[1]["refused"]) == ("accepted", [])
    assert [status for status, _ in (elsewhere, never, stranger)] == [404, 404, 404]
    assert "another service" in elsewhere[1]["detail"]


async def test_a_dead_letter_is_looked_at_and_is_refused_again(table: Tabletop) -> None:
    await refuse_one(table)

    async with operator_on(table, "orders") as operator:
        (listed,) = (await operator.get("/v1/ops/dead")).json()["items"]
        shown = (await operator.get(f"/v1/ops/dead/{listed['id']}")).json()
        again = await operator.post(f"/v1/ops/dead/{listed['id']}/replay", json={"reason": "try"})

    assert (listed["code"], listed["pointer"]) == ("out_of_range", "/lines/0/quantity")
    assert '"quantity": -5' in shown["value"]
    assert (again.status_code, again.json()["code"]) == (409, "still_refused")
    assert again.json()["refused"]["code"] == "out_of_range"


async def test_a_dead_letter_is_closed_with_a_reason_and_leaves_the_list(table: Tabletop) -> None:
    await refuse_one(table)

    async with operator_on(table, "orders") as operator:
        (listed,) = (await operator.get("/v1/ops/dead")).json()["items"]
        path = f"/v1/ops/dead/{listed['id']}"
        resolved = await operator.post(f"{path}/resolve", json={"reason": "sent by mistake"})
        again = await operator.post(f"{path}/resolve", json={"reason": "once more"})
        replayed = await operator.post(f"{path}/replay", json={"reason": "try"})
        left = (await operator.get("/v1/ops/dead")).json()["items"]
        every = (await operator.get("/v1/ops/dead", params={"all": True})).json()["items"]

    assert (resolved.status_code, resolved.json()["state"]) == (200, "resolved")
    assert (resolved.json()["closed_by"], resolved.json()["close_reason"]) == ("kim", "sent by mistake")
    assert again.json() == resolved.json()
    assert (replayed.status_code, replayed.json()["code"]) == (409, "conflict")
    assert (left, [each["state"] for each in every]) == ([], ["resolved"])


async def test_a_dead_letter_is_tried_and_then_sent_right(table: Tabletop) -> None:
    refused = await refuse_one(table)

    async with operator_on(table, "orders") as operator:
        (listed,) = (await operator.get("/v1/ops/dead")).json()["items"]
        path = f"/v1/ops/dead/{listed['id']}"
        document = (await operator.get(path)).json()["document"]
        document["lines"][0]["quantity"] = 5
        tried = (await operator.post(f"{path}/edit", json={"document": document})).json()
        still = (await operator.get(path)).json()
        unreasoned = await operator.post(f"{path}/edit", json={"document": document, "apply": True})
        body = {"document": document, "apply": True, "reason": "a typo"}
        done = (await operator.post(f"{path}/edit", json=body)).json()
        shown = (await operator.get(path)).json()
        was = await operator.get("/v1/events", params={"source": CHECKOUT, "id": refused})
        params = {"source": done["event"]["source"], "id": done["event"]["id"]}
        new = await operator.get("/v1/events", params=params)

    assert (tried["applied"], still["state"]) == (False, "open")
    assert tried["changes"] == [{"pointer": "/lines/0/quantity", "before": -5, "after": 5}]
    assert {"table": "claims", "added": 1, "changed": 0, "removed": 0} in tried["rows"]
    assert [each["type"] for each in tried["events"]] == ["event.accepted.v1", "issuance.granted.v2"]
    assert (unreasoned.status_code, unreasoned.json()["pointer"]) == (422, "/reason")
    assert (done["rows"], shown["state"]) == (tried["rows"], "edited")
    assert (shown["edited_document"], shown["closed_by"]) == (document, "kim")
    assert was.json()["outcome"] == "rejected"
    assert was.json()["refused"][0]["edited_as"] == done["event"]["id"] == shown["edited_as"]
    assert (new.json()["outcome"], new.json()["refused"]) == ("accepted", [])


async def test_an_event_that_was_replayed_got_through(table: Tabletop) -> None:
    refused = await refuse_one(table)
    letters = "UPDATE dead_letters SET state = 'replayed', replayed_at = now(), replayed_by = 'kim'"
    await table.pools["orders"].execute(letters)

    async with operator_on(table, "orders") as operator:
        answer = (await operator.get("/v1/events", params={"source": CHECKOUT, "id": refused})).json()

    assert (answer["outcome"], answer["refused"][0]["state"]) == ("accepted", "replayed")


async def test_what_waits_is_handled_again_with_its_key(table: Tabletop) -> None:
    await make_one_wait(table)
    await table.pools["orders"].execute("UPDATE parked SET kind = 'blocked', reason = 'KeyError: 1'")

    async with operator_on(table, "orders") as operator:
        (waits,) = (await operator.get("/v1/ops/parked")).json()["items"]
        path = f"/v1/ops/parked/{waits['id']}/replay"
        reopened = (await operator.post(path, json={"reason": "mended"})).json()

    assert (waits["key"], waits["kind"]) == ("B-1", "blocked")
    assert reopened == {"replayed": False, "key": "B-1", "still_waiting": 1}
    assert await table.pools["orders"].fetchval("SELECT kind FROM parked") == "waiting"
    row = await table.pools["orders"].fetchrow("SELECT actor, action, target, reason FROM audit_log")
    assert tuple(row) == ("kim", "parked.replay", "B-1", "mended")


async def test_dead_letters_come_in_pages_newest_first(table: Tabletop) -> None:
    await buy(table, "A-1")
    for quantity in range(-5, 0):
        table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": quantity}])
    await table.drain()

    async with operator_on(table, "orders") as operator:
        pages, cursor = [], None
        while cursor is not None or not pages:
            query = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
            page = (await operator.get("/v1/ops/dead", params=query)).json()
            pages.append([each["id"] for each in page["items"]])
            cursor = page["next"]

    assert [len(page) for page in pages] == [2, 2, 1]
    numbers = [number for page in pages for number in page]
    assert numbers == sorted(numbers, reverse=True)


async def test_a_dead_letter_is_tried_before_it_is_handled_again(table: Tabletop) -> None:
    await refuse_one(table)
    letters = table.pools["orders"]
    number = await letters.fetchval("SELECT id FROM dead_letters")
    body = {"reason": "only tried", "apply": False}

    async with operator_on(table, "orders") as operator:
        refused = await operator.post(f"/v1/ops/dead/{number}/replay", json=body)

    assert (refused.status_code, refused.json()["code"]) == (409, "still_refused")
    assert await letters.fetchval("SELECT state FROM dead_letters") == "open"
    assert await letters.fetchval("SELECT count(*) FROM audit_log") == 0


async def test_whoever_is_shown_what_is_hidden_stands_in_the_audit_log(table: Tabletop) -> None:
    body = {"target": "dead letter 17", "reason": "the shop calls"}

    async with operator_on(table, "refunds") as operator:
        told = (await operator.post("/v1/ops/reveals", json=body)).json()
        without = await operator.post("/v1/ops/reveals", json={"target": "dead letter 17"})

    row = await table.pools["refunds"].fetchrow("SELECT id, actor, action, target, reason FROM audit_log")
    assert (str(row["id"]), row["actor"]) == (told["id"], told["actor"])
    assert (row["action"], row["target"], row["reason"]) == ("reveal", "dead letter 17", "the shop calls")
    assert without.status_code == 422
