"""Asking a service in the name of a person: with a token that allows what is asked, and nothing else."""

import asyncio
from collections.abc import Mapping
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, NamedTuple
from uuid import UUID

from msgspec import Struct

from console.people import Person
from console.signing import Signer
from ops.shell.asking import look, take, tell
from ops.shell.problem import Exit, Problem
from ops.shell.system import System

SECONDS: Final = 30.0
IN_MEMORY: Final = 4_000_000
"""So many bytes of a file are kept in memory; the rest goes to disk, into a file without a name."""
REVEAL: Final = "evidence:read"
"""The scope of whoever may be shown what pages hide, for a reason."""


class Services(Struct, frozen=True):
    """The services of a system, and what signs for who asks them."""

    system: System
    signer: Signer

    def url(self, service: str) -> str:
        """Where a service answers. Raises Problem when that is not known."""
        return self.system.service(service).base_url

    def token(self, person: Person, scope: str) -> str:
        """A token for one request."""
        return self.signer(person, scope)

    async def look(self, person: Person, service: str, scope: str, path: str) -> Any:
        """What a service shows. Raises Problem."""
        return await look(f"{self.url(service)}{path}", self.token(person, scope), scope, timeout=SECONDS)

    async def tell(
        self,
        person: Person,
        service: str,
        scope: str,
        path: str,
        body: Mapping[str, Any],
        key: str | None = None,
        seconds: float = SECONDS,
    ) -> Any:
        """What a service decides, under this Idempotency-Key or a new one. Raises Problem."""
        url, token = f"{self.url(service)}{path}", self.token(person, scope)
        return await tell(url, dict(body), token, scope, key=key, timeout=seconds)

    async def take(self, person: Person, service: str, scope: str, path: str) -> "Taken":
        """A file of a service. It is whole when this returns, and nobody else can open it. Raises Problem."""
        url, token = f"{self.url(service)}{path}", self.token(person, scope)
        file: BinaryIO = SpooledTemporaryFile(IN_MEMORY)  # type: ignore[assignment]  # noqa: SIM115 it is closed with its answer
        try:
            headers = await asyncio.to_thread(take, url, file, token, scope, lambda there, of: None)
        except BaseException:
            file.close()
            raise
        return Taken(headers, file)


class Taken(NamedTuple):
    """A file that a service gave out, and the headers of it."""

    headers: Mapping[str, str]
    file: BinaryIO


def reason_of(form: Mapping[str, str]) -> str:
    """Why somebody does this. Raises Problem where nobody says it."""
    reason = form.get("reason", "").strip()
    if not reason:
        raise Problem("This needs a reason, which is kept.", "Go back and say why.", Exit.USAGE)
    return reason


def id_of(text: str) -> str:
    """An id of ours. Raises Problem for what is none."""
    try:
        return str(UUID(text))
    except ValueError:
        raise Problem(f"{text!r} is no id.", "", Exit.NOTHING_MATCHED) from None


async def reveal(services: Services, person: Person, service: str, target: str, reason: str) -> None:
    """Keeps in the audit log of a service that somebody is shown what pages hide. Raises Problem."""
    body = {"target": target, "reason": reason}
    await services.tell(person, service, REVEAL, "/v1/ops/reveals", body)
