"""Each kind of wrong document gets its code, the place of its first fault, and a sentence that helps.

The tables here are written from the published language, not from the models: they are the second pair of
eyes.
"""

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from shared.events.catalogue import UPSTREAM, decode
from shared.events.envelope import read_envelope
from shared.events.examples import golden
from shared.events.faults import CODES, Fault

PARTNER = ("partner/partner_id", "partner/business_number", "partner/name", "partner/invoice_email")
LINE = ("line_id", "kind", "product_id", "product_name", "unit_price", "quantity", "usage_days")
SNAPSHOT = (
    *("partner", *PARTNER, "payment_method", "evidence", "issue_policy", "vat_mode", "lines"),
    *(f"lines/0/{name}" for name in LINE),
)
ASKED_LINES = ("lines/0/line_id", "lines/0/quantity")
ACCOUNT = ("destination/bank_code", "destination/account_number", "destination/holder")

REQUIRED: dict[str, tuple[str, ...]] = {
    "payment.pending.v1": ("order_id", *SNAPSHOT, "deposit_deadline"),
    "payment.completed.v1": ("order_id", *SNAPSHOT, "payment_id", "amount", "paid_at"),
    "payment.cancelled.v1": ("order_id", "payment_id", "cancelled_at"),
    "payment.failed.v1": ("order_id", "attempt_id", "reason", "failed_at"),
    "quarantine.decided.v1": ("order_id", "payment_id", "decision", "actor", "note", "decided_at"),
    "issuance.requested.v1": ("order_id", "request_id", *ASKED_LINES),
    "line.activated.v1": ("order_id", "line_id"),
    "line.delivered.v1": ("order_id", "line_id"),
    "usage.recorded.v1": ("order_id", "line_id", "used", "recorded_at"),
    "balance.granted.v1": ("order_id", "line_id", "bonus", "expires_at"),
    "refund.requested.v1": (
        *("order_id", "refund_request_id", "requested_by", "role", *ASKED_LINES, "reason", "message"),
        *("destination", "destination/method", *ACCOUNT),
    ),
    "refund.proof_attached.v1": ("order_id", "refund_id"),
    "refund.reviewed.v1": ("order_id", "refund_id", "decision", "actor"),
    "return.confirmed.v1": ("order_id", "refund_id"),
    "refund.paid_out.v1": ("order_id", "refund_id", "payout_id"),
    "refund.payout_failed.v1": ("order_id", "refund_id", "payout_id", "reason"),
    "merge.requested.v1": ("partner_id", "business_number", "month"),
    "merge.undone.v1": ("partner_id", "business_number", "month"),
    "partner.changed.v1": ("partner_id", "business_number", "name", "invoice_email", "always_merge"),
    "partner.withdrawal_requested.v1": ("partner_id",),
}
OPTIONAL: dict[str, tuple[str, ...]] = {
    "payment.pending.v1": ("amount",),
    "issuance.requested.v1": ("lines",),
    "refund.requested.v1": ("lines",),
    "refund.proof_attached.v1": ("proof", "actor"),
    "refund.reviewed.v1": ("amount", "note"),
    "return.confirmed.v1": ("confirmed_at",),
    "refund.paid_out.v1": ("paid_out_at",),
    "line.activated.v1": ("activated_at",),
    "line.delivered.v1": ("delivered_at",),
    "merge.requested.v1": ("request_id", "payment_ids"),
    "merge.undone.v1": ("request_id",),
    "partner.changed.v1": ("changed_at",),
    "partner.withdrawal_requested.v1": ("request_id", "requested_at"),
}
TIMES = ("paid_at", "cancelled_at", "deposit_deadline", "recorded_at", "expires_at")
ENUMERATIONS = ("payment_method", "evidence", "issue_policy", "vat_mode", "role", "decision", "lines/0/kind")
WON_OR_UNITS = {
    "amount": (1, 10**15),
    "bonus": (1, 10**15),
    "used": (0, 10**15),
    "lines/0/quantity": (1, 1_000_000),
    "lines/0/unit_price": (0, 10**9),
    "lines/0/usage_days": (1, 3_650),
}
IDS = (
    *("order_id", "partner_id", "payment_id", "request_id", "refund_request_id", "refund_id", "payout_id"),
    *("line_id", "requested_by", "actor", "lines/0/line_id", "lines/0/product_id", "partner/partner_id"),
)
NAMES = ("partner/name", "partner/invoice_email", "lines/0/product_name", "name", "invoice_email")


def changed(name: str, place: str, change: Callable[[Any, Any], None]) -> dict[str, Any]:
    """The golden data of a type after `change(container, key)` at a place such as `lines/0/quantity`."""
    data = copy.deepcopy(golden()[name].data)
    *path, last = [int(part) if part.isdigit() else part for part in place.split("/")]
    here: Any = data
    for part in path:
        here = here[part]
    change(here, last)
    return data


def setting(name: str, place: str, value: object) -> dict[str, Any]:
    def put(container: Any, key: Any) -> None:
        container[key] = value

    data = changed(name, place, put)
    if name == "payment.pending.v1" and place != "amount":
        data.pop("amount", None)  # it has to fit the lines
    return data


def without(name: str, place: str) -> dict[str, Any]:
    def drop(container: Any, key: Any) -> None:
        del container[key]

    return changed(name, place, drop)


def value_at(name: str, place: str) -> Any:
    here: Any = golden()[name].data if name in golden() else {}
    for part in place.split("/"):
        here = here[int(part)] if part.isdigit() else here.get(part)
        if here is None:
            return None
    return here


def read(name: str, body: bytes | dict[str, Any], key: str | None = None) -> Any:
    document = golden()[name]
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return decode(read_envelope(document.header_bytes(), raw), key or document.key, UPSTREAM)


def refused(name: str, body: bytes | dict[str, Any], key: str | None = None) -> Fault:
    with pytest.raises(Fault) as caught:
        read(name, body, key)
    fault = caught.value
    assert fault.code in CODES
    assert fault.detail
    assert "\n" not in fault.detail
    assert fault.envelope is not None
    assert fault.envelope.id == golden()[name].headers["ce_id"]
    return fault


def places(kinds: tuple[str, ...]) -> list[tuple[str, str]]:
    """Every (type, place) of inbound golden documents that have one of these fields."""
    return [(name, place) for name in REQUIRED for place in kinds if value_at(name, place) is not None]


def test_the_table_covers_every_inbound_type() -> None:
    inbound = {name for name, document in golden().items() if document.topic == UPSTREAM}
    assert set(REQUIRED) == inbound, f"in one of them only: {sorted(set(REQUIRED) ^ inbound)}"


@pytest.mark.parametrize(("name", "place"), [(n, p) for n, row in REQUIRED.items() for p in row])
def test_a_required_field_that_is_absent_is_missing(name: str, place: str) -> None:
    fault = refused(name, without(name, place))
    assert (fault.code, fault.pointer) == ("missing_field", f"/{place}")
    assert "required" in fault.detail


@pytest.mark.parametrize(("name", "place"), [(n, p) for n, row in REQUIRED.items() for p in row])
def test_null_is_no_value_for_a_required_field(name: str, place: str) -> None:
    fault = refused(name, setting(name, place, None))
    assert (fault.code, fault.pointer) == ("wrong_type", f"/{place}")


@pytest.mark.parametrize(("name", "place"), [(n, p) for n, row in OPTIONAL.items() for p in row])
def test_an_optional_field_may_be_absent_or_null(name: str, place: str) -> None:
    assert read(name, without(name, place))
    assert read(name, setting(name, place, None))


@pytest.mark.parametrize(
    ("name", "place"), [(n, p) for n in REQUIRED for p in (*REQUIRED[n], *OPTIONAL.get(n, ()))]
)
def test_a_value_of_another_kind_is_a_wrong_type(name: str, place: str) -> None:
    right = value_at(name, place)
    wrong: object = ["x"] if not isinstance(right, list) else {"x": 1}
    fault = refused(name, setting(name, place, wrong))
    assert (fault.code, fault.pointer) == ("wrong_type", f"/{place}")
    wrong = 5 if isinstance(right, str | bool | list | dict) else "5"
    fault = refused(name, setting(name, place, wrong))
    assert (fault.code, fault.pointer) == ("wrong_type", f"/{place}")


@pytest.mark.parametrize(("name", "place"), places(tuple(WON_OR_UNITS)))
@pytest.mark.parametrize("written", ["true", "1.0", "1e2", '"1"', "NaN"])
def test_an_integer_is_a_json_integer(name: str, place: str, written: str) -> None:
    body = orjson.dumps(setting(name, place, "here")).replace(b'"here"', written.encode())
    fault = refused(name, body)
    assert (fault.code, fault.pointer) == ("wrong_type", f"/{place}")


PAYMENTS = (("payment.pending.v1", "amount"), ("payment.completed.v1", "amount"))
"""What has to fit the lines too, 0 for lines that cost nothing: `test_payments_that_cannot_be.py`."""


@pytest.mark.parametrize(("name", "place"), places(tuple(WON_OR_UNITS)))
def test_an_integer_has_limits_and_its_limits_are_inside(name: str, place: str) -> None:
    lowest, highest = WON_OR_UNITS[place]
    if (name, place) in PAYMENTS:
        lowest = 0
    else:
        assert read(name, setting(name, place, lowest))
        assert read(name, setting(name, place, highest))
    for beyond in (lowest - 1, -5, highest + 1, 10**18):
        fault = refused(name, setting(name, place, beyond))
        assert (fault.code, fault.pointer) == ("out_of_range", f"/{place}")
        assert fault.detail.endswith(f"must be {lowest}..{highest}, got {beyond}")
    body = orjson.dumps(setting(name, place, "here")).replace(b'"here"', b"9" * 40)
    assert refused(name, body).code == "out_of_range"


@pytest.mark.parametrize(("name", "place"), places(IDS))
def test_an_id_is_short_clean_text(name: str, place: str) -> None:
    for wrong in ("", "x" * 129, "a\x00b", "a\nb", "a\x7fb", "a\x85b"):
        fault = refused(name, setting(name, place, wrong))
        assert (fault.code, fault.pointer) == ("out_of_range", f"/{place}")
        assert "1..128 characters without control characters" in fault.detail
    widest = "가" * 128
    key = widest if place in ("order_id", "partner_id") else None
    assert read(name, setting(name, place, widest), key)


@pytest.mark.parametrize(("name", "place"), places(NAMES))
def test_a_name_has_up_to_200_characters_without_nul(name: str, place: str) -> None:
    for wrong in ("", "x" * 201, "a\x00b"):
        fault = refused(name, setting(name, place, wrong))
        assert (fault.code, fault.pointer) == ("out_of_range", f"/{place}")
    assert read(name, setting(name, place, "두 줄\n" + "x" * 196))


@pytest.mark.parametrize(
    ("name", "place"), [("refund.requested.v1", "message"), ("refund.reviewed.v1", "note")]
)
def test_free_text_has_up_to_2000_characters_without_nul(name: str, place: str) -> None:
    for wrong in ("", "x" * 2_001, "NUL \x00"):
        fault = refused(name, setting(name, place, wrong))
        assert (fault.code, fault.pointer) == ("out_of_range", f"/{place}")
        assert len(fault.detail) < 200
    assert read(name, setting(name, place, "x" * 2_000))


@pytest.mark.parametrize(("name", "place"), places(ENUMERATIONS))
def test_a_word_that_is_not_in_the_list_is_out_of_range(name: str, place: str) -> None:
    fault = refused(name, setting(name, place, "CARD "))
    assert (fault.code, fault.pointer) == ("out_of_range", f"/{place}")
    assert "one of" in fault.detail


@pytest.mark.parametrize(("name", "place"), places(TIMES))
def test_a_time_needs_its_offset(name: str, place: str) -> None:
    for wrong in ("2026-10-21T14:03:05", "2026-10-21T14:03:05.123"):
        fault = refused(name, setting(name, place, wrong))
        assert (fault.code, fault.pointer) == ("time_without_offset", f"/{place}")
    for right in ("2026-10-21T14:03:05Z", "2026-10-21T14:03:05.123456789-11:00", "2026-10-21t14:03:05z"):
        assert read(name, setting(name, place, right))


@pytest.mark.parametrize(("name", "place"), places(TIMES))
@pytest.mark.parametrize(
    "wrong",
    [
        *("", "yesterday", "2026-10-21", "1700000000", "2026-10-21T14:03:05+0900", "2026-10-21T14:03+09:00"),
        *(
            "2026-13-21T14:03:05Z",
            "2026-02-29T14:03:05Z",
            "2026-10-21T24:00:01Z",
            "0001-01-01T00:00:00+09:00",
        ),
        *("2026-10-21T14:03:05+24:00", "2026-10-21T14:03:05Z ", "20261021T140305Z"),
    ],
)
def test_a_time_is_rfc_3339(name: str, place: str, wrong: str) -> None:
    fault = refused(name, setting(name, place, wrong))
    assert (fault.code, fault.pointer) == ("out_of_range", f"/{place}")


def test_a_deadline_that_means_never_stays_inside_the_calendar() -> None:
    data = read(
        "payment.pending.v1", setting("payment.pending.v1", "deposit_deadline", "9999-12-31T23:59:59Z")
    )
    assert data.deposit_deadline.isoformat() == "2999-12-31T14:59:59.999999+00:00"


@pytest.mark.parametrize("wrong", ["2026-13", "2026-1", "202610", "2026-10-01", "", "2026-10\n"])
def test_a_month_is_year_and_month(wrong: str) -> None:
    fault = refused("merge.requested.v1", setting("merge.requested.v1", "month", wrong))
    assert (fault.code, fault.pointer) == ("out_of_range", "/month")


@pytest.mark.parametrize("number", ["123-45-67890", "not yet known", "0"])
def test_a_wrong_business_number_is_no_reason_to_refuse_money(number: str) -> None:
    assert read("payment.completed.v1", setting("payment.completed.v1", "partner/business_number", number))


def lines_of(name: str, count: int) -> list[dict[str, Any]]:
    line = golden()[name].data["lines"][0]
    return [{**line, "line_id": str(index)} for index in range(count)]


WITH_LINES = [
    *("payment.pending.v1", "payment.completed.v1", "issuance.requested.v1", "refund.requested.v1"),
]


@pytest.mark.parametrize("name", WITH_LINES)
def test_there_are_1_to_1000_lines(name: str) -> None:
    assert read(name, setting(name, "lines", lines_of(name, 1_000)))
    for count in (0, 1_001):
        fault = refused(name, setting(name, "lines", lines_of(name, count)))
        assert (fault.code, fault.pointer) == ("out_of_range", "/lines")
        assert fault.detail == f"lines must be an array of 1..1000 items, got {count}"


@pytest.mark.parametrize("name", WITH_LINES)
def test_a_line_id_stands_once(name: str) -> None:
    lines = lines_of(name, 7)
    lines[5]["line_id"] = "2"
    fault = refused(name, setting(name, "lines", lines))
    assert (fault.code, fault.pointer) == ("inconsistent", "/lines/5/line_id")


@pytest.mark.parametrize("kind", ["metered", "prepaid", "goods"])
def test_only_serials_need_usage_days(kind: str) -> None:
    name = "payment.completed.v1"
    line = {**golden()[name].data["lines"][0], "kind": kind}
    del line["usage_days"]
    assert read(name, setting(name, "lines", [line]))
    assert read(name, setting(name, "lines", [{**line, "usage_days": None}]))
    line["kind"] = "serials"
    good = golden()[name].data["lines"][0]
    fault = refused(name, setting(name, "lines", [good, {**line, "line_id": "2"}]))
    assert (fault.code, fault.pointer) == ("missing_field", "/lines/1/usage_days")


@pytest.mark.parametrize("method", ["card", "mycash", "app_store"])
def test_only_a_bank_account_needs_the_account(method: str) -> None:
    assert read("refund.requested.v1", setting("refund.requested.v1", "destination", {"method": method}))


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("destination/account_number", "5042424242" * 20),
        ("destination/account_number", 5042424242),
        ("destination/holder", "x\x00 5042424242"),
        ("destination/bank_code", {"code": "5042424242"}),
        ("destination/method", ["5042424242"]),
        ("destination", "account 5042424242"),
        ("lines/0/quantity", {"destination": "5042424242"}),
    ],
)
def test_an_account_is_never_repeated(place: str, wrong: object) -> None:
    fault = refused("refund.requested.v1", setting("refund.requested.v1", place, wrong))
    assert fault.pointer == f"/{place}"
    assert "5042424242" not in fault.detail
    assert "5042424242" not in str(fault)


def test_the_first_fault_in_the_order_of_the_document_is_told() -> None:
    document = golden()["payment.completed.v1"].data
    backwards = dict(reversed(document.items()))
    backwards["amount"] = "176000"
    backwards["lines"] = [{**document["lines"][0], "quantity": 0, "unit_price": -1}]
    fault = refused("payment.completed.v1", backwards)
    assert (fault.code, fault.pointer) == ("out_of_range", "/lines/0/unit_price")


def test_a_missing_field_comes_after_the_wrong_ones_beside_it() -> None:
    data = setting("payment.completed.v1", "payment_method", "cheque")
    del data["order_id"]
    assert refused("payment.completed.v1", data).pointer == "/payment_method"


def test_the_detail_names_field_rule_and_value() -> None:
    fault = refused("payment.completed.v1", setting("payment.completed.v1", "lines/0/quantity", -5))
    assert fault.detail == "quantity must be 1..1000000, got -5"
    assert fault.help == "docs/errors.md#out_of_range"


@pytest.mark.parametrize("name", REQUIRED)
def test_the_record_key_is_the_order_or_the_partner(name: str) -> None:
    field = REQUIRED[name][0]
    document = golden()[name]
    fault = refused(name, document.data, key="A-9999")
    assert (fault.code, fault.pointer) == ("wrong_key", f"/{field}")
    envelope = read_envelope(document.header_bytes(), orjson.dumps(document.data))
    with pytest.raises(Fault) as caught:
        decode(envelope, None, UPSTREAM)
    assert (caught.value.code, caught.value.pointer) == ("wrong_key", f"/{field}")


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"not json", b"null", b"[]", b"5", b'"text"', b"\xef\xbb\xbf{}", b'{"a": "\xff"}'),
        *(b'{"a": "\\ud800"}', b"{} {}", b"{'a': 1}", b"PK\x03\x04"),
    ],
)
def test_a_body_that_is_no_json_object_is_unreadable(name: str, body: bytes) -> None:
    fault = refused(name, body)
    assert (fault.code, fault.pointer) == ("unreadable", "")


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_words_that_only_some_parsers_take_for_numbers_are_unreadable(word: bytes) -> None:
    body = orjson.dumps(setting("payment.completed.v1", "share", "here")).replace(b'"here"', word)
    assert refused("payment.completed.v1", body).code == "unreadable"
    assert read("payment.completed.v1", setting("payment.completed.v1", "share", word.decode()))


def nested(depth: int) -> dict[str, Any]:
    inner: Any = 0
    for _ in range(depth - 1):
        inner = [inner]
    return setting("payment.completed.v1", "extra", inner)


def test_64_objects_and_arrays_may_stand_inside_each_other() -> None:
    assert read("payment.completed.v1", nested(64))
    assert refused("payment.completed.v1", nested(65)).code == "unreadable"
    assert refused("payment.completed.v1", b'{"a":' + b"[" * 100_000).code == "unreadable"
    assert read("payment.completed.v1", setting("payment.completed.v1", "extra", "[{" * 500))


def test_a_value_has_up_to_a_megabyte() -> None:
    body = orjson.dumps(golden()["payment.completed.v1"].data)
    assert read("payment.completed.v1", body + b" " * (1_000_000 - len(body)))
    fault = refused("payment.completed.v1", body + b" " * (1_000_001 - len(body)))
    assert (fault.code, fault.pointer) == ("unreadable", "")


@pytest.mark.parametrize("name", ["payment.completed.v2", "Payment.Completed.v1", "x", "order.paid.v1"])
def test_a_type_that_is_not_spoken_on_this_topic_is_unknown(name: str) -> None:
    document = golden()["order.paid.v1"]
    headers = [(key, name.encode() if key == "ce_type" else raw) for key, raw in document.header_bytes()]
    envelope = read_envelope(headers, orjson.dumps(document.data))
    with pytest.raises(Fault) as caught:
        decode(envelope, document.key, UPSTREAM)
    assert (caught.value.code, caught.value.pointer) == ("unknown_type", "/type")
    assert name in caught.value.detail
