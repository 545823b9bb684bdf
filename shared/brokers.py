"""Where Kafka's brokers are and how to log in there, as one value or one line of text."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from shared.login import Tls, read_password

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
USUAL_MECHANISM: Final = "SCRAM-SHA-512"
USUAL_PORT: Final = 9092
FILES: Final = ("password_file", "ca_file", "cert_file", "key_file")
PLACE: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(:(?P<port>[0-9]{1,5}))?", re.ASCII)


@dataclass(slots=True, frozen=True)
class Brokers:
    """Where the brokers are and how to log in there. As text it names no password.

    `servers` is host:port[,host:port]; `protocol` one of PROTOCOLS, `mechanism` one of MECHANISMS. A password
    stands here or in a file. What certificates are trusted by is a file, or the system; a client may show one
    of its own.
    """

    servers: str
    protocol: str = "PLAINTEXT"
    mechanism: str = USUAL_MECHANISM
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __str__(self) -> str:
        return f"{self.username}@{self.servers}" if self.username else self.servers

    @classmethod
    def at(cls, address: "str | Brokers") -> "Brokers":
        """Reads `host[:port][,host[:port]]` or `sasl_ssl://user:password@host:port[,...][?mechanism=PLAIN]`.

        The scheme is the protocol in lower case; parameters may name FILES, too. Raises ValueError, which
        never repeats a password.
        """
        if isinstance(address, Brokers):
            return address
        if "://" not in address:
            return cls(_with_places(address))
        scheme, _, rest = address.partition("://")
        parts = urlsplit(f"//{rest}")
        login, _, servers = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        query = dict(parse_qsl(parts.query))
        mechanism = query.get("mechanism", USUAL_MECHANISM)
        protocol = scheme.upper()
        if protocol not in PROTOCOLS or mechanism not in MECHANISMS:
            raise ValueError(f"{protocol} with {mechanism} is no way to reach Kafka")
        files = {name: Path(query[name]) for name in FILES if name in query}
        return cls(_with_places(servers), protocol, mechanism, unquote(username), unquote(password), **files)

    def address(self) -> str:
        """The text that `at` reads, password included."""
        if self.protocol == "PLAINTEXT":
            return self.servers
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        query = {} if self.mechanism == USUAL_MECHANISM else {"mechanism": self.mechanism}
        query |= {name: str(file) for name in FILES if (file := getattr(self, name)) is not None}
        return f"{self.protocol.lower()}://{login}{self.servers}{f'?{urlencode(query)}' if query else ''}"

    def log_in_as(self, username: str, password: str, mechanism: str = USUAL_MECHANISM) -> "Brokers":
        """The same brokers for somebody else."""
        return replace(self, mechanism=mechanism, username=username, password=password, password_file=None)

    @property
    def uses_tls(self) -> bool:
        """Whether what is said on the way is encrypted."""
        return self.protocol.endswith("SSL")

    @property
    def logs_in(self) -> bool:
        """Whether somebody has to log in with a password."""
        return self.protocol.startswith("SASL")

    def tls(self) -> Tls:
        """The certificates, in files that are read for each new connection."""
        return Tls(self.ca_file, self.cert_file, self.key_file)

    def client(self) -> dict[str, Any]:
        """The arguments by which an aiokafka client gets there: files are as they are now.

        Raises OSError or ValueError where a file cannot be read.
        """
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
        }
        if self.uses_tls:
            arguments["ssl_context"] = self.tls().now()
        if self.logs_in:
            password = read_password(self.password_file) if self.password_file is not None else self.password
            arguments["sasl_mechanism"] = self.mechanism
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = password
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


async def untrusted(brokers: Brokers, seconds: float) -> str:
    """Why no broker that can be reached shows a certificate that is trusted; empty where one does.

    Whoever does not answer within so many seconds says nothing.
    """
    if not brokers.uses_tls:
        return ""
    reasons = [await _untrusted(brokers, server.strip(), seconds) for server in brokers.servers.split(",")]
    said = [reason for reason in reasons if reason is not None]
    return said[0] if said and all(said) else ""


async def _untrusted(brokers: Brokers, server: str, seconds: float) -> str | None:
    host, port = place_of(server)
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port, ssl=brokers.tls().now())
    except SSLCertVerificationError as error:
        return f"{server}: {error.verify_message or error}"
    except (OSError, TimeoutError):
        return None
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""


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
