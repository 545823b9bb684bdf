"""`pawl refund payouts` and `paid`: a sheet for a bank's bulk transfer, and its result read back."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from rich.console import Console

from ops.shell.options import Directory, Json, KafkaAddress, TokenFile
from ops.shell.output import print_json, tell_on_stderr
from ops.shell.private_files import private_file
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.shell.system import System, find_system
from ops.watch.decide import answers
from ops.watch.decide.answers import Actor, Asker, BaseUrl, Why, Yes
from ops.watch.decide.transfers import Transferred, WrongSheet, csv_sheet, read_result, xlsx_sheet
from ops.watch.show.rows import print_lines, won
from shared.brokers import Brokers
from shared.clock import now
from shared.events.catalogue import UPSTREAM
from shared.events.envelope import write_headers
from shared.kst import wire_time

SCOPE: Final = "refunds:payouts"
SOURCE: Final = "https://pawl.example/payouts-by-hand"
SHEETS: Final = {".csv": csv_sheet, ".xlsx": xlsx_sheet}
REFUSED: Final = "refused_by_bank"
"""The reason of a failure for which the bank gave none."""
LONGEST_REASON: Final = 200


def payouts(
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The sheet; its name ends in .csv or .xlsx.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were taken out before.")] = False,
    reason: Why = "",
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Take the payouts that wait for a bank transfer out, as the sheet of a bulk transfer.

    Without -o they are only shown, their accounts masked. The sheet is readable by you only. Each payout is
    in one sheet, unless --again; who took it stands in the audit log.

    Example: [bold]pawl refund payouts -o payouts.xlsx --reason "the transfers of today"[/bold]
    """
    if output is not None and output.suffix.lower() not in SHEETS:
        raise Problem(f"{output} is neither a .csv nor an .xlsx.", "Give it such a name: -o FILE", Exit.USAGE)
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    body = answers.body_of(reason, output is not None, again=again)
    if output is None:
        shown = asker.ask("refunds", SCOPE, "/v1/payouts/take", body, "")
    else:
        shown = _take(asker, body, output)
    if as_json:
        print_json(_without_accounts(shown))
    else:
        _print_payouts(Console(), shown, output)
    if not shown["payouts"]:
        raise typer.Exit(Exit.NOTHING_MATCHED)


def _take(asker: Asker, body: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Has the payouts taken once the file can be written. Raises Problem, also where there are none."""
    with (
        explain_os_errors("writing the sheet", output, "write it elsewhere: -o FILE"),
        private_file(output) as file,
    ):
        taken: dict[str, Any] = asker.ask("refunds", SCOPE, "/v1/payouts/take", body, "")
        if not taken["payouts"]:
            raise Problem(
                "No payout waits for a transfer.",
                f"{taken['taken_before']:,} were taken out before; --again has them too.",
                Exit.NOTHING_MATCHED,
            )
        file.write(SHEETS[output.suffix.lower()](taken["payouts"]))
    return taken


def _without_accounts(shown: Mapping[str, Any]) -> dict[str, Any]:
    secret = ("bank_code", "account_number", "holder")
    listed = [
        {name: value for name, value in each.items() if name not in secret} for each in shown["payouts"]
    ]
    return {**shown, "payouts": listed}


def _print_payouts(console: Console, shown: Mapping[str, Any], output: Path | None) -> None:
    number = len(shown["payouts"])
    head = f"{number:,} payouts, {won(shown['amount'])}"
    print_lines(console, head if output is None else f"{head} in {output}", _lines(shown))
    if output is None and number:
        console.print(
            'take them out with -o FILE --reason "why"', style="yellow", soft_wrap=True, highlight=False
        )
    if output is not None and number:
        tell_on_stderr(f"When the bank has made them: pawl refund paid {output.with_suffix('.csv')}")


def _lines(shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in shown["payouts"]:
        yield (
            each["legal_on"],
            f"{won(each['amount'])}  {each['masked']}  order {each['order_id']}  {each['refund_id']}",
        )
    if shown["left"]:
        yield "left", f"{shown['left']:,} more; the same command again takes the next"
    if shown["taken_before"]:
        yield (
            "taken",
            f"{shown['taken_before']:,} were taken out before, and are not here; --again has them too",
        )
    if shown["forgotten"]:
        yield "forgotten", f"{shown['forgotten']:,} have no account any more: their partner was forgotten"


def paid(
    file: Annotated[Path, typer.Argument(help="The sheet with its results, as CSV in UTF-8 or CP949.")],
    yes: Yes = False,
    kafka: KafkaAddress = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Read the result of a bulk transfer back: which payouts were made, and which failed.

    A row without a result is left out. The events are those that checkout would send, so the same file twice
    changes nothing.

    Example: [bold]pawl refund paid payouts.csv --yes[/bold]
    """
    system = find_system(kafka, None, directory)
    found = _read(file)
    if yes:
        asyncio.run(_publish(system, found))
    told = {
        "applied": yes,
        **{
            outcome: sum(each.outcome == outcome for each in found)
            for outcome in ("paid", "failed", "unknown")
        },
        "amount": sum(each.amount for each in found if each.outcome == "paid"),
    }
    if as_json:
        print_json(told)
    else:
        _print_result(Console(), told, found)
    if not found:
        raise typer.Exit(Exit.NOTHING_MATCHED)


def _read(file: Path) -> Sequence[Transferred]:
    with explain_os_errors("reading the sheet", file):
        content = file.read_bytes()
    try:
        return read_result(content)
    except WrongSheet as wrong:
        raise Problem(
            f"{file} is no result of a bulk transfer: {wrong}.",
            "docs/operating.md says which columns it needs. Nothing was said to anybody.",
            Exit.USAGE,
        ) from None


def _print_result(console: Console, told: Mapping[str, Any], found: Sequence[Transferred]) -> None:
    others = f"{told['failed']:,} failed, {told['unknown']:,} unknown"
    head = f"{told['paid']:,} paid, {won(told['amount'])}; {others}"
    unpaid = (each for each in found if each.outcome != "paid")
    lines = ((each.outcome, f"{won(each.amount)}  order {each.order_id}  {each.why}") for each in unpaid)
    print_lines(console, head, lines)
    if not told["applied"]:
        console.print("nothing was done. Do it with --yes", style="yellow", soft_wrap=True, highlight=False)
    else:
        tell_on_stderr("What becomes of them: pawl todo, pawl dead ls")


async def _publish(system: System, transfers: Sequence[Transferred]) -> None:
    """Says as checkout what became of them. Raises Problem."""
    system.require_kafka()
    producer = AIOKafkaProducer(**Brokers.at(system.checkout).client(), acks="all", enable_idempotence=True)
    try:
        await producer.start()
        sent = []
        for each in transfers:
            id_, type_name, data = event_of(each)
            headers = write_headers(id=id_, source=SOURCE, type=type_name, subject=each.order_id, time=now())
            body, key = orjson.dumps(data), each.order_id.encode()
            sent.append(await producer.send(UPSTREAM, body, key=key, headers=headers))
        await asyncio.gather(*sent)
    except KafkaError as error:
        raise Problem(
            f"Kafka does not answer: {str(error) or type(error).__name__}",
            "The same command can be repeated.",
        ) from error
    finally:
        await producer.stop()


def event_of(transfer: Transferred) -> tuple[str, str, dict[str, Any]]:
    """The id, the type and the data of the event that tells of a transfer."""
    data: dict[str, Any] = {
        "order_id": transfer.order_id,
        "refund_id": transfer.refund_id,
        "payout_id": f"bank-{transfer.key}",
    }
    if transfer.outcome == "paid":
        data |= {"amount": transfer.amount, **_at(transfer.at)}
        return f"bank-{transfer.reference}:paid", "refund.paid_out.v1", data
    why = "unknown" if transfer.outcome == "unknown" else transfer.why[:LONGEST_REASON] or REFUSED
    return f"bank-{transfer.reference}:{transfer.outcome}", "refund.payout_failed.v1", data | {"reason": why}


def _at(instant: datetime | None) -> dict[str, str]:
    return {} if instant is None else {"paid_out_at": wire_time(instant)}
