"""The settings of the serials service, beyond those of every service."""

from base64 import b64decode
from binascii import Error as Base64Error

from pydantic import Field, SecretBytes, SecretStr, ValidationInfo, field_validator

from services.serials.attempts import Limits
from services.serials.state import Policy
from services.serials.vault import LONGEST_KEY_ID, SerialKeys, Vault
from shared.settings import MAKE_A_KEY, Key, ServiceSettings


class SerialsSettings(ServiceSettings):
    """Keys of the serials and policies."""

    serial_lookup_key: Key = Field(
        description=f"32 bytes in base64, as of `{MAKE_A_KEY}`: finds a serial without storing it"
    )
    serial_text_key: Key = Field(
        description=f"32 bytes in base64, as of `{MAKE_A_KEY}`, another key: encrypts serials"
    )
    serial_key_id: str = Field(
        default="1",
        min_length=1,
        max_length=LONGEST_KEY_ID,
        description="name of the two keys, stored with them",
    )
    serial_earlier_keys: SecretStr = Field(
        default=SecretStr(""), description="id:lookup:text[,id:lookup:text] of keys that only find and open"
    )
    serials_window_days: int = Field(default=91, ge=1, le=3_650, description="KST days to register a serial")
    serials_small_grant: int = Field(
        default=2_000, ge=0, le=50_000, description="units up to which a grant is issued with its event"
    )
    serials_at_once: int = Field(
        default=50_000, ge=0, le=200_000, description="units issued with one batch of events"
    )
    serials_chunk: int = Field(
        default=50_000, ge=1, le=1_000_000, description="units in one transaction of bulk work"
    )
    serials_home_from: int = Field(
        default=250_000,
        ge=1,
        description="units of a grant, above which its serials get a table of their own",
    )
    serials_homes: int = Field(
        default=20,
        ge=0,
        le=200,
        description="so many such tables at most: a serial is looked up in each",
    )
    serials_idle_seconds: float = Field(
        default=0.5, gt=0, le=60, description="how often the issuing worker looks for grants left by others"
    )
    serials_reissue_percent: int = Field(
        default=5,
        ge=0,
        le=100,
        description="units in a hundred of a grant that its partner may have reissued",
    )
    serials_reissue_least: int = Field(
        default=5, ge=0, le=1_000_000, description="so many at least, however small the grant is"
    )
    serials_attempts_seconds: int = Field(
        default=600, ge=1, le=86_400, description="the window in which serials that there are not are counted"
    )
    serials_attempts_account: int = Field(
        default=10, ge=1, description="of those in one window, from which on an account waits for the next"
    )
    serials_attempts_address: int = Field(default=100, ge=1, description="the same of a client's address")
    serials_attempts_alarm: int = Field(
        default=1_000, ge=1, description="the same of everybody, from which on the alarm is raised"
    )
    serials_sweep_seconds: float = Field(
        default=86_400, gt=0, description="how often expired serials are counted with their grants"
    )

    serials_registration_url: str = Field(
        default="",
        max_length=500,
        description="where customers register, may hold {serial}; without it no serial is handed out",
    )

    @field_validator("serial_text_key")
    @classmethod
    def _differs(cls, value: SecretBytes, info: ValidationInfo) -> SecretBytes:
        if value == info.data.get("serial_lookup_key"):
            raise ValueError("is the same as SERIAL_LOOKUP_KEY, and must be another key")
        return value

    @field_validator("serial_earlier_keys")
    @classmethod
    def _is_readable(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("serial_key_id") in {keys.key_id for keys in _earlier(value)}:
            raise ValueError("names the keys of SERIAL_KEY_ID again")
        return value

    @field_validator("serials_registration_url")
    @classmethod
    def _is_a_page(cls, value: str) -> str:
        if value and not (
            value.startswith(("https://", "http://")) and value.isprintable() and " " not in value
        ):
            raise ValueError("is not https://..., and must be what a customer can open")
        return value

    def vault(self) -> Vault:
        """The keys of all generations."""
        lookup, text = self.serial_lookup_key.get_secret_value(), self.serial_text_key.get_secret_value()
        return Vault(SerialKeys(self.serial_key_id, lookup, text), _earlier(self.serial_earlier_keys))

    def policy(self) -> Policy:
        """What may be changed without a new version."""
        return Policy(
            window_days=self.serials_window_days,
            small_grant=self.serials_small_grant,
            at_once=self.serials_at_once,
            chunk=self.serials_chunk,
            reissue_percent=self.serials_reissue_percent,
            reissue_least=self.serials_reissue_least,
            home_from=self.serials_home_from,
            homes=self.serials_homes,
        )

    def limits(self) -> Limits:
        """How often somebody may type a serial that there is not."""
        return Limits(
            self.serials_attempts_seconds,
            self.serials_attempts_account,
            self.serials_attempts_address,
            self.serials_attempts_alarm,
        )


def _earlier(value: SecretStr) -> list[SerialKeys]:
    generations = []
    for each in filter(None, value.get_secret_value().split(",")):
        key_id, *keys = each.strip().split(":")
        if len(keys) != 2:
            raise ValueError("is not id:lookup:text[,id:lookup:text]")
        try:
            lookup, text = (b64decode(key, validate=True) for key in keys)
        except Base64Error:
            raise ValueError("holds a key that is not base64") from None
        generations.append(SerialKeys(key_id, lookup, text))
    return generations
