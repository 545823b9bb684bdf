"""How texts that people write are compared."""

from unicodedata import normalize


def fold(text: str) -> str:
    """Compatibility forms made equal (NFKC), white space folded to single spaces and trimmed."""
    return " ".join(normalize("NFKC", text).split())
