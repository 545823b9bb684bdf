"""Sentences that tools say to people: English, and known by their words, so that pages say them in Korean.

    Sentence("orders to grant {name}", name="rr-77")     # is the text "orders to grant rr-77"

What is a `str` to everybody else keeps its words, with the names of its values in braces, and the values.
Korean of all such words stands in `console/sentences.py`. Pure.
"""

from collections.abc import Mapping
from typing import Any


class Sentence(str):
    """A text in English that remembers the words it was made of, and what was filled into them."""

    words: str
    values: Mapping[str, Any]

    def __new__(cls, words: str, /, **values: Any) -> "Sentence":
        sentence = super().__new__(cls, words.format_map(values))
        sentence.words = words
        sentence.values = values
        return sentence
