"""Bugs on purpose for histories that are tampered with: in offsets, recovery, relay, places and retries."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unittest.mock import patch
from uuid import UUID

import asyncpg

import shared.runtime.consumer as consumer_module
import shared.runtime.fold as fold_module
import shared.runtime.offsets as offsets_module
import shared.runtime.recovery as recovery_module
import shared.runtime.retry as retry_module
from shared.runtime import schema_behind
from shared.runtime.batch_size import Attempts
from shared.runtime.fold import Fold
from shared.runtime.offsets import Gap, Judged, Place, Stand
from shared.runtime.records import Record
from shared.runtime.recovery import Recoverer
from shared.runtime.recovery_rules import Told
from shared.runtime.relay import BEHIND, Relay
from tests.simulation.bug import Bug

# Offsets

_judge = offsets_module.judge


def _moved_in_silence(stand: Stand) -> Judged:
    judged = _judge(stand)
    is_moved = judged.gap is not None and judged.gap.kind == "moved"
    return judged._replace(gap=None) if is_moved else judged


def _deleted_in_silence(stand: Stand) -> Judged:
    judged = _judge(stand)
    is_deleted = judged.gap is not None and judged.gap.kind == "deleted"
    return judged._replace(gap=None) if is_deleted else judged


async def _no_jump_is_a_gap(consumer: Any, jumps: Mapping[Place, Any]) -> list[tuple[Place, Gap]]:
    return []


def _account_goes_back(stand: Stand) -> Judged:
    """A group that is set back takes the account with it, and what it knows counts as missed later."""
    return _judge(stand)._replace(next_offset=stand.first)


# Restores


async def _looks_at_nothing(*_: Any) -> list[Any]:
    return []


def _decides_anew(told: Told, rows: Iterable[Any]) -> list[None]:
    return [None for _ in rows]


def _ids_of_its_own(fresh: Sequence[Any], pairs: Any) -> list[Any]:
    """Others than were asked for: those could be learned, and be told right when all is done again."""
    return [UUID(int=each.int ^ 1) for each in fresh]


_bring = Recoverer._bring


async def _brings_answers_only(recoverer: Any, connection: Any, message: Any, told: Any, result: Any) -> Any:
    """What led to no event of its own topic is passed over."""
    causes = {entry.causation for entry in told.entries()}
    if message.event_id not in causes:
        return None
    return await _bring(recoverer, connection, message, told, result)


async def _keeps_no_offsets(recoverer: Any, connection: Any, inputs: Any) -> None:
    """What was brought forward is not noted: it looks like something that was never read."""


# Places


async def _others_forgotten(fold: Fold, connection: Any, query: str, taken: Any) -> list[Any]:
    return []


def _digest_of_the_place(record: Record, *, with_time: bool = True) -> bytes:
    return f"{record.topic}/{record.partition}/{record.offset}".encode()


# Relays

_set_aside = Relay._set_aside


async def _follows_at_once(relay: Any, connection: Any, rows: Any, state: str, why: str) -> None:
    """The key of a refused event is forgotten: what follows for it goes out before it."""
    await _set_aside(relay, connection, rows, state, why)
    relay._unsent.difference_update((row["topic"], row["key"]) for row in rows)


async def _nowhere_aside(relay: Any, connection: Any, rows: Any, state: str, why: str) -> None:
    """A refused event stands nowhere, and the mark moves over it."""
    relay._unsent.update((row["topic"], row["key"]) for row in rows)
    relay._acknowledged.update(row["id"] for row in rows)


async def _never_aside(relay: Any, connection: Any, rows: Any, state: str, why: str) -> None:
    """A refused event stays where it is: nothing gets past it."""
    if state == BEHIND:
        await _set_aside(relay, connection, rows, state, why)


_with_new_producer = Relay._publish_with_new_producer


async def _forgets_what_is_aside(relay: Any, connection: Any) -> None:
    """A leader does not ask what is set aside already."""
    relay._unsent = set()
    await _with_new_producer(relay, connection)


# Faults of the whole database


def _is_of_one_row(error: type[BaseException]) -> bool:
    return issubclass(error, asyncpg.PostgresError) and not issubclass(error, asyncpg.PostgresConnectionError)


_FEW = tuple(error for error in retry_module.TRANSIENT if not _is_of_one_row(error))


def _never_short(attempts: Any, concern: Any) -> bool:
    return False


_settle = Fold._settle


async def _first_half_only(fold: Fold, messages: list[Any]) -> None:
    """What is too much is halved, and the second half is forgotten."""
    with patch.object(fold_module.Fold, "_settle", _settle):
        try:
            batch = await fold._despite_races(
                len(messages), lambda begun: fold._transaction(messages, begun=begun)
            )
        except fold_module._TimeIsShort:
            await fold._settle(messages[: len(messages) // 2])
            return
        except Exception as refusal:
            await fold._halve(messages, refusal)
            return
    if batch.after_commit:
        await fold.retry_keys(sorted(batch.after_commit))


OF_TAMPERING: Sequence[Bug] = tuple(
    Bug(name, owner, attribute, wrong, is_of_tampering=True)
    for name, owner, attribute, wrong in (
        ("a group that was set forward is not noticed", offsets_module, "judge", _moved_in_silence),
        ("deleted records are not noticed at a start", offsets_module, "judge", _deleted_in_silence),
        ("deleted records are passed over while reading", consumer_module, "_deleted", _no_jump_is_a_gap),
        ("a group that was set back takes the account along", offsets_module, "judge", _account_goes_back),
        ("a restored schema starts", schema_behind, "unknown_events", _looks_at_nothing),
        ("recovery decides anew what was published", Told, "counterparts", _decides_anew),
        ("recovery draws ids of its own", recovery_module, "ids_told", _ids_of_its_own),
        ("recovery passes over what led to no event", Recoverer, "_bring", _brings_answers_only),
        ("recovery does not note how far it came", Recoverer, "_note_offsets", _keeps_no_offsets),
        ("a second record at a place is taken for the first", Fold, "_others", _others_forgotten),
        ("a digest is that of the place", fold_module, "digest_of", _digest_of_the_place),
        ("what follows a refused event overtakes it", Relay, "_set_aside", _follows_at_once),
        ("a refused event is thrown away", Relay, "_set_aside", _nowhere_aside),
        ("a refused event stops the relay", Relay, "_set_aside", _never_aside),
        (
            "a leader forgets what is set aside",
            Relay,
            "_publish_with_new_producer",
            _forgets_what_is_aside,
        ),
        ("a fault of the whole database blocks an event", retry_module, "TRANSIENT", _FEW),
        (
            "what is too much for its time is never made smaller",
            Attempts,
            "is_short_of_time",
            _never_short,
        ),
        ("half of what is too much for its time is forgotten", Fold, "_settle", _first_half_only),
    )
)
