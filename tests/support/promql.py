"""Reads a PromQL expression far enough to refuse what Prometheus would, or what could never be true.

The part of the language that alerts and dashboards here use: selectors, a few functions, aggregations by
labels, and operators. `labels_of` says which labels the answer has, so that a summary can name no other.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

Labels = frozenset[str]
SCRAPED: Final[Labels] = frozenset({"service", "instance", "job"})
"""What deploy/watch/prometheus.yml says of every sample."""
AGGREGATIONS: Final = frozenset({"sum", "min", "max", "avg", "count"})
OF_RANGES: Final = frozenset({"rate", "increase", "max_over_time", "min_over_time", "avg_over_time"})
PRECEDENCE: Final[Sequence[frozenset[str]]] = (
    frozenset({"or"}),
    frozenset({"and", "unless"}),
    frozenset({"==", "!=", "<=", "<", ">=", ">"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
SETS: Final = frozenset({"or", "and", "unless"})
DURATION: Final = re.compile(r"(\d+(ms|[smhdwy]))+|\$__rate_interval")
TOKEN: Final = re.compile(
    r'\s*(?:(?P<number>\d+(?:\.\d+)?(?![\w.]))|(?P<name>[a-zA-Z_:][\w:]*)|(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<range>\[[^\]]*\])|(?P<sign>=~|!~|==|!=|<=|>=|[-+*/%<>=(){},]))"
)


class NotPromql(Exception):
    """Why Prometheus would refuse the expression, or why it could never be true."""


class Answer(NamedTuple):
    """What an expression comes to: a number (`labels` is None), or series with these labels."""

    labels: Labels | None
    is_range: bool = False


def labels_of(text: str, metrics: Mapping[str, Labels]) -> Labels | None:
    """The labels of the answer; None for a number. `metrics` are the labels of each. Raises NotPromql."""
    reader = _Reader(text, metrics)
    answer = reader.operation(0)
    if reader.next is not None or answer.is_range:
        raise NotPromql(f"{text!r} goes on with {reader.next!r}, or comes to a range")
    return answer.labels


class _Reader:
    def __init__(self, text: str, metrics: Mapping[str, Labels]) -> None:
        self._metrics, self._tokens, at = metrics, list[str](), 0
        text = text.strip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise NotPromql(f"{text[at : at + 20]!r} is no PromQL")
            self._tokens.append(match.group().strip())
            at = match.end()

    @property
    def next(self) -> str | None:
        return self._tokens[0] if self._tokens else None

    def _take(self, *wanted: str) -> str:
        if self.next is None or (wanted and self.next not in wanted):
            raise NotPromql(f"{' or '.join(wanted) or 'something'} is missing before {self.next!r}")
        return self._tokens.pop(0)

    def operation(self, level: int) -> Answer:
        if level == len(PRECEDENCE):
            return self._operand()
        left = self.operation(level + 1)
        while self.next in PRECEDENCE[level]:
            sign = self._take()
            left = _together(sign, left, self.operation(level + 1))
        return left

    def _operand(self) -> Answer:
        token = self._take()
        if token == "-":
            return self._operand()
        if token == "(":
            inner = self.operation(0)
            self._take(")")
            return inner
        if token[0].isdigit():
            return Answer(None)
        if token in AGGREGATIONS:
            return self._aggregation()
        if self.next == "(":
            return self._function(token)
        return self._selector(token)

    def _aggregation(self) -> Answer:
        by = frozenset(self._names("(", ")")) if self.next == "by" and self._take() else frozenset[str]()
        self._take("(")
        inner = self.operation(0)
        self._take(")")
        if inner.labels is None or inner.is_range:
            raise NotPromql("an aggregation is over series of an instant")
        if missing := by - inner.labels:
            raise NotPromql(f"by {', '.join(sorted(missing))}, which nothing inside has")
        return Answer(by)

    def _function(self, name: str) -> Answer:
        self._take("(")
        given: list[Answer] = []
        while self.next != ")":
            given.append(self.operation(0))
            if self.next != ")":
                self._take(",")
        self._take(")")
        match name, given:
            case "time", []:
                return Answer(None)
            case "histogram_quantile", [Answer(None), Answer(labels)] if labels and "le" in labels:
                return Answer(labels - {"le"})
            case _, [Answer(labels, is_range=True)] if name in OF_RANGES:
                return Answer(labels)
        raise NotPromql(f"{name} is no function of these {len(given)} arguments")

    def _selector(self, metric: str) -> Answer:
        if metric not in self._metrics:
            raise NotPromql(f"nobody tells {metric}")
        labels = self._metrics[metric] | SCRAPED
        if self.next == "{":
            self._take()
            while self.next != "}":
                label, sign, text = self._take(), self._take("=", "!=", "=~", "!~"), self._take()
                if label not in labels:
                    raise NotPromql(f"{metric} has no label {label}")
                _check_text(sign, text)
                if self.next != "}":
                    self._take(",")
            self._take("}")
        is_range = self.next is not None and self.next.startswith("[")
        if is_range and not DURATION.fullmatch(over := self._take()[1:-1]):
            raise NotPromql(f"{over} is no duration")
        return Answer(labels, is_range)

    def _names(self, begin: str, end: str) -> list[str]:
        self._take(begin)
        names = []
        while self.next != end:
            names.append(self._take())
            if self.next != end:
                self._take(",")
        self._take(end)
        return names


def _check_text(sign: str, text: str) -> None:
    if not text.startswith('"'):
        raise NotPromql(f"{text} is no text")
    if "~" in sign:
        try:
            re.compile(text[1:-1])
        except re.error as why:
            raise NotPromql(f"{text}: {why}") from None


def _together(sign: str, left: Answer, right: Answer) -> Answer:
    """What an operator makes of two answers. Series match those of the same labels, and no others."""
    if left.is_range or right.is_range:
        raise NotPromql(f"{sign} is between answers of an instant")
    if left.labels is None or right.labels is None:
        if sign in SETS:
            raise NotPromql(f"{sign} is between series")
        return Answer(left.labels if right.labels is None else right.labels)
    if left.labels != right.labels:
        names = [", ".join(sorted(labels)) or "none" for labels in (left.labels, right.labels)]
        raise NotPromql(f"{sign} finds no pairs: the labels are {names[0]} and {names[1]}")
    return left
