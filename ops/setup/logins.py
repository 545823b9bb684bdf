"""Sets logins and rights on a broker that asks for logins, as deploy/kafka/acls.yaml says. Safe to repeat.

The administrator logs in with a password that the broker's own settings hold (SASL/PLAIN), because somebody
must be able to make the other logins. Everybody else logs in with SCRAM-SHA-512: the broker keeps a salted
hash, and the password itself is never sent, not even when it is set.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code

from ops.setup.broker import ADMINISTRATOR
from ops.setup.kafka_protocol import (
    ALLOW,
    ANY,
    SCRAM_SHA_512,
    SECURITY_DISABLED,
    AlterScramCredentials,
    CreateAcls,
    DeleteAcls,
    DescribeAcls,
    ExactVersion,
)
from ops.setup.provision import derived_password
from ops.setup.rights import Right, wanted_rights
from ops.shell.acls import acls
from ops.shell.private_files import read_or_make_secrets
from ops.shell.problem import Problem
from shared.brokers import Brokers

ITERATIONS = 8192
KNOWN_SECONDS = 20.0


def principals() -> list[str]:
    """Everybody who logs in, without the administrator."""
    return list(acls())


def kept_kafka_passwords(file: Path, administrator: str = "") -> dict[str, str]:
    """The password of the administrator and of every principal, made at the first call and kept with 0600.

    Those of the principals are derived from the administrator's (random when none is given), so that whoever
    starts the services elsewhere can derive the same. Raises Problem when the file is damaged.
    """
    return read_or_make_secrets(
        file,
        lambda: _new_passwords(administrator),
        (ADMINISTRATOR, *principals()),
        f"Move it away (mv {file} {file}.old) and run this again: it is made anew, and the broker learns it.",
    )


def _new_passwords(administrator: str) -> str:
    secret = administrator or secrets.token_urlsafe(24)
    derived = {name: derived_password(secret, name) for name in principals()}
    return json.dumps({ADMINISTRATOR: secret, **derived}, indent=2)


async def secure_broker(administrator: Brokers, passwords: Mapping[str, str]) -> None:
    """Set the passwords of all principals, and give and take rights until they are those of the file.

    Raises Problem when the broker refuses, or does not ask for logins at all.
    """
    async with connected(administrator) as admin:
        await set_passwords(admin, {name: passwords[name] for name in principals()})
        wanted, found = wanted_rights(), await _rights_there(admin, set(principals()))
        await give(admin, sorted(wanted - found))
        await _take_back(admin, sorted(found - wanted))
        await _until_known(admin, administrator, passwords)


@asynccontextmanager
async def connected(brokers: Brokers) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connection for changing logins and rights. Raises Problem when the broker refuses."""
    admin = AIOKafkaAdminClient(**brokers.client(), request_timeout_ms=20_000)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise Problem(
            f"Kafka at {brokers} does not let us set logins and rights: {error or type(error).__name__}",
            "Is this the address of an administrator, and has the broker an authorizer (docs/security.md)?",
        ) from error
    finally:
        await admin.close()


async def set_passwords(admin: AIOKafkaAdminClient, passwords: Mapping[str, str]) -> None:
    """Set the SCRAM password of each of these principals. Raises Problem."""
    upsertions = [_salted(name, password) for name, password in passwords.items()]
    answer = await _to_controller(admin, AlterScramCredentials([], upsertions, {}))
    for name, code, message, _ in answer.results:
        _insist(code, f"the password of {name}", message)


def _salted(name: str, password: str) -> tuple[str, int, int, bytes, bytes, dict[int, bytes]]:
    salt = secrets.token_bytes(24)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return name, SCRAM_SHA_512, ITERATIONS, salt, salted, {}


async def _rights_there(admin: AIOKafkaAdminClient, names: set[str]) -> set[Right]:
    everything = (ANY, None, ANY, None, None, ANY, ANY)
    answer = await admin._send_request(DescribeAcls(*everything))
    _insist(answer.error_code, "the list of rights", answer.error_message)
    rights = (
        Right(who.removeprefix("User:"), resource, name, pattern, operation)
        for resource, name, pattern, acls in answer.resources
        for who, _, operation, _ in acls
    )
    return {right for right in rights if right.principal in names}


async def give(admin: AIOKafkaAdminClient, rights: Sequence[Right]) -> None:
    """Allow these, beside what is allowed already. Raises Problem."""
    if rights:
        answer = await _to_controller(admin, CreateAcls([_entry(right) for right in rights]))
        for right, (code, message) in zip(rights, answer.creation_responses, strict=True):
            _insist(code, f"a right of {right.principal} on {right.name}", message)


async def _take_back(admin: AIOKafkaAdminClient, rights: Sequence[Right]) -> None:
    if rights:
        answer = await _to_controller(admin, DeleteAcls([_entry(right) for right in rights]))
        for right, (code, message, *_) in zip(rights, answer.filter_responses, strict=True):
            _insist(code, f"a right of {right.principal} on {right.name}", message)


async def _until_known(admin: AIOKafkaAdminClient, brokers: Brokers, passwords: Mapping[str, str]) -> None:
    """Waits for the brokers, which learn a moment later what the controller has taken."""
    names = principals()
    login = brokers.log_in_as(names[-1], passwords[names[-1]])
    try:
        async with asyncio.timeout(KNOWN_SECONDS):
            while await _rights_there(admin, set(names)) != wanted_rights() or not await _lets_in(login):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Problem(f"Kafka at {brokers} did not take over the new logins and rights.") from None


async def _lets_in(brokers: Brokers) -> bool:
    client = AIOKafkaClient(**brokers.client())
    try:
        await client.bootstrap()
    except KafkaError:
        return False
    finally:
        await client.close()
    return True


def _entry(right: Right) -> tuple[Any, ...]:
    who = f"User:{right.principal}"
    return right.resource, right.name, right.pattern, who, "*", right.operation, ALLOW


def _insist(code: int, what: str, message: str | None) -> None:
    if code == SECURITY_DISABLED:
        raise Problem(
            "This broker has no authorizer: whoever reaches it may do everything.",
            "Give it one (docs/security.md), or leave out --secure.",
        )
    if code:
        raise Problem(f"The broker refuses {what}: {message or for_code(code).__name__}")


async def _to_controller(admin: AIOKafkaAdminClient, request: ExactVersion) -> Any:
    return await admin._send_to_controller(request)
