"""A service without the keys that it needs ends at once, as a real process: one line and no traceback."""

import os
import subprocess
import sys

import pytest

from tests.support.keys import KEY_SETTINGS

NOWHERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/nothing",
}
MISSING = [("serials", "SERIAL_LOOKUP_KEY"), ("serials", "SERIAL_TEXT_KEY"), ("orders", "DATA_KEY")]
ZEROS = "A" * 43 + "="


def start(service: str, **keys: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], **NOWHERE, **keys}
    command = [sys.executable, "-m", f"services.{service}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("service", "name"), MISSING)
def test_a_start_without_a_key_is_refused_with_its_name_and_how_to_make_one(service: str, name: str) -> None:
    ended = start(service, **{other: key for other, key in KEY_SETTINGS.items() if other != name})

    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert line.startswith(f"pawl: setting {name}: is missing (32 bytes in base64, as of `openssl rand")


@pytest.mark.parametrize(("service", "name"), MISSING)
def test_a_start_with_zeros_for_a_key_is_refused(service: str, name: str) -> None:
    ended = start(service, **{**KEY_SETTINGS, name: ZEROS})

    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert line.startswith(f"pawl: setting {name}: is no random key: make one with `openssl rand -base64 32`")
    assert ZEROS not in line
