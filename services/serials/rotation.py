"""Rotating keys: which of them serials are under, and what an operator's wish to re-key them comes to. Pure.

A key is *current* for a process that makes serials with it, and *earlier* where it only finds and opens. A
rotation puts the serials of every other key under the current one. When none is left, that key is retired.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from services.serials.problems import KEY_MISSING, KEY_NOT_CURRENT
from shared.web.problems import Problem

SERIALS_A_SECOND: Final = 20_000
"""About as many are re-keyed by one process, beside other work (docs/runbooks/key-not-retired.md)."""


class SerialKey(Struct, frozen=True):
    """A key that serials were made with, and how far its rotation is.

    Since `rotated_at` its serials are put under the key `rotated_to`: there were `to_rekey` of them, and
    `rekeyed` are done. The present pass over all serials came to `rekeyed_up_to`. It `stands_at` the serial
    whose text and tag do not belong together. Nothing is under a key that is retired.
    """

    key_id: str
    first_used_at: datetime
    rotated_to: str | None
    rotated_at: datetime | None
    to_rekey: int
    rekeyed: int
    rekeyed_up_to: UUID
    stands_at: UUID | None
    retired_at: datetime | None


class Rotation(NamedTuple):
    """What a wish to rotate comes to: the keys whose rotation begins, and those where it goes on."""

    begun: list[str]
    under_way: list[str]


def begin_rotation(
    keys: Sequence[SerialKey], wanted: str, current: str, configured: Collection[str]
) -> Rotation | Problem:
    """The rotation of all other keys to the one that is `wanted`, or why there is none.

    `current` is what this process makes serials with, `configured` are the keys that it can open with. A key
    that is rotated to another one than that changes its way.
    """
    if wanted != current:
        return Problem(KEY_NOT_CURRENT, current=current, wanted=wanted)
    old = [key for key in keys if key.key_id != wanted and key.retired_at is None]
    if missing := [key.key_id for key in old if key.key_id not in configured]:
        return Problem(KEY_MISSING, key_ids=", ".join(missing))
    return Rotation(
        [key.key_id for key in old if key.rotated_to != wanted],
        [key.key_id for key in old if key.rotated_to == wanted],
    )


def seconds_of(serials: Mapping[str, int], rotation: Rotation) -> int:
    """About how long it takes to re-key the serials of these keys."""
    left = sum(serials.get(key_id, 0) for key_id in (*rotation.begun, *rotation.under_way))
    return -(-left // SERIALS_A_SECOND)


def key_document(key: SerialKey, configured: Collection[str]) -> dict[str, Any]:
    """A key as operators see it. `configured` are the keys that this process can open with."""
    return {**asdict(key), "configured": key.key_id in configured}
