"""Korean business registration numbers (사업자등록번호): ten digits, the last one a check digit.

With weights 1,3,7,1,3,7,1,3,5 over the first nine digits plus floor(ninth digit x 5 / 10), the sum and the
check digit add up to a multiple of ten (domain.md section 5). Any single mistyped digit is caught: the
weights 1, 3 and 7 are prime to ten, and 5x + floor(5x / 10) has ten different last digits for the ninth.
"""

import re

_SEPARATORS = re.compile(r"[\s\-]+")
_TEN_DIGITS = re.compile(r"[0-9]{10}", re.ASCII)
_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)


def normalise(text: str) -> str | None:
    """The ten digits of what was typed (blanks and hyphens dropped), or None when it is not ten digits."""
    digits = _SEPARATORS.sub("", text)
    return digits if _TEN_DIGITS.fullmatch(digits) else None


def is_valid(text: str) -> bool:
    """Whether `text` is ten digits with the right check digit, written with or without hyphens."""
    digits = normalise(text)
    return digits is not None and digits[9] == str(_check_digit(digits))


def from_seed(seed: int) -> str:
    """A valid number of a corporation, the same one for the same seed.

    Distinct for seeds that differ by less than 6,990,000: the tax office code (101..799) and the running
    number are taken from the seed; the middle is 81, the code of a corporation, so it is nobody's own number.
    """
    office = 101 + (seed // 10_000) % 699
    digits = f"{office:03d}81{seed % 10_000:04d}"
    return digits + str(_check_digit(digits))


def _check_digit(digits: str) -> int:
    numbers = [int(digit) for digit in digits[:9]]
    total = sum(weight * number for weight, number in zip(_WEIGHTS, numbers, strict=True))
    return (10 - (total + numbers[8] * 5 // 10) % 10) % 10
