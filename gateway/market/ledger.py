"""What is recorded is sent until its receipt comes, and a damaged record never: the journal's rules over its tables.

What waits is known in memory, and learned from the sealed events at each opening, never from a row of its own that one
flipped bit could take away. Events are written where something new is known; a delivery that failed tells nothing, so
it writes nothing: a far end that is out for days must not wear out the card.
"""

from collections.abc import Sequence
from itertools import islice

from gateway.clock import iso_utc
from gateway.errors import LocalError
from gateway.market.batch import Verdict
from gateway.market.document import canonical
from gateway.market.order import Order, content_hash
from gateway.market.records import (
    DAMAGED,
    OrderRow,
    OrderView,
    Recorded,
    StoredOrder,
    damaged_view,
    is_whole,
    stored,
    view,
)
from gateway.market.states import WAITING, State, way
from gateway.market.tables import Tables


class Ledger:
    """The orders of a journal and what becomes of them; owned by one thread."""

    def __init__(self, tables: Tables, box_code: str) -> None:
        self.tables = tables
        self._box_code = box_code
        self._in_flight: set[str] = set()
        self.waiting: dict[str, int] = {}  # ids not at an end, first to go first; how often each was refused
        self.damaged: set[str] = set()  # orders and events that are not what was written

    def recover(self, wall_s: float) -> None:
        """Know again what waits, after a stop of any kind: what was being sent is queued again."""
        for row in self.tables.all_orders():
            state, _ = self._standing(row.id)
            if stored(row) is None:
                self._set_aside(row.id, wall_s)
            elif state is None or state in WAITING:
                self.waiting[row.id] = 0
                self._follow(row.id, State.QUEUED, wall_s)

    def record(self, order: Order, merchant: str, wall_s: float) -> Recorded | None:
        """Write an order, or find it written; None when its id stands for other content.

        Raises: LocalError when its record is there and damaged.
        """
        digest = content_hash(order, merchant)
        known = self.tables.order(order.id)
        if known is not None:
            found = self._stored(known)
            if found is None:
                raise LocalError(DAMAGED)
            return _receipt(found, is_new=False) if found.hash == digest else None
        document = canonical(order.model_dump(mode="json"))
        row = self.tables.add_order(order.id, merchant, document, digest, box_code=self._box_code, wall_s=wall_s)
        self.tables.add_event(order.id, State.RECORDED, wall_s)
        self.tables.add_event(order.id, State.QUEUED, wall_s)
        self.waiting[order.id] = 0
        return Recorded(order.id, row.receipt, State.RECORDED, iso_utc(wall_s), digest, is_new=True)

    def take(self, orders_max: int, bytes_max: int, wall_s: float) -> list[StoredOrder]:
        """Return the orders to send next, marked as being sent; those found damaged are set aside."""
        taken: list[StoredOrder] = []
        size_bytes = 0
        for order_id in list(islice(self.waiting, orders_max)):
            row = self.tables.order(order_id)
            found = self._stored(row) if row is not None else None
            if row is None or found is None:
                self._set_aside(order_id, wall_s)
                continue
            size_bytes += len(row.document)
            if taken and size_bytes > bytes_max:
                break
            self._follow(order_id, State.SENDING, wall_s)
            taken.append(found)
        self._in_flight = {each.id for each in taken}
        return taken

    def give_back(self, ids: Sequence[str], *, to_the_end: bool) -> None:
        """Let orders wait again whose delivery failed."""
        self._in_flight.difference_update(ids)
        if to_the_end:
            for order_id in ids:
                self._put_last(order_id)

    def settle(self, verdicts: Sequence[Verdict], wall_s: float, refusals_max: int) -> None:
        """Write what a delivery meant; an order refused `refusals_max` times goes behind the others."""
        for verdict in verdicts:
            self._in_flight.discard(verdict.id)
            if verdict.state in WAITING:
                self._refuse(verdict, wall_s, refusals_max)
            else:
                self._follow(verdict.id, verdict.state, wall_s, verdict.reason)
                self.waiting.pop(verdict.id, None)

    def one(self, order_id: str) -> OrderView | None:
        """Return an order and its state."""
        row = self.tables.order(order_id)
        return None if row is None else self._view(row)

    def newest(self, merchant: str | None, limit: int) -> list[OrderView]:
        """Return the newest orders of a merchant, or of all."""
        if merchant is None:
            rows = self.tables.orders("1 ORDER BY number DESC LIMIT ?", limit)
        else:
            rows = self.tables.orders("merchant=? ORDER BY number DESC LIMIT ?", merchant, limit)
        return [self._view(row) for row in rows]

    def _refuse(self, verdict: Verdict, wall_s: float, refusals_max: int) -> None:
        if verdict.id not in self.waiting:
            return
        self.waiting[verdict.id] += 1
        if self.waiting[verdict.id] >= refusals_max:
            self._put_last(verdict.id)
        _, told = self._standing(verdict.id)
        if verdict.reason != told:  # the same word again is nothing new
            self._follow(verdict.id, State.QUEUED, wall_s, verdict.reason)

    def _put_last(self, order_id: str) -> None:
        if self.waiting.pop(order_id, None) is not None:
            self.waiting[order_id] = 0

    def _follow(self, order_id: str, state: State, wall_s: float, reason: str = "") -> None:
        """Write the events that lead an order to a state, if there is a lawful way and it is not there already."""
        before, _ = self._standing(order_id)
        for step in way(before, state) or ():
            self.tables.add_event(order_id, step, wall_s, reason if step is state else "")

    def _set_aside(self, order_id: str, wall_s: float) -> None:
        self.waiting.pop(order_id, None)
        self.damaged.add(f"order {order_id}")
        before, _ = self._standing(order_id)
        if before in WAITING:
            self._follow(order_id, State.NEEDS_ATTENTION, wall_s, DAMAGED)

    def _standing(self, order_id: str) -> tuple[State | None, str]:
        """Return an order's last whole event, and the last reason it was given for its state."""
        state: State | None = None
        reason = ""
        for row in self.tables.events(order_id):
            if not is_whole(row):
                self.damaged.add(f"event {row.order_id} {row.sequence}")
                continue
            state = State(row.state)
            if state is not State.SENDING:
                reason = row.reason
        return state, reason

    def _view(self, row: OrderRow) -> OrderView:
        found = self._stored(row)
        if found is None:
            return damaged_view(row)
        state, reason = self._standing(found.id)
        if state is None or (state is State.SENDING and found.id not in self._in_flight):
            state = State.QUEUED  # a delivery that failed left it waiting
        return view(found, state, reason)

    def _stored(self, row: OrderRow) -> StoredOrder | None:
        found = stored(row)
        if found is None:
            self.damaged.add(f"order {row.id}")
        return found


def _receipt(found: StoredOrder, *, is_new: bool) -> Recorded:
    return Recorded(found.id, found.receipt, State.RECORDED, found.recorded_at, found.hash, is_new)
