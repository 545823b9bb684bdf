"""Keys of services in tests: no chance made them, and a setting takes them all the same."""

from base64 import b64encode

DATA, LOOKUP, TEXT = (bytes(range(start, start + 32)) for start in (1, 101, 201))
"""Those of the services on a table."""


def key_of(number: int) -> bytes:
    """One of 224 keys of 32 bytes."""
    return bytes(range(number, number + 32))


def text_of(number: int) -> str:
    """The same as a setting has it."""
    return b64encode(key_of(number)).decode()


KEY_SETTINGS = {
    "DATA_KEY": b64encode(DATA).decode(),
    "SERIAL_LOOKUP_KEY": b64encode(LOOKUP).decode(),
    "SERIAL_TEXT_KEY": b64encode(TEXT).decode(),
}
"""The environment of a service on a table."""
