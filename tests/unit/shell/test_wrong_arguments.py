"""Every command with addresses and files that people get wrong: what is wrong, a next step, no password."""

import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.problem import Problem
from ops.shell.urls import require_postgres, without_password
from shared.brokers import Brokers, place_of
from tests.unit.shell.test_broken_files import MORE, SAMPLES, leaves

SECRET = "s3cr3t"
NOBODY = {"--kafka": "127.0.0.1:1", "--postgres": "postgresql://ops:x@127.0.0.1:1/pawl"}
WRONG = {
    "--kafka": (
        "",
        "host:port",
        "host:99999",
        "host:0",
        "::1",
        "h:1,",
        "http://h:1",
        "ssl://[h",
        f"sasl_plaintext://u:{SECRET}",
        f"sasl_plaintext://u:{SECRET}/more@h:1",
        f"sasl_plaintext://u:{SECRET}@h:1?mechanism=GSSAPI",
        "\udcff:1",
    ),
    "--postgres": (
        "localhost",
        "postgresql://[h/db",
        f"mysql://u:{SECRET}@h/db",
        f"postgresql://u:{SECRET}/more@h/db",
        f"postgresql://u:{SECRET}@127.0.0.1:99999/db",
        f"postgresql://u:{SECRET}@127.0.0.1:0/db",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db?password={SECRET}",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db?sslmode=banana",
        f"postgresql://u:{SECRET}@more@127.0.0.1:1/db",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db?application_name=\udcff",
    ),
}


@cache
def commands_with(option: str) -> list[list[str]]:
    found = []
    for words, command in leaves():
        if any(option in parameter.opts for parameter in command.params):
            needed = [
                SAMPLES[parameter.name or ""]
                for parameter in command.params
                if parameter.param_type_name == "argument" and parameter.required and words not in MORE
            ]
            found.append([*words.split(), *MORE.get(words, ()), *needed])
    return found


def all_wrong() -> Iterator[tuple[list[str], str, str]]:
    for option, texts in WRONG.items():
        for command in commands_with(option):
            for text in texts:
                yield command, option, text


@pytest.mark.parametrize(("command", "option", "text"), list(all_wrong()), ids=repr)
def test_a_wrong_address_is_explained_without_its_password(
    command: list[str], option: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    taken = {o for o in NOBODY if command in commands_with(o)}
    addresses = {**NOBODY, option: text}
    options = [word for name in sorted(taken) for word in (name, addresses[name])]

    result = CliRunner().invoke(app, [*command, *options, "--dir", str(tmp_path / ".pawl")])

    assert isinstance(result.exception, (Problem, SystemExit)), result.exception
    assert SECRET not in result.output + str(result.exception)
    assert not isinstance(result.exception, Problem) or result.exception.hint


FILES = {
    "empty": b"",
    "blank": b"\n\n",
    "a number": b"5\n",
    "a list": b"[1]\n",
    "nothing in it": b"{}\n",
    "not text": b"\xff\xfe\x00\x80\n",
    "not zipped.csv.gz": b"order,line\n",
    "cut short.csv.gz": gzip.compress(b"order,line\n" * 1000)[:40],
    "cut short.jsonl": b'{"kind": "request", "pay',
}


@pytest.mark.parametrize("name", [*FILES, "a folder", "missing", "missing/below", "empty/below"])
@pytest.mark.parametrize(
    "command",
    [["check", "--history"], ["replay"], ["record"]],
    ids=" ".join,
)
def test_a_file_that_cannot_be_used_is_explained(command: list[str], name: str, tmp_path: Path) -> None:
    for each, content in FILES.items():
        (tmp_path / each).write_bytes(content)
    (tmp_path / "a folder").mkdir()
    nobody = [word for pair in NOBODY.items() for word in pair]

    result = CliRunner().invoke(app, [*command, str(tmp_path / name), *nobody])

    assert result.exception is None or isinstance(result.exception, (Problem, SystemExit)), result.exception


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:s3cr3t@h:5/db", "postgresql://u@h:5/db"),
        ("postgresql://u:s3/cr@3t@h/db?password=s3cr3t", "postgresql://u@h/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgres://h",
        "postgresql://u:p%2F@[::1]:5432/db",
        "postgresql://u:p@h1:1,h2:2/db",
        "postgresql:///db",
    ],
)
def test_every_address_that_the_client_takes_is_one(url: str) -> None:
    assert require_postgres(url) == url


def test_brokers_are_found_with_and_without_a_port() -> None:
    assert place_of("broker:19092") == ("broker", 19092)
    assert place_of("broker") == ("broker", 9092)
    assert place_of("[::1]:9092") == ("::1", 9092)
    assert Brokers.at("a:1, b.example:2,c_d").servers == "a:1, b.example:2,c_d"
