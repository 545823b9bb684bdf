"""What operators decide over HTTP, on a real database: shown first, done once, audited with the change."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ops.audit.check import audit
from ops.setup.provision import Database
from shared.crash_points import ignore_crash_point
from tests.support.desk import Crash
from tests.support.serving import operator_on, routes_on
from tests.support.tabletop import Tabletop, buy, refund_id_of
from tests.support.web import operator_of

KEY = {"Idempotency-Key": "k-1"}
SOMEBODY_ELSE = {
    "method": "bank_account",
    "bank_code": "088",
    "account_number": "110123456789",
    "holder": "Somebody Else",
}
WRONG_NUMBER = {
    "partner_id": "P-17",
    "name": "가나다 주식회사",
    "invoice_email": "tax@ganada.example",
    "business_number": "1234567890",
}


@pytest.fixture
async def refunds(table: Tabletop) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_on(table, "refunds") as operator:
        yield operator


@pytest.fixture
async def orders(table: Tabletop) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_on(table, "orders") as operator:
        yield operator


@pytest.fixture
async def invoices(table: Tabletop) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_on(table, "invoices") as operator:
        yield operator


async def held(table: Tabletop, order_id: str = "A-1") -> str:
    """A refund of 40 units that waits for a proof; its id."""
    await buy(table, order_id)
    table.say("refund.requested.v1", order_id, destination=SOMEBODY_ELSE)
    await table.drain()
    return await refund_id_of(table, order_id)


async def in_review(table: Tabletop) -> str:
    refund_id = await held(table)
    table.say("refund.proof_attached.v1", "A-1", refund_id=refund_id)
    await table.drain()
    return refund_id


async def contents(table: Tabletop, service: str) -> dict[str, int]:
    """How many rows each table of a service has."""
    pool = table.pools[service]
    names = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
    return {
        row["tablename"]: await pool.fetchval(f"SELECT count(*) FROM {row['tablename']}") for row in names
    }


async def audited(table: Tabletop, service: str) -> list[tuple[Any, ...]]:
    rows = await table.pools[service].fetch(
        "SELECT actor, action, target, reason, result FROM audit_log ORDER BY id"
    )
    return [tuple(row) for row in rows]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


class TestRefunds:
    async def test_a_look_leaves_nothing_and_the_key_stays_free_for_the_decision(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        refund_id = await in_review(table)
        before = await contents(table, "refunds")

        path, said = f"/v1/refunds/{refund_id}/approve", {"reason": "a copy of the bankbook came"}
        shown = (await refunds.post(path, json=said, headers=KEY)).json()
        after_look = await contents(table, "refunds")
        done = (await refunds.post(path, json={**said, "apply": True}, headers=KEY)).json()

        assert after_look == before
        assert (shown["applied"], done["applied"]) == (False, True)
        assert {**shown, "applied": True} == done
        assert (done["before"]["state"], done["after"]["state"], done["after"]["won"]) == (
            "in_review",
            "accepted",
            70_400,
        )
        assert [event["type"] for event in done["events"]] == ["refund.accepted.v1"]
        await table.drain()
        assert await table.pools["refunds"].fetchval("SELECT state FROM refunds") == "paying_out"

    async def test_a_repeat_is_answered_the_same_and_other_content_is_refused(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        path = f"/v1/refunds/{await held(table)}/reject"
        body = {"reason": "no proof", "apply": True}

        first, again = [await refunds.post(path, json=body, headers=KEY) for _ in range(2)]
        other = await refunds.post(path, json={**body, "reason": "late"}, headers=KEY)
        new = await refunds.post(path, json=body, headers={"Idempotency-Key": "k-2"})
        without = await refunds.post(path, json=body)

        assert (first.status_code, again.json()) == (200, first.json())
        assert code(other) == (422, "idempotency_key_reused")
        assert code(new) == (409, "cannot_decide")
        assert "possible now: nothing" in new.json()["detail"]
        assert code(without) == (400, "idempotency_key_missing")

    async def test_the_same_key_at_another_refund_of_the_order_is_other_content(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await held(table)
        table.say("refund.requested.v1", "A-1", refund_request_id="rr-2", destination=SOMEBODY_ELSE)
        await table.drain()
        rows = await table.pools["refunds"].fetch("SELECT refund_id FROM refunds ORDER BY refund_id")
        body = {"reason": "no proof", "apply": True}

        answers = [
            await refunds.post(f"/v1/refunds/{row['refund_id']}/reject", json=body, headers=KEY)
            for row in rows
        ]

        assert [answer.status_code for answer in answers] == [200, 422]

    async def test_who_decided_and_why_stands_in_the_audit_log_and_in_the_steps(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        refund_id = await held(table)
        body = {"reason": "a bankbook", "reference": "s3://proofs/77", "apply": True}

        await refunds.post(f"/v1/refunds/{refund_id}/proof", json=body, headers=KEY)
        await refunds.post(
            f"/v1/refunds/{refund_id}/retry",
            json={"reason": "now", "apply": True},
            headers={"Idempotency-Key": "k-2"},
        )

        assert await audited(table, "refunds") == [
            ("kim", "refund.proof", f"A-1 {refund_id}", "a bankbook", "done"),
            ("kim", "refund.retry", f"A-1 {refund_id}", "now", "cannot_decide"),
        ]
        row = await table.pools["refunds"].fetchrow(
            "SELECT h.actor, h.note, h.recorded_at = a.recorded_at AS together FROM refund_history h"
            " JOIN audit_log a ON a.action = 'refund.proof' WHERE h.state = 'in_review'"
        )
        assert tuple(row) == ("kim", "s3://proofs/77", True)

    async def test_a_partner_sees_its_own_refund_without_who_and_notes_and_no_other(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        refund_id = await in_review(table)
        path = f"/v1/refunds/{refund_id}"
        routes = routes_on(table, "refunds")

        async with (
            operator_of(routes, "refunds", partner_id="P-17") as own,
            operator_of(routes, "refunds", partner_id="P-99") as other,
        ):
            mine, theirs = await own.get(path), await other.get(path)
            decided = await own.post(f"{path}/approve", json={"reason": "mine"}, headers=KEY)
        everybody = (await refunds.get(path)).json()

        assert mine.json()["state"] == "in_review"
        assert {step["actor"] for step in mine.json()["steps"]} == {None}
        assert {step["actor"] for step in everybody["steps"]} > {"refunds"}
        assert code(theirs) == (404, "not_found")
        assert code(decided) == (403, "limited_to_partner")
        never = await refunds.get("/v1/refunds/0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01")
        assert theirs.json()["detail"].replace(refund_id, "") == never.json()["detail"].replace(
            "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01", ""
        )

    async def test_a_refund_is_shown_with_its_days_steps_and_decisions(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        refund_id = await held(table)

        shown = (await refunds.get(f"/v1/refunds/{refund_id}")).json()

        assert (shown["order_id"], shown["partner_id"], shown["why"]) == ("A-1", "P-17", "holder_mismatch")
        assert shown["lines"] == [{"line_id": "1", "quantity": 40}]
        assert shown["decisions"] == ["proof", "reject", "withdraw"]
        assert [step["state"] for step in shown["steps"]] == ["requested", "held"]
        assert shown["requested_at"].endswith("+09:00")
        assert shown["legal_on"] > shown["requested_at"][:10]

    async def test_a_refund_that_nobody_knows_is_not_decided(self, refunds: httpx.AsyncClient) -> None:
        path = "/v1/refunds/0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01/retry"

        assert code(await refunds.post(path, json={"reason": "why"}, headers=KEY)) == (404, "not_found")

    @pytest.mark.parametrize("point", ["after_claim", "before_commit", "after_commit"])
    async def test_a_crash_decides_all_of_it_or_nothing_and_a_repeat_tells_which(
        self, table: Tabletop, refunds: httpx.AsyncClient, point: str
    ) -> None:
        path = f"/v1/refunds/{await in_review(table)}/approve"
        body = {"reason": "a bankbook", "apply": True}

        def die(reached: str) -> None:
            if reached == point:
                raise Crash(point)

        table.outboxes["refunds"].on_crash_point = die
        dying = refunds.post(path, json=body, headers=KEY)
        with pytest.raises(BaseException):  # noqa: B017, PT011 the process is gone, and with it the answer
            await dying
        table.outboxes["refunds"].on_crash_point = ignore_crash_point
        kept = (await audited(table, "refunds"))[-1][1] == "refund.approve"
        async with operator_on(table, "refunds") as another_process:
            again = await another_process.post(path, json=body, headers=KEY)

        assert kept == (point == "after_commit")
        assert again.json()["after"]["state"] == "accepted"
        accepted = "SELECT count(*) FROM outbox WHERE type = 'refund.accepted.v1'"
        assert await table.pools["refunds"].fetchval(accepted) == 1
        assert [row[1] for row in await audited(table, "refunds")].count("refund.approve") == 1


class TestQuarantine:
    async def test_open_cases_come_in_pages_oldest_first_with_what_they_propose(
        self, table: Tabletop, orders: httpx.AsyncClient
    ) -> None:
        for number in range(1, 4):
            await buy(table, f"A-{number}")
            paid_at = f"2026-10-21T1{number}:03:05+09:00"
            table.say("payment.completed.v1", f"A-{number}", payment_id=f"again-{number}", paid_at=paid_at)
        await table.drain()

        first = (await orders.get("/v1/quarantine", params={"limit": 2})).json()
        second = (await orders.get("/v1/quarantine", params={"limit": 2, "cursor": first["next"]})).json()
        older = {"opened_before": "2026-10-21T12:00:00+09:00", "partner": "P-17", "reason": "second_payment"}
        chosen = (await orders.get("/v1/quarantine", params=older)).json()
        none = (await orders.get("/v1/quarantine", params={"partner": "P-99"})).json()

        named = [[case["payment_id"] for case in page["items"]] for page in (first, second, chosen, none)]
        assert named == [["again-1", "again-2"], ["again-3"], ["again-1"], []]
        assert second["next"] is None
        case = first["items"][0]
        assert case["proposal"] == {"refund": 176_000, "destination": "bank_account"}
        assert case["decisions"] == ["returned", "kept"]

    async def test_a_decision_is_shown_then_done_and_ends_the_case(
        self, table: Tabletop, orders: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        table.say("payment.completed.v1", "A-1", payment_id="again/1")
        await table.drain()
        before = await contents(table, "orders")
        path, said = (
            "/v1/quarantine/again%2F1/decide",
            {"decision": "returned", "reason": "sent back by the bank"},
        )

        shown = await orders.post(path, json=said, headers=KEY)
        after_look = await contents(table, "orders")
        done, again = [await orders.post(path, json={**said, "apply": True}, headers=KEY) for _ in range(2)]
        other = await orders.post(path, json={**said, "decision": "kept"}, headers={"Idempotency-Key": "k-2"})

        assert after_look == before
        assert shown.json()["after"]["open_cases"] == 0
        assert done.json() == again.json() == {**shown.json(), "applied": True}
        assert code(other) == (409, "cannot_decide")
        cases = (await orders.get("/v1/quarantine/again%2F1")).json()["cases"]
        assert [(case["decision"], case["decisions"]) for case in cases] == [("returned", [])]
        assert (await audited(table, "orders"))[0] == (
            "kim",
            "quarantine.decide",
            "A-1 again/1",
            "sent back by the bank",
            "done",
        )

    async def test_money_that_is_applied_pays_the_order_for_everybody(
        self, table: Tabletop, orders: httpx.AsyncClient, database: Database
    ) -> None:
        for payment_id, amount in (("d-1", 100_000), ("d-2", 76_000)):
            table.say("payment.completed.v1", "A-1", payment_id=payment_id, amount=amount)
        await table.drain()
        said = {"decision": "applied", "reason": "two transfers", "apply": True}

        done = (await orders.post("/v1/quarantine/d-2/decide", json=said, headers=KEY)).json()
        await table.drain()

        assert (done["before"]["order"], done["after"]["order"]) == ("unpaid", "paid")
        assert await table.pools["invoices"].fetchval("SELECT supply + vat FROM payments") == 176_000
        assert (await audit(database.ops_url, settle=0)).violations == []

    async def test_a_payment_with_cases_in_two_orders_has_to_be_told_apart(
        self, table: Tabletop, orders: httpx.AsyncClient
    ) -> None:
        for order_id in ("A-1", "A-2"):
            await buy(table, order_id)
        for order_id in ("A-1", "A-2"):
            table.say("payment.completed.v1", order_id, payment_id="both")
        await table.drain()
        path, said = "/v1/quarantine/both/decide", {"decision": "kept", "reason": "why", "apply": True}

        unclear = await orders.post(path, json=said, headers=KEY)
        first = await orders.post(path, json={**said, "order_id": "A-2"}, headers=KEY)
        second = await orders.post(path, json=said, headers={"Idempotency-Key": "k-2"})

        assert code(unclear) == (409, "several_orders")
        assert "A-1, A-2" in unclear.json()["detail"]
        assert [each.json()["order_id"] for each in (first, second)] == ["A-2", "A-1"]

    async def test_what_has_no_case_is_not_found(self, table: Tabletop, orders: httpx.AsyncClient) -> None:
        await buy(table, "A-1")
        said = {"decision": "kept", "reason": "why"}

        found = [
            await orders.get("/v1/quarantine/pay-A-1"),
            await orders.post("/v1/quarantine/pay-A-1/decide", json=said, headers=KEY),
            await orders.post("/v1/quarantine/pay-A-1/decide", json={**said, "order_id": "A-9"}, headers=KEY),
        ]

        assert [code(each) for each in found] == [(404, "not_found")] * 3


class TestCancelledRequests:
    async def test_a_request_is_cancelled_once_and_its_order_comes_all_the_same(
        self, table: Tabletop, orders: httpx.AsyncClient, database: Database
    ) -> None:
        table.say("issuance.requested.v1", "B-1", request_id="iss-1")
        await table.drain()
        before = await contents(table, "orders")
        said = {"key": "B-1", "request": "iss-1", "reason": "ordered by mistake"}

        shown = await orders.post("/v1/ops/parked/cancel", json=said, headers=KEY)
        after_look = await contents(table, "orders")
        done, again = [
            await orders.post("/v1/ops/parked/cancel", json={**said, "apply": True}, headers=KEY)
            for _ in range(2)
        ]
        gone = await orders.post("/v1/ops/parked/cancel", json=said, headers={"Idempotency-Key": "k-2"})

        assert after_look == before
        assert done.json() == again.json() == {**shown.json(), "applied": True}
        assert [event["data"]["reason"] for event in done.json()["events"]] == ["cancelled_by_operator"]
        assert code(gone) == (404, "not_found")
        assert await table.pools["orders"].fetchval("SELECT count(*) FROM parked") == 0
        assert (await audited(table, "orders"))[0] == (
            "kim",
            "request.cancel",
            "B-1 iss-1",
            "ordered by mistake",
            "done",
        )
        await buy(table, "B-1")
        assert await table.pools["orders"].fetchval("SELECT state FROM orders") == "paid"
        assert (await audit(database.ops_url, settle=0)).violations == []

    async def test_a_refund_request_is_cancelled_while_its_order_is_not_paid(
        self, table: Tabletop, refunds: httpx.AsyncClient, database: Database
    ) -> None:
        table.say("payment.pending.v1", "A-1")
        table.say("refund.requested.v1", "A-1", refund_request_id="rr-1")
        await table.drain()
        said = {"key": "A-1", "request": "rr-1", "reason": "asked by mistake", "apply": True}

        done = await refunds.post("/v1/ops/parked/cancel", json=said, headers=KEY)
        await buy(table, "A-1")

        (event,) = done.json()["events"]
        assert (event["type"], event["data"]["refund_request_id"]) == ("refund.rejected.v1", "rr-1")
        assert await table.pools["refunds"].fetchval("SELECT count(*) FROM refunds") == 0
        assert (await audit(database.ops_url, settle=0)).violations == []

    async def test_money_that_waits_is_never_cancelled(
        self, table: Tabletop, orders: httpx.AsyncClient
    ) -> None:
        table.say("payment.cancelled.v1", "B-1", payment_id="pay-B-1")
        await table.drain()
        said = {"key": "B-1", "request": "pay-B-1", "reason": "why", "apply": True}

        refused = await orders.post("/v1/ops/parked/cancel", json=said, headers=KEY)

        assert code(refused) == (409, "cannot_cancel")
        assert await table.pools["orders"].fetchval("SELECT count(*) FROM parked") == 1

    @pytest.mark.parametrize("service", ["orders", "refunds", "serials", "invoices"])
    async def test_where_nothing_waits_nothing_is_cancelled(self, table: Tabletop, service: str) -> None:
        said = {"key": "B-1", "request": "iss-1", "reason": "why", "apply": True}

        async with operator_on(table, service) as operator:
            answer = await operator.post("/v1/ops/parked/cancel", json=said, headers=KEY)

        assert code(answer) == (404, "not_found")


class TestPartners:
    async def unissuable(self, table: Tabletop) -> None:
        await buy(table, "A-1", partner=WRONG_NUMBER)
        await table.close("2026-10", "2026-11-05T18:00:00+09:00")

    async def test_a_right_number_issues_what_waited_for_it_once_it_is_applied(
        self, table: Tabletop, invoices: httpx.AsyncClient, database: Database
    ) -> None:
        await self.unissuable(table)
        path = "/v1/partners/P-17/correct"
        said = {
            "business_number": "116-82-00276",
            "name": "가나다 주식회사",
            "invoice_email": "tax@ganada.example",
            "reason": "told by phone",
        }

        few = await invoices.post(path, json={"business_number": "116-82-00276", "reason": "x"}, headers=KEY)
        shown = await invoices.post(path, json=said, headers=KEY)
        before = await contents(table, "invoices")
        done, again = [await invoices.post(path, json={**said, "apply": True}, headers=KEY) for _ in range(2)]

        assert code(few) == (409, "partner_incomplete")
        assert "name, invoice_email" in few.json()["detail"]
        assert before["partners"] == 0
        assert done.json() == again.json()
        assert {**done.json(), "events": []} == {**shown.json(), "applied": True, "events": []}
        (document,) = done.json()["issued"]
        assert document["document_key"] == "2026-10-1168200276-000001"
        row = await table.pools["invoices"].fetchrow("SELECT state, document_key FROM documents")
        assert tuple(row) == ("issued", "2026-10-1168200276-000001")
        assert (await audited(table, "invoices"))[-1] == (
            "kim",
            "partner.correct",
            "P-17",
            "told by phone",
            "done",
        )
        assert (await audit(database.ops_url, settle=0)).violations == []

    async def test_what_is_not_named_stays_and_a_draft_moves_to_the_new_number(
        self, table: Tabletop, invoices: httpx.AsyncClient
    ) -> None:
        changed_at = "2026-10-20T09:00:00+09:00"
        table.say("partner.changed.v1", "P-17", at=changed_at, changed_at=changed_at)
        await buy(table, "A-1")
        await table.drain()

        merged = {"always_merge": True, "reason": "wants one", "apply": True}
        first = await invoices.post("/v1/partners/P-17/correct", json=merged, headers=KEY)
        moved = {"business_number": "134-86-72683", "reason": "wrong company", "apply": True}
        second = await invoices.post(
            "/v1/partners/P-17/correct", json=moved, headers={"Idempotency-Key": "k-2"}
        )

        before, after = first.json()["before"], first.json()["after"]
        assert after == {**before, "always_merge": True}
        assert second.json()["after"] == {**after, "business_number": "1348672683"}
        row = await table.pools["invoices"].fetchrow("SELECT business_number, always_merge FROM partners")
        assert tuple(row) == ("1348672683", True)

    async def test_a_partner_that_nobody_knows_is_not_corrected(
        self, table: Tabletop, invoices: httpx.AsyncClient
    ) -> None:
        answer = await invoices.post(
            "/v1/partners/P-99/correct", json={"name": "x", "reason": "why"}, headers=KEY
        )

        assert code(answer) == (404, "not_found")


async def test_a_decision_that_an_event_tells_is_audited_with_its_change(table: Tabletop) -> None:
    refund_id = await in_review(table)
    table.say(
        "refund.reviewed.v1", "A-1", refund_id=refund_id, decision="reject", actor="op:lee", note="late"
    )
    table.say("payment.completed.v1", "A-1", payment_id="again")
    await table.drain()
    told = {"payment_id": "again", "decision": "kept", "actor": "op:lee", "note": "asked by mail"}
    table.say("quarantine.decided.v1", "A-1", **told)
    table.say("quarantine.decided.v1", "A-1", **told, decided_at="2026-12-01T10:00:00+09:00")
    await table.drain()

    of_refunds, of_orders = await audited(table, "refunds"), await audited(table, "orders")
    together = await table.pools["refunds"].fetchval(
        "SELECT count(*) FROM audit_log JOIN refund_history USING (actor, recorded_at)"
    )

    assert [row[:4] for row in of_refunds][1:] == [("op:lee", "refund.reject", f"A-1 {refund_id}", "late")]
    assert of_refunds[0][1] == "refund.proof"
    assert of_orders == [("op:lee", "quarantine.decide", "A-1 again", "asked by mail", "done")]
    assert together == 2


class TestWithdrawals:
    PREFLIGHT = "/v1/partners/P-17/withdrawal-preflight"
    WITHDRAWAL = "/v1/partners/P-17/withdrawal"

    async def test_every_blocker_is_shown_before_anybody_asks_and_refuses_who_does(
        self, table: Tabletop, orders: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")

        before = (await orders.get(self.PREFLIGHT)).json()
        refused = await orders.post(self.WITHDRAWAL, json={"reason": "by letter", "apply": True}, headers=KEY)
        await table.drain()

        assert not before["can_withdraw"]
        kinds = ["uninvoiced_payment", "unissued_units"]
        assert sorted(blocker["kind"] for blocker in before["blockers"]) == kinds
        assert refused.json()["blockers"] == before["blockers"]
        assert [event["type"] for event in refused.json()["events"]] == ["partner.withdrawal_refused.v1"]
        assert (await audited(table, "orders"))[0] == (
            "kim",
            "partner.withdraw",
            "P-17",
            "by letter",
            "done",
        )

    async def test_a_partner_leaves_once_and_its_next_order_is_refused(
        self, table: Tabletop, orders: httpx.AsyncClient, database: Database
    ) -> None:
        await buy(table, "A-1")
        table.say("refund.requested.v1", "A-1", lines=None)
        await table.drain()
        table.say("refund.paid_out.v1", "A-1", refund_id=await refund_id_of(table, "A-1"))
        await table.drain()
        before = await contents(table, "orders")
        said = {"reason": "by letter"}

        shown = await orders.post(self.WITHDRAWAL, json=said, headers=KEY)
        after_look = await contents(table, "orders")
        done, again = [
            await orders.post(self.WITHDRAWAL, json={**said, "apply": True}, headers=KEY) for _ in range(2)
        ]
        left = (await orders.get(self.PREFLIGHT)).json()
        table.say("payment.completed.v1", "A-2", payment_id="pay-2")
        await table.drain()

        assert after_look == before
        assert shown.json()["blockers"] == []
        assert done.json() == again.json()
        assert [event["type"] for event in done.json()["events"]] == ["partner.withdrawn.v1"]
        assert (left["can_withdraw"], left["withdrawn_at"]) == (False, done.json()["withdrawn_at"])
        reasons = await table.pools["orders"].fetch("SELECT reason FROM quarantine")
        assert [row["reason"] for row in reasons] == ["order_closed"]
        for hidden in ("refunds", "serials"):
            noted = await table.pools[hidden].fetch("SELECT partner_id FROM withdrawn_partners")
            assert [row["partner_id"] for row in noted] == ["P-17"]
        assert (await audit(database.ops_url, settle=0)).violations == []

    async def test_a_token_of_a_partner_asks_for_that_partner_only(
        self, table: Tabletop, orders: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        async with operator_of(routes_on(table, "orders"), partner_id="P-17") as own:
            assert (await own.get(self.PREFLIGHT)).status_code == 200
        async with operator_of(routes_on(table, "orders"), partner_id="P-18") as other:
            assert code(await other.get(self.PREFLIGHT)) == (404, "not_found")
            said = {"reason": "by letter"}
            assert code(await other.post(self.WITHDRAWAL, json=said, headers=KEY)) == (404, "not_found")
        assert code(await orders.get("/v1/partners/P-99/withdrawal-preflight")) == (404, "not_found")
