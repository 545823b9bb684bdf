"""The SQL catalogues of the services as functions over rows in memory, one for each statement, by its name.

A statement that a service begins to use and that has no function here fails loudly. What these functions say
is what `queries.sql` says; that both agree with Postgres is what the integration tests are for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import services.invoices.store as invoices_store
import services.orders.store as orders_store
import services.refunds.store as refunds_store
import services.serials.store as serials_store
from shared.queries import load
from shared.rows import Column, Table
from shared.runtime.outgoing import COLUMNS
from tests.simulation.closing_tables import IN_STEPS
from tests.simulation.drafts import all_documents
from tests.simulation.memory import Database, Query, Row, Transaction

Names = Sequence[str]


def entries(names: Names, columns: Sequence[Iterable[Any]]) -> Iterator[Row]:
    """The rows of a statement's array arguments, as `unnest` makes them."""
    for values in zip(*columns, strict=True):
        yield Row(zip(names, values, strict=True))


def found(tx: Transaction, table: str, keys: Iterable[Any], *, lock: bool = False) -> list[Row]:
    """The rows with these keys, in the order of the keys."""
    rows = tx.rows(table)
    chosen = [key for key in sorted(set(keys)) if key in rows]
    if lock:
        for key in chosen:
            tx.lock(table, key)
    return [Row(rows[key]) for key in chosen]


def where(tx: Transaction, table: str, column: str, values: Iterable[Any], *order: str) -> list[Row]:
    """The rows whose column has one of these values, in order."""
    wanted = set(values)
    rows = [Row(row) for row in tx.rows(table).values() if row[column] in wanted]
    return sorted(rows, key=lambda row: tuple(row[name] for name in order))


def update(tx: Transaction, table: str, key: Any, changes: Mapping[str, Any]) -> bool:
    """Changes a row that is there; says whether it was."""
    row = tx.get(table, key)
    if row is None:
        return False
    changed = Row({**dict(row.items()), **changes})
    tx.put(table, key, changed)
    tx.refuse_twins(table, key, changed)
    return True


def updates(table: str, keys: Names, *names: str) -> Query:
    """`UPDATE ... FROM unnest(...)`: the first columns are the key."""
    return update_columns(table, keys, [*keys, *names])


def update_columns(table: str, keys: Names, names: Names) -> Query:
    """`UPDATE ... FROM unnest(...)` of these columns, the key among them."""

    def run(tx: Transaction, *columns: Sequence[Any]) -> int:
        rows = list(entries(names, columns))
        return sum(
            update(tx, table, _key(row, keys), {n: row[n] for n in names if n not in keys}) for row in rows
        )

    return run


def inserts(table: str, keys: Names, names: Names, on_conflict: Names | None = None) -> Query:
    """`INSERT ... SELECT * FROM unnest(...)`; a row that is there is refused, or updated in these columns."""

    def run(tx: Transaction, *columns: Sequence[Any]) -> int:
        count = 0
        for row in entries(names, columns):
            key = _key(row, keys)
            if on_conflict is None or tx.get(table, key) is None:
                tx.insert(table, key, row)
            elif on_conflict:
                update(tx, table, key, {name: row[name] for name in on_conflict})
            count += 1
        return count

    return run


def copies(table: str, keys: Names) -> Query:
    """A binary COPY into a table."""

    def run(tx: Transaction, columns: Names, records: Iterable[tuple[Any, ...]]) -> int:
        rows = [Row(zip(columns, record, strict=True)) for record in records]
        for row in rows:
            tx.insert(table, _key(row, keys), row)
        return len(rows)

    return run


def table_queries(*tables: Table[Any]) -> dict[str, Query]:
    """The statements of `shared.rows` tables, by name; the names of copies begin with `COPY`."""
    queries: dict[str, Query] = {}
    for table in tables:
        names = [column.name for column in table.columns]
        changed = [column.name for column in table.columns if not column.is_fixed]
        queries[f"COPY {table.name}"] = copies(table.name, table.key)
        queries[f"upsert_{table.name}"] = _given(
            table.columns, inserts(table.name, table.key, names, on_conflict=changed)
        )
        if table.update:
            columns = [*(c for c in table.columns if c.name in table.key), *table.changing]
            queries[f"update_{table.name}"] = _given(
                columns, update_columns(table.name, table.key, [column.name for column in columns])
            )
    return queries


def _given(columns: Sequence[Column], run: Query) -> Query:
    """A statement whose arguments are packed as `shared.rows` packs them."""
    return lambda tx, *arguments: run(tx, *map(_column_values, columns, arguments))


def _column_values(column: Column, argument: Any) -> Sequence[Any]:
    if column.is_list:
        return [value.split("\x1f") if value else [] for value in argument]
    if not isinstance(argument, str):
        return list(argument)
    values = unpacked(argument)
    if column.type == "boolean":
        return [value == "True" for value in values]
    return list(map(int, values)) if column.type == "bigint" else values


def _key(row: Mapping[str, Any], names: Names) -> Any:
    return row[names[0]] if len(names) == 1 else tuple(row[name] for name in names)


# The tables that every service has


def unpacked(texts: str) -> list[str]:
    """What `shared.postgres.packed` made into one text."""
    return texts.split("\x1f") if texts else []


def claim_ids(tx: Transaction, sources: str, ids: str, contents: bytes) -> list[Any]:
    fresh = []
    each = [contents[place : place + 16] for place in range(0, len(contents), 16)]
    for identity, content in zip(zip(unpacked(sources), unpacked(ids), strict=True), each, strict=True):
        tx.lock("inbox", identity)
        if tx.get("inbox", identity) is None:
            tx.put("inbox", identity, content)
            fresh.append(identity)
    return fresh


def contents_of_ids(tx: Transaction, sources: Names, ids: Names) -> list[Any]:
    seen = tx.rows("inbox")
    return [(*i, seen[i]) for i in zip(sources, ids, strict=True) if i in seen]


def read_cursors(tx: Transaction, sources: str, subjects: str) -> list[Any]:
    cursors = tx.rows("cursors")
    return [(*i, cursors[i]) for i in zip(unpacked(sources), unpacked(subjects), strict=True) if i in cursors]


def move_cursors(tx: Transaction, *columns: str) -> int:
    moved = 0
    for source, subject, *numbers in zip(*map(unpacked, columns), strict=True):
        sequence, previous = map(int, numbers)
        tx.lock("cursors", (source, subject))
        stands = tx.get("cursors", (source, subject))
        if stands is None or stands == previous:
            tx.put("cursors", (source, subject), sequence)
            moved += 1
    return moved


def open_of_keys(tx: Transaction, keys: str) -> list[Row]:
    letters = where(tx, "dead_letters", "request_key", unpacked(keys), "request_key", "id")
    refused = [row for row in letters if row["state"] == "open"]
    for row in refused:
        tx.lock("dead_letters", _place(row))
    waiting = where(tx, "parked", "key", unpacked(keys), "key", "id")
    for row in waiting:
        tx.lock("parked", row["id"])
    return [Row({**row, "key": row["request_key"], "kind": "refused"}) for row in refused] + waiting


def begin_batch(
    tx: Transaction, sources: str, ids: str, contents: bytes, keys: str, *subjects: str
) -> list[Row]:
    """A session that has waited for an id looks at what is open once more, in a statement of its own."""
    fresh = claim_ids(tx, sources, ids, contents)
    claimed = [Row(kind="claimed", key=source, reason=name, id=None) for source, name in fresh]
    found = open_of_keys(tx, keys)
    named = set(zip(*map(unpacked, subjects), strict=True))
    named |= {(row["source"], row["subject"]) for row in found if row["kind"] != "refused"}
    cursors = tx.rows("cursors")
    return [
        *claimed,
        *found,
        *(Row(kind="cursor", key=s[0], reason=s[1], id=cursors[s]) for s in sorted(named) if s in cursors),
    ]


def _place(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["topic"], row["partition"], row["offset"]


PARKED = ("key", "kind", "reason", "topic", "partition", "offset", "source", "event_id", "type", "subject",
          "sequence", "event_time", "record", "digest")  # fmt: skip


def park(tx: Transaction, *arguments: Any) -> list[Row]:
    *columns, _overdue_after = arguments
    places = {(row["topic"], row["partition"], row["offset"]) for row in tx.rows("parked").values()}
    number = max(tx.rows("parked"), default=0)
    new: list[Row] = []
    for row in entries(PARKED, columns):
        if _place(row) not in places:
            number += 1
            tx.put("parked", number, Row({"id": number, **dict(row.items())}))
            new.append(Row(topic=row["topic"], partition=row["partition"], offset=row["offset"]))
    return new


def park_again(tx: Transaction, *arguments: Any) -> list[Row]:
    """Rows of `parked_again` stand among those of `parked`, as whoever asks for these is given both."""
    *columns, _overdue_after = arguments
    known = {(*_place(row), row["digest"]) for row in tx.rows("parked").values()}
    number = max([*tx.rows("parked"), *(key for table, key in tx.staged if table == "parked")], default=0)
    new: list[Row] = []
    for row in entries(PARKED, columns):
        if (*_place(row), row["digest"]) not in known:
            number += 1
            tx.put("parked", number, Row({"id": number, **dict(row.items())}))
            new.append(Row(topic=row["topic"], partition=row["partition"], offset=row["offset"]))
    return new


def parked_at(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    places = set(zip(*columns, strict=True))
    return [row for row in tx.rows("parked").values() if _place(row) in places]


def dead_letters_at(tx: Transaction, *columns: Sequence[Any]) -> list[Row]:
    places = set(zip(*columns, strict=True))
    return [row for row in tx.rows("dead_letters").values() if _place(row) in places]


def unpark(tx: Transaction, ids: Sequence[int]) -> int:
    for number in ids:
        tx.put("parked", number, None)
    return len(ids)


def keys_to_retry(tx: Transaction, age: timedelta, most: int) -> list[Row]:
    kinds = ("waiting", "gap")
    keys = sorted({row["key"] for row in tx.rows("parked").values() if row["kind"] in kinds})
    return [Row(key=key) for key in keys[:most]]


DEAD = ("topic", "partition", "offset", "key", "source", "event_id", "type", "code", "pointer", "detail",
        "record", "request_key", "request", "event_time", "digest", "won")  # fmt: skip


def put_dead_letters(tx: Transaction, *columns: Sequence[Any]) -> list[Any]:
    return _put_letters(tx, [(_place(row), row) for row in entries(DEAD, columns)])


def put_dead_letters_again(tx: Transaction, *columns: Sequence[Any]) -> list[Any]:
    """Rows of `dead_letters_again` stand among those of `dead_letters`, under their digests too."""
    return _put_letters(tx, [((*_place(row), row["digest"]), row) for row in entries(DEAD, columns)])


def _put_letters(tx: Transaction, letters: Iterable[tuple[Any, Row]]) -> list[Any]:
    new = []
    staged = [row for (table, _), row in tx.staged.items() if table == "dead_letters" and row is not None]
    number = max((row["id"] for row in [*tx.rows("dead_letters").values(), *staged]), default=0)
    for key, row in letters:
        if tx.get("dead_letters", key) is None:
            number += 1
            tx.put("dead_letters", key, Row({"id": number, "state": "open", "close_reason": None, **row}))
            new.append(Row(id=number, topic=row["topic"], partition=row["partition"], offset=row["offset"]))
    return new


def resolve_dead_letters(tx: Transaction, ids: Sequence[int], reasons: Names, actor: str) -> int:
    known = {row["id"]: place for place, row in tx.rows("dead_letters").items()}
    known |= {row["id"]: place for (table, place), row in tx.staged.items() if table == "dead_letters"}
    return sum(
        update(tx, "dead_letters", known[number], {"state": "resolved", "close_reason": reason})
        for number, reason in zip(ids, reasons, strict=True)
        if tx.get("dead_letters", known[number])["state"] == "open"
    )


def lock_outbox(tx: Transaction) -> list[Any]:
    tx.lock("outbox", "lock")
    return []


def copy_outbox(tx: Transaction, columns: Names, records: Iterable[tuple[Any, ...]]) -> int:
    assert tuple(columns) == COLUMNS
    lock_outbox(tx)
    count = 0
    for record in records:
        number, values = tx.next_outbox_id(), dict(zip(columns, record, strict=True))
        values["event_id"] = _event_id(tx.database.service, values)
        tx.put("outbox", number, Row({"id": number, **values}))
        count += 1
    return count


def _event_id(service: str, values: Mapping[str, Any]) -> UUID:
    """The same event has the same id on whatever way it came about."""
    said = [service, *(str(values[name]) for name in COLUMNS if name != "event_id")]
    return UUID(bytes=blake2b("\0".join(said).encode(), digest_size=16).digest())


def take_relay_lead(tx: Transaction) -> list[Row]:
    epoch = tx.rows("relay").get("epoch", 0) + 1
    tx.put("relay", "epoch", epoch)
    return [Row(epoch=epoch, published=tx.rows("relay").get("published", 0))]


def unpublished(tx: Transaction, published: int, most: int, marked: int) -> list[Row]:
    """Also for a leader that was replaced: it may have read its rows before."""
    rows = tx.rows("outbox")
    return [rows[number] for number in range(published + 1, min(published + most, len(rows)) + 1)]


def is_still_led(tx: Transaction, epoch: int, published: int) -> list[Any]:
    relay = tx.rows("relay")
    return [((relay.get("epoch", 0), relay.get("published", 0)) == (epoch, published),)]


def mark_published(tx: Transaction, published: int, epoch: int) -> int:
    relay = tx.rows("relay")
    if relay.get("epoch", 0) != epoch or relay.get("published", 0) > published:
        return 0
    tx.put("relay", "published", published)
    return 1


def known_events(tx: Transaction, keys: Names, ids: Sequence[UUID]) -> list[Row]:
    wanted = set(ids)
    rows = tx.rows("outbox").values()
    return [Row(event_id=row["event_id"]) for row in rows if row["event_id"] in wanted]


# How far partitions are handled, and what is missing of them


def handled_offsets(tx: Transaction, topics: Names, numbers: Sequence[int]) -> list[Row]:
    return found(tx, "handled_offsets", zip(topics, numbers, strict=True), lock=True)


def set_handled_offsets(tx: Transaction, *columns: Sequence[Any]) -> int:
    return _move_offsets(tx, columns, lambda before, now: now != before)


def keep_handled_offsets(tx: Transaction, *columns: Sequence[Any]) -> int:
    return _move_offsets(tx, columns, lambda before, now: now > before)


def _move_offsets(
    tx: Transaction, columns: Sequence[Sequence[Any]], moves: Callable[[int, int], bool]
) -> int:
    moved = 0
    for topic, partition, offset in zip(*columns, strict=True):
        row = tx.get("handled_offsets", (topic, partition))
        if row is None or moves(row["next_offset"], offset):
            at = {"next_offset": offset, "moved_at": tx.database.wall}
            tx.put("handled_offsets", (topic, partition), Row(topic=topic, partition=partition, **at))
            moved += 1
    return moved


def note_gap(
    tx: Transaction, topic: str, partition: int, begin: int, end: int, kind: str, last_read_at: Any
) -> list[Row]:
    tx.lock("gaps", (topic, partition, begin))
    for number, row in tx.rows("gaps").items():
        if row["closed_at"] is None and (row["topic"], row["partition"], row["from_offset"]) == (
            topic,
            partition,
            begin,
        ):
            tx.put("gaps", number, Row({**row, "to_offset": max(end, row["to_offset"])}))
            return [Row(id=number)]
    number = max([*tx.rows("gaps"), *(key for table, key in tx.staged if table == "gaps")], default=0) + 1
    place = {"id": number, "topic": topic, "partition": partition, "from_offset": begin, "to_offset": end}
    told = {"kind": kind, "last_read_at": last_read_at, "closed_at": None, "closed_by": None}
    tx.put("gaps", number, Row({**place, **told, "close_reason": None}))
    return [Row(id=number)]


def close_gap(tx: Transaction, number: int, actor: str, reason: str) -> int:
    closed = {"closed_at": tx.database.wall, "closed_by": actor, "close_reason": reason}
    return int(update(tx, "gaps", number, closed))


# What the broker refuses


def set_aside(
    tx: Transaction, ids: Sequence[int], topics: Names, keys: Names, state: str, reason: str,
    pause: timedelta, epoch: int,
) -> int:  # fmt: skip
    if tx.rows("relay").get("epoch", 0) != epoch:
        return 0
    retry_at = tx.database.wall + pause if state == "refused" else None
    for number, topic, key in zip(ids, topics, keys, strict=True):
        if tx.get("unsent", number) is None:
            said = {"state": state, "reason": reason, "tries": 1, "retry_at": retry_at}
            tx.put("unsent", number, Row({"id": number, "topic": topic, "key": key, **said}))
    return len(ids)


def unsent_keys(tx: Transaction) -> list[Row]:
    keys = sorted({(row["topic"], row["key"]) for row in tx.rows("unsent").values()})
    return [Row(topic=topic, key=key) for topic, key in keys]


def due_unsent(tx: Transaction, most: int) -> list[Row]:
    firsts: dict[tuple[str, str], Row] = {}
    for _, row in sorted(tx.rows("unsent").items()):
        firsts.setdefault((row["topic"], row["key"]), row)
    due = [r for r in firsts.values() if r["retry_at"] is None or r["retry_at"] <= tx.database.wall]
    return [Row(topic=row["topic"], key=row["key"]) for row in due[:most]]


def unsent_of_key(tx: Transaction, topic: str, key: str, most: int) -> list[Row]:
    outbox = tx.rows("outbox")
    ids = [n for n, row in sorted(tx.rows("unsent").items()) if (row["topic"], row["key"]) == (topic, key)]
    return [outbox[number] for number in ids[:most]]


def refused_again(tx: Transaction, number: int, reason: str, pause: timedelta, longest: timedelta) -> int:
    row = tx.rows("unsent").get(number)
    if row is None:
        return 0
    retry_at = tx.database.wall + min(pause * 2 ** min(row["tries"], 16), longest)
    said = {"state": "refused", "reason": reason, "tries": row["tries"] + 1, "retry_at": retry_at}
    return int(update(tx, "unsent", number, said))


def sent_at_last(tx: Transaction, ids: Sequence[int]) -> int:
    for number in ids:
        tx.put("unsent", number, None)
    return len(ids)


def add_to_audit_log(tx: Transaction, *columns: Any) -> None:
    """Nothing in a history reads the audit log; tests/integration asks for its rows."""


def answers_of_ids(tx: Transaction, sources: Names, ids: Names) -> list[Any]:
    contents, answers = tx.rows("inbox"), tx.rows("answers")
    return [(*i, contents[i], answers.get(i)) for i in zip(sources, ids, strict=True) if i in contents]


def keep_answers(tx: Transaction, sources: Names, ids: Names, answers: Sequence[bytes]) -> None:
    for source, name, answer in zip(sources, ids, answers, strict=True):
        tx.put("answers", (source, name), answer)


RUNTIME: Mapping[str, Query] = {
    "answers_of_ids": answers_of_ids,
    "keep_answers": keep_answers,
    "add_to_audit_log": add_to_audit_log,
    "claim_ids": claim_ids,
    "contents_of_ids": contents_of_ids,
    "read_cursors": read_cursors,
    "move_cursors": move_cursors,
    "begin_batch": begin_batch,
    "park": park,
    "unpark": unpark,
    "repark": updates("parked", ["id"], "kind", "reason"),
    "keys_to_retry": keys_to_retry,
    "note_retry": lambda tx, keys: 0,
    "parked_at": parked_at,
    "put_dead_letters": put_dead_letters,
    "dead_letters_at": dead_letters_at,
    "resolve_dead_letters": resolve_dead_letters,
    "park_again": park_again,
    "put_dead_letters_again": put_dead_letters_again,
    "known_events": known_events,
    "handled_offsets": handled_offsets,
    "counts_offsets": lambda tx: [
        Row(counts=True, is_at_work=any(map(tx.rows, ("inbox", "cursors", "outbox"))))
    ],
    "set_handled_offsets": set_handled_offsets,
    "keep_handled_offsets": keep_handled_offsets,
    "note_gap": note_gap,
    "close_gap": close_gap,
    "set_aside": set_aside,
    "unsent_keys": unsent_keys,
    "due_unsent": due_unsent,
    "unsent_of_key": unsent_of_key,
    "refused_again": refused_again,
    "sent_at_last": sent_at_last,
    "try_relay_lock": lambda tx: [Row(is_mine=True)],
    "sign_of_life": lambda tx: [Row(lives=True)],
    "lock_outbox": lock_outbox,
    "take_relay_lead": take_relay_lead,
    "unpublished": unpublished,
    "is_still_led": is_still_led,
    "mark_published": mark_published,
}
RUNTIME_COPIES: Mapping[str, Query] = {"outbox": copy_outbox}


# orders


def lock_orders(tx: Transaction, ids: str) -> list[Row]:
    return found(tx, "orders", unpacked(ids), lock=True)


def copy_orders(tx: Transaction, columns: Names, records: Iterable[tuple[Any, ...]]) -> int:
    records = list(records)
    for record in records:
        tx.put("recorded_at", record[0], tx.database.wall)
    copies("orders", ["order_id"])(tx, columns, records)
    return len(records)


def drop_lines(tx: Transaction, packed: str) -> int:
    ids = unpacked(packed)
    rows = [key for key, row in tx.rows("order_lines").items() if key[0] in ids and row["paid"] == 0]
    for key in rows:
        tx.put("order_lines", key, None)
    return len(rows)


def drop_sales(tx: Transaction, packed: str) -> int:
    ids = set(unpacked(packed))
    rows = [key for key in tx.rows("sales") if key[0] in ids]
    for key in rows:
        tx.put("sales", key, None)
    return len(rows)


def parts_of_orders(tx: Transaction, ids: str) -> list[Row]:
    known = unpacked(ids)
    return [
        Row(
            lines=where(tx, "order_lines", "order_id", known, "order_id", "position"),
            claims=where(tx, "claims", "order_id", known, "order_id", "claim_id", "position"),
            requests=where(tx, "issue_requests", "order_id", known, "order_id", "request_id"),
            cases=where(tx, "quarantine", "order_id", known, "order_id", "number"),
        )
    ]


def claim_payments(
    tx: Transaction, ids: str, orders: str, amounts: str, contents: bytes, buyers: str
) -> list[Row]:
    new = []
    columns = (unpacked(ids), unpacked(orders), map(int, unpacked(amounts)))
    for number, (payment_id, order_id, amount) in enumerate(zip(*columns, strict=True)):
        tx.lock("payments", payment_id)
        if tx.get("payments", payment_id) is None:
            row = Row(
                payment_id=payment_id,
                order_id=order_id,
                amount=amount,
                content=contents[16 * number : 16 * number + 16],
            )
            tx.put("payments", payment_id, row)
            new.append(Row(payment_id=payment_id, partner_id=None))
    return new + [
        Row(payment_id=None, partner_id=row["partner_id"])
        for row in found(tx, "partners", unpacked(buyers))
        if row["withdrawn_at"] is not None
    ]


def give_up_payments(tx: Transaction, ids: str) -> int:
    for payment_id in unpacked(ids):
        tx.put("payments", payment_id, None)
    return len(unpacked(ids))


def stop_orders(tx: Transaction) -> int:
    tx.lock_table("orders")
    return 0


def blockers_of_partners(tx: Transaction, ids: Names, cards_are_invoiced: bool) -> list[Row]:
    names = ("partner_id", "kind", "order_id", "line_id", "quantity")
    rows = [
        Row(
            zip(names, (order["partner_id"], kind, order["order_id"], line["line_id"], quantity), strict=True)
        )
        for order in where(tx, "orders", "partner_id", ids, "order_id")
        for line in where(tx, "order_lines", "order_id", [order["order_id"]], "position")
        for kind, quantity in _blockers(tx, order, line, cards_are_invoiced)
        if quantity > 0
    ]
    rows += [
        Row(
            zip(
                names, (order["partner_id"], "refund_in_progress", order["order_id"], None, None), strict=True
            )
        )
        for order in where(tx, "orders", "partner_id", ids)
        if order["open_refunds"]
    ]
    held = {
        (case["partner_id"], case["order_id"])
        for case in where(tx, "quarantine", "partner_id", ids)
        if case["decision"] is None
    }
    rows += [
        Row(zip(names, (partner, "quarantined_money", order_id, None, None), strict=True))
        for partner, order_id in held
    ]
    return sorted(
        rows, key=lambda r: (r["partner_id"], r["order_id"], r["kind"], r["line_id"] is None, r["line_id"])
    )


def _blockers(tx: Transaction, order: Row, line: Row, cards_are_invoiced: bool) -> Iterator[tuple[str, int]]:
    if order["state"] == "pending_deposit":
        yield "pending_deposit", line["quantity"]
    if line["kind"] == "serials":
        yield "unissued_units", line["paid"] - line["issued"] - line["refunding"] - line["refunded"]
    yield "refund_in_progress", line["refunding"]
    payment = tx.rows("payments").get(order["payment_id"])
    told = [order["order_id"]]
    if payment is not None and payment["order_id"] == order["order_id"]:
        told.append(None)  # an older version did not note the order
    invoiced = any((order["payment_id"], order_id) in tx.rows("invoiced_payments") for order_id in told)
    taxed = order["evidence"] == "tax_invoice" and (order["payment_method"] != "card" or cards_are_invoiced)
    left = order["remaining_supply"] + order["remaining_vat"]
    if order["state"] in ("paid", "cancelled") and taxed and not invoiced and left > 0:
        yield "uninvoiced_payment", line["paid"] - line["refunded"]


def note_invoiced(tx: Transaction, payments: Names, orders: Sequence[str | None]) -> int:
    for payment in zip(payments, orders, strict=True):
        tx.put("invoiced_payments", payment, True)
    return len(payments)


def overdue_deposits(tx: Transaction, grace: timedelta, most: int) -> list[Row]:
    before, recorded = tx.database.wall - grace, tx.rows("recorded_at")
    overdue = [
        order_id
        for order_id, row in tx.rows("orders").items()
        if row["state"] == "pending_deposit"
        and row["deposit_deadline"] < before
        and recorded[order_id] < before
    ]
    return [Row(order_id=order_id) for order_id in sorted(overdue)[:most]]


ORDERS: Mapping[str, Query] = {
    "lock_orders": lock_orders,
    "parts_of_orders": parts_of_orders,
    "claim_payments": claim_payments,
    "known_payments": lambda tx, ids: found(tx, "payments", unpacked(ids)),
    "give_up_payments": give_up_payments,
    "drop_lines": drop_lines,
    "drop_sales": drop_sales,
    "stop_orders": stop_orders,
    "lock_partners": lambda tx, ids: found(tx, "partners", ids, lock=True),
    "requests_of_partners": lambda tx, ids: where(
        tx, "withdrawal_requests", "partner_id", ids, "partner_id", "request_id"
    ),
    "blockers_of_partners": blockers_of_partners,
    "note_invoiced": note_invoiced,
    "overdue_deposits": overdue_deposits,
}
ORDERS_COPIES: Mapping[str, Query] = {"orders": copy_orders}


# serials


def _grants_left(tx: Transaction, fits: Callable[[int], bool], most: int) -> list[Row]:
    left = [
        key
        for key, row in sorted(tx.rows("grants").items())
        if row["state"] == "issuing" and fits(row["quantity"] - row["issued"])
    ]
    return found(tx, "grants", left[:most], lock=True)


def write_serials(tx: Transaction, serial_ids: Iterable[UUID], grant_ids: Iterable[UUID]) -> int:
    """What the binary COPY of serials does: one row a unit, and no unit twice."""
    count = 0
    for serial_id, grant_id in zip(serial_ids, grant_ids, strict=True):
        tx.insert("serials", serial_id, _active(serial_id, grant_id, None))
        count += 1
    return count


def _active(serial_id: UUID, grant_id: UUID, replaces: UUID | None) -> Row:
    never = dict.fromkeys(("account", "registered_at", "usage_ends_at", "revoked_at", "revoke_reason"))
    return Row(serial_id=serial_id, grant_id=grant_id, replaces=replaces, state="active", **never)


def lock_grants_of(tx: Transaction, serial_ids: Iterable[UUID]) -> list[Row]:
    grants = {row["grant_id"] for row in found(tx, "serials", serial_ids)}
    return found(tx, "grants", grants, lock=True)


def add_reissued(tx: Transaction, *arguments: Any) -> int:
    ids, grants, replaced, *_ = arguments
    for serial_id, grant_id, dead in zip(ids, grants, replaced, strict=True):
        tx.insert("serials", serial_id, _active(serial_id, grant_id, dead))
    return len(ids)


def _from_active(state: str, *names: str) -> Query:
    """The statement that changes active serials, and no others, into this state."""

    def run(tx: Transaction, *columns: Sequence[Any]) -> int:
        changed = 0
        for row in entries(("serial_id", *names), columns):
            stands = tx.get("serials", row["serial_id"])
            if stands is not None and stands["state"] == "active":
                said = {"state": state, **{name: row[name] for name in names}}
                changed += update(tx, "serials", row["serial_id"], said)
        return changed

    return run


def note_key(tx: Transaction, key_id: str) -> int:
    if tx.get("serial_keys", key_id) is not None:
        return 0
    tx.put("serial_keys", key_id, Row(key_id=key_id))
    return 1


SERIALS: Mapping[str, Query] = {
    "lock_orders": lock_orders,
    "lock_granted": lambda tx, keys, ids: [
        Row(
            orders=found(tx, "orders", unpacked(keys), lock=True),
            recorded=[row["grant_id"] for row in found(tx, "grants", ids)],
        )
    ],
    "lock_small_grants": lambda tx, chunk, most: _grants_left(tx, lambda left: left <= chunk, most),
    "lock_large_grant": lambda tx, chunk: _grants_left(tx, lambda left: left > chunk, 1),
    "lock_grants_of": lock_grants_of,
    "grants_by_id": lambda tx, ids: found(tx, "grants", ids),
    "lock_serials": lambda tx, ids: found(tx, "serials", ids, lock=True),
    "register_serials": _from_active("registered", "account", "registered_at", "usage_ends_at"),
    "revoke_serials": _from_active("revoked", "revoked_at", "revoke_reason"),
    "add_reissued": add_reissued,
    "note_key": note_key,
}
SERIALS_COPIES: Mapping[str, Query] = {"serials": write_serials}


# refunds


def drop_registered_lines(tx: Transaction, packed: str) -> int:
    ids = set(unpacked(packed))
    rows = [key for key in tx.rows("order_lines") if key[0] in ids]
    for key in rows:
        tx.put("order_lines", key, None)
    return len(rows)


def parts_of_refunded_orders(tx: Transaction, ids: str) -> list[Row]:
    refunds = where(tx, "refunds", "order_id", unpacked(ids), "refund_id")
    asked = where(
        tx, "refund_lines", "refund_id", [row["refund_id"] for row in refunds], "refund_id", "position"
    )
    return [
        Row(
            lines=where(tx, "order_lines", "order_id", unpacked(ids), "order_id", "position"),
            refunds=refunds,
            units=[line for line in asked if line["quantity"] > 0],
        )
    ]


def payouts_of_orders(tx: Transaction, ids: str) -> list[Row]:
    return [
        Row({**payout, "order_id": refund["order_id"]})
        for refund in where(tx, "refunds", "order_id", unpacked(ids), "refund_id")
        for payout in where(tx, "refund_payouts", "refund_id", [refund["refund_id"]], "position")
    ]


def failures_of_orders(tx: Transaction, ids: str) -> list[Row]:
    return [
        Row({**failure, "order_id": refund["order_id"]})
        for refund in where(tx, "refunds", "order_id", unpacked(ids), "refund_id")
        for failure in where(tx, "payout_failures", "refund_id", [refund["refund_id"]], "payout_id")
    ]


def note_invoices(tx: Transaction, *columns: Sequence[Any]) -> int:
    names = ("payment_id", "document_key", "supply", "vat", "written_date")
    rows = [row for row in entries(names, columns) if tx.get("tax_invoices", row["payment_id"]) is None]
    for row in rows:
        tx.insert("tax_invoices", row["payment_id"], Row({**row, "is_duplicate": False}))
    return len(rows)


def note_replaced(tx: Transaction, document_key: str, replaced_by: str | None) -> int:
    """An invoice may be corrected in the batch that tells of it, so rows of this transaction count too."""
    told = {key for table, key in tx.staged if table == "tax_invoices"} | set(tx.rows("tax_invoices"))
    keys = [key for key in sorted(told) if tx.get("tax_invoices", key)["document_key"] == document_key]
    for key in keys:
        changes = {"is_duplicate": True} if replaced_by is None else {"document_key": replaced_by}
        update(tx, "tax_invoices", key, changes)
    return len(keys)


def data_keys_in_use(tx: Transaction, partner_ids: Names) -> list[Row]:
    rows = (tx.get("data_keys", (partner_id, 1)) for partner_id in partner_ids)
    return [row for row in rows if row is not None]


def make_data_keys(tx: Transaction, partner_ids: Names, sealed: Sequence[bytes]) -> int:
    """None is ever destroyed here, so that each is the first of its partner."""
    for partner_id, key in zip(partner_ids, sealed, strict=True):
        tx.lock("data_keys", (partner_id, 1))
        if tx.get("data_keys", (partner_id, 1)) is None:
            row = Row(partner_id=partner_id, number=1, sealed=key, forgotten_at=None)
            tx.put("data_keys", (partner_id, 1), row)
    return len(partner_ids)


REFUNDS: Mapping[str, Query] = {
    "data_keys_in_use": data_keys_in_use,
    "make_data_keys": make_data_keys,
    "lock_orders": lock_orders,
    "parts_of_orders": parts_of_refunded_orders,
    "readings_of_orders": lambda tx, ids: where(
        tx, "usage_readings", "order_id", unpacked(ids), "order_id", "line_id", "recorded_at"
    ),
    "bonuses_of_orders": lambda tx, ids: where(
        tx, "bonuses", "order_id", unpacked(ids), "order_id", "line_id", "position"
    ),
    "drop_lines": drop_registered_lines,
    "payouts_of_orders": payouts_of_orders,
    "failures_of_orders": failures_of_orders,
    "note_invoiced": note_invoices,
    "note_replaced": note_replaced,
}


# invoices

UNISSUED = ("draft", "approved", "issue_failed")


def closed_months(tx: Transaction, numbers: Names) -> list[Row]:
    months = tx.rows("months")
    whole = [
        Row(month=row["month"], business_number=None, closed_at=row["closed_at"]) for row in months.values()
    ]
    return whole + [
        row
        for row in tx.rows("closed_businesses").values()
        if row["business_number"] in numbers and row["month"] not in months
    ]


def share_sets(tx: Transaction, months: Names) -> list[Row]:
    """No set is closed here that anybody would have to wait for."""
    return [Row(months=len(months), draft_rows=False)]


def claim_month(tx: Transaction, month: str) -> int:
    tx.lock_table("months")
    return 0


def lock_partners(tx: Transaction, partner_ids: Names) -> list[Row]:
    for partner_id in partner_ids:
        tx.lock("partner", partner_id)
    return [Row(count=len(partner_ids))]


def orders_of_businesses(tx: Transaction, partners: Names, months: Names) -> list[Row]:
    wanted = set(zip(partners, months, strict=True))
    shared = {
        d["invoice_id"]: d["also"]
        for d in tx.rows("documents").values()
        if d["also"] and (d["partner_id"], d["month"]) in wanted
    }
    return [
        Row(order_id=p["order_id"])
        for p in tx.rows("payments").values()
        if (p["partner_id"], p["month"]) in wanted or p["partner_id"] in shared.get(p["invoice_id"], ())
    ]


def orders_of_business(tx: Transaction, number: str, month: str) -> list[Row]:
    return [
        Row(order_id=p["order_id"], partner_id=p["partner_id"])
        for p in tx.rows("payments").values()
        if (p["business_number"], p["month"]) == (number, month)
    ]


def payments_of_others(tx: Transaction, numbers: Names, months: Names, named: Names) -> list[Row]:
    rows = [
        p
        for p in tx.rows("payments").values()
        if p["business_number"] in numbers and (p["month"] in months or p["payment_id"] in named)
    ]
    names = ("payment_id", "order_id", "partner_id", "business_number", "month")
    rows.sort(key=lambda p: (p["paid_at"], p["order_id"]))
    return [Row({name: p[name] for name in names}) for p in rows]


def orders_of_other_numbers(tx: Transaction, partners: Names, numbers: Names) -> list[Row]:
    told = list(zip(partners, numbers, strict=True))
    proposed = {
        c["invoice_id"]
        for c in tx.rows("corrections").values()
        if c["partner_id"] in partners and c["state"] == "proposed"
    }
    return [
        Row(order_id=p["order_id"])
        for p in tx.rows("payments").values()
        if p["invoice_id"] is not None
        and (
            p["invoice_id"] in proposed
            or any(p["partner_id"] == who and p["business_number"] != number for who, number in told)
        )
    ]


def orders_of_document(tx: Transaction, invoice_id: Any) -> list[Row]:
    return [
        Row(order_id=p["order_id"]) for p in tx.rows("payments").values() if p["invoice_id"] == invoice_id
    ]


def find_document(tx: Transaction, month: str, name: str, invoice_id: UUID | None) -> list[Row]:
    return [
        d
        for d in all_documents(tx.database.tables).values()
        if d["month"] == month and (d["document_key"] == name or d["invoice_id"] == invoice_id)
    ]


def lock_documents(tx: Transaction, ids: Sequence[UUID], *members: Sequence[Any]) -> list[Row]:
    """No set has merged anything here, so no document has members."""
    rows = found(tx, "documents", ids, lock=True)
    return [Row({"members": None, **row}) for row in rows]


def read_modifications(tx: Transaction, invoice_id: Any) -> list[Row]:
    found_rows = where(tx, "documents", "original_id", [invoice_id], "invoice_id")
    return [d for d in found_rows if d["refund_id"] is not None]


def corrections_behind(tx: Transaction, invoice_ids: Sequence[UUID]) -> list[Row]:
    documents, corrections = tx.rows("documents"), tx.rows("corrections")
    made: list[Row] = []
    for invoice_id in sorted(invoice_ids):
        document = documents.get(invoice_id)
        while document is not None and document["original_id"] is not None:
            decided = corrections.get(document["original_id"])
            came_of_it = document["kind"] != "modified" and document["modification"] == "correction"
            if came_of_it and decided is not None and decided["state"] == "corrected":
                made.append(Row({**decided, "of_document": invoice_id}))
            document = documents.get(document["original_id"])
    return made


def corrections_of_month(tx: Transaction, month: str) -> list[Row]:
    documents = tx.rows("documents")
    rows = [
        Row(
            document_key=documents[c["invoice_id"]]["document_key"],
            invoice_id=c["invoice_id"],
            partner_id=c["partner_id"],
            business_number=documents[c["invoice_id"]]["business_number"],
            right_number=c["business_number"],
            **{name: c[name] for name in ("state", "proposed_at", "reason", "actor", "decided_at")},
        )
        for c in tx.rows("corrections").values()
        if c["month"] == month and c["state"] != "withdrawn"
    ]
    return sorted(rows, key=lambda row: str(row["document_key"]))


def orders_of_named_payments(tx: Transaction, partners: Names, payments: Names) -> list[Row]:
    wanted = set(zip(partners, payments, strict=True))
    rows = tx.rows("payments").values()
    return [Row(order_id=p["order_id"]) for p in rows if (p["partner_id"], p["payment_id"]) in wanted]


def orders_of_failed_documents(tx: Transaction, partners: Names) -> list[Row]:
    failed = {
        (d["partner_id"], d["month"])
        for d in tx.rows("documents").values()
        if d["partner_id"] in partners and d["state"] == "issue_failed"
    }
    rows = tx.rows("payments").values()
    return [Row(order_id=p["order_id"]) for p in rows if (p["partner_id"], p["month"]) in failed]


def open_counters(tx: Transaction, numbers: Names) -> int:
    for number in numbers:
        tx.lock("document_counters", number)
        if tx.get("document_counters", number) is None:
            tx.put("document_counters", number, Row(business_number=number, last_number=0))
    return len(numbers)


def lock_counters(tx: Transaction, numbers: Names) -> list[Row]:
    """The only statement that must see what its own transaction has just written."""
    rows = [tx.get("document_counters", number) for number in sorted(numbers)]
    return [row for row in rows if row is not None]


def open_refunds_of_month(tx: Transaction, month: str) -> list[Row]:
    payments, documents = tx.rows("payments"), all_documents(tx.database.tables)
    rows = []
    for refund in where(tx, "refunds", "state", ["open"], "refund_id"):
        payment = payments[refund["order_id"]]
        document = documents.get(payment["invoice_id"])
        won = payment["standing_supply"] + payment["standing_vat"]
        is_unissued = document is not None and document["state"] in UNISSUED
        if payment["month"] == month and won and is_unissued:
            names = ("payment_id", "order_id", "partner_id")
            rows.append(
                Row(refund_id=refund["refund_id"], won=won, **{name: payment[name] for name in names})
            )
    return sorted(rows, key=lambda row: (row["partner_id"], row["payment_id"], row["refund_id"]))


def open_month_close(tx: Transaction, month: str, at: Any) -> int:
    if tx.get("months", month) is None:
        tx.put("months", month, Row(month=month, closed_at=at, sequence=0, unreported=False))
    return 1


def partners_to_close(tx: Transaction, month: str, after: str, most: int) -> list[Row]:
    partners = {
        d["partner_id"]
        for d in all_documents(tx.database.tables).values()
        if d["month"] == month and d["partner_id"] > after and d["state"] in UNISSUED
    }
    return [Row(partner_id=partner_id) for partner_id in sorted(partners)[:most]]


def summarise_month(tx: Transaction, month: str) -> list[Row]:
    documents = [
        d for d in tx.rows("documents").values() if d["month"] == month and d["modification"] is None
    ]
    issued = [d for d in documents if d["state"] == "issued"]
    supply, vat = sum(d["supply"] for d in issued), sum(d["vat"] for d in issued)
    return [
        Row(
            documents=len(issued),
            payments=sum(d["payments"] for d in issued),
            supply=supply,
            vat=vat,
            total=supply + vat,
            merged=sum(d["kind"] == "merged" for d in issued),
            issue_failed=sum(d["state"] == "issue_failed" for d in documents),
            drafts=sum(d["state"] in ("draft", "approved") for d in documents),
        )
    ]


def lock_month(tx: Transaction, month: str) -> list[Row]:
    tx.lock("months", month)
    row = tx.rows("months").get(month)
    if row is None:
        return []
    return [Row(closed_at=row["closed_at"], sequence=row["sequence"], unreported=row["unreported"])]


def mark_reported(tx: Transaction, month: str) -> list[Row]:
    sequence = tx.get("months", month)["sequence"] + 1
    update(tx, "months", month, {"sequence": sequence, "unreported": False})
    return [Row(sequence=sequence)]


INVOICES: Mapping[str, Query] = {
    "share_sets": share_sets,
    "wants_draft_rows": lambda tx: [Row(wants=False)],
    "claim_month": claim_month,
    "lock_partners": lock_partners,
    "closed_months": closed_months,
    "read_approvals": lambda tx, ids: where(tx, "approvals", "invoice_id", ids, "document_key"),
    "orders_of_businesses": orders_of_businesses,
    "orders_of_named_payments": orders_of_named_payments,
    "orders_of_failed_documents": orders_of_failed_documents,
    "orders_of_business": orders_of_business,
    "payments_of_others": payments_of_others,
    "orders_of_other_numbers": orders_of_other_numbers,
    "orders_of_document": orders_of_document,
    "find_document": find_document,
    "read_modifications": read_modifications,
    "read_numbers": lambda tx, ids: where(tx, "partner_numbers", "partner_id", ids, "partner_id", "since"),
    "read_registrations": lambda tx, ids: where(
        tx, "business_registrations", "partner_id", ids, "business_number"
    ),
    "snapshots_of_orders": lambda tx, ids: found(tx, "payment_lines", ids),
    "read_corrections": lambda tx, ids: found(tx, "corrections", ids),
    "corrections_behind": corrections_behind,
    "corrections_of_month": corrections_of_month,
    "lock_payments": lambda tx, ids: found(tx, "payments", unpacked(ids), lock=True),
    "lock_documents": lock_documents,
    "open_counters": open_counters,
    "lock_counters": lock_counters,
    "read_refunds": lambda tx, ids: found(tx, "refunds", ids),
    "read_partners": lambda tx, ids: found(tx, "partners", ids),
    "purged_partners": lambda tx, ids: [],
    "read_requests": lambda tx, ids: where(
        tx, "merge_requests", "partner_id", ids, "partner_id", "request_id"
    ),
    "open_refunds_of_month": open_refunds_of_month,
    "open_month_close": open_month_close,
    "partners_to_close": partners_to_close,
    "note_unreported": lambda tx, month: int(update(tx, "months", month, {"unreported": True})),
    "lock_month": lock_month,
    "state_of_month": lambda tx, month: found(tx, "months", [month]),
    "summarise_month": summarise_month,
    "mark_reported": mark_reported,
    **IN_STEPS,
}

UNIQUE: Mapping[str, Mapping[str, Mapping[str, Callable[[Any], Any]]]] = {
    "orders": {},
    "serials": {"serials": {"serials_replaces": lambda s: s["replaces"]}},
    "refunds": {
        "refunds": {
            "refunds_request": lambda r: (
                (r["order_id"], r["refund_request_id"]) if r["why"] != "duplicate_request" else None
            )
        },
        "refund_payouts": {
            "refund_payouts_refund_id_position_key": lambda r: (r["refund_id"], r["position"]),
            "refund_payouts_paid": lambda r: r["refund_id"] if r["state"] == "paid" else None,
        },
    },
    "invoices": {
        "documents": {
            "documents_document_key_key": lambda d: d["document_key"],
            "documents_one_open_merge": lambda d: (
                (d["partner_id"], d["business_number"], d["month"])
                if d["kind"] == "merged" and d["state"] in ("draft", "issue_failed")
                else None
            ),
            "documents_one_unissued_merge": lambda d: (
                (d["partner_id"], d["business_number"], d["month"])
                if d["kind"] == "merged" and d["state"] in UNISSUED
                else None
            ),
            "documents_one_modified_for_each_refund": lambda d: (
                (d["original_id"], d["refund_id"])
                if d["kind"] == "modified" and d["refund_id"] is not None
                else None
            ),
            "documents_corrected_once": lambda d: (
                (d["original_id"], d["kind"])
                if d["original_id"] is not None and d["refund_id"] is None
                else None
            ),
        },
        "approvals": {
            "approvals_invoice_id_business_number_key": lambda a: (a["invoice_id"], a["business_number"])
        },
        "transmissions": {"transmissions_approval_number_key": lambda t: t["approval_number"]},
    },
}
"""The unique indexes beside the primary keys, by table and name."""

UNMODELLED: Mapping[str, str] = {
    "dead_letters_topic_partition_offset_key": "the place is the key of the rows here",
    "invoiced_payments_once": "the payment and its order are the key of the rows here",
    "parked_topic_partition_offset_key": "the place is the key of the rows here",
    "dead_letters_again_topic_partition_offset_digest_key": "place and digest are the key of the rows here",
    "parked_again_topic_partition_offset_digest_key": "place and digest are the key of the rows here",
    "gaps_open": "a gap that is found again is the same row here",
    "refunds_destination_reference_key": "a random id",
    "data_keys_in_use": "no key is destroyed here, and the first one has its number",
    "refund_details_refund_id_key": "one row for each refund, whose own key is modelled",
    "grants_batch_id_key": "a random id",
    "grants_home": "no grant is so large here",
    "custody_watermark": "a random id",
    "serials_lookup_tag": "serials are counted here, not made",
}
"""The unique indexes that are not played here, and why none is needed."""

STORES: Mapping[str, Any] = {
    "orders": orders_store,
    "serials": serials_store,
    "refunds": refunds_store,
    "invoices": invoices_store,
}
FUNCTIONS: Mapping[str, tuple[Mapping[str, Query], Mapping[str, Query]]] = {
    "orders": (ORDERS, ORDERS_COPIES),
    "serials": (SERIALS, SERIALS_COPIES),
    "refunds": (REFUNDS, {}),
    "invoices": (INVOICES, {}),
}
NOT_PLAYED: Mapping[str, Mapping[str, str]] = {
    "runtime": {
        **dict.fromkeys(
            (
                "dead_letters",
                "dead_letter",
                "lock_dead_letter",
                "mark_replayed",
                "mark_edited",
                "written_rows",
                "parked_events",
                "parked_event",
                "seen_event",
                "refusals_of_event",
            ),
            "an operator's look and repair over HTTP",
        ),
        **dict.fromkeys(
            ("end_silent_leader", "end_silent_sessions"),
            "sessions and leases: leaders are played by the engine",
        ),
        **dict.fromkeys(
            ("unsent_events", "unsent_event", "try_unsent_now", "left_of_key", "unsent_count"),
            "an operator's look at what the broker refuses",
        ),
        **dict.fromkeys(
            ("last_event", "outbox_backlog", "parked_summary"), "what a process tells about itself"
        ),
        **dict.fromkeys(
            ("move_horizon", "forget_events", "forget_ids", "pages_of_inbox", "kept_for"),
            "retention: the schemas here keep everything",
        ),
        **dict.fromkeys(
            ("topic_seen", "note_topic", "begin_offsets_anew"),
            "the topics here keep their partitions",
        ),
        **dict.fromkeys(("gaps", "lock_gap"), "an operator's look at what was missed"),
    },
    "orders": {
        "has_left": "a partner asks with a token of its own",
        **dict.fromkeys(
            ("open_cases", "cases_named", "orders_with_cases"), "a person looks at money in quarantine"
        ),
        "standing_of_partner": "a person asks whether a partner may leave",
        **dict.fromkeys(("partners_to_purge", "erase_partners"), "no history here is five years long"),
        "ranking": "a person asks which products sell most",
        "orders_ranked_wrongly": "no night passes here: checks.py compares sales with orders",
    },
    "serials": {
        "has_left": "a partner asks with a token of its own",
        "erase_custody": "no history here is five years long",
        **dict.fromkeys(
            (
                "grant_of_id",
                "grants_of_order",
                "grants_of_partner",
                "registered_of_grants",
                "serials_to_hand_out",
                "count_serials_to_hand_out",
                "page_of_serials",
                "wait_for_caller",
                "custody_of_grant",
                "custody_of_watermark",
            ),
            "a person looks at issuances, and takes serials out",
        ),
        **dict.fromkeys(
            ("typed_serials", "registration_of", "is_any_serial"),
            "what was typed is found outside of the fold",
        ),
        **dict.fromkeys(
            ("count_failure", "failures_in_window", "forget_failures"), "nobody types serials here"
        ),
        **dict.fromkeys(
            (
                "serial_keys",
                "lock_keys",
                "count_by_key",
                "begin_rotation",
                "resume_rotation",
                "end_rotation",
                "key_to_rotate",
                "lock_rotation",
                "end_of_window",
                "serials_to_rekey",
                "rekey_serials",
                "note_rekeyed",
                "stop_rotation",
                "lock_key_to_retire",
                "is_key_used",
                "retire_key",
            ),
            "keys are not rotated here: no decision sees under which one a serial is",
        ),
        "count_expired": "the sweep writes down what can be counted",
        **dict.fromkeys(
            ("make_home", "index_home", "open_home"),
            "no grant is so large here; test_homes.py plays it on Postgres",
        ),
    },
    "refunds": {
        **dict.fromkeys(
            ("read_details", "details_of_refunds"), "opened for an operator or a bank, by no decision"
        ),
        **dict.fromkeys(
            (
                "details_of_partner",
                "lock_data_key",
                "erase_details",
                "knows_partner",
                "accounts_needed",
                "requests_that_wait",
                "dead_letters_of_partner",
            ),
            "a person has a partner forgotten",
        ),
        **dict.fromkeys(("lock_orders_of_partners", "erase_partner"), "no history here is five years long"),
        "holders_to_check": "no bank is asked here: that is off by default",
        "has_left": "a partner asks with a token of its own",
        **dict.fromkeys(
            (
                "order_of_refund",
                "refund_to_show",
                "refunds_in_turn",
                "waiting_refunds_in_turn",
                "count_waiting_refunds",
                "lines_of_refund",
                "steps_of_refund",
                "payouts_of_refund",
            ),
            "a person looks at a refund",
        ),
        **dict.fromkeys(("read_order", "tax_invoice_of_payment"), "a person asks what a refund would give"),
        **dict.fromkeys(
            ("take_payouts_in_turn", "payouts_to_make"), "a person takes payouts out, to make them by hand"
        ),
        "unanswered_payouts": "operators retry here what nobody answers",
    },
    "invoices": {
        "is_partner_known": "a person corrects a partner",
        "has_left": "a partner asks with a token of its own",
        **dict.fromkeys(
            (
                "document_of_key",
                "documents_to_send",
                "page_of_documents",
                "page_of_business",
                "page_of_partner",
                "rows_of_month",
                "latest_orders",
                "month_by_evidence",
            ),
            "a person asks for documents",
        ),
        **dict.fromkeys(
            ("name_buyers", "erase_buyers", "erase_registrations"), "no history here is five years long"
        ),
        "sum_evidence": "asked by auditors only",
        **dict.fromkeys(("refunds_of_payments", "page_of_partners"), "a person asks for a plan"),
        **dict.fromkeys(
            (
                "spread_out",
                "claim_set",
                "partners_of_month",
                "close_plain",
                "issue_frozen",
                "tell_issued",
            ),
            "here all is decided; test_sets.py holds sets and decisions together on Postgres",
        ),
        **dict.fromkeys(
            (
                "states_of_businesses",
                "page_of_businesses",
                "business_of_month",
                "worth_of_business",
                "approval_told_at",
                "payments_since",
                "returned_since",
                "documents_awaited",
                "count_waiting",
            ),
            "a person looks at a close, or reads in a list of Hometax",
        ),
        **dict.fromkeys(
            (
                "refunds_of_orders",
                "payments_of_document",
                "document_by_id",
                "refunds_after_issue",
                "steps_of_document",
                "submission_of_document",
            ),
            "a person looks at a document",
        ),
        **dict.fromkeys(
            (
                "document_named",
                "payment_of_order",
                "related_documents",
                "documents_of_order",
                "is_any_issued_twice",
                "events_of_documents",
                "horizon_of_events",
            ),
            "a person asks why a document says what it says",
        ),
        **dict.fromkeys(
            (
                "read_payments",
                "read_documents",
                "closes_of_month",
                "sums_of_month",
                "business_of_month",
                "late_of_month",
                "parked_for_month",
            ),
            "a person looks at a month before its close",
        ),
        **dict.fromkeys(
            (
                "claim_keeping",
                "spread_changes",
                "months_to_keep",
                "changed_partners",
                "take_changes",
                "drop_kept_stands",
                "drop_kept_previews",
                "drop_kept_left_out",
                "keep_stands",
                "keep_plain",
                "kept_sums",
                "kept_left_out",
                "put_kept_preview",
                "put_kept_left_out",
            ),
            "nothing is decided by what is kept of a month; test_keeping.py holds it to what is, on Postgres",
        ),
        **dict.fromkeys(
            ("answered_request", "answered_payments"), "somebody looks at the whole of an answer over HTTP"
        ),
    },
}
"""The statements that the simulation does not send, and why it need not."""
OF_OPERATORS = ("todo_", "find_", "evidence_")
"""How statements begin that only people ask: what needs somebody, what a word names, evidence of an order."""
PAUSES = frozenset({"share_sets", "lock_orders", "lock_granted", "closed_months", "update_orders",
                    "orders", "grants", "payments", "stop_orders", "move_cursors"})  # fmt: skip
"""Statements before which another owner may come between: loading, saving, and moving cursors."""


def open_database(service: str, number: int) -> Database:
    """An empty schema of a service. Raises NotModelled for a statement that has no function here."""
    known, copied = FUNCTIONS[service]
    store = STORES[service]
    tables = getattr(store, "TABLES", ())
    queries: dict[str, Query] = {}
    names: dict[str, str] = {}
    for source, functions, catalogue in (
        ("runtime", RUNTIME, load("shared.runtime")),
        (service, known, store.SQL),
    ):
        for name in catalogue:
            sql = getattr(catalogue, name)
            names[sql] = name
            if name in functions:
                queries[sql] = functions[name]
            elif name not in NOT_PLAYED[source] and not name.startswith(OF_OPERATORS):
                raise NotModelled(f"{source}: the simulation has no function for the statement {name}")
    made = table_queries(*tables)
    for table in tables:
        for name, sql in table.statements.items():
            queries[sql], names[sql] = made[name], name
    copies_made = {name: query for name, query in made.items() if name.startswith("COPY ")}
    given = {f"COPY {table}": query for table, query in {**RUNTIME_COPIES, **copied}.items()}
    for name, query in {**copies_made, **given}.items():
        queries[name], names[name] = query, name.removeprefix("COPY ")
    return Database(service, number, queries, names, UNIQUE[service], PAUSES)


class NotModelled(Exception):
    """A service has a statement that the simulation does not know."""
