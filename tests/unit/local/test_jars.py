"""The broker's jars: pinned, checked, fetched once."""

import errno
import hashlib
from pathlib import Path

import pytest

from ops.local.jars import Jar, broker_jars, cache_directory, pinned_jars
from ops.shell.problem import Problem

CONTENT = b"the bytes of a jar"
A_JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
ANOTHER = Jar("org.example", "other", "2.0", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Mirror:
    """A download site that gives out the bytes it was told to, and counts."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def fetch(self, jar: Jar, place: Path) -> Path:
        self.asked.append(jar.coordinate)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        place.mkdir()
        (place / "it.jar").write_bytes(answer)
        return place / "it.jar"


def silent(sentence: str) -> None:
    pass


def test_a_jar_is_fetched_once_and_kept(tmp_path: Path) -> None:
    mirror = Mirror(CONTENT)

    first = broker_jars(tmp_path, [A_JAR], mirror.fetch, silent)
    second = broker_jars(tmp_path, [A_JAR], mirror.fetch, silent)

    assert first == second
    assert first[0].read_bytes() == CONTENT
    assert mirror.asked == ["org.example:thing:1.0"]


def test_a_download_with_another_checksum_is_tried_again(tmp_path: Path) -> None:
    mirror = Mirror(b"cut off", CONTENT)

    (path,) = broker_jars(tmp_path, [A_JAR], mirror.fetch, silent)

    assert path.read_bytes() == CONTENT


def test_a_broken_download_names_the_jar_and_what_to_do(tmp_path: Path) -> None:
    mirror = Mirror(b"cut off", b"<html>sign in</html>")

    with pytest.raises(Problem) as caught:
        broker_jars(tmp_path, [A_JAR], mirror.fetch, silent)

    assert "org.example:thing:1.0" in caught.value.message
    assert "another checksum" in caught.value.message
    assert "run the command again" in caught.value.hint


def test_a_download_that_fails_gives_the_reason(tmp_path: Path) -> None:
    mirror = Mirror(OSError("no route to host"), OSError("no route to host"))

    with pytest.raises(Problem, match=r"thing:1\.0 is broken: OSError: no route to host"):
        broker_jars(tmp_path, [A_JAR], mirror.fetch, silent)


def test_nothing_of_a_broken_download_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Problem):
        broker_jars(tmp_path, [A_JAR], Mirror(b"bad", b"bad").fetch, silent)

    assert list(tmp_path.iterdir()) == []


def test_a_jar_damaged_on_the_disk_is_fetched_again(tmp_path: Path) -> None:
    (path,) = broker_jars(tmp_path, [A_JAR], Mirror(CONTENT).fetch, silent)
    path.write_bytes(CONTENT[::-1])
    mirror = Mirror(CONTENT)

    broker_jars(tmp_path, [A_JAR], mirror.fetch, silent)

    assert path.read_bytes() == CONTENT
    assert mirror.asked == ["org.example:thing:1.0"]


def test_a_place_for_downloads_that_is_no_folder_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()

    with pytest.raises(Problem, match="keeping the broker's jars failed at") as caught:
        broker_jars(tmp_path / "cache", [A_JAR], Mirror(CONTENT).fetch, silent)
    assert caught.value.hint.startswith("Check that place, or ")


def test_a_closed_place_for_downloads_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", closed)

    with pytest.raises(Problem) as caught:
        broker_jars(tmp_path / "cache", [A_JAR], Mirror(CONTENT).fetch, silent)

    assert "XDG_CACHE_HOME" in caught.value.hint


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    broker_jars(tmp_path, [A_JAR], Mirror(CONTENT).fetch, silent)
    mirror = Mirror(CONTENT)

    broker_jars(tmp_path, [A_JAR, ANOTHER], mirror.fetch, silent)

    assert mirror.asked == ["org.example:other:2.0"]


def test_the_pinned_list_names_46_jars_each_once() -> None:
    jars = pinned_jars()

    assert len(jars) == 46
    assert len({jar.filename for jar in jars}) == 46
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)


def test_the_cache_follows_the_users_wish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_directory() == tmp_path / "pawl"
