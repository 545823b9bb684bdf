"""What could be refunded, asking for it, and what became of it, over HTTP on a real database."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

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
OWN = {**SOMEBODY_ELSE, "holder": "가나다 주식회사"}
GOODS = {"line_id": "1", "kind": "goods", "product_id": "cup", "product_name": "컵", "unit_price": 1600}


@pytest.fixture
async def refunds(table: Tabletop) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_on(table, "refunds") as operator:
        yield operator


def document(order_id: str = "A-1", **changes: Any) -> dict[str, Any]:
    """What asks for 40 units of an order."""
    return {
        "order_id": order_id,
        "refund_request_id": "rr-77",
        "requested_by": "P-17",
        "role": "partner",
        "reason": "financial_burden",
        "message": "수량을 잘못 주문했습니다",
        "destination": OWN,
        "lines": [{"line_id": "1", "quantity": 40}],
        **changes,
    }


def code(answer: httpx.Response) -> tuple[int, str, str | None]:
    said = answer.json()
    return answer.status_code, said.get("code", ""), said.get("pointer")


class TestEligibility:
    async def test_an_order_says_what_of_it_can_be_refunded_and_why_the_rest_cannot(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": 60}])
        await table.drain()

        told = (await refunds.get("/v1/orders/A-1/refund-eligibility")).json()

        assert (told["units"], told["supply"], told["vat"], told["amount"]) == (40, 64_000, 6_400, 70_400)
        assert (told["reason"], told["holds"], told["given_up"]) == (None, [], [])
        (line,) = told["lines"]
        assert (line["paid"], line["open"], line["refundable"], line["amount"]) == (100, 40, 40, 70_400)
        assert told["at"].endswith("+09:00")
        assert told["destination"] == {"kind": "bank_account", "needs_account": True}
        assert told["at"][:10] < told["legal_on"] <= told["expected_on"] == told["expected_until"]
        assert told["tax_documents"]["effect"] == "draft_lowered"

    async def test_what_is_wholly_issued_says_so_in_both_languages(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1", issue_policy="automatic")

        told = (await refunds.get("/v1/orders/A-1/refund-eligibility")).json()

        assert (told["units"], told["amount"], told["expected_on"]) == (0, 0, None)
        assert told["reason"]["code"] == "issued"
        assert told["reason"]["text"] == "the units are granted to be issued"
        assert told["reason"]["text_ko"].startswith("이미")
        assert told["lines"][0]["since"] is not None

    async def test_a_partner_may_ask_about_its_own_orders_only(self, table: Tabletop) -> None:
        await buy(table, "A-1")
        routes, path = routes_on(table, "refunds"), "/v1/orders/A-1/refund-eligibility"

        async with (
            operator_of(routes, "refunds", partner_id="P-17") as own,
            operator_of(routes, "refunds", partner_id="P-99") as other,
        ):
            mine, theirs = await own.get(path), await other.get(path)
            never = await other.get("/v1/orders/A-9/refund-eligibility")

        assert mine.json()["partner_id"] == "P-17"
        assert code(theirs) == (404, "not_found", None)
        assert theirs.json()["detail"].replace("A-1", "") == never.json()["detail"].replace("A-9", "")

    async def test_an_order_with_a_slash_in_its_id_is_found(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "shop/1")

        told = await refunds.get("/v1/orders/shop/1/refund-eligibility")

        assert told.json()["order_id"] == "shop/1"

    async def test_a_look_locks_nothing_and_waits_for_nobody(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        pool = table.pools["refunds"]

        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM orders WHERE order_id = 'A-1' FOR UPDATE")
            told = await refunds.get("/v1/orders/A-1/refund-eligibility")

        assert told.status_code == 200


class TestPreview:
    async def test_named_units_are_all_of_them_or_none(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")

        some = {"order_id": "A-1", "lines": [{"line_id": "1", "quantity": 40}]}
        too_many = {"order_id": "A-1", "lines": [{"line_id": "1", "quantity": 101}]}
        told = (await refunds.post("/v1/refund-previews", json=some)).json()
        refused = (await refunds.post("/v1/refund-previews", json=too_many)).json()

        assert (told["units"], told["amount"]) == (40, 70_400)
        assert (refused["units"], refused["reason"]["code"]) == (0, "more_than_paid")
        assert (refused["unlock"]["next"], refused["unlock"]["who"]) == ("ask_for_less", "partner")

    async def test_wrong_lines_have_the_pointer_of_the_event(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        unknown = [{"line_id": "9", "quantity": 1}]
        twice = [{"line_id": "1", "quantity": 1}, {"line_id": "1", "quantity": 2}]

        answers = [
            await refunds.post("/v1/refund-previews", json={"order_id": "A-1", "lines": lines})
            for lines in (unknown, twice)
        ]

        assert [code(answer) for answer in answers] == [
            (422, "inconsistent", "/lines/0/line_id"),
            (422, "inconsistent", "/lines/1/line_id"),
        ]

    async def test_a_preview_of_an_invoiced_payment_is_the_modified_invoice_that_follows(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        await table.close("2026-10", "2026-11-05T18:00:00+09:00")
        await table.drain()
        body = {"order_id": "A-1", "lines": [{"line_id": "1", "quantity": 40}]}

        told = (await refunds.post("/v1/refund-previews", json=body)).json()
        asked = (await refunds.post("/v1/refunds", json=document())).json()
        await table.drain()
        paid_out_at = f"{told['expected_on']}T10:00:00+09:00"
        table.say(
            "refund.paid_out.v1",
            "A-1",
            at=paid_out_at,
            refund_id=asked["refund_id"],
            paid_out_at=paid_out_at,
        )
        await table.drain()

        (promised,) = told["tax_documents"]["documents"]
        row = await table.pools["invoices"].fetchrow(
            "SELECT modification, supply, vat, total, written_date FROM documents WHERE kind = 'modified'"
        )
        assert told["tax_documents"]["effect"] == "modified"
        assert promised["modification_ko"] == "공급가액 변동"
        assert {**dict(row), "written_date": str(row["written_date"])} == {
            name: promised[name] for name in ("modification", "supply", "vat", "total", "written_date")
        }

    async def test_a_corrected_invoice_is_modified_under_its_new_key(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        await table.close("2026-10", "2026-11-05T18:00:00+09:00")
        keys = "SELECT document_key FROM documents WHERE kind = 'payment' ORDER BY issued_at"
        (first,) = [row[0] for row in await table.pools["invoices"].fetch(keys)]
        await table.correct("2026-10", first, number="1348672683")
        await table.drain()

        told = (await refunds.get("/v1/orders/A-1/refund-eligibility")).json()

        (promised,) = told["tax_documents"]["documents"]
        assert promised["original_document_key"].startswith("2026-10-1348672683-")

    async def test_of_an_invoice_that_was_issued_twice_nothing_is_modified(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        await table.close("2026-10", "2026-11-05T18:00:00+09:00")
        row = await table.pools["invoices"].fetchrow("SELECT document_key FROM documents")
        await table.correct("2026-10", row["document_key"], twice=True)
        await table.drain()

        told = (await refunds.get("/v1/orders/A-1/refund-eligibility")).json()

        assert (told["tax_documents"]["effect"], told["tax_documents"]["documents"]) == ("none", [])

    async def test_goods_say_what_they_wait_for_and_who_acts(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        lines = [{**GOODS, "quantity": 100}]
        table.say("payment.completed.v1", "A-1", payment_id="pay-A-1", lines=lines)
        table.say("line.delivered.v1", "A-1", line_id="1", delivered_at="2026-10-22T10:00:00+09:00")
        await table.drain()

        told = (await refunds.get("/v1/orders/A-1/refund-eligibility")).json()

        assert told["last_instant"] == "2026-10-29T23:59:59.999999+09:00"
        if told["units"]:
            assert told["holds"][0]["code"] == "return_awaited"
            assert (told["unlock"]["next"], told["unlock"]["who"]) == ("confirm_return", "partner")
        else:
            assert told["reason"]["code"] == "window_over"
            assert told["since"] == told["last_instant"]


class TestRequest:
    async def test_it_goes_the_way_of_the_event_to_the_payout(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")

        asked = await refunds.post("/v1/refunds", json=document())
        await table.drain()

        said = asked.json()
        assert (asked.status_code, said["state"], said["next"]) == (200, "accepted", "grant_units")
        assert [event["type"] for event in said["events"]] == ["refund.accepted.v1"]
        shown = (await refunds.get(f"/v1/refunds/{said['refund_id']}")).json()
        assert (shown["state"], shown["amount"], shown["next"], shown["who"]) == (
            "paying_out",
            70_400,
            "pay_out",
            "checkout",
        )

    async def test_the_same_content_over_http_and_kafka_is_one_refund(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        # More than the contract names, and in another order: the content is the JSON values of all of it.
        body = {"campaign": {"share": 1.5}, **document()}

        over_http = await refunds.post("/v1/refunds", json=body)
        table.say("refund.requested.v1", **body)
        await table.drain()
        again = await refunds.post("/v1/refunds", json=body)

        assert again.json()["refund_id"] == over_http.json()["refund_id"]
        assert again.json()["events"] == []
        assert await table.pools["refunds"].fetchval("SELECT count(*) FROM refunds") == 1
        rejected = [
            record
            for record in table.log["checkout.feedback"]
            if b'"outcome":"rejected"' in (record.value or b"")
        ]
        assert rejected == []

    async def test_other_content_under_the_same_request_id_is_refused(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        await refunds.post("/v1/refunds", json=document())

        other = await refunds.post("/v1/refunds", json=document(message="다시"))

        assert code(other) == (422, "duplicate_request", "/refund_request_id")

    async def test_a_rule_refuses_with_its_reason_and_a_fault_with_its_pointer(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        many: dict[str, Any] = {"lines": [{"line_id": "1", "quantity": 101}]}
        no_holder: dict[str, Any] = {"destination": {"method": "bank_account", "bank_code": "088"}}

        refused = (await refunds.post("/v1/refunds", json=document(**many))).json()
        reason = await refunds.post("/v1/refunds", json=document(refund_request_id="rr-2", reason="because"))
        account = await refunds.post("/v1/refunds", json=document(refund_request_id="rr-3", **no_holder))

        assert (refused["state"], refused["why"]) == ("rejected", "more_than_paid")
        assert code(reason) == (422, "out_of_range", "/reason")
        assert code(account) == (422, "missing_field", "/destination/account_number")

    async def test_an_order_that_waits_for_its_deposit_is_not_waited_for(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        table.say("payment.pending.v1", "A-4")
        await table.drain()

        early = await refunds.post("/v1/refunds", json=document("A-4"))
        told = (await refunds.get("/v1/orders/A-4/refund-eligibility")).json()

        assert code(early) == (409, "not_paid", None)
        assert (told["reason"]["code"], told["unlock"]["next"]) == ("not_paid", "pay_order")

    async def test_a_partner_asks_for_its_own_and_never_as_an_operator(self, table: Tabletop) -> None:
        await buy(table, "A-1")
        routes = routes_on(table, "refunds")

        async with (
            operator_of(routes, "refunds", partner_id="P-17") as own,
            operator_of(routes, "refunds", partner_id="P-99") as other,
        ):
            theirs = await other.post("/v1/refunds", json=document())
            as_operator = await own.post("/v1/refunds", json=document(role="operator"))
            mine = await own.post("/v1/refunds", json=document())

        assert code(theirs) == (404, "not_found", None)
        assert code(as_operator) == (403, "limited_to_partner", None)
        assert mine.json()["state"] == "accepted"

    async def test_no_account_stands_in_the_audit_log_or_in_an_answer(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")

        asked = await refunds.post("/v1/refunds", json=document())

        row = await table.pools["refunds"].fetchrow("SELECT * FROM audit_log")
        assert (row["actor"], row["action"], row["target"]) == ("kim", "refund.request", "A-1 rr-77")
        assert "110123456789" not in str(dict(row)) + asked.text


class TestList:
    async def test_refunds_come_in_pages_the_oldest_request_first(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        for number in range(1, 4):
            await buy(table, f"A-{number}")
            at = f"2026-10-2{number + 1}T10:00:00+09:00"
            table.say("refund.requested.v1", f"A-{number}", at=at, destination=SOMEBODY_ELSE)
        await table.drain()

        first = (await refunds.get("/v1/refunds", params={"limit": 2})).json()
        second = (await refunds.get("/v1/refunds", params={"limit": 2, "cursor": first["next"]})).json()

        assert [each["order_id"] for each in first["items"] + second["items"]] == ["A-1", "A-2", "A-3"]
        assert second["next"] is None
        held = first["items"][0]
        assert (held["state"], held["why"], held["next"], held["who"]) == (
            "held",
            "holder_mismatch",
            "attach_proof",
            "partner",
        )
        assert held["why_text_ko"].startswith("예금주")

    async def test_they_are_chosen_by_partner_state_and_instant(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        await buy(table, "A-2")
        table.say("refund.requested.v1", "A-1", at="2026-10-22T10:00:00+09:00", destination=SOMEBODY_ELSE)
        table.say("refund.requested.v1", "A-2", at="2026-10-23T10:00:00+09:00", reason="because")
        table.say("refund.requested.v1", "A-2", at="2026-10-24T10:00:00+09:00", destination=OWN)
        await table.drain()

        async def orders(**asked: Any) -> list[str]:
            page = (await refunds.get("/v1/refunds", params=asked)).json()
            return [each["order_id"] for each in page["items"]]

        assert await orders(state="held") == ["A-1"]
        assert await orders(waiting="true") == ["A-1", "A-2"]
        assert await orders(since="2026-10-23T00:00:00+09:00") == ["A-2"]
        for name in ("partner", "partner_id"):
            assert await orders(**{name: "P-17"}) == ["A-1", "A-2"]
            assert await orders(**{name: "P-99"}) == []
        two = await refunds.get("/v1/refunds", params={"partner": "P-17", "partner_id": "P-99"})
        assert (two.status_code, two.json()["code"]) == (422, "inconsistent")
        assert code(await refunds.get("/v1/refunds", params={"state": "lost"}))[1] == "wrong_parameter"

    async def test_a_partner_sees_its_own_whatever_it_asks_for(self, table: Tabletop) -> None:
        await buy(table, "A-1")
        table.say("refund.requested.v1", "A-1")
        await table.drain()
        routes = routes_on(table, "refunds")

        async with (
            operator_of(routes, "refunds", partner_id="P-17") as own,
            operator_of(routes, "refunds", partner_id="P-99") as other,
        ):
            mine = (await own.get("/v1/refunds")).json()["items"]
            of_another = (await own.get("/v1/refunds", params={"partner_id": "P-99"})).json()["items"]
            theirs = (await other.get("/v1/refunds", params={"partner_id": "P-17"})).json()["items"]

        assert [each["order_id"] for each in mine] == ["A-1"]
        assert (of_another, theirs) == ([], [])

    @pytest.mark.parametrize("cursor", ["nonsense", "WzEsIngiXQ", "WzFlMzAwLCJ4Il0"])
    async def test_a_cursor_that_is_none_is_a_wrong_parameter(
        self, refunds: httpx.AsyncClient, cursor: str
    ) -> None:
        wrong = await refunds.get("/v1/refunds", params={"cursor": cursor})

        assert code(wrong)[:2] == (400, "wrong_parameter")


class TestDeciding:
    async def held(self, table: Tabletop) -> str:
        await buy(table, "A-1")
        table.say("refund.requested.v1", "A-1", destination=SOMEBODY_ELSE)
        await table.drain()
        return await refund_id_of(table, "A-1")

    async def test_a_partner_attaches_a_proof_and_an_operator_reviews(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        path = f"/v1/refunds/{await self.held(table)}"
        said = {"reason": "a bankbook", "reference": "s3://proofs/77", "apply": True}
        routes = routes_on(table, "refunds")

        async with (
            operator_of(routes, "refunds", partner_id="P-17") as own,
            operator_of(routes, "refunds", partner_id="P-99") as other,
        ):
            theirs = await other.post(f"{path}/proofs", json=said, headers=KEY)
            attached = await own.post(f"{path}/proofs", json=said, headers=KEY)
            by_partner = await own.post(
                f"{path}/review", json={"decision": "approve", "reason": "mine"}, headers=KEY
            )
        body = {"decision": "approve", "reason": "it is the buyer's", "apply": True}
        reviewed = await refunds.post(f"{path}/review", json=body, headers={"Idempotency-Key": "k-2"})

        assert code(theirs) == (404, "not_found", None)
        assert attached.json()["after"]["state"] == "in_review"
        assert code(by_partner) == (403, "limited_to_partner", None)
        assert (reviewed.json()["decision"], reviewed.json()["after"]["state"]) == ("approve", "accepted")

    async def test_a_rejection_takes_no_amount(self, table: Tabletop, refunds: httpx.AsyncClient) -> None:
        path = f"/v1/refunds/{await self.held(table)}/review"
        body = {"decision": "reject", "reason": "no proof", "amount": 1, "apply": True}

        wrong = await refunds.post(path, json=body, headers=KEY)
        del body["amount"]
        right = await refunds.post(path, json=body, headers={"Idempotency-Key": "k-2"})

        assert code(wrong) == (422, "inconsistent", "/amount")
        assert right.json()["after"] == {"state": "rejected", "why": "review_rejected", "won": 70_400}

    async def test_a_failed_payout_is_asked_for_again(
        self, table: Tabletop, refunds: httpx.AsyncClient
    ) -> None:
        await buy(table, "A-1")
        table.say("refund.requested.v1", "A-1")
        await table.drain()
        refund_id = await refund_id_of(table, "A-1")
        table.say("refund.payout_failed.v1", "A-1", refund_id=refund_id, reason="account_closed")
        await table.drain()

        failed = (await refunds.get(f"/v1/refunds/{refund_id}")).json()
        body = {"reason": "the account is open again", "apply": True}
        again = await refunds.post(f"/v1/refunds/{refund_id}/retry-payout", json=body, headers=KEY)

        assert (failed["next"], failed["who"], failed["why_text"]) == ("retry_or_release", "operator", None)
        assert (again.json()["decision"], again.json()["after"]["state"]) == ("retry", "paying_out")
        requested = [event["data"] for event in again.json()["events"]]
        assert [each["idempotency_key"] for each in requested] == [refund_id]
