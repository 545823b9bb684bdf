"""Logins that change while a service runs: files, which are read for each new connection."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import structlog

log = structlog.get_logger("pawl.login")


@dataclass(slots=True)
class FilePassword:
    """A password, the first line of a file. While that cannot be read, the last one goes on counting."""

    file: Path
    _last: str = field(default="", repr=False)

    def now(self) -> str:
        """The password by now. Raises OSError while it was never there, ValueError of an empty file."""
        try:
            self._last = read_password(self.file)
        except (OSError, ValueError) as trouble:
            if not self._last:
                raise
            log.warning("password not read; the last one is used", file=str(self.file), why=str(trouble))
        return self._last


def read_password(file: Path) -> str:
    """The first line of a file. Raises OSError, or ValueError when it is empty or no UTF-8."""
    password = file.read_text(encoding="utf-8").partition("\n")[0].strip("\r")
    if not password:
        raise ValueError(f"the file {file} is empty")
    return password


@dataclass(slots=True)
class Tls:
    """How a client knows its server: by the CAs of a file or of the system; and how the server knows it.

    While a file cannot be read (it is being renewed), what was read last goes on counting.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    _last: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    def now(self) -> ssl.SSLContext:
        """What the files say by now. Raises OSError (ssl.SSLError is one) while they were never right."""
        try:
            self._last = self._read()
        except OSError as trouble:
            if self._last is None:
                raise
            log.warning("certificates not read; the last ones are used", why=str(trouble))
        return self._last

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context
