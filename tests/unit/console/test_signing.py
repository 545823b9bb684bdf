"""The persons of a demo are in a console that `pawl up` has started on its own servers, and nowhere else."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import jwt
import pytest
from pydantic import ValidationError

from console.people import DEMO, USUAL_SCOPES
from console.signing import CannotSignIn, demo_signer
from ops.shell.private_files import write_private
from ops.shell.run_directory import ProcessMark, RunDirectory, RunState
from ops.shell.tokens import new_key
from tests.support.console_app import settings_of

OURS = os.getpid()


def run_directory(path: Path, servers: Sequence[str] = ("kafka", "postgres"), signs: bool = True) -> Path:
    """What a `pawl up` leaves whose process is this one."""
    folder = RunDirectory(path)
    folder.create()
    own = ProcessMark.of("pawl up", OURS)
    assert own is not None
    marks = [ProcessMark(name, own.pid, own.started, own.command) for name in servers]
    folder.write_state(RunState(up=own, ready=True, signs_tokens=signs, processes=marks))
    write_private(folder.token_key, new_key())
    return path


def test_a_token_names_the_person_allows_one_scope_and_ends_in_a_minute(tmp_path: Path) -> None:
    sign = demo_signer(run_directory(tmp_path), "127.0.0.1", lambda: OURS)

    claims = jwt.decode(sign(DEMO["finance"], "ops:write"), options={"verify_signature": False})

    assert (claims["sub"], claims["scope"]) == ("demo:finance", "ops:write")
    assert claims["exp"] <= time.time() + 61


def test_a_setting_alone_makes_no_persons_of_a_demo(tmp_path: Path) -> None:
    settings = settings_of(console_demo_directory=str(tmp_path))
    assert settings.console_demo_directory is not None

    with pytest.raises(CannotSignIn, match="that `pawl up` started"):
        demo_signer(settings.console_demo_directory, settings.http_host)


def test_a_console_that_somebody_else_started_has_no_persons_of_a_demo(tmp_path: Path) -> None:
    with pytest.raises(CannotSignIn, match="that `pawl up` started"):
        demo_signer(run_directory(tmp_path), "127.0.0.1", lambda: 1)


@pytest.mark.parametrize(
    ("servers", "signs"), [((), True), (("kafka",), True), (("kafka", "postgres"), False)]
)
def test_a_system_on_a_database_or_keys_of_others_has_none(
    tmp_path: Path, servers: Sequence[str], signs: bool
) -> None:
    with pytest.raises(CannotSignIn, match="by itself"):
        demo_signer(run_directory(tmp_path, servers, signs), "127.0.0.1", lambda: OURS)


def test_a_directory_in_which_nothing_runs_has_none(tmp_path: Path) -> None:
    with pytest.raises(CannotSignIn):
        demo_signer(tmp_path, "127.0.0.1", lambda: OURS)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "pawl.example"])
def test_a_console_that_others_can_reach_has_none(tmp_path: Path, host: str) -> None:
    with pytest.raises(CannotSignIn, match="this machine alone"):
        demo_signer(run_directory(tmp_path), host, lambda: OURS)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"console_roles": {**USUAL_SCOPES, "viewer": ["everything"]}}, "no scope"),
        ({"console_roles": {"viewer": []}}, "does not say what operator"),
        ({"console_roles": {**USUAL_SCOPES, "root": []}}, "viewer"),
        ({"pawl_postgres": "postgresql://pawl_console:x@127.0.0.1/pawl"}, "read and write nothing"),
        ({"pawl_services": ""}, "at least 1"),
    ],
)
def test_a_wrong_setting_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings_of(**changed)
