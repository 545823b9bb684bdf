"""Where Kafka's brokers are and how to log in there, as one value or one line of text."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import create_default_context
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
USUAL_MECHANISM: Final = "SCRAM-SHA-512"


@dataclass(slots=True, frozen=True)
class Brokers:
    """Where the brokers are and how to log in there. As text it names no password.

    `servers` is host:port[,host:port]; `protocol` one of PROTOCOLS, `mechanism` one of MECHANISMS.
    """

    servers: str
    protocol: str = "PLAINTEXT"
    mechanism: str = USUAL_MECHANISM
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.username}@{self.servers}" if self.username else self.servers

    @classmethod
    def at(cls, address: "str | Brokers") -> "Brokers":
        """Reads `host:port[,host:port]` or `sasl_ssl://user:password@host:port[,...][?mechanism=PLAIN]`.

        The scheme is the protocol in lower case. Raises ValueError, which never repeats a password.
        """
        if isinstance(address, Brokers):
            return address
        if "://" not in address:
            return cls(address)
        scheme, _, rest = address.partition("://")
        parts = urlsplit(f"//{rest}")
        login, _, servers = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        mechanism = dict(parse_qsl(parts.query)).get("mechanism", USUAL_MECHANISM)
        protocol = scheme.upper()
        if protocol not in PROTOCOLS or mechanism not in MECHANISMS:
            raise ValueError(f"{protocol} with {mechanism} is no way to reach Kafka")
        return cls(servers, protocol, mechanism, unquote(username), unquote(password))

    def address(self) -> str:
        """The text that `at` reads, password included."""
        if self.protocol == "PLAINTEXT":
            return self.servers
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        query = "" if self.mechanism == USUAL_MECHANISM else f"?mechanism={self.mechanism}"
        return f"{self.protocol.lower()}://{login}{self.servers}{query}"

    def log_in_as(self, username: str, password: str, mechanism: str = USUAL_MECHANISM) -> "Brokers":
        """The same brokers for somebody else."""
        return Brokers(self.servers, self.protocol, mechanism, username, password)

    def client(self) -> dict[str, Any]:
        """The arguments by which an aiokafka client gets there."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
        }
        if self.protocol.endswith("SSL"):
            arguments["ssl_context"] = create_default_context()
        if self.protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.mechanism
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self.password
        return arguments


async def somebody_listens(servers: str, seconds: float) -> bool:
    """Whether any of these brokers (host:port[,host:port]) takes a connection within so many seconds."""
    return any(await asyncio.gather(*(_listens(place.strip(), seconds) for place in servers.split(","))))


async def _listens(place: str, seconds: float) -> bool:
    host, _, port = place.rpartition(":")
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
