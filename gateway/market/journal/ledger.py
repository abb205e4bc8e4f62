"""What is recorded is sent until its receipt comes, and a damaged record never: the journal's rules over its entries.

What is open is known in memory, and learned from the sealed events at each opening, never from a row of its own that
one flipped bit could take away. Events are written where something new is known; a delivery that failed tells nothing,
so it writes nothing: a far end that is out for days must not wear out the card.
"""

from collections.abc import Iterable, Sequence

from gateway.clock import iso_utc
from gateway.durable.seal import is_whole
from gateway.errors import N_, Conflict, LocalError, NotFound
from gateway.exchange.backoff import Patience
from gateway.market.attention import Attention, Code
from gateway.market.batch import STATES, Receipt, Verdict
from gateway.market.journal.contents import Detail
from gateway.market.journal.entries import Entries, Moment, is_older
from gateway.market.journal.rows import OrderRow, TrimmedRow
from gateway.market.journal.standings import Standings
from gateway.market.journal.tables import Tables
from gateway.market.order import Order, content_hash
from gateway.market.photos.keeping import Naming
from gateway.market.records import DAMAGED, OrderView, Recorded, Standing, Step, StoredOrder
from gateway.market.states import SETTLED, SUCCESSORS, WAITING, State, way

REVISIONS_MAX = 100  # of one order
# One request to the journal's thread may take so much before others have their turn (about 20 ms, 2026-11): reading an
# order takes as long as 8 of its lines, and 25 numbers are looked at in the time of a line.
LINES_AT_ONCE, LINES_OF_ORDER, LOOKED_AT_ONCE = 1_500, 8, 10_000
NAMINGS_MAX = 1_000  # orders of one photo that are looked at: the newest
_CURSOR = "updates"
_LATER = frozenset({State.AT_HUB, State.ACCEPTED, State.NEEDS_ATTENTION})  # what a later word may be about
_CHANGEABLE = frozenset({*WAITING, *_LATER})


class Ledger:
    """The orders of a journal and what becomes of them; owned by one thread."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.tables = entries.tables
        self.standings = Standings()
        self._in_flight: set[int] = set()
        self._trimmed_to = 0

    @property
    def database(self) -> Tables:
        """The open file."""
        return self.tables

    def recover(self) -> None:
        """Know again what is open, after a stop of any kind."""
        last = {
            row.order_number: (State(row.state), row.revision) for row in self.tables.last_events() if is_whole(row)
        }
        changed = self.tables.newest_revisions()
        for number, merchant, is_urgent in self.tables.heads():
            state, revision = last.get(number) or (self.entries.standing(number).state, 1)
            if number in changed and changed[number] > revision and State.QUEUED in SUCCESSORS[state]:
                state = State.QUEUED  # the event of the change was lost, the change was not
            self.standings.put(number, str(merchant), state, is_urgent=bool(is_urgent))
            if state is State.NEEDS_ATTENTION:
                self.entries.look_at(number)

    def record(self, order: Order, merchant: str, made_by: str, at: Moment) -> Recorded | None:
        """Write an order, or find it written; None when its id stands for other content.

        Raises: LocalError when its record is there and damaged, NoCapacity.
        """
        known = self.tables.order(order.id)
        if known is not None:
            return self._again(known, order, merchant)
        trimmed = self.tables.trimmed(order.id)
        if trimmed is not None:
            return _receipt_of_trimmed(trimmed) if trimmed.hash == content_hash(order, merchant) else None
        row = self.entries.add_order(order, merchant, made_by, at)
        self.standings.put(row.number, merchant, State.QUEUED, is_urgent=bool(row.is_urgent))
        return Recorded(order.id, row.receipt, State.RECORDED, iso_utc(at.wall_s), row.hash, is_new=True)

    def record_all(self, orders: Sequence[Order], merchant: str, made_by: str, at: Moment) -> list[Recorded] | None:
        """Write orders, all of them or, when an id stands for other content, none: then it is None.

        Raises: LocalError, NoCapacity.
        """
        by_id = {order.id: order for order in orders}
        if any(by_id[order.id] != order or not self._is_free_for(order, merchant) for order in orders):
            return None
        recorded = [self.record(order, merchant, made_by, at) for order in orders]
        return [each for each in recorded if each is not None]

    def change(
        self,
        order_id: str,
        merchant: str,
        order: Order | None,
        *,
        shown: int,
        made_by: str,
        only_unsent: bool,
        at: Moment,
    ) -> OrderView:
        """Write a new revision of an order; None cancels it. `shown` is the revision that whoever asks has seen.

        What never left takes effect at once; what may have arrived is sent again as changed, unless `only_unsent`.

        Raises: NotFound, Conflict, LocalError when its record is damaged.
        """
        row, found = self._demand(order_id, merchant)
        standing = self.entries.standing(row.number)
        _demand_changeable(found, standing, shown)
        if only_unsent and standing.was_sent:
            raise Conflict(N_("This order has left the box."), N_("Ask the merchant to change it."))
        revision = found.revision + 1
        self.entries.add_revision(row, revision, order, made_by, at)
        is_over = order is None and not standing.was_sent
        self._step(row, State.CANCELLED if is_over else State.QUEUED, at, revision)
        return self._view(row)

    def requeue(self, order_id: str, merchant: str | None, at: Moment) -> OrderView:
        """Let an order go once more that nobody would send by itself; with None whosever it is.

        Raises: NotFound, Conflict, LocalError when its record is damaged.
        """
        row, found = self._demand(order_id, merchant)
        if self.entries.standing(row.number).state not in {State.NEEDS_ATTENTION, State.REJECTED}:
            raise Conflict(N_("This order does not wait for a decision."), N_("Nothing was changed."))
        self._step(row, State.QUEUED, at, found.revision)
        return self._view(row)

    def take(
        self, orders_max: int, bytes_max: int, at: Moment, *, goes_on: bool = False
    ) -> tuple[list[StoredOrder], int]:
        """Return some orders to send next, marked as being sent, and how many bytes may follow; 0 when none may.

        Those found damaged are set aside. Where it `goes_on`, they go with those that were taken before.
        """
        taken: dict[int, StoredOrder] = {}
        broken: list[int] = []
        size_bytes = lines = 0
        if not goes_on:
            self._in_flight = set()
        may_follow = False
        for number in self.standings.due(at.now_s):
            if number in self._in_flight:
                continue
            if len(taken) == orders_max:
                break
            if lines >= LINES_AT_ONCE:
                may_follow = True
                break
            row = self.tables.numbered(number)
            found = self.entries.current(row) if row is not None else None
            if row is None or found is None:
                broken.append(number)
                continue
            size_bytes += len(row.document)
            if (taken or goes_on) and size_bytes > bytes_max:
                break
            lines += LINES_OF_ORDER + len(found.order.lines)
            taken[number] = found
        for number in broken:
            self._set_aside(number, at)
        for number, found in taken.items():
            self._follow(number, State.SENDING, at, found.revision)
        self._in_flight |= set(taken)
        return list(taken.values()), max(bytes_max - size_bytes, 0) if may_follow else 0

    def export(self, numbers: Sequence[int], at: Moment) -> list[StoredOrder]:
        """Return those of these orders that wait, as given to somebody who carries them; they go on waiting.

        They may arrive that way, so a later change of them must go out too: they count as sent.
        """
        exported: list[StoredOrder] = []
        for number in numbers:
            if self.standings.state(number) not in WAITING:
                continue  # it arrived meanwhile
            row = self.tables.numbered(number)
            found = self.entries.current(row) if row is not None else None
            if found is not None:
                self._follow(number, State.SENDING, at, found.revision)
                exported.append(found)
        return exported

    def give_back(self, ids: Sequence[str]) -> None:
        """Let orders wait again whose delivery failed."""
        for order_id in ids:
            row = self.tables.order(order_id)
            if row is not None:
                self._in_flight.discard(row.number)

    def settle(self, verdicts: Sequence[Verdict], patience: Patience, at: Moment, *, is_its_fault: bool) -> None:
        """Write what a delivery meant; an order that is refused again and again by its fault waits for a person."""
        for verdict in verdicts:
            row = self.tables.order(verdict.id)
            if row is None or row.number not in self._in_flight:
                continue  # nothing of it is awaited
            self._in_flight.discard(row.number)
            if verdict.state is State.QUEUED:
                self._refuse(row, verdict, patience, at, is_its_fault=is_its_fault)
            else:
                self._learn(row, verdict, at)

    def learn(self, receipts: Sequence[Receipt], cursor: str, at: Moment) -> bool:
        """Write what the far side says later of orders that it has; nothing else that it says counts.

        Say whether the cursor was noted: not where a word is about an order that is being sent. It may have arrived
        before, or the word is a lie; its own receipt tells, and then the word is asked for once more.
        """
        is_awaited = False
        for receipt in receipts:
            row = self.tables.order(receipt.id)
            if row is None:
                continue
            standing, state = self.entries.standing(row.number), STATES[receipt.outcome]
            if not standing.was_sent or receipt.revision != standing.revision:
                continue
            if standing.state is State.SENDING:
                is_awaited = True
            elif standing.state in _LATER and state is not State.QUEUED and state in SUCCESSORS[standing.state]:
                told = (receipt.reason, receipt.attention, receipt.revision, receipt.arrived_at)
                self._learn(row, Verdict(receipt.id, state, *told), at)
        if not is_awaited and cursor != self.cursor():
            self.tables.write_note(_CURSOR, cursor)
        return not is_awaited

    def cursor(self) -> str:
        """Return from where on the far side was not yet asked what became of orders."""
        return self.tables.note(_CURSOR)

    def trim(self, before_wall_s: float, orders_max: int) -> int:
        """Look at some orders and delete those settled since before then; return how many were looked at."""
        rows = list(self.tables.orders("number>? ORDER BY number LIMIT ?", self._trimmed_to, orders_max))
        for row in rows:
            standing = self.entries.standing(row.number)
            is_settled = standing.state in SETTLED and is_older(standing.since_wall_s, before_wall_s)
            if is_settled and standing.state is not None and self.entries.current(row) is not None:
                self.entries.trim(row, standing.state)
                self.standings.forget(row.number)
        self._trimmed_to = rows[-1].number if len(rows) == orders_max else 0  # then from the beginning
        return len(rows)

    def photos_named(self, sha256: str) -> list[Naming]:
        """Return whose orders name a photo, and where they stand, each once; of very many, the newest."""
        named: dict[Naming, None] = {}
        for number in self.tables.naming(sha256, NAMINGS_MAX):
            row = self.tables.numbered(number)
            if row is not None and is_whole(row):
                named[Naming(row.merchant, sha256, self.standings.state(number))] = None
        return list(named)

    def one(self, order_id: str) -> OrderView | None:
        """Return an order and its state."""
        row = self.tables.order(order_id)
        return None if row is None else self._view(row)

    def newest(
        self, merchant: str | None, limit: int, before: int | None, states: frozenset[State] | None
    ) -> tuple[list[OrderView], int | None]:
        """Return some of the newest orders of a merchant, or of all, and before which to go on; None at the end."""
        found: list[OrderView] = []
        lines = 0
        for looked, number in enumerate(self._candidates(merchant, before, states)):
            if len(found) == limit:
                break
            if lines >= LINES_AT_ONCE or looked == LOOKED_AT_ONCE:
                return found, number + 1
            if states is not None and not self.standings.may_be_in(number, states):
                continue
            row = self.tables.numbered(number)
            shown = self._view(row) if row is not None and merchant in {None, row.merchant} else None
            lines += LINES_OF_ORDER + (len(shown.lines) if shown is not None else 0)
            if shown is not None and (states is None or shown.state in states):
                found.append(shown)
        return found, None

    def _candidates(self, merchant: str | None, before: int | None, states: frozenset[State] | None) -> Iterable[int]:
        """Yield the numbers of orders that may be asked for, newest first: from memory where that names few."""
        few = self.standings.few_in(states, before) if states is not None else None
        return few if few is not None else self.tables.numbers(merchant, before)

    def made_between(
        self, merchant: str, from_wall_s: float, to_wall_s: float, limit: int, after: int
    ) -> tuple[list[OrderView], int | None]:
        """Return some of a merchant's orders of this time, oldest first, and after which to go on; None at the end."""
        found: list[OrderView] = []
        lines = 0
        moments = self.tables.moments(merchant, after, LOOKED_AT_ONCE)
        for number, wall_s in moments:
            if not from_wall_s <= wall_s < to_wall_s:
                continue
            row = self.tables.numbered(number)
            if row is not None:
                found.append(self._view(row))
                lines += LINES_OF_ORDER + len(found[-1].lines)
            if len(found) == limit:
                return found, None
            if lines >= LINES_AT_ONCE:
                return found, number
        return found, moments[-1][0] if len(moments) == LOOKED_AT_ONCE else None

    def history(self, order_id: str) -> list[Step]:
        """Return what happened to an order, oldest first."""
        row = self.tables.order(order_id)
        return [] if row is None else self.entries.history(row.number)

    def _is_free_for(self, order: Order, merchant: str) -> bool:
        """Say whether an order's id is new, or stands for this very order."""
        known, trimmed = self.tables.order(order.id), self.tables.trimmed(order.id)
        if known is not None:
            return self._again(known, order, merchant) is not None
        return trimmed is None or trimmed.hash == content_hash(order, merchant)

    def _again(self, known: OrderRow, order: Order, merchant: str) -> Recorded | None:
        first = self.entries.first(known)
        if first is None:
            raise LocalError(DAMAGED)
        if known.merchant != merchant or first != order:
            return None
        return Recorded(
            known.id, known.receipt, State.RECORDED, iso_utc(known.recorded_wall_s), known.hash, is_new=False
        )

    def _demand(self, order_id: str, merchant: str | None) -> tuple[OrderRow, StoredOrder]:
        row = self.tables.order(order_id)
        if row is None or merchant not in {None, row.merchant}:
            raise NotFound
        found = self.entries.current(row)
        if found is None:
            raise LocalError(DAMAGED)
        return row, found

    def _step(self, row: OrderRow, state: State, at: Moment, revision: int) -> None:
        """Write that an order is in a state, whatever the last event was, and file it there anew."""
        self.entries.add_event(row.number, state, at, revision)
        self.standings.put(row.number, row.merchant, state, is_urgent=bool(row.is_urgent))

    def _refuse(self, row: OrderRow, verdict: Verdict, patience: Patience, at: Moment, *, is_its_fault: bool) -> None:
        number = row.number
        if self.standings.refuse(number, patience, at.now_s, is_its_fault=is_its_fault) >= patience.refusals_max:
            detail = Detail(verdict.reason, Attention(Code.UNDELIVERABLE))
            self._follow(number, State.NEEDS_ATTENTION, at, verdict.revision, detail)
        elif verdict.reason != self.entries.standing(number).reason:  # the same word again is nothing new
            self._follow(number, State.QUEUED, at, verdict.revision, Detail(verdict.reason))

    def _learn(self, row: OrderRow, verdict: Verdict, at: Moment) -> None:
        """Write what the far side said of a revision; one that has a later revision goes out again."""
        detail = Detail(verdict.reason, verdict.attention, verdict.arrived_at)
        is_behind = self.entries.newest_revision(row.number) > verdict.revision
        found = self.entries.current(row) if is_behind else None
        if found is not None and _comes_too_late(found, verdict):
            detail = Detail(verdict.reason, Attention(Code.CHANGE_NOT_TAKEN), verdict.arrived_at)
            self._follow(row.number, State.NEEDS_ATTENTION, at, found.revision, detail)
            return
        self._follow(row.number, verdict.state, at, verdict.revision, detail)
        if not self.standings.is_open(row.number):  # it was accepted, and is not any more
            state = self.entries.standing(row.number).state
            self.standings.put(row.number, row.merchant, state, is_urgent=bool(row.is_urgent))
        if found is not None and State.QUEUED in SUCCESSORS[verdict.state]:
            self._step(row, State.QUEUED, at, found.revision)

    def _follow(self, number: int, state: State, at: Moment, revision: int, detail: Detail | None = None) -> None:
        """Write the events that lead an order to a state, if there is a lawful way and it is not there already."""
        before = self.entries.state(number)
        for step in way(before, state) or ():
            self.entries.add_event(number, step, at, revision, detail if step is state else None)
            self.standings.move(number, step)

    def _set_aside(self, number: int, at: Moment) -> None:
        self._follow(number, State.NEEDS_ATTENTION, at, 1, Detail(DAMAGED, Attention(Code.DAMAGED)))
        self.standings.move(number, State.NEEDS_ATTENTION)

    def _view(self, row: OrderRow) -> OrderView:
        return self.entries.view(row, in_flight=row.number in self._in_flight)


def _demand_changeable(found: StoredOrder, standing: Standing, shown: int) -> None:
    if found.revision != shown:
        raise Conflict(N_("This order was changed meanwhile."), N_("Look at it again, then decide."))
    if found.is_cancelled or (standing.state is not None and standing.state not in _CHANGEABLE):
        raise Conflict(N_("This order can no longer be changed."), N_("Write a new one."))
    if found.revision >= REVISIONS_MAX:
        raise Conflict(N_("This order was changed too often."), N_("Cancel it and write a new one."))


def _comes_too_late(found: StoredOrder, verdict: Verdict) -> bool:
    """Say whether an order came to an end over there that its newest revision does not want."""
    wanted = State.CANCELLED if found.is_cancelled else None
    return not SUCCESSORS[verdict.state] and verdict.state is not wanted


def _receipt_of_trimmed(row: TrimmedRow) -> Recorded:
    return Recorded(row.id, row.receipt, State.RECORDED, iso_utc(row.recorded_wall_s), row.hash, is_new=False)
