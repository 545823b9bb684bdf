"""Serials leave over HTTP: whole, in unit order, readable by other programs, and noted before they do."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import openpyxl
import pytest
from fastapi import FastAPI
from python_calamine import CalamineWorkbook
from structlog.testing import capture_logs

from services.serials import handing_out
from services.serials.codes import grouped
from services.serials.vault import SerialKeys, Vault
from shared.ids import uuid7
from shared.kst import KST
from tests.integration.serials.conftest import CHUNK, Desk, RememberedBytes
from tests.support.granted import granted
from tests.support.serving import served
from tests.support.taking import PAGE, PROVIDER, asking, rows_of_csv, serials_app
from tests.support.web import ALL

LONG_AGO, TODAY = datetime(2020, 1, 6, 9, tzinfo=KST), datetime.now(KST)
NAME = "춤추는 라이언 30일"


@pytest.fixture
def app(desk: Desk) -> FastAPI:
    return serials_app(desk.pool, desk.vault)


@pytest.fixture
async def kim(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An operator who may do everything."""
    async with asking(app) as client:
        yield client


@pytest.fixture
async def partner(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """P-17, whose orders these are."""
    async with asking(app, partner_id="P-17", sub="buyer-7", language="ko") as client:
        yield client


async def issued(desk: Desk, units: int = 60, **about: Any) -> str:
    """A grant that is whole; its id."""
    grant_id = uuid7()
    await desk.take(granted(units, grant_id=grant_id, **{"time": TODAY, "product_name": NAME, **about}))
    await desk.worker().drain()
    return str(grant_id)


async def in_unit_order(desk: Desk, grant_id: str) -> list[str]:
    """The readable serials of a grant, opened one by one."""
    rows = await desk.pool.fetch(
        "SELECT * FROM serials WHERE grant_id = $1 ORDER BY serial_id", UUID(grant_id)
    )
    return [grouped(desk.vault.open(row["key_id"], row["text"], row["lookup_tag"])) for row in rows]


async def custody(desk: Desk) -> list[dict[str, Any]]:
    return [dict(row) for row in await desk.pool.fetch("SELECT * FROM custody ORDER BY custody_id")]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


class TestLooking:
    async def test_an_issuance_says_how_far_it_is_and_what_its_serials_are_good_for(
        self, desk: Desk, owner: asyncpg.Connection, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 10)
        await owner.execute(
            "UPDATE serials"
            " SET state = 'registered', account = 'a', registered_at = now(), usage_ends_at = now()"
            " WHERE serial_id IN (SELECT serial_id FROM serials ORDER BY 1 LIMIT 3)"
        )

        shown = (await kim.get(f"/v1/issuances/{grant_id}")).json()

        assert shown["counts"] == {"active": 7, "registered": 3, "expired": 0, "revoked": 0}
        assert (shown["state"], shown["issued"], shown["quantity"], shown["percent"]) == (
            "issued",
            10,
            10,
            100,
        )
        assert (shown["order_id"], shown["line_id"], shown["product_name"]) == ("A-1001", "1", NAME)
        assert shown["registration_deadline"].endswith("T23:59:59.999999+09:00")

    async def test_a_large_one_is_shown_while_it_grows(self, desk: Desk, kim: httpx.AsyncClient) -> None:
        grant_id = uuid7()
        await desk.take(granted(3 * CHUNK, grant_id=grant_id, time=TODAY))
        await desk.worker().issue_chunk()

        shown = (await kim.get(f"/v1/issuances/{grant_id}")).json()

        assert (shown["state"], shown["issued"], shown["percent"]) == ("issuing", CHUNK, 33)
        assert shown["counts"]["active"] == CHUNK

    async def test_what_nobody_registered_in_time_is_expired_by_itself(
        self, desk: Desk, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 4, time=LONG_AGO)

        shown = (await kim.get(f"/v1/issuances/{grant_id}")).json()

        assert shown["counts"] == {"active": 0, "registered": 0, "expired": 4, "revoked": 0}

    async def test_those_of_an_order_and_of_a_partner_are_pages(
        self, desk: Desk, kim: httpx.AsyncClient
    ) -> None:
        await desk.take(granted(1, time=TODAY, more=[2, 3]))
        await issued(desk, 5, order_id="A-1002")

        seen: list[int] = []
        url, cursor = "/v1/orders/A-1001/issuances?limit=2", ""
        while True:
            page = (await kim.get(url + cursor)).json()
            seen += [each["quantity"] for each in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"

        of_partner = (await kim.get("/v1/partners/P-17/issuances")).json()["items"]
        assert sorted(seen) == [1, 2, 3]
        assert sorted(each["quantity"] for each in of_partner) == [1, 2, 3, 5]

    async def test_an_order_of_which_nothing_is_issued_is_not_found(self, kim: httpx.AsyncClient) -> None:
        assert code(await kim.get("/v1/orders/A-9999/issuances")) == (404, "not_found")

    @pytest.mark.parametrize("cursor", ["x", "WyJ4Il0"])
    async def test_a_cursor_that_is_none_is_refused(self, kim: httpx.AsyncClient, cursor: str) -> None:
        answer = await kim.get(f"/v1/orders/A-1001/issuances?cursor={cursor}")

        assert code(answer) == (400, "wrong_parameter")


class TestCsv:
    async def test_it_has_the_five_items_of_each_serial_in_unit_order(
        self, desk: Desk, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 3 * CHUNK)
        deadline = (TODAY + timedelta(days=91)).date()

        answer = await kim.get(f"/v1/issuances/{grant_id}/serials.csv")

        mark, header, *rows = rows_of_csv(answer.content)
        serials = await in_unit_order(desk, grant_id)
        assert header == ["Serial", "Product", "Usage period", "Registration period", "Registration page"]
        assert rows == [
            [serial, NAME, "30 days from registration", f"until {deadline}", PAGE.format(serial=serial)]
            for serial in serials
        ]
        assert mark == [f"# watermark {answer.headers['x-watermark']}", "", "", "", ""]
        assert answer.headers["x-serials"] == str(3 * CHUNK)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        name = f"serials-{grant_id}-{answer.headers['x-watermark']}.csv"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'

    async def test_the_header_and_the_periods_are_in_the_language_of_the_caller(
        self, desk: Desk, partner: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 1)

        _, header, row = rows_of_csv((await partner.get(f"/v1/issuances/{grant_id}/serials.csv")).content)

        assert header == ["일련번호", "상품명", "사용기간", "등록기간", "등록 페이지"]
        assert row[2:4] == ["등록일부터 30일", f"{(TODAY + timedelta(days=91)).date()}까지"]

    async def test_a_name_that_a_spreadsheet_would_compute_is_text(
        self, desk: Desk, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 1, product_name='=HYPERLINK("x")')

        answer = await kim.get(f"/v1/issuances/{grant_id}/serials.csv")

        assert b',"\'=HYPERLINK(""x"")",' in answer.content

    async def test_it_is_of_the_units_and_of_the_state_that_are_asked_for(
        self, desk: Desk, owner: asyncpg.Connection, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 10)
        await owner.execute(
            "UPDATE serials SET state = 'revoked', revoked_at = now(), revoke_reason = 'leaked'"
            " WHERE serial_id IN (SELECT serial_id FROM serials ORDER BY 1 LIMIT 3)"
        )
        await owner.execute("UPDATE grants SET revoked = 3")
        serials = await in_unit_order(desk, grant_id)

        async def asked(query: str) -> list[str]:
            answer = await kim.get(f"/v1/issuances/{grant_id}/serials.csv?{query}")
            return [row[0] for row in rows_of_csv(answer.content)[2:]]

        assert await asked("") == serials[3:]
        assert await asked("state=revoked") == serials[:3]
        assert await asked("state=all") == serials
        assert await asked("from=2&to=5&state=all") == serials[1:5]
        assert await asked("from=2&to=5") == serials[3:5]
        ranges = [
            (row["first_unit"], row["last_unit"], row["state"], row["serials"]) for row in await custody(desk)
        ]
        assert ranges == [
            (1, 10, "active", 7),
            (1, 10, "revoked", 3),
            (1, 10, None, 10),
            (2, 5, None, 4),
            (2, 5, "active", 2),
        ]

    async def test_a_serial_that_was_reissued_is_numbered_behind_the_units(
        self, desk: Desk, owner: asyncpg.Connection, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 2)
        other = await issued(desk, 1)
        (row,) = await desk.pool.fetch("SELECT * FROM serials WHERE grant_id = $1", UUID(other))
        batch = await desk.pool.fetchval("SELECT batch_id FROM grants WHERE grant_id = $1", UUID(grant_id))
        await owner.execute(
            "UPDATE serials SET serial_id = $1, grant_id = $2 WHERE serial_id = $3",
            UUID(int=batch.int + 3), UUID(grant_id), row["serial_id"],
        )  # fmt: skip
        await owner.execute("DELETE FROM grants WHERE grant_id = $1", UUID(other))
        await owner.execute("UPDATE grants SET revoked = 1, reissued = 1 WHERE grant_id = $1", UUID(grant_id))

        answer = await kim.get(f"/v1/issuances/{grant_id}/serials?from=3")

        assert [each["unit"] for each in answer.json()["items"]] == [3]
        assert code(await kim.get(f"/v1/issuances/{grant_id}/serials?to=4")) == (400, "wrong_parameter")
        await owner.execute("UPDATE grants SET revoked = 0, reissued = 0, issued = 3, quantity = 3")

    @pytest.mark.parametrize("query", ["from=0", "to=11", "from=5&to=4", "state=lost", "form=csv"])
    async def test_what_the_issuance_does_not_have_is_refused(
        self, desk: Desk, kim: httpx.AsyncClient, query: str
    ) -> None:
        grant_id = await issued(desk, 10)

        answer = await kim.get(f"/v1/issuances/{grant_id}/serials.csv?{query}")

        assert code(answer) == (400, "wrong_parameter")
        assert await custody(desk) == []


class TestXlsx:
    async def test_two_other_libraries_read_back_what_the_csv_has(
        self, desk: Desk, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 3 * CHUNK)

        answer = await kim.get(f"/v1/issuances/{grant_id}/serials.xlsx")
        of_csv = rows_of_csv((await kim.get(f"/v1/issuances/{grant_id}/serials.csv")).content)

        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) == len(answer.content)
        (sheet,) = CalamineWorkbook.from_filelike(BytesIO(answer.content)).sheet_names
        by_calamine = (
            CalamineWorkbook.from_filelike(BytesIO(answer.content)).get_sheet_by_name(sheet).to_python()
        )
        book = openpyxl.load_workbook(BytesIO(answer.content))
        by_openpyxl = [list(row) for row in book.active.values]
        assert by_calamine == by_openpyxl == of_csv[1:]
        assert {cell.data_type for row in book.active.iter_rows() for cell in row} == {"s"}
        watermark = answer.headers["x-watermark"]
        assert book.properties.description == f"watermark {watermark}"
        assert {each.name: each.value for each in book.custom_doc_props.props} == {"watermark": watermark}
        assert answer.headers["content-disposition"].endswith(f'{watermark}.xlsx"')

    @pytest.mark.parametrize(
        "name", ["00123", "1-2", "1E5", "+82", "-1", "@x", "=1+1", "TRUE", "<r>x</r>", "a\tb\nc"]
    )
    async def test_a_name_that_looks_like_something_else_is_read_back_as_it_is(
        self, desk: Desk, kim: httpx.AsyncClient, name: str
    ) -> None:
        grant_id = await issued(desk, 1, product_name=name)

        answer = await kim.get(f"/v1/issuances/{grant_id}/serials.xlsx")

        cell = openpyxl.load_workbook(BytesIO(answer.content)).active["B2"]
        assert (cell.value, cell.data_type) == (name, "s")

    async def test_no_readable_file_stays_behind(
        self, desk: Desk, kim: httpx.AsyncClient, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        left = tmp_path / "pawl-handing-out-of-a-process-that-died"
        left.mkdir()
        (left / "lock").touch()
        (left / "serials.xlsx").touch()
        grant_id = await issued(desk, 5)

        assert (await kim.get(f"/v1/issuances/{grant_id}/serials.xlsx")).status_code == 200

        assert list(tmp_path.iterdir()) == []


class TestPages:
    async def test_they_are_read_to_the_end_and_each_is_noted(
        self, desk: Desk, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 25)
        seen: list[dict[str, Any]] = []
        marks: list[str] = []
        cursor = ""
        while True:
            page = (await kim.get(f"/v1/issuances/{grant_id}/serials?limit=10&reason=test{cursor}")).json()
            seen += page["items"]
            marks.append(page["watermark"])
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"

        assert [each["serial"] for each in seen] == await in_unit_order(desk, grant_id)
        assert [each["unit"] for each in seen] == list(range(1, 26))
        assert {each["state"] for each in seen} == {"active"}
        assert seen[0]["registration_page"] == PAGE.format(serial=seen[0]["serial"])
        rows = await custody(desk)
        assert [(row["first_unit"], row["last_unit"], row["serials"]) for row in rows] == [
            (1, 10, 10), (11, 20, 10), (21, 25, 5)
        ]  # fmt: skip
        assert [row["watermark"] for row in rows] == marks
        assert {(row["form"], row["reason"]) for row in rows} == {("json", "test")}


class TestCompleteness:
    async def test_without_a_registration_page_nothing_leaves_in_any_form(self, desk: Desk) -> None:
        grant_id = await issued(desk)
        async with asking(serials_app(desk.pool, desk.vault, page="")) as kim:
            answers = [
                await kim.get(f"/v1/issuances/{grant_id}/{form}")
                for form in ("serials", "serials.csv", "serials.xlsx", "notice", "notice.csv")
            ]

        assert {code(answer) for answer in answers} == {(422, "notice_incomplete")}
        assert {tuple(answer.json()["missing"]) for answer in answers} == {("registration_page",)}
        assert await custody(desk) == []

    async def test_a_blank_product_name_is_missing(self, desk: Desk, kim: httpx.AsyncClient) -> None:
        grant_id = await issued(desk, 1, product_name=" ")

        assert (await kim.get(f"/v1/issuances/{grant_id}/serials.csv")).json()["missing"] == ["product_name"]

    async def test_units_that_have_no_serial_yet_are_missing_and_the_others_leave(
        self, desk: Desk, kim: httpx.AsyncClient
    ) -> None:
        grant_id = uuid7()
        await desk.take(granted(3 * CHUNK, grant_id=grant_id, time=TODAY))
        await desk.worker().issue_chunk()

        whole = await kim.get(f"/v1/issuances/{grant_id}/serials.csv")
        part = await kim.get(f"/v1/issuances/{grant_id}/serials.csv?to={CHUNK}")

        assert (code(whole), whole.json()["missing"]) == ((422, "notice_incomplete"), ["serial"])
        assert len(rows_of_csv(part.content)) == 2 + CHUNK

    async def test_when_the_window_is_over_nothing_is_left_to_hand_out(
        self, desk: Desk, kim: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk, 3, time=LONG_AGO)

        answer = await kim.get(f"/v1/issuances/{grant_id}/serials")
        expired = await kim.get(f"/v1/issuances/{grant_id}/serials?state=expired")

        assert (code(answer), answer.json()["missing"]) == ((422, "notice_incomplete"), ["serial"])
        assert [each["state"] for each in expired.json()["items"]] == ["expired"] * 3

    async def test_serials_of_keys_that_are_not_here_are_named_and_nothing_leaves(self, desk: Desk) -> None:
        grant_id = await issued(desk)
        stranger = Vault(SerialKeys("another", b"a" * 32, b"b" * 32))
        async with asking(serials_app(desk.pool, stranger)) as kim:
            answers = [
                await kim.get(f"/v1/issuances/{grant_id}/{form}") for form in ("serials", "serials.csv")
            ]

        assert [code(answer) for answer in answers] == [(503, "key_missing")] * 2
        assert "test-1" in answers[0].json()["detail"]
        assert await custody(desk) == []


class TestPartners:
    FORMS = ("", "/serials", "/serials.csv", "/serials.xlsx", "/files", "/notice", "/notice.csv", "/custody")

    @pytest.mark.parametrize("form", FORMS)
    async def test_another_partner_is_told_that_there_is_none(
        self, desk: Desk, app: FastAPI, form: str
    ) -> None:
        grant_id = await issued(desk)
        async with asking(app, partner_id="P-18") as other:
            theirs = await other.get(f"/v1/issuances/{grant_id}{form}")
            nobodys = await other.get(f"/v1/issuances/{uuid7()}{form}")

        assert code(theirs) == code(nobodys) == (404, "not_found")
        assert await custody(desk) == []

    async def test_orders_and_partners_of_others_have_nothing_to_show(self, desk: Desk, app: FastAPI) -> None:
        await issued(desk)
        async with asking(app, partner_id="P-18") as other:
            answers = [
                await other.get(f"/v1/{whose}/issuances")
                for whose in ("orders/A-1001", "orders/A-9999", "partners/P-17", "partners/P-99")
            ]

        assert {code(answer) for answer in answers} == {(404, "not_found")}

    async def test_its_own_it_may_take(self, desk: Desk, partner: httpx.AsyncClient) -> None:
        grant_id = await issued(desk)

        taken = await partner.get(f"/v1/issuances/{grant_id}/serials.csv?reason=sale")

        assert taken.status_code == 200
        (row,) = await custody(desk)
        assert (row["actor"], row["partner_id"], row["reason"]) == ("buyer-7", "P-17", "sale")
        assert row["client"] == "127.0.0.1"
        assert row["watermark"] == taken.headers["x-watermark"]


class TestCustody:
    async def test_it_is_written_and_committed_before_the_first_byte(self, desk: Desk, app: FastAPI) -> None:
        grant_id = await issued(desk, 3 * CHUNK)
        noted: list[int] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                noted.append(len(await custody(desk)))

        await app(request_for(f"/v1/issuances/{grant_id}/serials.csv"), receive, send)

        assert noted == [1]

    async def test_whoever_took_a_leaked_file_is_found_by_its_watermark(
        self, desk: Desk, kim: httpx.AsyncClient, partner: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk)
        taken = await partner.get(f"/v1/issuances/{grant_id}/serials.csv?to=9&reason=sale")
        typed = taken.headers["x-watermark"].lower().replace("-", " ")

        found = (await kim.get(f"/v1/custody/{typed}")).json()

        assert (found["actor"], found["partner_id"], found["form"]) == ("buyer-7", "P-17", "csv")
        assert (found["grant_id"], found["first_unit"], found["last_unit"]) == (grant_id, 1, 9)
        assert (found["order_id"], found["partner_of_order"], found["reason"]) == ("A-1001", "P-17", "sale")
        assert code(await kim.get("/v1/custody/0000-0000-0000")) == (404, "not_found")
        assert code(await kim.get("/v1/custody/nonsense")) == (404, "not_found")
        assert code(await partner.get(f"/v1/custody/{typed}")) == (403, "limited_to_partner")

    async def test_a_partner_sees_that_others_took_its_serials_and_not_who(
        self, desk: Desk, kim: httpx.AsyncClient, partner: httpx.AsyncClient
    ) -> None:
        grant_id = await issued(desk)
        await kim.get(f"/v1/issuances/{grant_id}/serials?reason=secret")
        await partner.get(f"/v1/issuances/{grant_id}/serials.csv")

        seen = (await partner.get(f"/v1/issuances/{grant_id}/custody")).json()["items"]
        whole = (await kim.get(f"/v1/issuances/{grant_id}/custody?limit=1")).json()
        older = (await kim.get(f"/v1/issuances/{grant_id}/custody?limit=1&cursor={whole['next']}")).json()

        assert [(each["form"], each["actor"], each["reason"]) for each in seen] == [
            ("csv", "buyer-7", ""), ("json", None, None)
        ]  # fmt: skip
        assert [each["actor"] for each in (*whole["items"], *older["items"])] == ["buyer-7", "kim"]
        assert older["next"] is None

    async def test_neither_rows_nor_logs_hold_a_serial(
        self, desk: Desk, kim: httpx.AsyncClient, random: RememberedBytes
    ) -> None:
        grant_id = await issued(desk)
        with capture_logs() as lines:
            for form in ("serials", "serials.csv", "serials.xlsx", "notice.csv"):
                assert (await kim.get(f"/v1/issuances/{grant_id}/{form}")).status_code == 200

        told = repr(lines) + repr(await custody(desk))
        assert "serials handed out" in told
        assert [serial for serial in random.serials() if serial in told or grouped(serial) in told] == []


class TestGoing:
    async def test_a_caller_that_goes_away_ends_the_query(
        self, desk: Desk, app: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handing_out, "BLOCK", 10)
        grant_id = await issued(desk, 3 * CHUNK)
        begun = asyncio.Event()

        async def receive() -> Any:
            await begun.wait()
            assert await exports(desk) == 1
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("more_body"):
                begun.set()
                await asyncio.Event().wait()  # a caller that takes nothing more

        await app(request_for(f"/v1/issuances/{grant_id}/serials.csv"), receive, send)

        assert await exports(desk) == 0
        async with asking(app) as kim:
            assert (await kim.get(f"/v1/issuances/{grant_id}/files")).json()["items"] == []

    async def test_a_caller_may_be_slow_and_no_sweep_takes_its_session(
        self, desk: Desk, app: FastAPI
    ) -> None:
        grant_id = await issued(desk, CHUNK)
        names: list[tuple[str, str]] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                names.extend(
                    tuple(row)
                    for row in await desk.pool.fetch(
                        "SELECT application_name, state FROM pg_stat_activity WHERE application_name LIKE $1",
                        "pawl-serials-%",
                    )
                )

        await app(request_for(f"/v1/issuances/{grant_id}/serials.csv"), receive, send)

        assert names == [("pawl-serials-export", "idle in transaction")]

    async def test_how_far_a_file_is_can_be_asked_meanwhile(
        self, desk: Desk, app: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handing_out, "BLOCK", 100)
        grant_id = await issued(desk, 3 * CHUNK)
        other = await issued(desk)
        seen: list[Any] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            if message.get("more_body"):
                async with asking(app) as kim:
                    seen.append((await kim.get(f"/v1/issuances/{grant_id}/files")).json()["items"])
                    assert (await kim.get(f"/v1/issuances/{other}/files")).json()["items"] == []

        await app(request_for(f"/v1/issuances/{grant_id}/serials.csv"), receive, send)

        assert [each["written"] for (each,) in seen] == [0, *range(0, 3 * CHUNK, 100)]
        assert {(each["form"], each["serials"], each["request"]) for (each,) in seen} == {
            ("csv", 3 * CHUNK, "r-1")
        }

    async def test_only_a_few_files_leave_at_once(self, desk: Desk, app: FastAPI) -> None:
        grant_id = await issued(desk)
        go_on, waiting = asyncio.Event(), asyncio.Semaphore(0)

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                waiting.release()
                await go_on.wait()

        url = f"/v1/issuances/{grant_id}/serials.csv"
        leaving = [
            asyncio.create_task(app(request_for(url), receive, send)) for _ in range(handing_out.AT_ONCE)
        ]
        for _ in leaving:
            await waiting.acquire()
        async with asking(app) as kim:
            busy = await kim.get(url)
            page = await kim.get(f"/v1/issuances/{grant_id}/serials")
            go_on.set()
            await asyncio.gather(*leaving)
            free = await kim.get(url)

        assert (code(busy), busy.headers["retry-after"]) == ((503, "hand_outs_busy"), "10")
        assert (page.status_code, free.status_code) == (200, 200)

    async def test_a_row_that_was_changed_breaks_the_file_off(
        self, desk: Desk, owner: asyncpg.Connection, app: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody takes half of a file for the whole of it."""
        monkeypatch.setattr(handing_out, "BLOCK", 100)
        grant_id = await issued(desk, CHUNK)
        await owner.execute(
            "UPDATE serials SET text = $1"
            " WHERE serial_id = (SELECT serial_id FROM serials ORDER BY 1 DESC LIMIT 1)",
            b"x" * 16,
        )
        headers = PROVIDER.allowing(ALL)
        async with served(app) as url, httpx.AsyncClient(base_url=url, headers=headers) as kim:
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await kim.get(f"/v1/issuances/{grant_id}/serials.csv")


async def exports(desk: Desk) -> int:
    """How many sessions hand serials out."""
    count: int = await desk.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pawl-serials-%'"
    )
    return count


def request_for(path: str) -> dict[str, Any]:
    """The scope of a request of somebody who may do everything."""
    headers = {**PROVIDER.allowing(ALL), "x-correlation-id": "r-1"}
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "client": ("192.0.2.7", 1), "server": ("service", 80),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
