"""The command line as a whole: what it lists, what it says when something is wrong, how it ends."""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ops import cli
from ops.cli import COMMANDS, Command, app
from ops.shell.problem import Exit, Problem

runner = CliRunner()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself_with_an_example(command: Command) -> None:
    result = runner.invoke(app, [command.name, "--help"])

    assert result.exit_code == Exit.OK
    assert f"pawl {command.name}" in result.output
    assert "Example:" in result.output or "Commands" in result.output


def test_the_help_lists_every_command() -> None:
    result = runner.invoke(app, ["--help"])

    assert all(f" {command.name} " in result.output for command in COMMANDS)
    assert "4 nothing matched" in result.output


def test_an_unknown_command_is_a_usage_error() -> None:
    assert runner.invoke(app, ["upp"]).exit_code == Exit.USAGE


def test_the_versions_are_one_json_document() -> None:
    result = runner.invoke(app, ["version", "--json"])

    assert set(json.loads(result.stdout)) == {"pawl", "kafka", "postgres"}


def test_the_option_prints_the_same_versions_as_the_command() -> None:
    option, command = runner.invoke(app, ["--version"]), runner.invoke(app, ["version"])

    assert option.exit_code == Exit.OK
    assert option.stdout == command.stdout
    assert option.stdout.startswith("pawl ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion_script(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))

    result = runner.invoke(app, ["--show-completion"])

    assert result.exit_code == Exit.OK
    assert f"_PAWL_COMPLETE=complete_{shell}" in result.output


def complete(*words: str) -> list[str]:
    """What bash offers after these words, the last of which is not finished."""
    environment = {
        "_PAWL_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("pawl", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return runner.invoke(app, env=environment).stdout.split()


def test_completion_lists_the_commands() -> None:
    assert complete("") == [command.name for command in COMMANDS]
    assert complete("re") == ["replay", "refund", "refunds", "record", "recover"]


def test_completion_lists_the_options_of_a_command_and_the_commands_of_a_group() -> None:
    assert {"--kafka", "--postgres", "--dir", "--json"} <= set(complete("lag", "--"))
    assert complete("dead", "") == ["ls", "show", "replay", "edit", "resolve"]
    assert "--reason" in complete("dead", "replay", "--")


def test_completing_a_command_imports_none() -> None:
    code = "import sys, ops.cli as cli, atexit; atexit.register(lambda: print(*sys.modules)); cli.main()"
    environment = {**os.environ, "_PAWL_COMPLETE": "complete_bash", "COMP_WORDS": "pawl ", "COMP_CWORD": "1"}

    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'pawl'; " + code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    ours = {name for name in done.stdout.split() if name.startswith(("ops", "shared", "services"))}
    assert "lag" in done.stdout.splitlines()
    assert ours == {"ops", "ops.cli", "ops.shell", "ops.shell.output", "ops.shell.problem"}


def test_the_version_is_told_where_no_postgres_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image of the services has no metadata of Pawl either: its version stands in the code."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("ops.local.postgres.version", missing)

    assert json.loads(runner.invoke(app, ["version", "--json"]).stdout)["postgres"] is None
    assert "postgres is not installed here" in runner.invoke(app, ["version"]).stdout


def test_nothing_to_stop_matches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["pawl", "down", "--dir", str(tmp_path / ".pawl")])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == Exit.NOTHING_MATCHED
    assert f"pawl: Nothing is running in {tmp_path / '.pawl'}." in capsys.readouterr().err


def test_wiping_asks_first_and_no_keeps_everything(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{}")

    result = runner.invoke(app, ["down", "--wipe", "--dir", str(tmp_path)], input="n\n")

    assert result.exit_code == Exit.FAILED
    assert (tmp_path / "keys.json").exists()


def test_wiping_removes_the_run_directory(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{}")

    result = runner.invoke(app, ["down", "--wipe", "--yes", "--dir", str(tmp_path)])

    assert result.exit_code == Exit.OK
    assert not tmp_path.exists()


def test_wiping_spares_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    result = runner.invoke(app, ["down", "--wipe", "--yes", "--dir", str(tmp_path)])

    assert isinstance(result.exception, Problem)
    assert result.exception.exit_code == Exit.USAGE
    assert (tmp_path / "thesis.txt").exists()


def test_a_group_of_commands_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    group = typer.Typer(help="A group.")
    group.command("ls")(lambda: typer.echo("listed"))
    group.command("show")(lambda: typer.echo("shown"))
    monkeypatch.setattr(cli, "A_GROUP", group, raising=False)
    monkeypatch.setattr(cli, "COMMANDS", [Command("things", "ops.cli:A_GROUP")])

    assert runner.invoke(app, ["things", "ls"]).output == "listed\n"
