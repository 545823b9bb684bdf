"""Commands as they are printed: whoever copies one can run it. Pure."""

import shlex


def pawl(*words: str) -> str:
    """`pawl` with these words, quoted for a shell; a last word that begins with `-` is set apart by `--`."""
    apart = ("--",) if words[-1].startswith("-") else ()
    return shlex.join(("pawl", *words[:-1], *apart, words[-1]))
