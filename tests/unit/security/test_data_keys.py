"""Rotation of DATA_KEY: the present key seals, the earlier ones only open."""

import pytest

from shared.sealing import BrokenSealError, Sealer
from shared.settings import ServiceSettings, WrongSetting, read_settings
from tests.support.keys import key_of, text_of

PLAIN, CONTEXT = b"110-234-567890", b"dead_letters 1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("DATABASE_URL", "postgresql://role:pw@host/db")
    monkeypatch.setenv("DATA_KEY", text_of(3))
    monkeypatch.setenv("DATA_KEY_ID", "third")
    return monkeypatch


def test_what_earlier_keys_have_sealed_opens(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATA_EARLIER_KEYS", f"first:{text_of(1)}, second:{text_of(2)}")

    sealer = read_settings(ServiceSettings).sealer()

    for byte, name in enumerate(("first", "second", "third"), start=1):
        assert sealer.open(Sealer(key_of(byte), name).seal(PLAIN, CONTEXT), CONTEXT) == PLAIN


def test_the_present_key_seals(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATA_EARLIER_KEYS", f"first:{text_of(1)}")

    sealed = read_settings(ServiceSettings).sealer().seal(PLAIN, CONTEXT)

    assert Sealer(key_of(3), "third").open(sealed, CONTEXT) == PLAIN


@pytest.mark.parametrize("earlier", ["", " "])
def test_without_earlier_keys_only_the_present_one_opens(
    environment: pytest.MonkeyPatch, earlier: str
) -> None:
    environment.setenv("DATA_EARLIER_KEYS", earlier)

    sealer = read_settings(ServiceSettings).sealer()

    with pytest.raises(BrokenSealError):
        sealer.open(Sealer(key_of(1), "first").seal(PLAIN, CONTEXT), CONTEXT)


@pytest.mark.parametrize(
    ("earlier", "complaint"),
    [
        (text_of(1), "is not id:key"),
        ("first:", "is not id:key"),
        (f":{text_of(1)}", "is not id:key"),
        (f"{'x' * 65}:{text_of(1)}", "is not id:key"),
        ("first:?", "is not base64"),
        ("first:c2hvcnQ=", "holds 5 bytes"),
        (f"third:{text_of(1)}", "names the key of DATA_KEY_ID again"),
        (f"first:{text_of(1)},first:{text_of(2)}", "names a key twice"),
    ],
)
def test_a_wrong_list_stops_the_service_without_showing_a_key(
    environment: pytest.MonkeyPatch, earlier: str, complaint: str
) -> None:
    environment.setenv("DATA_EARLIER_KEYS", earlier)

    with pytest.raises(WrongSetting, match=f"setting DATA_EARLIER_KEYS: {complaint}") as refusal:
        read_settings(ServiceSettings)

    assert text_of(1) not in str(refusal.value)


def test_no_key_is_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATA_EARLIER_KEYS", f"first:{text_of(1)}")

    shown = repr(read_settings(ServiceSettings))

    assert text_of(1) not in shown
    assert text_of(3) not in shown
