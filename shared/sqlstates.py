"""What each SQLSTATE of PostgreSQL means for a batch. One table: whoever repeats or blocks looks here.

An event is blocked only by what concerns its own row. Whatever concerns the database as a whole is repeated
until somebody has mended it, and health and log say what that is. So a state that nobody has named is taken
for a fault of the database: to wait with a good event does less harm than to set it aside.

What a row of ours cannot cause is a fault of its table: no statement leaves a column out, and no text column
has a length. What a row can cause may be a fault of its table all the same, a constraint or a trigger that
somebody has added: `suspicion` sees that by the keys that it hits.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple


class Concern(Enum):
    """What a SQLSTATE is about, and so what a batch does."""

    SYSTEM = "the whole database: repeat with growing pauses, block nothing"
    ROW = "one row: halve to find its event, and block that key"
    CONNECTION = "the connection: repeat on another one"
    TIME = "time is short: repeat with half as much in one transaction"
    RACE = "another transaction: repeat at once"


class Meaning(NamedTuple):
    """What a SQLSTATE is about, what is wrong, and what somebody does about it (both empty for a row)."""

    concern: Concern
    wrong: str = ""
    todo: str = ""


_ROW: Final = Meaning(Concern.ROW)
_RIGHT: Final = Meaning(
    Concern.SYSTEM,
    "the database lets the service do less than it needs",
    "run `pawl migrate`, which grants the rights of deploy/postgres/rights.sql; look for a REVOKE by hand",
)
_SCHEMA: Final = Meaning(
    Concern.SYSTEM,
    "schema and service do not fit together",
    "run `pawl migrate` of the version that runs, or start the version that the schema belongs to",
)
_BUG: Final = Meaning(
    Concern.SYSTEM,
    "the database refuses a statement, whatever its values are",
    "report it with this line of the log; until then start the version that ran before",
)
_TABLE: Final = Meaning(
    Concern.SYSTEM,
    "a table takes no row of the service as it is now",
    "take back what was changed in it by hand (a column, its type, a trigger): this line says what refuses",
)
_DISK: Final = Meaning(
    Concern.SYSTEM, "the disk of the database is full", "give it room; see docs/operating.md, Storage"
)
_MEMORY: Final = Meaning(
    Concern.SYSTEM,
    "the database has no memory left",
    "give it more, or lower work_mem and the number of sessions",
)
_SESSIONS: Final = Meaning(
    Concern.SYSTEM,
    "the database takes no more connections",
    "raise max_connections or the limit of the role, or end idle sessions",
)
_READ_ONLY: Final = Meaning(
    Concern.SYSTEM,
    "the database is read-only",
    "point DATABASE_URL to the primary, or end default_transaction_read_only",
)
_LOGIN: Final = Meaning(
    Concern.SYSTEM, "the database refuses the login", "check role, password and pg_hba.conf; see DATABASE_URL"
)
_MACHINE: Final = Meaning(
    Concern.SYSTEM,
    "the machine of the database fails",
    "look into its log; restore from a backup if data is damaged",
)
_SETTING: Final = Meaning(
    Concern.SYSTEM, "the database is set up in a way that does not work", "see this line and its log"
)
_GONE: Final = Meaning(
    Concern.CONNECTION, "the connection to the database ended", "it is opened anew by itself"
)
_POOLED: Final = Meaning(
    Concern.CONNECTION,
    "statements that were prepared are gone: somebody stands between service and database",
    "let a PgBouncer in front of it work in session mode",
)
_RACE: Final = Meaning(Concern.RACE, "another transaction was in the way", "nothing, unless it goes on")

BY_CLASS: Final[Mapping[str, Meaning]] = {
    "03": _BUG,
    "08": _GONE,
    "09": _ROW,
    "0A": _BUG,
    "0B": _GONE,
    "0F": _BUG,
    "0L": _RIGHT,
    "0P": _RIGHT,
    "0Z": _BUG,
    "10": _ROW,
    "20": _ROW,
    "21": _ROW,
    "22": _BUG,
    "23": _ROW,
    "24": _GONE,
    "25": _GONE,
    "26": _POOLED,
    "27": _ROW,
    "28": _LOGIN,
    "2B": _SCHEMA,
    "2D": _GONE,
    "2F": _BUG,
    "34": _GONE,
    "38": _BUG,
    "39": _BUG,
    "3B": _GONE,
    "3D": _LOGIN,
    "3F": _SCHEMA,
    "40": _RACE,
    "42": _BUG,
    "44": _ROW,
    "53": _SETTING,
    "54": _BUG,
    "55": _SETTING,
    "57": _GONE,
    "58": _MACHINE,
    "72": _RACE,
    "F0": _SETTING,
    "HV": _SETTING,
    "P0": _ROW,
    "XX": _MACHINE,
}
"""What a state means by its first two characters, where BY_STATE does not say it."""

BY_STATE: Final[Mapping[str, Meaning]] = {
    # A function or type that a cached plan still knows otherwise; the next try makes a new one.
    "0A000": _SCHEMA,
    "2200H": Meaning(
        Concern.SYSTEM, "a sequence has no number left", "ALTER SEQUENCE ... AS bigint, or raise its MAXVALUE"
    ),
    # What the values of a row may be: a number or time out of range, or text that is none here.
    "22000": _ROW,
    "22001": _TABLE,
    "22003": _ROW,
    "22007": _ROW,
    "22008": _ROW,
    "22012": _ROW,
    "22018": _ROW,
    "22021": _ROW,
    "22023": _ROW,
    "22030": _ROW,
    "22032": _ROW,
    "22P02": _ROW,
    "22P03": _ROW,
    "22P05": _ROW,
    "23502": _TABLE,
    "25006": _READ_ONLY,
    "25P04": Meaning(
        Concern.TIME,
        "transaction_timeout ends the transactions of the service",
        "raise it for the role of the service",
    ),
    "2F002": _READ_ONLY,
    "2F003": _BUG,
    "40002": _RACE,
    "42501": _RIGHT,
    "42701": _SCHEMA,
    "42702": _SCHEMA,
    "42703": _SCHEMA,
    "42704": _SCHEMA,
    "42725": _SCHEMA,
    "42804": _SCHEMA,
    "42809": _SCHEMA,
    "42883": _SCHEMA,
    "428C9": _SCHEMA,
    "42P01": _SCHEMA,
    "42P05": _POOLED,
    "42P10": _SCHEMA,
    "53000": _SETTING,
    "53100": _DISK,
    "53200": _MEMORY,
    "53300": _SESSIONS,
    "53400": _SETTING,
    # A row that is larger than its index takes.
    "54000": _ROW,
    "54001": _TABLE,
    "54011": _SCHEMA,
    "54023": _SCHEMA,
    "55P03": Meaning(
        Concern.TIME,
        "somebody holds locks for longer than lock_timeout",
        "find them in pg_stat_activity (pg_blocking_pids), and end them or wait",
    ),
    "57014": Meaning(
        Concern.TIME,
        "statement_timeout, or somebody, ends statements of the service",
        "raise statement_timeout for the role of the service",
    ),
    "57P04": _LOGIN,
    "58030": _MACHINE,
    "XX000": _MACHINE,
    "XX001": _MACHINE,
    "XX002": Meaning(
        Concern.SYSTEM, "an index of the database is damaged", "REINDEX it; then look for what damaged it"
    ),
}
"""What a state means, where it is not what its class means."""

UNNAMED: Final = Meaning(
    Concern.SYSTEM, "the database says something unknown", "look the SQLSTATE up in its manual"
)
WHOLE_TABLE: Final = Meaning(
    Concern.SYSTEM,
    "a table refuses one key after the other for the same reason",
    "take back what was changed in it by hand (a constraint, a trigger, a column); this line names it",
)
"""What a state of one row means when it hits one key after the other and nothing goes well between."""
NO_TIME: Final = Meaning(
    Concern.TIME,
    "the database does not answer within the time of a command",
    "look for what keeps it busy in pg_stat_activity",
)


def meaning_of(sqlstate: str | None) -> Meaning:
    """What a SQLSTATE means; one that nobody has named is a fault of the database."""
    if not sqlstate:
        return UNNAMED
    return BY_STATE.get(sqlstate) or BY_CLASS.get(sqlstate[:2], UNNAMED)
