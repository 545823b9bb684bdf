"""Whatever stdout and stderr are: a terminal without Korean, a pipe that nobody reads, a full disk."""

import builtins
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops import cli, pawl
from ops.shell.output import print_json, tell_on_stderr
from ops.shell.problem import Problem

WORDS = "₩176,000 paid ✓ 스터디 이용권"


def speak() -> None:
    """A command that says what many of ours say."""
    print(WORDS)
    print_json({"words": WORDS, "beyond": "\N{GRINNING FACE}"})
    tell_on_stderr(WORDS)


def fail() -> None:
    """A command with a Problem."""
    raise Problem(f"{WORDS} is not there.", "Look elsewhere.")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs one of the commands above as the program `pawl`; its exit code."""

    def run(name: str = "speak") -> int:
        monkeypatch.setattr(
            cli,
            "COMMANDS",
            [cli.Command("speak", f"{__name__}:speak"), cli.Command("fail", f"{__name__}:fail")],
        )
        monkeypatch.setattr(sys, "argv", ["pawl", name])
        with pytest.raises(SystemExit) as ended:
            pawl.main()
        return int(ended.value.code or 0)

    return run


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def written(to: io.TextIOWrapper) -> str:
    to.flush()
    return to.buffer.getvalue().decode(to.encoding)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "euc-kr", "utf-8"])
def test_every_text_can_be_shown_everywhere(
    encoding: str, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = stream(encoding), stream(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    assert run() == 0

    words, document = written(out).splitlines()
    assert "176,000 paid" in words
    assert json.loads(document) == {"words": WORDS, "beyond": "\N{GRINNING FACE}"}
    assert "176,000 paid" in written(err)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_problem_can_be_shown_everywhere(
    encoding: str, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    err = stream(encoding)
    monkeypatch.setattr(sys, "stderr", err)

    assert run("fail") == 1

    assert written(err).startswith("pawl: ")
    assert written(err).endswith("is not there.\n      Look elsewhere.\n")


def test_a_reader_that_has_read_enough_hears_no_more(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as broken, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", broken)
        code = run()

    assert code == 1
    assert capsys.readouterr().err == f"{WORDS}\n"


def test_a_full_disk_is_told(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w") as full, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        code = run()

    assert code == 1
    assert "The output could not be written: No space left on device" in capsys.readouterr().err


def test_closed_streams_take_everything(run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)

    assert run() == 0


def test_what_goes_to_stderr_never_goes_to_stdout_instead(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`pawl lag --json 2>&-` is one JSON document still: Python prints to stdout where stderr is closed."""
    monkeypatch.setattr(sys, "stderr", None)

    assert run() == 0

    assert len(capsys.readouterr().out.splitlines()) == 2


def test_ctrl_c_while_it_is_still_importing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imports = builtins.__import__

    def interrupted(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "ops.cli":
            raise KeyboardInterrupt
        return imports(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", interrupted)

    with pytest.raises(SystemExit) as ended:
        pawl.main()

    assert ended.value.code == 130
    assert capsys.readouterr().err == "pawl: Interrupted.\n"


def test_the_program_itself_imports_nothing_before_it_can_explain_an_interruption() -> None:
    """The process as a shell starts it, interrupted in the middle of its longest import."""
    code = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from ops.pawl import main
assert "typer" not in sys.modules
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "pawl: Interrupted.\n")


def test_the_process_ends_without_a_word_when_its_reader_goes() -> None:
    """At its exit Python flushes stdout again, which must not complain either."""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m ops.pawl version | true"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
