"""SQL as words: enough of PostgreSQL's lexical rules to tell statements, names and texts apart."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|/\*.*?\*/)
    | (?P<text>[eE]?'(?:[^'\\]|''|\\.)*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<sign>::|<>|!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A word in small letters, a quoted name, a text, a number or a sign; comments are none."""

    kind: str
    text: str

    @property
    def is_name(self) -> bool:
        """Whether it may name something."""
        return self.kind in ("word", "quoted")


Statement = Sequence[Token]


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of a text, comments left out."""
    for found in _TOKEN.finditer(sql):
        kind = found.lastgroup if found.lastgroup != "tag" else "text"
        text = found.group()
        if kind == "word":
            yield Token("word", text.lower())
        elif kind == "quoted":
            yield Token("quoted", text[1:-1].replace('""', '"'))
        elif kind is not None and kind != "space":
            yield Token(kind, text)


def statements(sql: str) -> list[Statement]:
    """The statements of a text. What stands between BEGIN ATOMIC and END belongs to its function."""
    found: list[Statement] = []
    current: list[Token] = []
    inside = 0
    for token in tokens(sql):
        if token == ("sign", ";") and not inside:
            found.append(current)
            current = []
            continue
        if token == ("word", "atomic") or (inside and token == ("word", "case")):
            inside += 1
        elif inside and token == ("word", "end"):
            inside -= 1
        current.append(token)
    return [statement for statement in (*found, current) if statement]


def parts(statement: Statement, sign: str = ",") -> list[Statement]:
    """A statement cut at each of these signs that stands in no brackets."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in statement:
        depth += (token.text == "(") - (token.text == ")") if token.kind == "sign" else 0
        if token == ("sign", sign) and depth == 0:
            found.append([])
        else:
            found[-1].append(token)
    return [part for part in found if part]


def bracketed(statement: Statement, start: int) -> Statement:
    """What stands in the brackets that open at or after this place; nothing where none do."""
    depth = 0
    inside: list[Token] = []
    for token in statement[start:]:
        if token == ("sign", ")"):
            depth -= 1
            if depth == 0:
                return inside
        if depth:
            inside.append(token)
        if token == ("sign", "("):
            depth += 1
    return []
