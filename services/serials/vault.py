"""How serials are kept secret: found by a keyed hash, readable only with a key that the database never sees.

* The look-up tag is keyed BLAKE2b (RFC 7693) of the serial, 16 bytes. Without the key nobody can test a guess
  against a stolen table, and with it nobody can turn a tag back into a serial.
* The text is one block of AES-256: a keyed permutation of 16 characters that carry 75 random bits and never
  repeat, so equal blocks, the weakness of bare blocks, cannot occur. No nonce could be used twice by mistake.
* A serial that is opened is checked against its tag, so that a changed or exchanged row is noticed.

Each row names the keys it was made with; older keys stay able to find and open (docs/decisions/0005).
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

from services.serials.codes import LENGTH

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
LONGEST_KEY_ID: Final = 16
"""Every row carries the key id, so it is kept short."""

_PURPOSE = b"pawl serial tag"
_PSEUDONYM = b"pawl pseudonym"


class WrongSerialError(Exception):
    """A stored text and its tag do not belong together, or its key is not configured. Names no serial."""


@dataclass(frozen=True, slots=True)
class SerialKeys:
    """The two keys of one generation, 32 bytes each. Raises ValueError for another size or a long id."""

    key_id: str
    lookup: bytes = field(repr=False)
    text: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not (self.key_id.isascii() and 1 <= len(self.key_id) <= LONGEST_KEY_ID):
            raise ValueError(f"a serial key id has 1..{LONGEST_KEY_ID} ASCII characters")
        if len(self.lookup) != KEY_BYTES or len(self.text) != KEY_BYTES:
            raise ValueError(f"serial keys have {KEY_BYTES} bytes each")
        if self.lookup == self.text:
            raise ValueError("the look-up key and the text key must differ")


@dataclass(frozen=True, slots=True)
class KeptSerials:
    """Serials as they are stored, one row each, in the order of their tags."""

    key_id: str
    tags: NDArray[np.uint8] = field(repr=False)
    texts: NDArray[np.uint8] = field(repr=False)
    last_four: NDArray[np.uint8] = field(repr=False)

    def __len__(self) -> int:
        return len(self.tags)

    def split(self, count: int) -> tuple["KeptSerials", "KeptSerials"]:
        """The first `count` of them, and the others."""
        return self._rows(slice(count)), self._rows(slice(count, None))

    def _rows(self, rows: slice) -> "KeptSerials":
        return KeptSerials(self.key_id, self.tags[rows], self.texts[rows], self.last_four[rows])


class Vault:
    """Keeps serials with the current keys; finds and opens those of earlier generations too."""

    __slots__ = ("_current", "_generations")

    def __init__(self, current: SerialKeys, earlier: Sequence[SerialKeys] = ()) -> None:
        self._current = current
        self._generations = {keys.key_id: keys for keys in (*earlier, current)}
        if len(self._generations) != len(earlier) + 1:
            raise ValueError("two generations of serial keys have one id")

    def __repr__(self) -> str:
        return f"Vault(key_id={self._current.key_id!r})"

    @property
    def current_id(self) -> str:
        """The name of the keys that it makes serials with."""
        return self._current.key_id

    @property
    def key_ids(self) -> Set[str]:
        """The names of the keys that it can open with."""
        return self._generations.keys()

    def keep(self, serials: NDArray[np.uint8]) -> KeptSerials:
        """Tags and encrypts serials, sorted by tag: sorted inserts keep the unique index cheap."""
        tags, texts = self._hidden(serials)
        # The first eight bytes order 10^8 tags all but perfectly, and a tie costs nothing.
        order = tags.view(">u8")[:, 0].astype(np.uint64).argsort()
        return KeptSerials(self._current.key_id, tags[order], texts[order], serials[order, LENGTH - 4 :])

    def rekey(
        self, key_id: str, texts: Sequence[bytes], tags: Sequence[bytes]
    ) -> tuple[list[bytes], list[bytes]]:
        """Tags and texts under the current keys, of rows that were made with others; in their order.

        Raises WrongSerialError when any of them is wrong.
        """
        new_tags, new_texts = self._hidden(self._open_alike(key_id, texts, tags))
        return _blocks(new_tags), _blocks(new_texts)

    def tags_of(self, serial: str) -> list[bytes]:
        """Where to look for a serial: its tag under every generation of keys."""
        return [_tags(keys, [serial.encode()]) for keys in self._generations.values()]

    def pseudonym(self, text: str) -> bytes:
        """What stands for a text that nobody may read or guess, 16 bytes; another after each rotation."""
        keyed = blake2b(digest_size=TAG_BYTES, key=self._current.lookup, person=_PSEUDONYM)
        keyed.update(text.encode())
        return keyed.digest()

    def open(self, key_id: str, text: bytes, tag: bytes) -> str:
        """The serial of a stored row. Raises WrongSerialError."""
        return self.open_all([key_id], [text], [tag]).tobytes().decode("ascii")

    def open_all(
        self, key_ids: Sequence[str], texts: Sequence[bytes], tags: Sequence[bytes]
    ) -> NDArray[np.uint8]:
        """The serials of stored rows in their order, a row of `LENGTH` characters each.

        Raises WrongSerialError when any of them is wrong.
        """
        generations = set(key_ids)
        if len(generations) == 1:
            return self._open_alike(generations.pop(), texts, tags)
        serials = np.empty((len(key_ids), LENGTH), dtype=np.uint8)
        for key_id in generations:
            rows = [number for number, each in enumerate(key_ids) if each == key_id]
            serials[rows] = self._open_alike(
                key_id, [texts[row] for row in rows], [tags[row] for row in rows]
            )
        return serials

    def _hidden(self, serials: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The tags and the texts of serials under the current keys, in their order."""
        tags = _rows(_tags(self._current, _each(serials)), TAG_BYTES)
        return tags, _rows(_encrypt(self._current, serials.tobytes()), LENGTH)

    def _open_alike(self, key_id: str, texts: Sequence[bytes], tags: Sequence[bytes]) -> NDArray[np.uint8]:
        """The serials of rows that were made with the same keys."""
        keys, together = self._generations.get(key_id), b"".join(texts)
        if keys is None or len(together) != len(texts) * LENGTH:
            raise WrongSerialError("made with keys that are not configured, or not a stored serial")
        plain = _rows(_decrypt(keys, together), LENGTH)
        if not compare_digest(_tags(keys, _each(plain)), b"".join(tags)):
            raise WrongSerialError("the stored text and its tag do not belong together")
        return plain


def _tags(keys: SerialKeys, serials: Iterable[bytes]) -> bytes:
    # Copying a keyed state is a third faster than keying anew for each of a million serials.
    keyed = blake2b(digest_size=TAG_BYTES, key=keys.lookup, person=_PURPOSE)
    tags = []
    for serial in serials:
        state = keyed.copy()
        state.update(serial)
        tags.append(state.digest())
    return b"".join(tags)


def _encrypt(keys: SerialKeys, plain: bytes) -> bytes:
    encryptor = _cipher(keys).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def _decrypt(keys: SerialKeys, text: bytes) -> bytes:
    decryptor = _cipher(keys).decryptor()
    return decryptor.update(text) + decryptor.finalize()


def _cipher(keys: SerialKeys) -> Cipher[ECB]:
    return Cipher(AES256(keys.text), ECB())  # noqa: S305 (single unique blocks, see above)


def _each(serials: NDArray[np.uint8]) -> list[bytes]:
    each: list[bytes] = serials.view(f"S{LENGTH}").ravel().tolist()
    return each


def _blocks(rows: NDArray[np.uint8]) -> list[bytes]:
    """Each row as bytes. Not as `S16`, which drops zeros at the end."""
    blocks: list[bytes] = rows.view(f"V{rows.shape[1]}").ravel().tolist()
    return blocks


def _rows(joined: bytes, width: int) -> NDArray[np.uint8]:
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, width)
