"""The worked examples of CONTRIBUTING.md are true. test_new_event.py follows its first and its last one."""

import subprocess
import sys
from pathlib import Path

from services.refunds.policies import POLICIES
from tests.support.contributing import blocks
from tests.support.copies import ROOT


def test_the_refund_rule_of_the_guide_is_one_file_one_line_and_tests_that_pass(tmp_path: Path) -> None:
    """The module lies in a folder that is added to the package, and the tests run as they stand."""
    [(module, rule), (package, line), (tests, story)] = blocks("refunds")
    (tmp_path / Path(module).name).write_text(rule)
    (tmp_path / Path(tests).name).write_text(story)
    (tmp_path / "conftest.py").write_text(
        f"import services.refunds.policies as policies\npolicies.__path__.append({str(tmp_path)!r})\n"
    )

    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n0",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert "3 passed" in told.stdout, told.stdout + told.stderr
    kind, name = line.strip().rstrip(",").replace('"', "").split(": ")
    assert (ROOT / package).is_file()
    assert kind in POLICIES, f"{kind} is no kind: the guide needs another example"
    assert f"def {name}(question: Question) -> Answer:" in rule
    assert Path(module).stem == name


def test_the_guide_changes_six_files_by_hand_for_a_new_event() -> None:
    assert len({file for file, _ in blocks("orders")}) == 6
