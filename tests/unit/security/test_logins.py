"""Where Kafka is and who logs in there: as text, as settings, for the clients; and what is hidden."""

import json
from pathlib import Path

import pytest
from faststream.security import SASLScram512
from hypothesis import given
from hypothesis import strategies as st

from ops.setup.logins import kept_kafka_passwords, principals
from ops.setup.rights import wanted_rights
from ops.shell.acls import topics_read
from ops.shell.problem import Exit, Problem
from ops.shell.system import require_brokers
from shared.brokers import MECHANISMS, Brokers
from shared.kafka import security_of
from shared.runtime.masking import masked
from shared.settings import ServiceSettings, WrongSetting, read_settings
from tests.support.keys import KEY_SETTINGS

ENVIRONMENT = {
    "KAFKA_BOOTSTRAP_SERVERS": "broker:9092",
    "DATABASE_URL": "postgresql://role:pw@host/db",
    "DATA_KEY": KEY_SETTINGS["DATA_KEY"],
}
LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_USERNAME": "pawl_orders",
    "KAFKA_SASL_PASSWORD": "hunter2",
}


@given(st.text(min_size=1), st.text(min_size=1), st.sampled_from(MECHANISMS))
def test_an_address_is_read_as_it_was_written(username: str, password: str, mechanism: str) -> None:
    brokers = Brokers("a:1,b:2", "SASL_SSL", mechanism, username, password)

    assert Brokers.at(brokers.address()) == brokers


def test_an_address_without_a_login_is_left_alone() -> None:
    assert Brokers.at("a:1,b:2").client() == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "PLAINTEXT",
    }
    assert Brokers.at("a:1").address() == "a:1"
    assert security_of(Brokers("a:1")) is None


def test_a_login_is_not_shown_with_its_password() -> None:
    brokers = Brokers.at("sasl_ssl://pawl_ops:hunter2@broker:9092")

    assert str(brokers) == "pawl_ops@broker:9092"
    assert "hunter2" not in repr(brokers)
    assert brokers.client()["sasl_plain_password"] == "hunter2"


def test_an_address_that_cannot_be_one_is_a_usage_error_without_the_password() -> None:
    with pytest.raises(Problem) as caught:
        require_brokers("https://pawl_ops:hunter2@broker:9092")

    assert caught.value.exit_code == Exit.USAGE
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("missing", ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"])
def test_a_service_that_has_to_log_in_says_which_setting_is_missing(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name, value in (ENVIRONMENT | LOGIN).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)

    with pytest.raises(WrongSetting, match=f"{missing}: is needed"):
        read_settings(ServiceSettings)


def test_a_service_logs_in_with_scram_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | LOGIN).items():
        monkeypatch.setenv(name, value)

    settings = read_settings(ServiceSettings)
    security = security_of(settings.brokers())

    assert isinstance(security, SASLScram512)
    assert (security.username, security.password, security.use_ssl) == ("pawl_orders", "hunter2", True)
    assert "hunter2" not in repr(settings)


def test_the_rights_are_those_that_the_services_need() -> None:
    for service, topics in topics_read().items():
        own = {right for right in wanted_rights() if right.principal == f"pawl_{service}"}
        named = {(right.name, right.operation) for right in own}

        # What a service has written it reads too: after a restore it looks whether its schema is behind.
        written = {f"{service}.events", "checkout.feedback"}
        assert {name for name, operation in named if operation == 3} == {*topics, *written, f"pawl-{service}"}
        assert {name for name, operation in named if operation == 4} == written
        # It looks whether one of its topics is compacted.
        assert {name for name, operation in named if operation == 10} == {*topics, *written}


def test_passwords_follow_from_the_administrators_and_stay(tmp_path: Path) -> None:
    here = kept_kafka_passwords(tmp_path / "here.json", "hunter2")
    there = kept_kafka_passwords(tmp_path / "there.json", "hunter2")
    others = kept_kafka_passwords(tmp_path / "others.json")

    assert here == there == kept_kafka_passwords(tmp_path / "here.json", "ignored now")
    assert set(here) == {"pawl_admin", *principals()}
    assert len(set(here.values())) == len(here)
    assert not set(others.values()) & set(here.values())
    assert (tmp_path / "here.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "destination",
    [
        {"method": "bank_account", "account_number": "917364528016", "holder": "Kim"},
        {"account_number": 917364528016},
        {"account_number": ["917364528016"], "holder": ["917364528016"]},
        {"accountNumber": "917364528016"},
        "917364528016",
        ["917364528016"],
    ],
)
def test_an_account_is_hidden_wherever_its_writer_put_it(destination: object) -> None:
    document = {"order_id": "A-1", "destination": destination}

    for body in (document, {"data": document}, [document]):
        shown = masked(json.dumps(body).encode())
        assert "917364528016" not in shown
        assert "A-1" in shown
        assert "***" in shown


@pytest.mark.parametrize(
    "body", [b'{"account_number": "917364528016', b'{"x": NaN, "to": "917-364 528016"}', b"\xff917364528016"]
)
def test_in_what_cannot_be_read_every_long_number_is_hidden(body: bytes) -> None:
    assert "***" in masked(body)
    assert "528016" not in masked(body)


def test_a_document_without_an_account_is_shown_as_it_came() -> None:
    assert masked(b'{ "order_id" :"123456789" }') == '{ "order_id" :"123456789" }'
