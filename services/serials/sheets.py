"""Many rows of serials at once, without a call for any of them. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.serials.codes import LENGTH
from services.serials.notices import MARK

GROUPED: Final = LENGTH + 3
"""The characters of a serial as it is printed, hyphens included."""


def grouped_rows(serials: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Serials as they are printed, four groups of four: one row of `GROUPED` ASCII characters each."""
    rows = np.full((len(serials), GROUPED), ord("-"), dtype=np.uint8)
    for group in range(4):
        rows[:, group * 5 : group * 5 + 4] = serials[:, group * 4 : group * 4 + 4]
    return rows


def grouped_texts(serials: NDArray[np.uint8]) -> list[str]:
    """The same as texts."""
    texts: list[str] = grouped_rows(serials).view(f"S{GROUPED}").astype(f"U{GROUPED}").ravel().tolist()
    return texts


def filled(template: str, serials: NDArray[np.uint8]) -> bytes:
    """The template once for each serial, with the serial wherever it has a `MARK`; one behind the other."""
    grouped, parts = grouped_rows(serials), [part.encode() for part in template.split(MARK)]
    columns: list[NDArray[np.uint8]] = []
    for number, part in enumerate(parts):
        columns += [grouped] * bool(number) + [_repeated(part, len(serials))]
    return np.hstack(columns).tobytes()


def filled_texts(template: str, grouped: Sequence[str]) -> Sequence[str]:
    """The template for each of these printed serials, as texts."""
    if MARK not in template:
        return [template] * len(grouped)
    return [template.replace(MARK, serial) for serial in grouped]


def _repeated(part: bytes, times: int) -> NDArray[np.uint8]:
    return np.broadcast_to(np.frombuffer(part, dtype=np.uint8), (times, len(part)))
