"""Sealing: authenticated encryption of what must not be readable at rest (AES-256-GCM).

A sealed text is: one byte length of the key id, the key id, a random nonce of 12 bytes, ciphertext and tag.
The key id stands in front so that keys can be rotated: new texts are sealed with the current key, old keys
stay able to open. The context (e.g. table and row) is authenticated too: a text copied to another row does
not open there.
"""

from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.ids import random_bytes

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16


class BrokenSealError(Exception):
    """The text does not open: wrong context, unknown key, or changed since it was sealed."""


class Sealer:
    """Seals with one key; opens what this key or any of `old_keys` (id -> key) has sealed.

    Raises ValueError for a key that is not 32 bytes or a key id that is not 1..64 ASCII characters.
    """

    __slots__ = ("_ciphers", "_key_id")

    def __init__(self, key: bytes, key_id: str, old_keys: Mapping[str, bytes] | None = None) -> None:
        keys = {**(old_keys or {}), key_id: key}
        self._key_id = key_id
        self._ciphers = {_checked_id(name): _cipher(value) for name, value in keys.items()}

    def __repr__(self) -> str:
        return f"Sealer(key_id={self._key_id!r})"

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt `plain`, bound to `context`. Two calls never give the same bytes."""
        key_id = self._key_id.encode()
        nonce = random_bytes(_NONCE_BYTES)
        head = bytes([len(key_id)]) + key_id
        return head + nonce + self._ciphers[key_id].encrypt(nonce, plain, head + context)

    def new_data_key(self, context: bytes) -> bytes:
        """A data key made by chance, sealed under `context`. Nothing else holds it."""
        return self.seal(random_bytes(KEY_BYTES), context)

    def with_data_key(self, sealed_key: bytes, key_id: str, context: bytes) -> "Sealer":
        """What seals and opens with a data key that was sealed under `context`. Raises BrokenSealError."""
        return Sealer(self.open(sealed_key, context), key_id)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed under `context`. Raises BrokenSealError."""
        length = sealed[0] if sealed else 0
        head, rest = sealed[: 1 + length], sealed[1 + length :]
        cipher = self._ciphers.get(head[1:])
        if cipher is None or len(rest) < _NONCE_BYTES + _TAG_BYTES:
            raise BrokenSealError("sealed with a key that is not configured, or cut short")
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + context)
        except InvalidTag:
            raise BrokenSealError("changed since it was sealed, or sealed in another context") from None


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a sealing key has {KEY_BYTES} bytes, not {len(key)}")
    return AESGCM(key)


def _checked_id(key_id: str) -> bytes:
    if not (key_id.isascii() and 1 <= len(key_id) <= 64):
        raise ValueError("a key id has 1..64 ASCII characters")
    return key_id.encode()
