"""What a test is called is the same in every process.

Workers compare the names of what they collected, and one that a clock had a part in ends the whole run, at
some seconds and not at others. Of the values that pytest names cases by, bytes may have been stamped by a
library (gzip writes the second into its header).
"""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A case of bytes that are no text is called by its argument and counted; pytest names all others."""
    if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()):
        return argname
    return None
