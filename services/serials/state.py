"""What serials works on: grants and how far they are, serials and whose, and the working set of one batch.

A grant is the order's promise that so many units of a line become serials. Nothing in here is a readable one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple
from uuid import UUID

from msgspec import Struct

from shared.columns import FIXED, Columns, Fixed


class GrantState(StrEnum):
    """How far a grant is: some units are missing, or all exist."""

    ISSUING = "issuing"
    ISSUED = "issued"


class SerialState(StrEnum):
    """What a serial is good for. `expired` is never stored: `state_at` says it."""

    ACTIVE = "active"
    REGISTERED = "registered"
    EXPIRED = "expired"
    REVOKED = "revoked"


def state_at(stored: SerialState, registration_deadline: datetime, at: datetime) -> SerialState:
    """The state of a serial at an instant: one that nobody registered by its deadline is expired."""
    if stored is SerialState.ACTIVE and at > registration_deadline:
        return SerialState.EXPIRED
    return stored


def stored_as(wanted: SerialState, registration_deadline: datetime, at: datetime) -> SerialState | None:
    """How serials are stored that are in this state at an instant; None where none can be in it."""
    if wanted in (SerialState.ACTIVE, SerialState.EXPIRED):
        fits = state_at(SerialState.ACTIVE, registration_deadline, at) is wanted
        return SerialState.ACTIVE if fits else None
    return wanted


class Product(NamedTuple):
    """What the order sold, as of payment. `unit_price` is in won, `usage_days` in KST days."""

    product_id: str
    product_name: str
    unit_price: int
    usage_days: int


class Part(NamedTuple):
    """Some units of a grant: the serials numbered `first` to `first + units - 1` of it, counted from 1."""

    grant_id: UUID
    batch_id: UUID
    first: int
    units: int


class Order(Struct, frozen=True, gc=False):
    """What is kept of an order beside its grants: `sequence` counts the events about it."""

    order_id: Fixed[str]
    sequence: int = 0


class Grant(Struct, frozen=True, gc=False):
    """Units to issue and how many of them exist. `sequence` counts the events about its progress.

    `batch_id` is the first of a run of ids that this grant owns: its n-th serial has the id batch_id + n.
    `issued_at` is the logical time of issue, that of the grant, once all units exist. `state` and `issued_at`
    follow from the counts: the decisions set them, and the schema refuses any that do not fit.
    So many serials were `reissued`, each in the place of one of those that were `revoked`. Once the window to
    register is over, `expired` is how many were neither registered nor revoked. `home` is the table that its
    serials are in: one of their own (1, 2, 3 ...), or that of all others (0).
    """

    grant_id: Fixed[UUID]
    batch_id: Fixed[UUID]
    order_id: Fixed[str]
    line_id: Fixed[str]
    partner_id: Fixed[str]
    product: Annotated[Product, FIXED, Columns("product_id", "product_name", "unit_price", "usage_days")]
    quantity: Fixed[int]
    granted_at: Fixed[datetime]
    registration_deadline: Fixed[datetime]
    correlation: Fixed[str]
    causation: Fixed[str]
    issued: int = 0
    state: GrantState = GrantState.ISSUING
    sequence: int = 0
    issued_at: datetime | None = None
    reissued: int = 0
    revoked: int = 0
    expired: int | None = None
    home: int = 0

    @property
    def left(self) -> int:
        """Units that do not exist yet."""
        return self.quantity - self.issued

    @property
    def found(self) -> int:
        """Units whose serials are found: all that exist, but in a home of their own only once it is whole."""
        return 0 if self.home and self.left else self.issued

    @property
    def numbers(self) -> int:
        """The last number of a unit: reissued serials are numbered on behind the units of the grant."""
        return self.quantity + self.reissued

    def serial_id(self, number: int) -> UUID:
        """The id of the serial of this unit, counted from 1."""
        return UUID(int=self.batch_id.int + number)

    def next_part(self, units: int) -> Part:
        """The next `units` units."""
        return Part(self.grant_id, self.batch_id, self.issued + 1, units)

    @property
    def next_reissued(self) -> UUID:
        """The id of the next serial that is reissued: those follow the ids of the units."""
        return UUID(int=self.batch_id.int + self.quantity + self.reissued + 1)


class Registration(NamedTuple):
    """Who uses a serial, since when, and until when: the end of a day in Seoul."""

    account: str
    registered_at: datetime
    usage_ends_at: datetime


class Revocation(NamedTuple):
    """When a serial died, and why: what an operator said, or `reissued`."""

    revoked_at: datetime
    reason: str


class Serial(Struct, frozen=True, gc=False):
    """One serial, without its characters. `replaces` is the serial that it was made in the place of."""

    serial_id: UUID
    grant_id: UUID
    replaces: UUID | None = None
    state: SerialState = SerialState.ACTIVE
    registration: Registration | None = None
    revocation: Revocation | None = None

    @property
    def sequence(self) -> int:
        """How many events are about it: that it was reissued, and that it was registered or revoked."""
        return (self.replaces is not None) + (self.state is not SerialState.ACTIVE)


class Form(StrEnum):
    """How serials were handed out; or that one was looked up by its characters."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    MERGE = "merge"
    SEARCH = "search"


class Custody(Struct, frozen=True, gc=False):
    """One time that somebody was handed serials, or looked one up: who, when, which. It holds no serial.

    `actor` is the token's `sub`, `partner_id` the partner that the token is limited to, `client` the address
    that asked, `request` its correlation id. `serials` counts those of the units `first_unit` to `last_unit`
    that were in the `state` asked for (None: in any). Whatever leaves carries its `watermark`.
    """

    custody_id: Fixed[UUID]
    form: Fixed[Form]
    actor: Fixed[str]
    partner_id: Fixed[str | None]
    client: Fixed[str]
    request: Fixed[str]
    reason: Fixed[str]
    grant_id: Fixed[UUID | None]
    first_unit: Fixed[int | None]
    last_unit: Fixed[int | None]
    state: Fixed[SerialState | None]
    serials: Fixed[int]
    watermark: Fixed[str | None]


class Policy(Struct, frozen=True):
    """What may be changed without a new version: sizes in units, the registration window in KST days.

    Grants of up to `small_grant` units are issued with their event, as long as a batch has not issued
    `at_once` units yet; all others are left to the issuing worker, `chunk` units a transaction. A partner may
    have `reissue_percent` of the units of a grant reissued, or `reissue_least` where that is more.
    The serials of a grant of more than `home_from` units get a home of their own, unless there are `homes`.
    """

    window_days: int = 91
    small_grant: int = 2_000
    at_once: int = 50_000
    chunk: int = 50_000
    reissue_percent: int = 5
    reissue_least: int = 5
    home_from: int = 250_000
    homes: int = 20

    def wants_home(self, grant: Grant) -> bool:
        """Whether the serials of the grant, of which none exists yet, are to get a home of their own."""
        return grant.issued == 0 and grant.quantity > max(self.home_from, self.chunk)

    def reissue_quota(self, grant: Grant) -> int:
        """How many serials of the grant its partner may have reissued."""
        return max(self.reissue_least, grant.quantity * self.reissue_percent // 100)


class WithdrawnPartner(Struct, frozen=True, gc=False):
    """A partner that has left: what it could see is kept, and hidden from it."""

    partner_id: Fixed[str]
    withdrawn_at: Fixed[datetime]


@dataclass(slots=True)
class World:
    """What a batch decides over: which grants are recorded, the new ones, and room to issue at once; for
    commands the serials that they are about, with their grants.

    `stored_...` are orders, serials and grants as they were read, to see what changed. `withdrawn` are
    partners that have left, `purged` those whose people are to be named no more.
    """

    policy: Policy
    new_batch_id: Callable[[], UUID]
    recorded: set[UUID] = field(default_factory=set)
    new: list[Grant] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    stored_orders: Mapping[str, Order] = field(default_factory=dict)
    serials: dict[UUID, Serial] = field(default_factory=dict)
    stored_serials: Mapping[UUID, Serial] = field(default_factory=dict)
    grants: dict[UUID, Grant] = field(default_factory=dict)
    stored_grants: Mapping[UUID, Grant] = field(default_factory=dict)
    withdrawn: list[WithdrawnPartner] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    issued_at_once: int = 0

    def fits(self, units: int) -> bool:
        """Whether so many units can be issued together with their event."""
        policy = self.policy
        return units <= policy.small_grant and self.issued_at_once + units <= policy.at_once

    def add(self, grant: Grant) -> None:
        """Takes a grant that was not recorded, with the units that it was issued at once."""
        self.recorded.add(grant.grant_id)
        self.new.append(grant)
        self.issued_at_once += grant.issued

    def put(self, state: Order) -> None:
        """Keeps the new state of an order, to be saved with the batch."""
        self.orders[state.order_id] = state

    def put_serials(self, *serials: Serial) -> None:
        """Keeps the new state of serials, those among them that are new too."""
        self.serials |= {serial.serial_id: serial for serial in serials}

    def put_grant(self, grant: Grant) -> None:
        """Keeps the new state of a grant that was recorded before."""
        self.grants[grant.grant_id] = grant
