"""The hooks before a commit run what `make lint` runs, and refuse secrets and large files."""

import base64
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from pre_commit.clientlib import load_config

from devtools.staged_files import LARGEST, faults_of, main
from tests.support.guides import ROOT, files

CONFIG = ROOT / ".pre-commit-config.yaml"


def entries() -> list[str]:
    """The commands of the hooks, in order."""
    repositories = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repos"]
    return [hook["entry"] for repository in repositories for hook in repository["hooks"]]


def test_the_hooks_are_what_pre_commit_understands() -> None:
    assert load_config(str(CONFIG))["fail_fast"] is True


def test_the_hooks_run_what_make_lint_runs() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2].partition("\n\n")[0]
    commands = [f".venv/bin/{command}" for command in re.findall(r"\$\(BIN\)/(.+)", recipe)]

    assert commands
    assert entries() == [".venv/bin/python -m devtools.staged_files", *commands]


def test_no_hook_needs_a_network() -> None:
    """Each repository is this one, and each command lies in the environment that `make venv` makes."""
    repositories = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repos"]

    assert {repository["repo"] for repository in repositories} == {"local"}
    assert {hook["language"] for repository in repositories for hook in repository["hooks"]} == {"system"}


def test_editors_and_the_linter_agree_on_the_length_of_a_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    editors = ConfigParser()
    editors.read_string("[top]\n" + (ROOT / ".editorconfig").read_text(encoding="utf-8"))

    assert int(editors["*.py"]["max_line_length"]) == project["tool"]["ruff"]["line-length"]


def test_nothing_in_the_repository_is_refused() -> None:
    assert [fault for path in files() for fault in faults_of(path)] == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-----BEGIN " + "RSA PRIVATE KEY-----", "a private key"),
        (f'SERIAL_TEXT_KEY: "{base64.b64encode(bytes(range(32))).decode()}"', "a key of 32 bytes"),
        ("AKIA" + "QWERTYUIOPASDFGH", "an access key of AWS"),
        ("ghp_" + "a1" * 18, "a token of GitHub"),
        ("xoxb-" + "1234567890-abc", "a token of Slack"),
        (".".join(["eyJ" + "a" * 20, "eyJ" + "b" * 20, "c" * 20]), "a JSON web token"),
    ],
)
def test_what_looks_like_a_secret_is_refused_and_not_repeated(
    text: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fixture.py"
    file.write_text(f"first = 1\n{text}\n")

    assert main([str(file)]) == 1

    said = capsys.readouterr().err
    assert f"{file}:2: looks like {what}" in said
    assert re.sub(r"\W", "", text)[-12:] not in re.sub(r"\W", "", said)


@pytest.mark.parametrize("name", [".env", "server.pem", "id_ed25519", "keys.json", "passwords.json"])
def test_a_file_that_holds_secrets_by_its_name_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()

    assert main([str(tmp_path / name)]) == 1


def test_a_file_of_a_megabyte_may_be_added_and_a_larger_one_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, size in (("fits", LARGEST), ("large", LARGEST + 1)):
        (tmp_path / name).write_bytes(b"x" * size)

    assert main([str(tmp_path / "fits")]) == 0
    assert main([str(tmp_path / "large")]) == 1
    assert "1,000,001 bytes; at most 1,000,000" in capsys.readouterr().err


def test_a_file_that_is_gone_or_a_link_is_no_concern(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / ".env")

    assert main([str(tmp_path / "gone"), str(tmp_path / "link")]) == 0
