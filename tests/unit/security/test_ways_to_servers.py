"""How a service is told the way to its servers: certificates, passwords in files, several hosts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.brokers import Brokers
from shared.login import FilePassword, Tls
from shared.postgres import Postgres
from shared.settings import ServiceSettings, WrongSetting, read_settings
from tests.support.certificates import Authority, Signed
from tests.support.keys import KEY_SETTINGS

URL = "postgresql://role:hunter2@host/db"
REQUIRED = {
    "KAFKA_BOOTSTRAP_SERVERS": "broker:9092",
    "DATABASE_URL": URL,
    "DATA_KEY": KEY_SETTINGS["DATA_KEY"],
}
LOGIN = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "pawl_orders"}

Read = Callable[..., ServiceSettings]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Settings from an environment: `read(KAFKA_SSL_CA_FILE=...)`."""

    def read_them(**environment: object) -> ServiceSettings:
        for name, value in (REQUIRED | environment).items():
            monkeypatch.setenv(name, str(value))
        return read_settings(ServiceSettings)

    return read_them


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def signed(authority: Authority) -> Signed:
    return authority.sign("service")


@pytest.fixture(scope="module")
def other(authority: Authority) -> Signed:
    return authority.sign("other")


def test_a_password_in_a_file_is_read_each_time(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    settings = read(**LOGIN, KAFKA_SASL_PASSWORD_FILE=file, DATABASE_PASSWORD_FILE=file)
    brokers, database = settings.brokers(), settings.postgres()
    assert brokers.client()["sasl_plain_password"] == "first"
    assert database.client()["password"]() == "first"

    file.write_text("hunter3\nand a remark")

    assert brokers.client()["sasl_plain_password"] == "hunter3"
    assert database.client()["password"]() == "hunter3"
    assert "hunter3" not in repr((brokers, database, settings))
    assert "hunter2" not in repr(database)


def test_while_a_file_is_not_there_the_last_password_counts(tmp_path: Path) -> None:
    file = tmp_path / "password"
    password = FilePassword(file)
    with pytest.raises(FileNotFoundError):
        password.now()
    file.write_text("first")
    assert password.now() == "first"

    file.write_text("")
    assert password.now() == "first"
    file.unlink()
    assert password.now() == "first"


def test_while_a_certificate_is_half_renewed_the_last_one_counts(
    authority: Authority, signed: Signed, other: Signed, tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    cert.write_bytes(signed.cert.read_bytes())
    key.write_bytes(signed.key.read_bytes())
    tls = Tls(authority.ca, cert, key)
    first = tls.now()

    cert.write_bytes(other.cert.read_bytes())
    assert tls.now() is first
    key.write_bytes(other.key.read_bytes())
    assert tls.now() is not first


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("KAFKA_SSL_CA_FILE", "cannot be read: No such file"),
        ("KAFKA_SASL_PASSWORD_FILE", "cannot be read: No such file"),
        ("DATABASE_PASSWORD_FILE", "cannot be read: No such file"),
        ("KAFKA_SSL_KEY_FILE", "is the key of KAFKA_SSL_CERT_FILE, which is missing"),
    ],
)
def test_a_file_that_is_not_there_is_named_at_the_start(
    read: Read, tmp_path: Path, setting: str, said: str
) -> None:
    with pytest.raises(WrongSetting, match=f"^setting {setting}: .*{said}.*; set it in the environment"):
        read(**{setting: tmp_path / "nowhere"})


def test_a_file_that_is_something_else_is_named_at_the_start(
    read: Read, signed: Signed, other: Signed, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_text("hunter2")

    with pytest.raises(WrongSetting, match=r"KAFKA_SSL_CA_FILE: .* is not what it should be") as caught:
        read(KAFKA_SSL_CA_FILE=nothing)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(WrongSetting, match=r"KAFKA_SSL_KEY_FILE: .* is not what it should be"):
        read(KAFKA_SSL_CA_FILE="", KAFKA_SSL_CERT_FILE=signed.cert, KAFKA_SSL_KEY_FILE=other.key)
    with pytest.raises(WrongSetting, match=r"DATABASE_URL: .* is not what it should be"):
        read(KAFKA_SSL_KEY_FILE=signed.key, DATABASE_URL=f"{URL}?sslmode=verify-full&sslrootcert={nothing}")


def test_right_files_are_taken_and_an_empty_setting_is_none(
    read: Read, authority: Authority, signed: Signed
) -> None:
    settings = read(
        KAFKA_SSL_CA_FILE=authority.ca,
        KAFKA_SSL_CERT_FILE=signed.both,
        KAFKA_SSL_KEY_FILE="",
        DATABASE_URL=f"{URL}?sslmode=verify-full&sslrootcert={authority.ca}"
        f"&sslcert={signed.cert}&sslkey={signed.key}",
    )

    assert settings.kafka_ssl_key_file is None
    assert settings.brokers().ca_file == authority.ca


def test_a_password_is_given_once(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2")
    with pytest.raises(WrongSetting, match="KAFKA_SASL_PASSWORD: is also in KAFKA_SASL_PASSWORD_FILE"):
        read(**LOGIN, KAFKA_SASL_PASSWORD_FILE=file, KAFKA_SASL_PASSWORD="hunter3")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            "sslmode=verify",
            "says sslmode=verify, and it is one of disable, allow, prefer, require",
        ),
        ("sslmode=verify-full", "without sslrootcert=FILE"),
        ("target_session_attrs=standby", "it is one of read-write, primary"),
    ],
)
def test_an_address_that_cannot_be_followed_says_what_it_should_say(
    read: Read, query: str, said: str
) -> None:
    with pytest.raises(WrongSetting, match=rf"DATABASE_URL: .*{said}") as caught:
        read(DATABASE_URL=f"{URL}?{query}")
    assert "hunter2" not in str(caught.value)


def test_a_server_that_takes_writes_is_wanted_unless_the_address_says_otherwise(read: Read) -> None:
    several = read(DATABASE_URL="postgresql://role@db-1:5432,db-2:5433/pawl").postgres()
    assert several.client() == {
        "dsn": "postgresql://role@db-1:5432,db-2:5433/pawl",
        "target_session_attrs": "read-write",
    }

    primary = Postgres.at(f"{URL}?target_session_attrs=primary")
    assert "target_session_attrs" not in primary.client()


def test_the_files_of_an_address_are_read_as_they_were_written(authority: Authority, signed: Signed) -> None:
    brokers = Brokers(
        "a:1,b:2",
        "SASL_SSL",
        username="pawl_ops",
        password_file=signed.key,
        ca_file=authority.ca,
        cert_file=signed.cert,
        key_file=signed.key,
    )

    assert Brokers.at(brokers.address()) == brokers
