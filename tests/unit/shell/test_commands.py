"""What the commands make of their arguments, and that each explains itself."""

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.databases import share_a_database, urls_of
from ops.shell.problem import Exit, Problem
from ops.watch.dead.names import Name, parse_name
from ops.watch.month.command import require_instant, require_month
from tests.support.keys import KEY_SETTINGS

SETTINGS = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/nothing",
    **KEY_SETTINGS,
}


@pytest.mark.parametrize(
    "command",
    [
        ["order", "cancel-request"],
        ["check"],
        ["record"],
        ["lag"],
        ["up"],
        ["gateway"],
        ["month"],
        ["close"],
        ["dead", "ls"],
        ["gaps", "ls"],
        ["gaps", "close"],
        ["recover"],
        ["dead", "show"],
        ["dead", "replay"],
        ["dead", "edit"],
        ["dead", "resolve"],
        ["status"],
        ["todo"],
        ["find"],
        ["partner", "correct"],
        ["partner", "check"],
        ["partner", "withdraw"],
        ["partner", "purge"],
        ["ranking"],
        ["refund", "show"],
        ["refund", "payouts"],
        ["refund", "paid"],
        ["refund", "approve"],
        ["refund", "reject"],
        ["refund", "withdraw"],
        ["refund", "retry"],
        ["refund", "release"],
        ["refund", "proof"],
        ["quarantine", "ls"],
        ["quarantine", "show"],
        ["quarantine", "decide"],
        ["document"],
        ["serials", "status"],
        ["serials", "export"],
        ["serials", "notice"],
        ["serials", "custody"],
        ["serials", "leak"],
        ["serials", "campaign"],
        ["serials", "rotate"],
    ],
)
def test_every_command_shows_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == Exit.OK
    assert f"Example: pawl {' '.join(command)}" in result.output


@pytest.mark.parametrize("name", ["order", "partner", "refund"])
def test_the_group_of_a_thing_shows_how_to_look_at_one(name: str) -> None:
    group, show = (CliRunner().invoke(app, [name, *words, "--help"]) for words in ((), ("show",)))
    assert f"Example: pawl {name} " in group.output
    assert f"Example: pawl {name} " in show.output


@pytest.mark.parametrize("words", [["A-1"], ["--json", "A-1"], ["show", "A-1"]], ids=" ".join)
def test_a_thing_is_shown_by_its_name_with_options_before_it_or_behind(words: list[str]) -> None:
    nowhere = ["--dir", "/nowhere"]
    for command in (["order", *words, *nowhere], ["order", *words[:-1], *nowhere, words[-1]]):
        refused = CliRunner().invoke(app, command).exception
        assert isinstance(refused, Problem), command
        assert "No system is running" in refused.message


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["refund", "retry", "rr-77", "--yes"], "needs a reason"),
        (["refund", "proof", "rr-77", "--yes", "--reason", "  "], "needs a reason"),
        (["refund", "payouts", "-o", "payouts.csv"], "needs a reason"),
        (["refund", "payouts", "-o", "payouts.pdf", "--reason", "today"], "neither a .csv nor an .xlsx"),
        (["quarantine", "decide", "pay-1", "thrown-away"], "no decision about a case"),
        (["quarantine", "ls", "--older-than", "long"], "is not an age"),
        (["partner", "correct", "P-17"], "Nothing is named"),
        (["partner", "correct", "P-17", "--business-number", "1"], "business number of ten digits"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each),
)
def test_a_decision_that_says_too_little_is_a_usage_error(
    command: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAWL_POSTGRES", "postgresql://nobody@127.0.0.1:1/nothing")
    refused = CliRunner().invoke(app, command).exception
    assert isinstance(refused, Problem)
    assert (refused.exit_code, says in refused.message) == (Exit.USAGE, True)
    assert refused.hint


def test_a_dead_letter_and_a_parked_event_have_names() -> None:
    assert parse_name("orders:17") == Name("orders", 17, parked=False)
    assert parse_name("refunds:p3") == Name("refunds", 3, parked=True)
    assert str(parse_name("refunds:p3")) == "refunds:p3"


@pytest.mark.parametrize(
    "text", ["17", "orders", "orders:", "orders:x", "nobody:17", "orders:-1", "orders:¹"]
)
def test_what_names_nothing_is_a_usage_error(text: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_name(text)
    assert refused.value.exit_code is Exit.USAGE


@pytest.mark.parametrize("text", ["2011-13", "2011-3", "March", ""])
def test_a_wrong_month_is_a_usage_error(text: str) -> None:
    with pytest.raises(Problem) as refused:
        require_month(text)
    assert refused.value.exit_code is Exit.USAGE


@pytest.mark.parametrize("text", ["yesterday", "2011-04-05T18:00:00", "2011-04-05"])
def test_a_close_at_no_instant_is_a_usage_error(text: str) -> None:
    with pytest.raises(Problem) as refused:
        require_instant(text)
    assert refused.value.exit_code is Exit.USAGE


def test_four_schemas_may_be_in_four_databases() -> None:
    one = urls_of("postgresql://ops:a@db/pawl")
    assert share_a_database(one)
    assert not share_a_database({**one, "orders": "postgresql://ops:a@db/orders"})
    assert share_a_database({**one, "orders": "postgresql://other:b@db/pawl"})
