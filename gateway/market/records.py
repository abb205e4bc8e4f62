"""An order as others see it: its receipt, what is sent of it, and what became of it. Pure."""

from dataclasses import dataclass

from gateway.clock import iso_utc
from gateway.errors import N_
from gateway.market.attention import Attention, Code
from gateway.market.order import Line, Order, total_minor
from gateway.market.states import State

DAMAGED = N_("The record of this order is damaged, so it is not sent. Tell the technician.")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The receipt of an order: it is on disk. `state` is what it was when it was recorded."""

    id: str
    receipt: str
    state: State
    recorded_at: str
    hash: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as it stands in the journal, checked."""

    order: Order
    merchant: str
    receipt: str
    recorded_wall_s: float
    clock_state: str
    hash: str
    revision: int = 1  # how often it was written, the first time included
    is_cancelled: bool = False  # what goes out is that it is not wanted any more
    made_by: str = ""  # the account that wrote it

    @property
    def id(self) -> str:
        """The order's id."""
        return self.order.id

    @property
    def recorded_at(self) -> str:
        """When it was recorded, for people and programs."""
        return iso_utc(self.recorded_wall_s)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order stands: its last event that says something, and what the far side said."""

    state: State | None = None
    revision: int = 1  # that the last event is about
    reason: str = ""
    attention: Attention | None = None
    arrived_wall_s: float | None = None  # when its receipt from the far side came
    arrived_at: str = ""  # when it arrived there, by the far side's own clock
    was_sent: bool = False  # it may have arrived: a change must go out too
    since_wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order and what became of it; of a damaged one nothing but what its row claims to be."""

    number: int  # its place in the journal
    id: str
    merchant: str
    receipt: str
    state: State
    reason: str
    recorded_at: str
    recorded_wall_s: float
    clock_state: str
    hash: str
    order: Order | None
    revision: int = 1
    made_by: str = ""
    attention: Attention | None = None  # what a person must decide
    arrived_wall_s: float | None = None
    arrived_at: str = ""
    was_sent: bool = False
    is_cancelled: bool = False  # its last revision is that it is not wanted any more

    @property
    def is_damaged(self) -> bool:
        """Whether the journal's record of it cannot be trusted."""
        return self.order is None

    @property
    def currency(self) -> str:
        """The currency of its prices."""
        return self.order.currency if self.order else ""

    @property
    def lines(self) -> tuple[Line, ...]:
        """What was ordered."""
        return self.order.lines if self.order else ()

    @property
    def total_minor(self) -> int:
        """Its price in minor units."""
        return total_minor(self.order) if self.order else 0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to an order."""

    state: State
    revision: int
    wall_s: float
    clock_state: str
    reason: str = ""
    attention: Attention | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many orders are open: they wait for the link or the far side, or for a person."""

    waiting: int = 0
    attention: int = 0


def view(number: int, found: StoredOrder, standing: Standing, *, in_flight: bool) -> OrderView:
    """Return what is shown of a whole order; one that is being sent and not under way any more waits."""
    state = standing.state or State.QUEUED
    if state is State.SENDING and not in_flight:
        state = State.QUEUED
    return OrderView(
        number,
        found.id,
        found.merchant,
        found.receipt,
        state,
        standing.reason,
        found.recorded_at,
        found.recorded_wall_s,
        found.clock_state,
        found.hash,
        found.order,
        found.revision,
        found.made_by,
        standing.attention,
        standing.arrived_wall_s,
        standing.arrived_at,
        standing.was_sent,
        found.is_cancelled,
    )


def damaged_view(number: int, order_id: str, merchant: str, receipt: str) -> OrderView:
    """Return what is shown of an order whose row is not what was written."""
    return OrderView(
        number=number,
        id=order_id,
        merchant=merchant,
        receipt=receipt,
        state=State.NEEDS_ATTENTION,
        reason=DAMAGED,
        recorded_at="",
        recorded_wall_s=0.0,
        clock_state="unknown",
        hash="",
        order=None,
        attention=Attention(Code.DAMAGED),
    )
