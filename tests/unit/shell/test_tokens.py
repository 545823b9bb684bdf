"""Which token a command sends, what `pawl token` prints, and what a refusal says to do."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.http_client import Answer
from ops.shell.problem import Problem
from ops.shell.refusals import require_allowed
from ops.shell.run_directory import ProcessMark, RunDirectory, RunState
from ops.shell.tokens import (
    KEY,
    KEYS_OF_SERVICES,
    TOKEN,
    new_key,
    settings_of,
    signed,
    token_for,
)
from shared.settings import ServiceSettings, WrongSetting, read_settings
from shared.web.callers import Caller
from shared.web.tokens import KeySet, Tokens, fetch_from
from tests.support.keys import KEY_SETTINGS


def read(token: str, key: str) -> Caller:
    """What services understand of a token, who take those of a key."""
    settings = settings_of(key)
    keys = KeySet(fetch_from(settings[KEYS_OF_SERVICES]))
    tokens = Tokens(keys, settings["TOKEN_ISSUER"], settings["TOKEN_AUDIENCE"])
    return asyncio.run(tokens.caller(f"Bearer {token}"))


@pytest.fixture
def running(tmp_path: Path) -> RunDirectory:
    """The run directory of a system that runs and signs its own tokens."""
    folder = RunDirectory(tmp_path)
    folder.create()
    folder.token_key.write_text(new_key())
    mark = ProcessMark.of("pawl up", os.getpid())
    assert mark is not None
    folder.write_state(RunState(up=mark, ready=True, signs_tokens=True))
    return folder


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(app, ["token", *arguments], env={TOKEN: "", KEY: "", **environment})


def test_a_token_of_the_system_that_runs_here(running: RunDirectory) -> None:
    result = run("--scope", "serials:read serials:export", "--partner", "P-17", "--dir", str(running.path))

    caller = read(result.stdout.strip(), running.token_key.read_text())
    assert caller.scopes == {"serials:read", "serials:export"}
    assert caller.partner_id == "P-17"


def test_no_token_for_a_system_whose_keys_come_from_elsewhere(running: RunDirectory) -> None:
    state = running.read_state()
    assert state is not None
    state.signs_tokens = False
    running.write_state(state)

    result = run("--scope", "ops:read", "--dir", str(running.path))

    assert result.exit_code == 1
    assert "elsewhere" not in result.stdout
    assert isinstance(result.exception, Problem | SystemExit)


def test_the_key_of_the_environment_signs_where_no_directory_is_named() -> None:
    key = new_key()

    result = run("--scope", "all", "--sub", "kim", **{KEY: key})

    assert read(result.stdout.strip(), key).sub == "kim"


def test_without_a_scope_they_are_listed() -> None:
    assert "invoices:approve" in run().stdout


def test_an_unknown_scope_is_named() -> None:
    result = run("--scope", "ops:rule", **{KEY: new_key()})

    assert result.exit_code != 0
    assert "ops:rule" in str(result.exception) + result.output


def test_a_command_takes_what_it_is_given_before_it_signs(tmp_path: Path, running: RunDirectory) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")

    assert token_for("ops:read", running.path, file, environment={TOKEN: "x"}) == "from-the-file"
    assert token_for("ops:read", running.path, environment={TOKEN: "from-outside"}) == "from-outside"
    own = token_for("ops:read", running.path, actor="kim", environment={})
    assert read(own, running.token_key.read_text()) == Caller("kim", frozenset({"ops:read"}))


def test_who_asks_is_said_by_the_token_where_one_is_given() -> None:
    with pytest.raises(Problem, match="who asks"):
        token_for("ops:read", actor="kim", environment={TOKEN: "given"})


def test_without_any_key_the_command_says_where_tokens_come_from(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="PAWL_TOKEN") as problem:
        token_for("ops:write", tmp_path, environment={})
    assert "ops:write" in problem.value.message


@pytest.mark.parametrize("text", ["", "nonsense", "eyJ4IjogMX0"])
def test_a_broken_key_is_named(text: str) -> None:
    with pytest.raises(Problem, match="cannot be read"):
        signed(text, ["ops:read"], "kim", 5)


@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_refusal_says_what_to_do(status: int) -> None:
    with pytest.raises(Problem) as problem:
        require_allowed(Answer(status, '{"detail": "because"}'), "ops:write")
    assert "because" in problem.value.message
    assert problem.value.hint


NEEDED = {
    "KAFKA_BOOTSTRAP_SERVERS": "broker:9092",
    "DATABASE_URL": "postgresql://nobody@localhost/x",
    "DATA_KEY": KEY_SETTINGS["DATA_KEY"],
}
COMPLETE = {"TOKEN_ISSUER": "https://login.example", "TOKEN_AUDIENCE": "pawl"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({KEYS_OF_SERVICES: "https://login.example/jwks"}, "TOKEN_ISSUER"),
        ({KEYS_OF_SERVICES: "/a/file", "TOKEN_ISSUER": "x"}, "TOKEN_AUDIENCE"),
        ({KEYS_OF_SERVICES: "http://login.example/jwks", **COMPLETE}, "TOKEN_JWKS"),
        ({KEYS_OF_SERVICES: "eyJrZXlzIjogW119", **COMPLETE}, "TOKEN_JWKS"),
    ],
)
def test_a_setting_of_tokens_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], named: str
) -> None:
    for name, value in {**NEEDED, **settings}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(WrongSetting, match=named):
        read_settings(ServiceSettings)


@pytest.mark.parametrize("place", ["https://x.example/jwks", "http://127.0.0.1:8080/jwks", "/a/file", ""])
def test_keys_come_from_https_from_this_machine_or_a_file(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for name, value in {**NEEDED, **COMPLETE, KEYS_OF_SERVICES: place}.items():
        monkeypatch.setenv(name, value)

    assert (read_settings(ServiceSettings).tokens() is None) == (place == "")
