"""Pawl is an image and a repository: an editable install links it, and nothing else of it is built."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import hatchling.build
import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

from shared import __version__

ROOT = Path(__file__).parents[3]
INSTEAD = ("make demo", "docker build -f deploy/Dockerfile")


def test_pip_wheel_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-build-isolation",
            "--no-deps",
            "--no-index",
            "-w",
            tmp_path,
            ROOT,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert built.returncode != 0
    assert "no wheel of it is built" in built.stderr
    assert all(way in built.stderr for way in INSTEAD)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("build", [hatchling.build.build_wheel, hatchling.build.build_sdist])
def test_no_other_way_builds_a_wheel_or_an_sdist(
    build: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    with pytest.raises(SystemExit, match=r"no (wheel|sdist) of it is built"):
        build(str(tmp_path))  # type: ignore[operator]

    assert list(tmp_path.iterdir()) == []


def test_an_editable_install_is_a_link_and_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    link = zipfile.ZipFile(tmp_path / hatchling.build.build_editable(str(tmp_path)))

    files = {Path(name).name: link.read(name).decode() for name in link.namelist()}
    assert set(files) == {"_pawl.pth", "METADATA", "WHEEL", "RECORD", "entry_points.txt"}
    assert files["_pawl.pth"].strip() == str(ROOT)
    assert "pawl = ops.pawl:main" in files["entry_points.txt"]
    assert "Classifier: Private :: Do Not Upload" in files["METADATA"]


def test_the_version_stands_in_one_place_and_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "version" not in project
    assert ProjectMetadata(str(ROOT), PluginManager()).version == __version__
