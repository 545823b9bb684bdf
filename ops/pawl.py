"""The program `pawl`: how it begins and ends whatever its terminal does. What it does is in `ops.cli`.

Nothing but this is imported until `main` can explain what interrupts it.
"""

import errno
import os
import sys
from contextlib import suppress


def main() -> None:
    """The entry point. Exit codes beside those of the command: 130 after Ctrl-C, 1 for lost output."""
    try:
        _run()
    except KeyboardInterrupt:
        with suppress(OSError):
            print("pawl: Interrupted.", file=sys.stderr)
        _leave(130)
    except BrokenPipeError:
        # `pawl ... | head`: whoever reads has enough, and needs no word about it.
        _leave(1)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        with suppress(OSError):
            print(f"pawl: The output could not be written: {error.strerror or error}", file=sys.stderr)
            print("      Send it elsewhere, or free some space there.", file=sys.stderr)
        _leave(1)


def _run() -> None:
    from ops.shell.output import take_any_terminal

    take_any_terminal()
    from ops.cli import main as run_command

    try:
        run_command()
    finally:
        # Here, not at the exit of Python, which would complain about a reader that has gone.
        sys.stdout.flush()


def _leave(code: int) -> None:
    """Ends; what stdout still holds goes nowhere, since Python tries once more to write it."""
    with suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
