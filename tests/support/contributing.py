"""The worked examples of CONTRIBUTING.md, as a test follows them."""

import re
import shlex
import subprocess

from tests.support.copies import ROOT, Copy

GUIDE = ROOT / "CONTRIBUTING.md"
_BLOCK = re.compile(
    r"^(?:In `(?P<file>\S+)`, (?:the new file \*(?P<new>\S+)\*)?|and )[^\n]*:\n\n```\w*\n(?P<block>.*?)```",
    re.MULTILINE | re.DOTALL,
)
_COMMAND = re.compile(r"^```\n(make [^`]*?)\n```$", re.MULTILINE)

IMPORTS = {
    "services/orders/decisions/partners.py": "from shared.events.checkout import PartnerNoteAdded\n",
    "services/orders/handlers.py": "from shared.events.checkout import PartnerNoteAdded\n",
    "tests/unit/orders/test_partners.py": (
        "import orjson\n"
        "from services.orders.decisions.partners import take_note\n"
        "from shared.events.checkout import PartnerNoteAdded\n"
        "from shared.events.examples import golden\n"
    ),
}
"""What the guide says that it does not show."""


def command(target: str) -> list[str]:
    """What `make` runs when somebody types the guide's command for a target: the arguments of Python."""
    [typed] = [
        text for text in _COMMAND.findall(GUIDE.read_text(encoding="utf-8")) if f"make {target} " in text
    ]
    told = subprocess.run(
        [*shlex.split(typed.replace("\\\n", " ")), "-n"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    module = f"devtools.{target.replace('-', '_')}"
    [line] = [line for line in told.replace("\\\n", " ").splitlines() if module in line]
    return shlex.split(line)[1:]


def blocks(folder: str) -> list[tuple[str, str]]:
    """The blocks of the guide for files below a folder of the services, each with its file, in order."""
    found, file = [], ""
    for said in _BLOCK.finditer(GUIDE.read_text(encoding="utf-8")):
        file = said["file"] + (said["new"] or "") if said["file"] else file
        found.append((file, said["block"]))
    return [(file, block) for file, block in found if folder in file]


def follow(copy: Copy) -> None:
    """Puts each block of the first and the last example where the guide says."""
    for path, block in blocks("orders"):
        match path.rpartition("/")[2]:
            case "":
                [file] = (copy.root / path).glob("*_partner_note.sql")
                file.write_text(block, encoding="utf-8")
            case "state.py":
                copy.insert(path, "class Partner(", "    sequence: int = 0\n", block)
            case "handlers.py" if "Route(" in block:
                copy.insert(path, "ROUTES: dict", "{\n", block)
            case "handlers.py":
                copy.replace(path, "\n\nROUTES: dict", f"\n\n{IMPORTS[path]}\n\n{block}\n\nROUTES: dict")
            case "README.md":
                copy.insert(path, "| on | it does |", "---|\n", block)
            case _:
                copy.append(path, f"\n\n{IMPORTS[path]}\n\n{block}")
