"""What is written of an order, read back checked: its newest revision, and where it stands.

A row that is not what was written is remembered as damaged and says nothing. An order whose newest revision is damaged
is damaged itself: to send an older one would be to send what somebody has changed.
"""

from dataclasses import dataclass

from gateway.clock import WALL_FLOOR_S, clock_state
from gateway.durable.seal import is_whole, seal
from gateway.durable.vault import Vault
from gateway.market.journal.contents import Detail, lock_detail, lock_order, open_detail, open_order
from gateway.market.journal.rows import EventRow, OrderRow, RevisionRow, TrimmedRow, receipt_number
from gateway.market.journal.tables import Tables
from gateway.market.order import Order, Priority, as_fields, fields_hash
from gateway.market.records import OrderView, Standing, Step, StoredOrder, damaged_view, view
from gateway.market.states import State

_ARRIVED = frozenset({State.AT_HUB, State.ACCEPTED, State.FULFILLED})


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is written down: the wall clock, and the monotonic one with the boot it counts from."""

    wall_s: float
    now_s: float
    boot: str = ""

    @property
    def columns(self) -> tuple[float, str, float, str]:
        """As it stands in a row, the wall clock with its trust."""
        return (self.wall_s, clock_state(self.wall_s), round(self.now_s, 3), self.boot)


class Entries:
    """The rows of a journal, as orders and what became of them."""

    def __init__(self, tables: Tables, vault: Vault, box_code: str) -> None:
        self.tables = tables
        self.damaged: set[str] = set()  # orders and events that are not what was written
        self._vault = vault
        self._box_code = box_code

    def add_order(self, order: Order, merchant: str, made_by: str, at: Moment) -> OrderRow:
        """Write an order with the next receipt of its merchant, recorded and queued, and return its row.

        Raises: NoCapacity.
        """
        tables = self.tables
        merchant_number = tables.merchant_number(merchant)
        counter = tables.next_counter(merchant_number)
        number, receipt = tables.next_number(), receipt_number(self._box_code, merchant_number, counter)
        is_urgent = int(order.priority is Priority.URGENT)
        head = (number, order.id, merchant, merchant_number, counter, receipt, made_by, is_urgent)
        fields = as_fields(order)
        locked = lock_order(self._vault, fields, order.id, 1)
        values = (*head, *at.columns, locked, fields_hash(fields, merchant))
        row = OrderRow._make((*values, seal(values)))
        tables.put("orders", row)
        if order.photos:
            tables.name_photos(number, order.photos)
        for sequence, state in enumerate((State.RECORDED, State.QUEUED), 1):
            self._put_event(number, sequence, state, at)
        return row

    def add_revision(self, row: OrderRow, revision: int, order: Order | None, made_by: str, at: Moment) -> None:
        """Write a revision of an order; None is its cancel."""
        fields = as_fields(order) if order is not None else None
        locked = lock_order(self._vault, fields, row.id, revision) if fields is not None else b""
        digest = fields_hash(fields, row.merchant) if fields is not None else row.hash
        values = (row.number, revision, int(order is None), made_by, at.wall_s, locked, digest)
        self.tables.put("revisions", RevisionRow._make((*values, seal(values))))
        if order is not None:
            self.tables.name_photos(row.number, order.photos)

    def add_event(self, number: int, state: State, at: Moment, revision: int = 1, detail: Detail | None = None) -> None:
        """Add an event to an order; its sequence follows the highest there is."""
        self._put_event(number, 1 + self.tables.last_sequence(number), state, at, revision, detail)

    def _put_event(
        self, number: int, sequence: int, state: State, at: Moment, revision: int = 1, detail: Detail | None = None
    ) -> None:
        locked = lock_detail(self._vault, detail or Detail(), number, sequence)
        values = (number, sequence, str(state), revision, *at.columns, locked)
        self.tables.put("events", EventRow._make((*values, seal(values))))

    def trim(self, row: OrderRow, state: State) -> None:
        """Delete an order; what stays is that it was there."""
        identity = (row.number, row.id, row.merchant_number, row.counter, row.receipt)
        values = (*identity, str(state), row.recorded_wall_s, row.hash)
        self.tables.put_trimmed(TrimmedRow._make((*values, seal(values))))
        self.tables.remove(row.number)

    def name_photos(self) -> None:
        """Write anew which photos each order names."""
        for number in list(self.tables.numbers(None, None)):
            row = self.tables.numbered(number)
            found = self.current(row) if row is not None else None
            if found is not None and found.order.photos:
                self.tables.name_photos(number, found.order.photos)

    def look_at(self, number: int) -> None:
        """Remember an order as damaged where its row is."""
        row = self.tables.numbered(number)
        if row is not None and not is_whole(row):
            self.damaged.add(f"order {row.id}")

    def newest_revision(self, number: int) -> int:
        """Return how often an order was written."""
        return 1 + self.tables.count_revisions(number)

    def first(self, row: OrderRow) -> Order | None:
        """Return an order as it was first written; None when that is damaged."""
        order = open_order(self._vault, row.document, row.id, 1) if is_whole(row) else None
        if order is None:
            self.damaged.add(f"order {row.id}")
        return order

    def current(self, row: OrderRow) -> StoredOrder | None:
        """Return an order as it stands after its last revision; None when that is damaged."""
        revisions = self.tables.revisions(row.number)
        order = self.first(row)
        digest, made_by, is_cancelled = row.hash, row.made_by, False
        for each in revisions:
            if not is_whole(each):
                order = None
            elif each.is_cancelled:
                is_cancelled = True
            else:
                order = open_order(self._vault, each.document, row.id, each.revision)
                digest, made_by, is_cancelled = each.hash, each.made_by, False
        if order is None or not is_whole(row) or self._lacks_one(row.number, 1 + len(revisions)):
            self.damaged.add(f"order {row.id}")
            return None
        return StoredOrder(
            order,
            row.merchant,
            row.receipt,
            row.recorded_wall_s,
            row.clock_state,
            digest,
            1 + len(revisions),
            is_cancelled,
            made_by,
        )

    def _lacks_one(self, number: int, newest: int) -> bool:
        """Say whether an event tells of a later revision than the newest there is."""
        if self.tables.told_revision(number) <= newest:
            return False
        return any(is_whole(row) and row.revision > newest for row in self.tables.events(number))

    def state(self, number: int) -> State | None:
        """Return an order's state."""
        row = self.tables.last_event(number)
        return State(row.state) if row is not None and is_whole(row) else self.standing(number).state

    def standing(self, number: int) -> Standing:
        """Return where an order stands by its whole events."""
        state: State | None = None
        said, since, arrived_at = Detail(), 0.0, ""
        arrived_wall_s: float | None = None
        was_sent, revision = False, 1
        for row in self.tables.events(number):
            if not is_whole(row):
                self.damaged.add(f"event {row.order_number} {row.sequence}")
                # what it said is not known: to say the order again over there harms nobody
                state, was_sent = State.QUEUED, True
                continue
            state, since, revision = State(row.state), row.wall_s, row.revision
            if state is State.SENDING:
                was_sent = True
                continue
            said = open_detail(self._vault, row.detail, number, row.sequence)
            arrived_at = said.arrived_at or arrived_at
            if state in _ARRIVED and arrived_wall_s is None:
                arrived_wall_s = row.wall_s
        return Standing(state, revision, said.reason, said.attention, arrived_wall_s, arrived_at, was_sent, since)

    def view(self, row: OrderRow, *, in_flight: bool = False) -> OrderView:
        """Return what is shown of an order."""
        found = self.current(row)
        if found is None:
            return damaged_view(row.number, str(row.id), str(row.merchant), str(row.receipt))
        return view(row.number, found, self.standing(row.number), in_flight=in_flight)

    def history(self, number: int) -> list[Step]:
        """Return what happened to an order, oldest first, as far as its events are whole."""
        steps: list[Step] = []
        for row in self.tables.events(number):
            if is_whole(row):
                said = open_detail(self._vault, row.detail, number, row.sequence)
                state = State(row.state)
                steps.append(Step(state, row.revision, row.wall_s, row.clock_state, said.reason, said.attention))
        return steps


def is_older(wall_s: float, before_wall_s: float) -> bool:
    """Say whether a moment is known to lie before another; of one that no clock knew, it is not."""
    return WALL_FLOOR_S <= wall_s < before_wall_s
