"""Addresses of databases: `postgresql://user:password@host:port/database`, with one part changed."""

from urllib.parse import quote, urlsplit, urlunsplit


def with_login(url: str, user: str, password: str) -> str:
    """The same server and database with another user."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password, safe='')}@{place}"))


def with_database(url: str, database: str) -> str:
    """The same server and user with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def without_password(url: str) -> str:
    """The address as a message may show it."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@{place}" if user else place))
