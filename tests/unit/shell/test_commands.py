"""What the commands make of their arguments, and that each explains itself."""

from base64 import b64encode

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.databases import share_a_database, urls_of
from ops.shell.problem import Exit, Problem
from ops.watch.close import require_instant, require_month
from ops.watch.dead.names import Name, parse_name

SETTINGS = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/nothing",
    "DATA_KEY": b64encode(b"k" * 32).decode(),
    "SERIAL_LOOKUP_KEY": b64encode(b"l" * 32).decode(),
    "SERIAL_TEXT_KEY": b64encode(b"t" * 32).decode(),
}


@pytest.mark.parametrize(
    "command",
    [
        ["order"],
        ["check"],
        ["record"],
        ["lag"],
        ["close"],
        ["dead", "ls"],
        ["dead", "show"],
        ["dead", "replay"],
        ["dead", "edit"],
        ["dead", "resolve"],
        ["status"],
        ["todo"],
        ["find"],
        ["partner"],
        ["refund", "show"],
        ["document"],
    ],
)
def test_every_command_shows_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == Exit.OK
    assert f"Example: pawl {' '.join(command)}" in result.output


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
