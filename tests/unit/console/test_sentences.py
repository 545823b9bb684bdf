"""On Korean pages nothing is English but what people wrote: every code and every sentence has its Korean."""

import ast
import importlib
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from string import Formatter
from typing import Literal, get_args, get_origin

import pytest

from console.sentences import SENTENCES, STORED, WAITING, action_in, sentence_in, wait_in
from console.texts import KOREAN, code_in
from ops.watch.story.waits import waits_of
from services.invoices.decisions.submitting import next_of
from services.invoices.decisions.transmitting import NEXT
from services.refunds.policies.explaining import REASONS, STEPS
from services.refunds.policies.holders import PROOFS
from services.refunds.todo import AWAITED, ON_THEIR_WAY
from services.refunds.todo import WAITING as REFUNDS_WAITING
from shared.events.faults import CODES
from shared.operators.deciding import OF_REFUND
from shared.operators.sentences import Sentence
from shared.operators.todo import Who
from shared.web.problems import Kind
from tests.unit.watch.test_waits import paid_story

ROOT = Path(__file__).parents[3]
KOREAN_LETTER = re.compile("[가-힣]")
MODULES_OF_CODES = (
    *("services.orders.state", "services.refunds.state", "services.serials.state", "services.invoices.state"),
    *("services.invoices.decisions.planning", "services.invoices.decisions.submitting"),
    *("services.refunds.policies.holders", "services.refunds.decisions.reviews"),
)
TELLING = (
    *("ops/shell/asking.py", "ops/shell/refusals.py", "ops/shell/databases.py", "ops/watch/living.py"),
    *("ops/watch/dead/names.py", "ops/watch/dead/calls.py"),
)
"""Where commands say why something cannot be done, and pages do too."""
TELL = ("Problem", "NoAnswer", "Life", "Refused", "Wait", "Blocker")


def is_korean(text: str) -> bool:
    return KOREAN_LETTER.search(text) is not None


def parsed(pattern: str) -> Iterator[ast.AST]:
    for file in sorted(ROOT.glob(pattern)):
        yield ast.parse(file.read_text())


def calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
            yield node


def texts(node: ast.expr) -> Iterator[str]:
    """What an argument may say; for each value of an f-string stands an X."""
    match node:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*texts(body), *texts(orelse))
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, default]):
            yield from texts(default)


def words_of(tree: ast.AST) -> Iterator[str]:
    """The words of each sentence of a module, also where a name stands for them."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        given = [call.args[0] for call in calls(function, "Sentence")]
        names = {node.id for node in given if isinstance(node, ast.Name)}
        named = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets} & names
        ]
        yield from (text for node in (*given, *named) for text in texts(node))


def every_words() -> set[str]:
    return {
        words
        for pattern in ("shared/**/*.py", "services/**/*.py", "ops/**/*.py", "console/**/*.py")
        for tree in parsed(pattern)
        for words in words_of(tree)
    }


def names_in(words: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(words) if name}


def test_each_sentence_is_there_in_korean_and_none_is_left_that_nobody_says() -> None:
    assert len(every_words()) > 50
    assert every_words() ^ SENTENCES.keys() == set()


@pytest.mark.parametrize("table", [STORED, WAITING])
def test_what_is_known_by_its_looks_has_its_values_in_korean_too(table: dict[str, str]) -> None:
    for words, korean in table.items():
        assert is_korean(korean) or korean == words, words
        assert names_in(korean) <= names_in(words)


def test_a_sentence_keeps_its_values_and_a_sentence_in_a_sentence_is_korean() -> None:
    said = Sentence("key {key}, {how_far}", key="k-1", how_far=Sentence("not rotated"))

    assert said == "key k-1, not rotated"
    assert sentence_in("en", said) == said
    assert sentence_in("ko", said) == "키 k-1, 교체되지 않음"
    nobody_knows = Sentence("nobody has said {this}", this="so")
    assert sentence_in("ko", nobody_knows) == "nobody has said so"


def test_what_people_wrote_stays_as_they_wrote_it() -> None:
    for text in ("refund wanted by the shop", "order 66", "to be handled", "A: b", "done, see mail"):
        assert sentence_in("ko", text) == text


def test_whatever_the_console_and_its_commands_refuse_is_said_in_korean() -> None:
    trees = [*parsed("console/**/*.py"), *(tree for file in TELLING for tree in parsed(file))]
    told = {
        text
        for tree in trees
        for call in calls(tree, "Problem", "NoAnswer", "Life")
        for node in call.args[:2]
        for text in texts(node)
        if " " in text and not text.startswith(("X: X", "The schema of the console"))
    }

    assert len(told) > 60
    assert [text for text in sorted(told) if not is_korean(sentence_in("ko", text))] == []


def test_why_an_event_waits_is_said_in_korean() -> None:
    told = {
        text
        for tree in parsed("services/**/*.py")
        for call in calls(tree, "Wait")
        for node in call.args[:1]
        for text in texts(node)
    }

    assert len(told) > 8
    assert [text for text in sorted(told) if not is_korean(wait_in("ko", text))] == []


def test_what_stands_against_a_close_is_said_in_korean() -> None:
    (tree,) = parsed("services/invoices/blockers.py")
    given = list(calls(tree, "Blocker"))
    codes = {text for call in given for text in texts(call.args[0]) if "X" not in text}
    details = {text for call in given for node in call.args[6:] for text in texts(node)}
    details |= {
        text
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "detail"
        for text in texts(node.value)
    }

    assert details
    assert codes
    assert [each for each in codes if not is_korean(code_in("ko", each))] == []
    at = "2026-12-01T00:00:00+09:00"
    assert [each for each in details if not is_korean(sentence_in("ko", each.replace("X", at)))] == []


def codes_of(module: str) -> set[str]:
    """The words of the closed lists of a module."""
    there = vars(importlib.import_module(module)).values()
    lists = [each for each in there if get_origin(each) is Literal]
    enums = [each for each in there if isinstance(each, type) and issubclass(each, StrEnum)]
    literal = {code for each in lists for code in get_args(each) if isinstance(code, str)}
    return literal | {member.value for each in enums for member in each}


def codes_of_tables() -> set[str]:
    """The words that tables allow for a state, a reason and so on."""
    closed = re.compile(r"IN \(([^()]*)\)", re.DOTALL)
    files = [*ROOT.glob("services/*/migrations/*.sql"), *ROOT.glob("shared/runtime/migrations/*.sql")]
    lists = [found for file in files for found in closed.findall(file.read_text())]
    return {code for each in lists for code in re.findall(r"'([a-z_]+)'", each)}


def codes_of_todo() -> set[str]:
    trees = [*parsed("services/*/todo.py"), *parsed("shared/operators/every_service.py")]
    arguments = [node for tree in trees for call in calls(tree, "Group", "add_up") for node in call.args[1:3]]
    said = {
        text for node in arguments for text in texts(node) if text and "X" not in text and " " not in text
    }
    kinds = {*REFUNDS_WAITING.values(), *ON_THEIR_WAY.values(), *AWAITED.values()}
    events = {f"event_{kind}" for kind in ("blocked", "gap", "waiting")}
    return said | events | {kind.code for kind in kinds} | {*REFUNDS_WAITING, *ON_THEIR_WAY, *AWAITED}


def codes_of_finds() -> set[str]:
    trees = [*parsed("services/*/find.py"), *parsed("shared/operators/every_service.py")]
    return {text for tree in trees for call in calls(tree, "Found") for text in texts(call.args[1])}


CODES_OF: dict[str, set[str]] = {
    **{module: codes_of(module) for module in MODULES_OF_CODES},
    "todo": codes_of_todo(),
    "tables": codes_of_tables(),
    "who": set(get_args(Who)),
    "finds": codes_of_finds(),
    "refusals of refunds, and holds": set(REASONS),
    "steps": {step.code for step in STEPS.values()},
    "proofs": {proof.kind for proof in PROOFS.values()},
    "decisions": {decision for each in OF_REFUND.values() for decision in each},
    "dead letters": set(CODES),
    "refusals of documents": {*NEXT, *map(next_of, NEXT)},
}


@pytest.mark.parametrize("of", CODES_OF)
def test_each_code_is_korean(of: str) -> None:
    assert CODES_OF[of]
    assert [code for code in sorted(CODES_OF[of]) if not is_korean(code_in("ko", code))] == []


def test_each_state_of_a_document_and_what_comes_next_has_its_text() -> None:
    states = codes_of("services.invoices.state")
    for group in ("DocumentState", "TransmissionState"):
        names = get_args(getattr(importlib.import_module("services.invoices.state"), group))
        assert [name for name in names if f"stand {name}" not in KOREAN] == []
    assert states
    assert [name for name in {*NEXT.values()} if f"next {name}" not in KOREAN] == []


def test_whatever_a_service_refuses_over_http_has_a_korean_title() -> None:
    kinds = [
        (call.args[0].value, str(call.args[4].value))
        for pattern in ("shared/**/*.py", "services/**/*.py")
        for tree in parsed(pattern)
        for call in calls(tree, Kind.__name__)
        if len(call.args) == 6
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[4], ast.Constant)
    ]

    assert len(kinds) > 30
    assert [code for code, title in kinds if not is_korean(title)] == []


DONE_BY_PEOPLE = re.compile(
    r"(business|dead|document|gap|hidden|month|parked|partners?|payout|quarantine|refund|request|serial|unsent)"
    r"\.(?!xlsx|zip)[a-z_]+"
)
"""What audit logs call what people do."""


def actions() -> set[str]:
    return {
        node.value
        for pattern in ("services/**/*.py", "shared/runtime/*.py")
        for tree in parsed(pattern)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if DONE_BY_PEOPLE.fullmatch(node.value)
    }


def test_what_people_did_is_korean() -> None:
    assert len(actions()) > 20
    assert [action for action in sorted(actions()) if not is_korean(action_in("ko", action))] == []


def test_a_wait_is_the_same_sentence_for_a_terminal_and_a_page() -> None:
    story = paid_story()
    story.know_payment = set()

    (first, *_) = waits_of(story)

    assert str(first) == "invoices to read the payment; pawl lag"
    assert sentence_in("ko", first.says) == "계산서 서비스가 결제를 읽는 것"
