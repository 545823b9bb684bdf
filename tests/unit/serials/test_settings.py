"""A wrong setting stops the service with one line that shows no secret."""

from base64 import b64encode

import pytest

from services.serials.app import build
from services.serials.settings import SerialsSettings
from services.serials.state import Policy
from shared.settings import WrongSetting, read_settings
from tests.support.keys import text_of


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    monkeypatch.setenv("DATABASE_URL", "postgresql://pawl_serials:pw@127.0.0.1:5432/pawl")
    monkeypatch.setenv("DATA_KEY", text_of(1))
    monkeypatch.setenv("SERIAL_LOOKUP_KEY", text_of(2))
    monkeypatch.setenv("SERIAL_TEXT_KEY", text_of(3))
    return monkeypatch


def test_the_policies_have_defaults_and_can_be_set(environment: pytest.MonkeyPatch) -> None:
    defaults = read_settings(SerialsSettings)
    policies = {"WINDOW_DAYS": 30, "SMALL_GRANT": 10, "AT_ONCE": 200, "CHUNK": 1000}
    for name, value in policies.items():
        environment.setenv(f"SERIALS_{name}", str(value))
    service = build(read_settings(SerialsSettings))

    assert defaults.policy() == Policy(91, 2_000, 50_000, 50_000)
    assert service.store.policy == Policy(window_days=30, small_grant=10, at_once=200, chunk=1000)
    assert service.topics == ("orders.events",)


def test_keys_of_an_earlier_generation_are_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(
        "SERIAL_EARLIER_KEYS", f"old:{text_of(4)}:{text_of(5)},older:{text_of(6)}:{text_of(7)}"
    )

    assert len(read_settings(SerialsSettings).vault().tags_of("0" * 16)) == 3


@pytest.mark.parametrize("name", ["SERIAL_LOOKUP_KEY", "SERIAL_TEXT_KEY", "DATA_KEY"])
def test_a_key_that_is_missing_is_named_with_the_command_that_makes_one(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.delenv(name)

    with pytest.raises(WrongSetting) as refusal:
        read_settings(SerialsSettings)

    assert f"setting {name}: is missing" in str(refusal.value)
    assert "openssl rand -base64 32" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["SERIAL_LOOKUP_KEY", "SERIAL_TEXT_KEY", "DATA_KEY"])
@pytest.mark.parametrize("weak", [bytes(32), b"k" * 32, b"password" * 4, bytes(range(15)) * 2 + b"\0\0"])
def test_a_key_that_no_chance_made_is_refused(
    environment: pytest.MonkeyPatch, name: str, weak: bytes
) -> None:
    environment.setenv(name, b64encode(weak).decode())

    with pytest.raises(WrongSetting, match=f"setting {name}: is no random key"):
        read_settings(SerialsSettings)


def test_an_earlier_key_may_be_weak_so_that_one_can_get_away_from_it(environment: pytest.MonkeyPatch) -> None:
    lookup, text = (b64encode(letter * 32).decode() for letter in (b"l", b"t"))
    environment.setenv("SERIAL_EARLIER_KEYS", f"0:{lookup}:{text}")

    assert read_settings(SerialsSettings).vault().key_ids == {"0", "1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERIAL_LOOKUP_KEY", "c2hvcnQ="),
        ("SERIAL_TEXT_KEY", text_of(2)),
        ("SERIAL_EARLIER_KEYS", "old:secret"),
        ("SERIAL_EARLIER_KEYS", "old:?:secret"),
        ("SERIAL_EARLIER_KEYS", f"1:{text_of(4)}:{text_of(5)}"),
        ("SERIALS_CHUNK", "0"),
        ("SERIALS_WINDOW_DAYS", "never"),
    ],
)
def test_a_wrong_setting_is_refused_without_showing_it(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)

    with pytest.raises(WrongSetting) as refusal:
        read_settings(SerialsSettings)

    assert "secret" not in str(refusal.value)
    assert text_of(2) not in str(refusal.value)
