"""Refuses files that do not belong into the repository: secrets, and whatever is larger than a megabyte.

`python -m devtools.staged_files FILE ...` is a hook of .pre-commit-config.yaml. It knows what secrets look
like, not what they are: a test that needs one makes it when it runs.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

LARGEST: Final = 1_000_000
"""Bytes of the largest file that may be added."""

SECRET_FILES: Final = re.compile(
    r"\.env|.*\.(?:pem|p12|pfx|jks|key)|id_(?:rsa|ed25519|ecdsa)|(?:keys|passwords|kafka)\.json"
)
"""Names of files that hold secrets; the last three are those of Pawl's own run directory."""

SECRETS: Final[Sequence[tuple[str, re.Pattern[str]]]] = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    (
        "a key of 32 bytes in base64",
        re.compile(r"(?i)(?:key|secret|token)\w*[\"']?\s*[:=]\s*[\"']?[a-z0-9+/_-]{43}="),
    ),
    ("an access key of AWS", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a token of GitHub", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})")),
    ("a token of Slack", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
)


def faults_of(path: Path) -> Iterator[str]:
    """What speaks against a file, one sentence each, without the secret itself."""
    if SECRET_FILES.fullmatch(path.name):
        yield f"{path}: a file of that name holds secrets; name it in .gitignore"
    size = path.stat().st_size
    if size > LARGEST:
        yield f"{path}: {size:,} bytes; at most {LARGEST:,} may be added"
        return
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        for what, pattern in SECRETS:
            if pattern.search(line):
                yield f"{path}:{number}: looks like {what}; make it where it is needed"


def main(names: Sequence[str]) -> int:
    """0 when nothing speaks against any of the files, else 1 with a line for each fault."""
    paths = [path for path in map(Path, names) if path.is_file() and not path.is_symlink()]
    faults = [fault for path in paths for fault in faults_of(path)]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
