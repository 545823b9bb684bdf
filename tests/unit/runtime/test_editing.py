"""A refused record sent right: hidden values come back, faults are told, changes hide secrets."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.envelope import read_envelope, write_headers
from shared.events.faults import Fault
from shared.ids import uuid7
from shared.pointers import ABSENT, Change
from shared.runtime.editing import Edit, change_documents, edit_record
from shared.runtime.masking import HIDDEN, hide, restore
from shared.runtime.records import StoredRecord

ACCOUNT = "110123456789"
AT = datetime(2031, 10, 21, 5, 3, 7, tzinfo=UTC)
REFUND: dict[str, Any] = {
    "order_id": "A-1",
    "refund_request_id": "rr-1",
    "role": "nobody",
    "destination": {"method": "bank_account", "bank_code": "004", "account_number": ACCOUNT, "holder": "김"},
}

documents = st.recursive(
    st.integers(0, 9) | st.text("xyz", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "account_number", "destination", "lines"]), inner, max_size=3)
    ),
    max_leaves=10,
).map(lambda value: {"root": value})


def record(data: Any = None, key: bytes = b"A-1", **headers: bytes | None) -> StoredRecord:
    """A refund request as checkout published it; a header that is None is left out."""
    given = dict(
        write_headers(
            id="evt-1",
            source="https://checkout.example/shop-1",
            type="refund.requested.v1",
            subject="A-1",
            time=AT,
            correlation="story-1",
        )
    )
    given |= {name: value for name, value in headers.items() if value is not None}
    kept = [(name, value) for name, value in given.items() if headers.get(name, value) is not None]
    body = orjson.dumps(REFUND if data is None else data) if not isinstance(data, bytes) else data
    return StoredRecord("checkout.events", 3, 17, key, body, kept)


def edited(document: dict[str, Any], original: StoredRecord | None = None, **more: Any) -> Any:
    return edit_record(original or record(), Edit(document, **more), "refunds", uuid7())


class TestHiddenValues:
    @given(documents)
    def test_a_document_that_nobody_changed_is_what_it_was(self, document: dict[str, Any]) -> None:
        assert restore(hide(document), document) == document

    def test_an_account_that_was_left_alone_is_the_one_it_was(self) -> None:
        shown = hide(REFUND)
        shown["role"], shown["destination"]["bank_code"] = "partner", "088"

        right = restore(shown, REFUND)

        assert right["destination"] == {**REFUND["destination"], "bank_code": "088"}
        assert right["role"] == "partner"

    def test_an_account_that_was_written_anew_is_taken(self) -> None:
        shown = hide(REFUND)
        shown["destination"]["account_number"] = "999"

        assert restore(shown, REFUND)["destination"]["account_number"] == "999"

    def test_a_hidden_value_where_there_was_none_is_a_fault_that_says_where(self) -> None:
        with pytest.raises(Fault) as wrong:
            restore({"order_id": "A-1", "destination": {"account_number": HIDDEN}}, {"order_id": "A-1"})

        assert (wrong.value.code, wrong.value.pointer) == ("out_of_range", "/destination/account_number")

    @pytest.mark.parametrize(
        "change",
        [lambda rows: rows[1:], lambda rows: [{**rows[0], "bank": "x"}, rows[1]], lambda rows: rows[::-1]],
    )
    def test_no_account_goes_to_another_element_of_an_array(self, change: Any) -> None:
        accounts = [{"bank": "a", "account_number": "1"}, {"bank": "b", "account_number": "2"}]

        with pytest.raises(Fault):
            restore({"accounts": change(hide(accounts))}, {"accounts": accounts})


class TestTheNewEvent:
    def test_it_has_an_id_of_its_own_and_is_caused_by_the_refused_one(self) -> None:
        event_id = uuid7()

        made = edit_record(record(), Edit({**hide(REFUND), "role": "partner"}), "refunds", event_id)

        event = read_envelope(made.record.headers, made.record.value)
        assert (event.id, event.source) == (str(event_id), "/pawl/refunds/edited")
        assert (event.causation, event.correlation, event.time) == ("evt-1", "story-1", AT)
        assert orjson.loads(event.body) == {**REFUND, "role": "partner"}
        assert (made.record.partition, made.record.offset, made.record.key) == (3, 17, b"A-1")

    def test_its_key_is_what_the_data_names(self) -> None:
        assert edited(hide(REFUND), record(key=b"another")).key == "A-1"
        assert edited({"role": "partner"}, record(key=b"another")).key == "another"

    def test_type_and_time_are_given_where_the_record_has_none(self) -> None:
        broken = record(ce_type=None, ce_time=b"2031-10-21T14:03:07")

        with pytest.raises(Fault, match="type"):
            edited(hide(REFUND), broken, time=AT)
        with pytest.raises(Fault, match="time"):
            edited(hide(REFUND), broken, type="refund.requested.v1")
        made = edited(hide(REFUND), broken, type="refund.requested.v1", time=AT)
        assert read_envelope(made.record.headers, made.record.value).type == "refund.requested.v1"

    def test_one_that_came_whole_in_its_body_is_edited_by_its_data(self) -> None:
        whole = {
            "specversion": "1.0",
            "id": "evt-1",
            "source": "s",
            "type": "refund.requested.v1",
            "data": REFUND,
        }
        structured = [("content-type", b"application/cloudevents+json")]
        original = StoredRecord("checkout.events", 3, 17, b"A-1", orjson.dumps(whole), structured)

        made = edited({**hide(REFUND), "role": "partner"}, original, time=AT)

        assert [each.pointer for each in made.changes] == ["/role"]
        assert orjson.loads(made.record.value or b"")["destination"] == REFUND["destination"]

    @pytest.mark.parametrize("document", [{"a": 10**30}, {"a": "\ud800"}])
    def test_what_json_cannot_say_is_a_fault(self, document: dict[str, Any]) -> None:
        with pytest.raises(Fault) as wrong:
            edited(document)

        assert wrong.value.code == "unreadable"


class TestChanges:
    def test_they_say_what_was_and_what_is_without_a_secret(self) -> None:
        shown = hide(REFUND)
        shown |= {"role": "partner", "note": "x"}
        shown["destination"] = {**shown["destination"], "account_number": "999"}
        del shown["refund_request_id"]

        made = edited(shown)

        assert set(made.changes) == {
            Change("/role", "nobody", "partner"),
            Change("/note", ABSENT, "x"),
            Change("/refund_request_id", "rr-1", ABSENT),
            Change("/destination/account_number", HIDDEN, HIDDEN),
        }
        before, after = change_documents(made.changes)
        assert before.keys() - after.keys() == {"/refund_request_id"}
        assert ACCOUNT not in str((before, after))
        assert "999" not in str((before, after))

    @pytest.mark.parametrize("destination", ["110-123-456789", ["110123456789"], {"other": ACCOUNT}])
    def test_an_account_where_none_belongs_is_hidden_too(self, destination: Any) -> None:
        right = {**hide(REFUND), "destination": {"method": "card"}}

        made = edited(right, record({**REFUND, "destination": destination}))

        assert "110" not in str(made.changes)
        assert made.changes != ()

    def test_a_body_that_was_no_json_changes_as_a_whole(self) -> None:
        made = edited({"order_id": "A-1", "destination": {"account_number": ACCOUNT}}, record(b"{"))

        assert [(each.pointer, each.before) for each in made.changes] == [("", ABSENT)]
        assert ACCOUNT not in str(made.changes)
