"""*Serials* in the console: how far an issuance is, who took which; none is seen without a reason."""

from datetime import datetime
from typing import Any

import pytest

from console.reading import Reader
from console.screens import serials as screen
from ops.shell.problem import Problem
from ops.shell.system import System
from shared.kst import KST
from shared.operators.todo import Thresholds
from tests.support.console_pages import PreparedServices, bytes_of, request_of, text_of, visit_of

GRANT = "0199a0b0-0000-7000-8000-000000000002"
SERIAL = "0199a0b0-0000-7000-8000-000000000003"
READABLE = "7KP2-M0ZV-3XWH-AB9J"
TAKEN = {
    "at": "2026-11-20T10:00:00+09:00",
    "form": "csv",
    "actor": "demo:admin",
    "partner_id": None,
    "client": "127.0.0.1",
    "request": "r-1",
    "reason": "the partner asked",
    "grant_id": GRANT,
    "first_unit": 1,
    "last_unit": 100,
    "state": "active",
    "serials": 99,
    "watermark": "VZ1M-R80A-QY61",
}
ISSUANCE = {
    "grant_id": GRANT,
    "order_id": "A-1",
    "line_id": "1",
    "partner_id": "P-17",
    "product_id": "p",
    "product_name": "<b>이용권</b>",
    "usage_days": 30,
    "batch_id": GRANT,
    "state": "issued",
    "quantity": 100,
    "issued": 100,
    "percent": 100,
    "reissued": 1,
    "granted_at": "2026-11-20T10:00:00+09:00",
    "issued_at": "2026-11-20T10:00:00+09:00",
    "registration_deadline": "2027-02-20T23:59:59+09:00",
    "counts": {"active": 90, "registered": 10, "expired": 0, "revoked": 1},
}


def services(**answers: Any) -> PreparedServices:
    return PreparedServices(
        System(directory=None),  # type: ignore[arg-type]
        lambda person, scope: "token",
        {
            f"/v1/issuances/{GRANT}": ISSUANCE,
            f"/v1/issuances/{GRANT}/custody?limit=1000": {"items": [TAKEN], "next": None},
            **answers,
        },
    )


class PreparedReader(Reader):
    """Knows these issuances and these serials."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        super().__init__(System(directory=None), Thresholds())  # type: ignore[arg-type]
        self._found = found
        self.asked: list[Any] = []

    async def issuances(
        self, partner_id: str | None, order_id: str | None, most: int
    ) -> list[dict[str, Any]]:
        self.asked.append((partner_id, order_id))
        return self._found

    async def serials_ending(self, last_four: str, order_id: str) -> list[dict[str, Any]]:
        self.asked.append((last_four, order_id))
        return self._found


async def page(role: Any, language: Any = "en", **query: str) -> str:
    request = request_of("/issuance", id=GRANT, **query)
    return text_of(await screen.show(services(), request, visit_of(role, language)))


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_an_issuance_says_how_far_it_is_and_who_took_which(language: Any) -> None:
    html = await page("viewer", language)

    assert "10 %" in html
    assert "the partner asked" in html
    assert "VZ1M-R80A-QY61" in html
    assert "<b>이용권" not in html


async def test_a_role_takes_out_what_its_scope_allows() -> None:
    viewer, operator, admin = [await page(role) for role in ("viewer", "operator", "admin")]

    assert "/issuance/export" not in viewer + operator
    assert "/issuance/find" in operator
    assert "/issuance/find" not in viewer
    assert "/issuance/export" in admin
    assert "/issuance/show" in admin


async def test_serials_leave_with_a_reason_and_as_a_file_that_names_its_watermark() -> None:
    path = f"/v1/issuances/{GRANT}/serials.csv?to=10&state=active&reason=they+asked&lang=en"
    asked = services(**{path: ({"x-watermark": "VZ1M-R80A-QY61"}, READABLE.encode())})
    form = {"id": GRANT, "kind": "csv", "to": "10", "from": "", "state": "active"}

    with pytest.raises(Problem):
        await screen.export(asked, request_of("/issuance"), visit_of("admin"), form)
    answer = await screen.export(
        asked, request_of("/issuance"), visit_of("admin"), {**form, "reason": "they asked"}
    )

    assert await bytes_of(answer) == READABLE.encode()
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    name = f"serials-{GRANT}-VZ1M-R80A-QY61.csv"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert [call.scope for call in asked.asked] == ["serials:export"]


async def test_serials_in_full_are_asked_for_with_a_reason_and_under_a_watermark() -> None:
    path = f"/v1/issuances/{GRANT}/serials?from=1&to=1&reason=a+call&limit=50&lang=en"
    shown = {
        "watermark": "VZ1M-R80A-QY61",
        "product_name": "이용권",
        "usage_period": "30 days",
        "registration_period": "until 2027",
        "items": [{"unit": 1, "serial_id": SERIAL, "serial": READABLE, "state": "active"}],
        "next": None,
    }
    asked, form = services(**{path: shown}), {"id": GRANT, "from": "1", "to": "1"}

    with pytest.raises(Problem):
        await screen.show_in_full(asked, request_of("/issuance"), visit_of("admin"), form)
    assert not asked.asked
    html = text_of(
        await screen.show_in_full(
            asked, request_of("/issuance"), visit_of("admin"), {**form, "reason": "a call"}
        )
    )

    assert READABLE in html
    assert "VZ1M-R80A-QY61" in html
    assert [call.scope for call in asked.asked] == ["serials:export"]


async def test_the_list_of_issuances_sums_them_up_and_leads_to_each() -> None:
    at = datetime(2026, 11, 20, 10, tzinfo=KST)
    row = {**ISSUANCE, "registered": 10, "revoked": 1, "granted_at": at, "registration_deadline": at}
    reader = PreparedReader([row])

    html = text_of(
        await screen.show_all(reader, request_of("/issuances", partner="P-17"), visit_of("viewer"))
    )

    assert "issued, of which 10 (10 %) are registered" in html
    assert f'href="/issuance?id={GRANT}"' in html
    assert reader.asked == [("P-17", None)]


async def test_an_order_leads_to_its_issuances() -> None:
    answer = await screen.show(services(), request_of("/issuance", id="A-1"), visit_of("viewer"))

    assert answer.headers["location"] == "/issuances?order=A-1"


async def test_a_watermark_says_who_took_it_however_it_was_pasted() -> None:
    who = {**TAKEN, "order_id": "A-1", "partner_of_order": "P-17"}
    asked = services(**{"/v1/custody/VZ1M-R80A-QY61": who})

    found = await screen.leak(
        asked, request_of("/leak", watermark="# watermark VZ1M-R80A-QY61,,"), visit_of("viewer")
    )
    nobody = await screen.leak(asked, request_of("/leak", watermark="AAAA"), visit_of("viewer"))

    assert "demo:admin" in text_of(found)
    assert nobody.status_code == 404
    assert "Nothing left under this watermark" in text_of(nobody)


async def test_a_serial_is_found_by_its_end_and_by_nothing_more() -> None:
    reader = PreparedReader([{"serial_id": SERIAL, "state": "active"}])

    found = await screen.find(
        reader, request_of("/issuance"), visit_of("operator"), {"last_four": "ab9j", "order": "A-1"}
    )

    assert found.headers["location"] == f"/serial?id={SERIAL}"
    assert reader.asked == [("AB9J", "A-1")]
    with pytest.raises(Problem):
        await screen.find(
            reader, request_of("/issuance"), visit_of("operator"), {"last_four": READABLE, "order": "A-1"}
        )


async def test_the_end_of_a_serial_is_shown_then_done() -> None:
    answer = {
        "serial_id": SERIAL,
        "new_serial_id": None,
        "new_unit": 101,
        "order_id": "A-1",
        "grant_id": GRANT,
        "revoked": 1,
        "reissued": 1,
        "reissue_quota": 5,
        "before": {"state": "active"},
        "after": {"state": "revoked"},
        "events": [{"type": "serial.reissued.v1", "data": {}}],
    }
    asked = services(**{f"/v1/serials/{SERIAL}/reissue": answer})
    form = {"id": SERIAL, "how": "reissue"}

    html = text_of(await screen.try_end(asked, request_of("/serial"), visit_of("operator"), form))
    assert "active → revoked" in html
    assert "serial.reissued.v1" in html
    done = {**form, "reason": "lost", "key": "k-1"}
    await screen.end(PreparedReader([]), asked, request_of("/serial"), visit_of("operator"), done)

    tried, told = asked.asked
    assert tried.body == {"reason": "only shown", "apply": False}
    assert (told.body, told.key) == ({"reason": "lost", "apply": True}, "k-1")


async def test_a_registered_serial_has_no_end_by_hand() -> None:
    shown = {
        "serial_id": SERIAL,
        "state": "registered",
        "product": {"product_id": "p", "product_name": "이용권", "usage_days": 30},
        "registration_deadline": "2027-02-20T23:59:59+09:00",
        "registered_at": "2026-11-21T10:00:00+09:00",
        "usage_ends_at": "2026-12-21T23:59:59+09:00",
        "account": "user-5",
        "revoked_at": None,
        "replaces": None,
        "replaced_by": None,
    }
    asked = services(**{f"/v1/registrations/{SERIAL}": shown})

    html = text_of(await screen.show_one(asked, request_of("/serial", id=SERIAL), visit_of("operator")))

    assert "/serial/try" not in html
    assert "user-5" not in html
