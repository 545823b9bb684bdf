"""Settings of the console, from the environment, as those of the services are."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Self

from pydantic import Field, PostgresDsn, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from console.people import ROLES, USUAL_SCOPES, Role
from shared.operators.settings import TodoSettings
from shared.settings import File
from shared.web.scopes import SCOPES


class ConsoleSettings(TodoSettings):
    """What the console is told by the environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: PostgresDsn = Field(
        description="postgresql://pawl_console:password@host:port/database, where sessions are kept"
    )
    pawl_postgres: PostgresDsn = Field(
        description="postgresql://pawl_ops:password@host:port/database: a role that reads and writes nothing"
    )
    pawl_services: str = Field(min_length=1, description="name=URL of each service, between commas")
    pawl_kafka: str = Field(
        default="", description="host:port of a broker, to say how far services are behind"
    )
    http_host: str = Field(default="127.0.0.1", min_length=1, description="address of its pages")
    http_port: int = Field(default=0, ge=0, le=65535, description="its port; 0 takes a free one")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    console_roles: Mapping[Role, Sequence[str]] = Field(
        default_factory=lambda: dict(USUAL_SCOPES),
        description='the scopes of each role, like {"viewer": ["ops:read"], ...}',
    )
    console_idle_minutes: float = Field(
        default=30, gt=0, description="a session ends when nobody has asked anything for so long"
    )
    console_longest_hours: float = Field(default=8, gt=0, description="a session ends after so long at most")
    console_live_seconds: float = Field(
        default=5, ge=1, description="a page that is open hears of newer after so long"
    )
    console_live_most: int = Field(default=200, ge=0, description="so many pages hear of it at once")
    console_live_most_of_session: int = Field(default=4, ge=0, description="so many of them of one session")
    console_demo_directory: File = Field(
        default=None, description="set by `pawl up` alone: the run directory of an embedded system"
    )
    console_url: str = Field(
        default="",
        pattern="^(https?://[^/?#@]+)?/?$",
        description="its address as browsers know it, like https://pawl.example",
    )
    console_token_key: SecretStr = Field(
        default=SecretStr(""),
        description="signs tokens for services, which know its public half: PAWL_TOKEN_KEY of make-env.sh",
    )
    console_groups: Mapping[Role, Sequence[str]] = Field(
        default_factory=lambda: {role: [role] for role in ROLES},
        description='the groups of people that have each role, like {"operator": ["pawl-ops"], ...}',
    )
    console_oidc_issuer: str = Field(
        default="", pattern="^(https?://.+)?$", description="the OpenID provider that signs people in"
    )
    console_oidc_client_id: str = Field(default="", description="the name of the console there")
    console_oidc_client_secret: SecretStr = Field(default=SecretStr(""), description="its secret there")
    console_oidc_person_claim: str = Field(
        default="sub", min_length=1, description="the claim that names somebody in audit logs, as email"
    )
    console_oidc_groups_claim: str = Field(
        default="groups", min_length=1, description="the claim that lists the groups of somebody"
    )
    console_proxy_header: str = Field(
        default="", description="the header in which a proxy names who asks, as X-Forwarded-User"
    )
    console_proxy_groups_header: str = Field(
        default="X-Forwarded-Groups", min_length=1, description="the header with their groups, between commas"
    )
    console_proxies: str = Field(
        default="", description="addresses between commas, of the proxies that are believed"
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("console_roles")
    @classmethod
    def _names_scopes(cls, value: Mapping[Role, Sequence[str]]) -> Mapping[Role, Sequence[str]]:
        missing = [role for role in ROLES if role not in value]
        if missing:
            raise ValueError(f"does not say what {', '.join(missing)} may do")
        unknown = sorted({scope for scopes in value.values() for scope in scopes} - SCOPES.keys())
        if unknown:
            raise ValueError(f"names {', '.join(unknown)}, which is no scope")
        return value

    @model_validator(mode="after")
    def _reads_as_somebody_else(self) -> Self:
        """The role that keeps sessions is not the one that reads: neither may do what the other may."""
        if self.database_url.hosts()[0]["username"] == self.pawl_postgres.hosts()[0]["username"]:
            raise ValueError("PAWL_POSTGRES has the role of DATABASE_URL; it should read and write nothing")
        return self

    @model_validator(mode="after")
    def _has_one_door(self) -> Self:
        """People come in one way. One that is named has all that it needs."""
        doors = {
            "CONSOLE_DEMO_DIRECTORY": self.console_demo_directory,
            "CONSOLE_OIDC_ISSUER": self.console_oidc_issuer,
            "CONSOLE_PROXY_HEADER": self.console_proxy_header,
        }
        named = [name for name, value in doors.items() if value]
        if len(named) != 1:
            raise ValueError(f"one of {', '.join(doors)} says how people sign in; {len(named)} are set")
        if self.console_demo_directory:
            return self
        if not self.console_url or not self.console_token_key.get_secret_value():
            raise ValueError(f"{named[0]} needs CONSOLE_URL and CONSOLE_TOKEN_KEY")
        if self.console_oidc_issuer and not (
            self.console_oidc_client_id and self.console_oidc_client_secret.get_secret_value()
        ):
            raise ValueError(
                "CONSOLE_OIDC_ISSUER needs CONSOLE_OIDC_CLIENT_ID and CONSOLE_OIDC_CLIENT_SECRET"
            )
        if self.console_proxy_header and not self.console_proxies.strip():
            raise ValueError("CONSOLE_PROXY_HEADER needs CONSOLE_PROXIES: whom to believe")
        return self

    @property
    def own_url(self) -> str:
        """The address as browsers know it, without a slash at its end; empty where requests say it."""
        return self.console_url.rstrip("/")

    def idle(self) -> timedelta:
        """A session ends after so long without a request."""
        return timedelta(minutes=self.console_idle_minutes)

    def longest(self) -> timedelta:
        """A session ends after so long in any case."""
        return timedelta(hours=self.console_longest_hours)
