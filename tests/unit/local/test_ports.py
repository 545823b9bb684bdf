"""Ports that stay the same, and what is said when they cannot."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops.local.ports import HOST, Ports, is_free
from ops.shell.problem import Problem


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_survives_a_restart(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").take("kafka")
    second = Ports(tmp_path / "ports.json").take("kafka")

    assert first == second


def test_a_server_that_starts_again_gets_its_port_back(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")

    assert ports.take("kafka") == ports.take("kafka")


def test_two_names_never_share_a_port(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")

    given = [ports.take(f"service-{number}") for number in range(50)]

    assert len(set(given)) == 50


def test_a_remembered_port_in_use_is_replaced_and_said(
    tmp_path: Path, taken_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ports.json").write_text(f'{{"kafka": {taken_port}}}')

    port = Ports(tmp_path / "ports.json").take("kafka")

    assert port != taken_port
    assert f"Port {taken_port} of kafka is in use now; it moves to {port}." in capsys.readouterr().err


def test_a_fixed_port_in_use_is_refused_with_a_way_out(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(Problem) as caught:
        Ports(tmp_path / "ports.json").take("postgres", taken_port)

    assert caught.value.message == f"Port {taken_port} for postgres is in use by another program."
    assert "choose another port" in caught.value.hint


def test_a_damaged_file_of_ports_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")

    assert is_free(Ports(tmp_path / "ports.json").take("kafka"))


def test_servers_that_start_side_by_side_get_ports_of_their_own(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    names = [f"server-{number}" for number in range(200)]

    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(ports.take, names))

    assert len(set(taken)) == len(names)
    assert [Ports(tmp_path / "ports.json").take(name) for name in names[:3]] == taken[:3]
