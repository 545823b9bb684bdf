"""Settings of every service, from the environment. A wrong one stops the service with one clear line."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from pathlib import Path
from ssl import SSLError, create_default_context
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    PostgresDsn,
    SecretBytes,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import crash_points
from shared.brokers import USUAL_MECHANISM, Brokers
from shared.login import FilePassword, read_password
from shared.operators.settings import TodoSettings
from shared.postgres import Postgres
from shared.sealing import Sealer
from shared.web.limits import AT_ONCE
from shared.web.tokens import KeySet, Tokens, fetch_from, is_key_set, keys_of

MAKE_A_KEY: Final = "openssl rand -base64 32"
TLS_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
WRITING_SERVERS: Final = ("read-write", "primary")
PARAMETERS: Final = {"sslmode": TLS_MODES, "target_session_attrs": WRITING_SERVERS}
"""What DATABASE_URL may say of these two."""
FEWEST_BYTES: Final = 16
"""Different ones among the 32 of a key. Chance gives fewer once in 10^16 keys; zeros and words have fewer."""

S = TypeVar("S", bound="ServiceSettings")
B = TypeVar("B", bound=BaseSettings)


class WrongSetting(Exception):
    """A setting that is missing or wrong; the message names it, the rule and what to do."""


def _key_of_32_bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        key = b64decode(value, validate=True)
    except Base64Error:
        raise ValueError("is not base64") from None
    if len(key) != 32:
        raise ValueError(f"holds {len(key)} bytes, not 32")
    return key


def _random_key_of_32_bytes(value: Any) -> Any:
    key = _key_of_32_bytes(value)
    if isinstance(value, str) and len(set(key)) < FEWEST_BYTES:
        raise ValueError(f"is no random key: make one with `{MAKE_A_KEY}`")
    return key


Key = Annotated[SecretBytes, BeforeValidator(_random_key_of_32_bytes)]
"""A key that is used from now on. An earlier one may be weak, so that one can get away from it."""


File = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
"""A file, or nothing, which an environment may write as an empty value."""


class ServiceSettings(TodoSettings):
    """What all four services are told by the environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    kafka_bootstrap_servers: str = Field(min_length=1, description="host:port[,host:port] of the brokers")
    kafka_security_protocol: str = Field(
        default="PLAINTEXT",
        pattern="^(SASL_)?(PLAINTEXT|SSL)$",
        description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )
    kafka_sasl_mechanism: str = Field(
        default=USUAL_MECHANISM,
        pattern="^(SCRAM-SHA-512|SCRAM-SHA-256|PLAIN)$",
        description="how the password is shown to the broker",
    )
    kafka_sasl_username: str = Field(default="", validate_default=True, description="who logs in")
    kafka_sasl_password_file: File = Field(
        default=None, description="a file with the password, which is read for each new connection"
    )
    kafka_sasl_password: SecretStr = Field(
        default=SecretStr(""), validate_default=True, description="its password"
    )
    kafka_ssl_ca_file: File = Field(
        default=None, description="PEM: the CAs that brokers are known by; those of the system when empty"
    )
    kafka_ssl_cert_file: File = Field(
        default=None, description="PEM: the certificate that this service shows"
    )
    kafka_ssl_key_file: File = Field(
        default=None,
        validate_default=True,
        description="PEM: the key of that certificate, unless it is in the same file",
    )
    database_url: PostgresDsn = Field(
        description="postgresql://role:password@host:port[,host:port]/database?sslmode=verify-full&sslrootcert=FILE"
    )
    database_password_file: File = Field(
        default=None, description="a file with the password, which is read for each new connection"
    )
    data_key: Key = Field(
        description=f"32 bytes in base64, as of `{MAKE_A_KEY}`: seals dead letters, what is parked, accounts"
    )
    data_key_id: str = Field(
        default="1", min_length=1, max_length=64, description="name of data_key, stored with it"
    )
    data_earlier_keys: SecretStr = Field(
        default=SecretStr(""), description="id:key[,id:key] of keys that only open what they have sealed"
    )
    http_host: str = Field(default="127.0.0.1", description="address of health, metrics and documents")
    http_port: int = Field(default=0, ge=0, le=65535, description="its port; 0 takes a free one")
    http_at_once: int = Field(
        default=AT_ONCE, ge=1, le=100_000, description="requests under /v1 that are answered at once"
    )
    http_proxies: str = Field(
        default="",
        description="addresses between commas, of proxies whose X-Forwarded-For is believed",
    )
    token_jwks: str = Field(
        default="",
        description=(
            "the keys that sign tokens: https://..., a file, or the JWKS itself in base64; empty closes /v1"
        ),
    )
    token_issuer: str = Field(default="", validate_default=True, description="the iss of tokens")
    token_audience: str = Field(default="", validate_default=True, description="the aud of tokens")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    partition_consumers: int = Field(
        default=1,
        ge=1,
        le=64,
        # LANES is what it was called at first; who sets it goes on being heard.
        validation_alias=AliasChoices("partition_consumers", "lanes"),
        description="consumers of the service's group in this process",
    )
    max_records: int = Field(default=2000, ge=1, le=20_000, description="records in one batch")
    stall_seconds: float = Field(
        default=60,
        gt=0,
        description="exit after so long without progress on what waits, or an answered fetch",
    )
    wait_deadline_seconds: float = Field(
        default=3600, gt=0, description="an event that waits longer is overdue"
    )
    startup_patience_seconds: float = Field(
        default=30, ge=0, description="how long to wait for Kafka and Postgres"
    )
    refusal_seconds: float = Field(
        default=20,
        ge=0,
        description="how long a service that does not start tells why before it ends: longer than a scrape",
    )
    stop_grace_seconds: float = Field(
        default=15, gt=0, description="time for the last batch when asked to stop"
    )
    forget_every_seconds: float = Field(
        default=60, gt=0, description="how often to look for what no topic holds any more"
    )
    crash_at: str = Field(
        default="",
        alias="PAWL_CRASH_AT",
        description="fault tests only: die at this point (shared/crash_points.py)",
    )
    pause_at: str = Field(
        default="", alias="PAWL_PAUSE_AT", description="fault tests only: stop (SIGSTOP) at this point"
    )

    @field_validator("crash_at", "pause_at")
    @classmethod
    def _is_a_point(cls, value: str) -> str:
        crash_points.parse(value)
        return value

    @field_validator("data_earlier_keys")
    @classmethod
    def _is_readable(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("data_key_id") in _earlier_keys(value):
            raise ValueError("names the key of DATA_KEY_ID again")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_lower_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("token_jwks")
    @classmethod
    def _is_safe_to_read(cls, value: str) -> str:
        place = urlsplit(value) if "://" in value else None
        if place is not None and place.scheme != "https" and not _is_this_machine(place):
            raise ValueError("is neither https://... nor a file; over http anybody between could change it")
        if is_key_set(value):
            keys_of(fetch_from(value)())
        return value

    @field_validator("token_issuer", "token_audience")
    @classmethod
    def _is_there_with_keys(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("token_jwks") and not value:
            raise ValueError("is needed with TOKEN_JWKS")
        return value

    @field_validator("kafka_sasl_username", "kafka_sasl_password")
    @classmethod
    def _is_there_to_log_in(cls, value: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
        in_file = info.field_name == "kafka_sasl_password" and info.data.get("kafka_sasl_password_file")
        if value and in_file:
            raise ValueError("is also in KAFKA_SASL_PASSWORD_FILE: give one of the two")
        if not value and not in_file and str(info.data.get("kafka_security_protocol")).startswith("SASL"):
            raise ValueError("is needed with a SASL_ KAFKA_SECURITY_PROTOCOL")
        return value

    @field_validator("kafka_sasl_password_file", "database_password_file")
    @classmethod
    def _holds_a_password(cls, value: Path | None) -> Path | None:
        if value is not None:
            _readable(value, read_password)
        return value

    @field_validator("kafka_ssl_ca_file")
    @classmethod
    def _holds_certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            _readable(value, lambda file: create_default_context(cafile=file))
        return value

    @field_validator("kafka_ssl_key_file")
    @classmethod
    def _fits_the_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        shown = info.data.get("kafka_ssl_cert_file")
        if value is not None and shown is None:
            raise ValueError("is the key of KAFKA_SSL_CERT_FILE, which is missing")
        if shown is not None:
            _readable(shown, lambda file: create_default_context().load_cert_chain(file, value))
        return value

    @field_validator("database_url")
    @classmethod
    def _can_be_followed(cls, value: PostgresDsn) -> PostgresDsn:
        said = dict(parse_qsl(value.query or ""))
        for name, words in PARAMETERS.items():
            if name in said and said[name] not in words:
                raise ValueError(f"says {name}={said[name]}, and it is one of {', '.join(words)}")
        if said.get("sslmode", "").startswith("verify-") and "sslrootcert" not in said:
            raise ValueError(f"says sslmode={said['sslmode']} without sslrootcert=FILE, the CA in PEM")
        if "sslrootcert" in said:
            _readable(Path(said["sslrootcert"]), lambda file: create_default_context(cafile=file))
        if "sslcert" in said:
            key = said.get("sslkey")
            _readable(Path(said["sslcert"]), lambda file: create_default_context().load_cert_chain(file, key))
        return value

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _has_ports(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit():
                raise ValueError(f"{server.strip()!r} is not host:port")
        return value

    def sealer(self) -> Sealer:
        """Seals with the present key; opens with the earlier ones too."""
        earlier = _earlier_keys(self.data_earlier_keys)
        return Sealer(self.data_key.get_secret_value(), self.data_key_id, earlier)

    def tokens(self) -> Tokens | None:
        """What checks tokens; None where no keys are set."""
        if not self.token_jwks:
            return None
        return Tokens(KeySet(fetch_from(self.token_jwks)), self.token_issuer, self.token_audience)

    def proxies(self) -> list[str]:
        """The addresses of proxies that are believed about who their clients are."""
        return [address for part in self.http_proxies.split(",") if (address := part.strip())]

    def brokers(self) -> Brokers:
        """Where Kafka is and how this service logs in there."""
        return Brokers(
            self.kafka_bootstrap_servers,
            self.kafka_security_protocol,
            self.kafka_sasl_mechanism,
            self.kafka_sasl_username,
            self.kafka_sasl_password.get_secret_value(),
            self.kafka_sasl_password_file,
            self.kafka_ssl_ca_file,
            self.kafka_ssl_cert_file,
            self.kafka_ssl_key_file,
        )

    def postgres(self) -> Postgres:
        """Where PostgreSQL is and how this service logs in there."""
        file = self.database_password_file
        return Postgres(str(self.database_url), FilePassword(file) if file is not None else None)


def _readable(file: Path, read: Callable[[Path], object]) -> None:
    """Raises ValueError, which repeats nothing of the file, where it cannot be read as what it should be."""
    try:
        read(file)
    except SSLError as error:
        raise ValueError(f"{file} is not what it should be: {error.reason or error}") from None
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text") from None


def is_safe_to_ask(url: str) -> bool:
    """Whether nobody between can read what this URL is asked: https, or this machine."""
    place = urlsplit(url)
    return bool(place.hostname) and (place.scheme == "https" or _is_this_machine(place))


def _is_this_machine(place: SplitResult) -> bool:
    return place.scheme == "http" and place.hostname in ("127.0.0.1", "localhost", "::1")


def _earlier_keys(value: SecretStr) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for each in filter(None, (part.strip() for part in value.get_secret_value().split(","))):
        key_id, _, text = each.partition(":")
        if not text or not key_id.isascii() or not 1 <= len(key_id) <= 64:
            raise ValueError("is not id:key[,id:key]")
        if key_id in keys:
            raise ValueError("names a key twice")
        keys[key_id] = _key_of_32_bytes(text)
    return keys


def read_settings(model: type[B]) -> B:
    """Settings from the environment. Raises WrongSetting, which never repeats a secret."""
    try:
        return model()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        message = "is missing" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
        field = model.model_fields.get(name.lower())
        hint = f" ({field.description})" if field and field.description else ""
        raise WrongSetting(f"setting {name}: {message}{hint}; set it in the environment") from None
