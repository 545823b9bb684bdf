"""The passwords of the database roles, made once and kept."""

import json
from pathlib import Path

import pytest

from ops.setup.provision import CONSOLE_ROLE, ROLES, kept_passwords
from ops.shell.problem import Problem

WITH_PASSWORD = "postgresql://admin:secret@db:5432/postgres"
WITHOUT = "postgresql://admin@db:5432/postgres"


@pytest.mark.parametrize("server", [WITH_PASSWORD, WITHOUT])
def test_a_directory_of_before_the_console_learns_its_password_and_keeps_the_others(
    tmp_path: Path, server: str
) -> None:
    file = tmp_path / "passwords.json"
    new = kept_passwords(file, server)
    earlier = {role: password for role, password in new.items() if role != CONSOLE_ROLE}
    file.write_text(json.dumps(earlier))

    kept = kept_passwords(file, server)

    assert {role: kept[role] for role in earlier} == earlier
    assert len(set(kept.values())) == len(ROLES)
    assert kept == kept_passwords(file, server) == json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600


def test_two_directories_of_one_server_agree_on_the_password_that_came_later(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    here = kept_passwords(new, WITH_PASSWORD)
    old.write_text(json.dumps({role: here[role] for role in ROLES if role != CONSOLE_ROLE}))

    assert kept_passwords(old, WITH_PASSWORD) == here


def test_a_file_that_lacks_any_other_role_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "passwords.json"
    file.write_text(json.dumps({CONSOLE_ROLE: "x"}))

    with pytest.raises(Problem, match="has no text for pawl_owner"):
        kept_passwords(file, WITHOUT)
