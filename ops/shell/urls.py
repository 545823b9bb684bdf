"""Addresses of databases: `postgresql://user:password@host:port/database`, with one part changed."""

import re
from urllib.parse import quote, urlsplit, urlunsplit

from ops.shell.problem import Exit, Problem

# A host, perhaps with a port; one that is left out is the usual one.
PLACE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:@\[\]]*)(:(?P<port>[0-9]{1,5}))?")


def with_login(url: str, user: str, password: str) -> str:
    """The same server and database with another user."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password, safe='')}@{place}"))


def with_database(url: str, database: str) -> str:
    """The same server and user with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def without_password(url: str) -> str:
    """The address as a message may show it: no password, wherever it stands, and no parameters.

    Also of a text that is no address, e.g. since its password holds a character that should be escaped.
    """
    scheme, colon, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    return f"{scheme}{colon}{login.partition(':')[0]}{at}{place.partition('?')[0]}"


def require_postgres(url: str) -> str:
    """The address itself. Raises Problem, which shows no password, when it cannot be one of PostgreSQL."""
    scheme, _, rest = url.partition("://")
    places = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2].split(",")
    if scheme not in ("postgresql", "postgres") or not all(map(_is_place, places)):
        raise Problem(
            f"This is not the address of a database: {without_password(url)}",
            "Give postgresql://user:password@host:port/database; in a password write %40 for @, %2F for /.",
            Exit.USAGE,
        )
    return url


def _is_place(text: str) -> bool:
    found = PLACE.fullmatch(text)
    return found is not None and (found["port"] is None or 0 < int(found["port"]) < 65_536)
