"""Where Kafka's brokers are and how to log in there, as one value or one line of text."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import create_default_context
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
USUAL_MECHANISM: Final = "SCRAM-SHA-512"
USUAL_PORT: Final = 9092
PLACE: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(:(?P<port>[0-9]{1,5}))?", re.ASCII)


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
        """Reads `host[:port][,host[:port]]` or `sasl_ssl://user:password@host:port[,...][?mechanism=PLAIN]`.

        The scheme is the protocol in lower case. Raises ValueError, which never repeats a password.
        """
        if isinstance(address, Brokers):
            return address
        if "://" not in address:
            return cls(_with_places(address))
        scheme, _, rest = address.partition("://")
        parts = urlsplit(f"//{rest}")
        login, _, servers = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        mechanism = dict(parse_qsl(parts.query)).get("mechanism", USUAL_MECHANISM)
        protocol = scheme.upper()
        if protocol not in PROTOCOLS or mechanism not in MECHANISMS:
            raise ValueError(f"{protocol} with {mechanism} is no way to reach Kafka")
        return cls(_with_places(servers), protocol, mechanism, unquote(username), unquote(password))

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


def place_of(server: str) -> tuple[str, int]:
    """Host and port of `host:port`, `host` (the usual port) or `[address]:port`.

    Raises ValueError, which does not repeat it: it may be what a wrongly written login left over.
    """
    found = PLACE.fullmatch(server.strip())
    port = int(found["port"] or USUAL_PORT) if found else 0
    if not found or not 0 < port < 65_536:
        raise ValueError("a server is host:port")
    return found["host"].strip("[]"), port


def _with_places(servers: str) -> str:
    """The same text. Raises ValueError when it is not host:port[,host:port]."""
    for server in servers.split(","):
        place_of(server)
    return servers


async def somebody_listens(servers: str, seconds: float) -> bool:
    """Whether any of these brokers (host:port[,host:port]) takes a connection within so many seconds."""
    return any(await asyncio.gather(*(_listens(place.strip(), seconds) for place in servers.split(","))))


async def _listens(place: str, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(*place_of(place))
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
