"""The orders on disk: asked for from the event loop, done by one thread of their own."""

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from gateway.clock import Clock
from gateway.durable.ballast import Ballast
from gateway.durable.database import Connect, connect
from gateway.durable.thread import WriterThread
from gateway.durable.vault import Vault
from gateway.errors import N_, NoCapacity
from gateway.exchange.backoff import Patience
from gateway.market.batch import Receipt, Verdict
from gateway.market.journal.entries import Moment
from gateway.market.journal.ledger import Ledger
from gateway.market.journal.writer import JournalStatistics, Writer
from gateway.market.order import Order
from gateway.market.photos.keeping import Naming
from gateway.market.records import Counts, OrderView, Recorded, Step, StoredOrder
from gateway.market.states import State

EXPORTED_AT_ONCE = 100  # orders of one transaction
SETTLED_AT_ONCE = 200  # 16 ms (2026-11)
TRIMMED_AT_ONCE = 50  # rows looked at before others have their turn
FILE = "orders.sqlite3"

_log = structlog.get_logger("market.journal")
_T = TypeVar("_T")
_Asking = Callable[[Ledger], tuple[list[OrderView], int | None]]  # and where to go on


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """What the journal takes."""

    waiting_max: int = 1_000  # requests before the writing thread
    ballast_bytes: int = 4_000_000
    free_bytes_min: int = 32_000_000  # an order is 1 KB; the rest is room for what becomes of those that wait


class Journal:
    """The orders on disk."""

    def __init__(
        self,
        folder: Path,
        box_code: str,
        key: bytes,
        clock: Clock,
        limits: JournalLimits,
        *,
        boot: str = "",
        opens: Connect = connect,
    ) -> None:
        self._clock = clock
        self._boot = boot
        ballast = Ballast(folder, ballast_bytes=limits.ballast_bytes, free_bytes_min=limits.free_bytes_min)
        self._writer = Writer(folder / FILE, box_code, Vault(key), clock, ballast, opens)
        self._thread: WriterThread[Ledger] = WriterThread(
            self._writer, "market journal", limits.waiting_max, busy=_busy, noted=self._note, log=_log
        )
        self._statistics = JournalStatistics()

    async def start(self, *, waits: bool = True) -> None:
        """Open the journal, and know again what waits; without `waits` that goes on, and what is asked waits for it.

        Raises: CannotStart.
        """
        await self._thread.start(waits=waits)

    async def known(self) -> None:
        """Return when it is known what waits, or that the journal cannot be read now."""
        await self._thread.known()

    async def stop(self) -> None:
        """Finish what was asked, and close the file."""
        await self._thread.stop()

    def statistics(self) -> JournalStatistics:
        """Return how the journal is."""
        return self._statistics

    async def record(self, order: Order, merchant: str, made_by: str = "") -> Recorded | None:
        """Return the receipt of an order that is on disk; None when its id stands for other content.

        Raises: NoCapacity when it cannot be recorded now; LocalError when its record is damaged.
        """
        return await self._ask(lambda ledger: ledger.record(order, merchant, made_by, self._now()), is_new_order=True)

    async def record_all(self, orders: Sequence[Order], merchant: str, made_by: str = "") -> list[Recorded] | None:
        """Return the receipts of orders that are on disk together; None, and none is, when an id has other content.

        Raises: NoCapacity, LocalError.
        """
        return await self._ask(
            lambda ledger: ledger.record_all(orders, merchant, made_by, self._now()), is_new_order=True
        )

    async def change(
        self,
        order_id: str,
        merchant: str,
        order: Order | None,
        *,
        shown: int,
        made_by: str = "",
        only_unsent: bool = False,
    ) -> OrderView:
        """Return an order as changed; None in the place of the new content cancels it.

        Raises: NotFound, Conflict, NoCapacity, LocalError.
        """
        return await self._ask(
            lambda ledger: ledger.change(
                order_id, merchant, order, shown=shown, made_by=made_by, only_unsent=only_unsent, at=self._now()
            )
        )

    async def requeue(self, order_id: str, merchant: str | None) -> OrderView:
        """Return an order that waited for a decision, queued again.

        Raises: NotFound, Conflict, NoCapacity, LocalError.
        """
        return await self._ask(lambda ledger: ledger.requeue(order_id, merchant, self._now()))

    async def take(self, orders_max: int, bytes_max: int) -> list[StoredOrder]:
        """Return the orders to send next, marked as being sent."""
        taken: list[StoredOrder] = []
        while bytes_max and len(taken) < orders_max:
            taking = functools.partial(self._take, orders_max - len(taken), bytes_max, bool(taken))
            piece, bytes_max = await self._ask(taking)
            taken += piece
        return taken

    def _take(self, orders_max: int, bytes_max: int, goes_on: bool, ledger: Ledger) -> tuple[list[StoredOrder], int]:
        return ledger.take(orders_max, bytes_max, self._now(), goes_on=goes_on)

    async def settle(self, verdicts: Sequence[Verdict], patience: Patience, *, is_alone: bool = False) -> None:
        """Write what a delivery meant."""
        is_its_fault = is_alone or any(verdict.state is not State.QUEUED for verdict in verdicts)
        for first in range(0, len(verdicts), SETTLED_AT_ONCE):
            some = verdicts[first : first + SETTLED_AT_ONCE]
            await self._ask(functools.partial(self._settle, some, patience, is_its_fault))

    def _settle(self, verdicts: Sequence[Verdict], patience: Patience, is_its_fault: bool, ledger: Ledger) -> None:
        ledger.settle(verdicts, patience, self._now(), is_its_fault=is_its_fault)

    async def export(self) -> AsyncIterator[list[StoredOrder]]:
        """Yield all that waits, some at a time, as given to somebody who carries it; it goes on waiting."""
        numbers = await self._ask(lambda ledger: ledger.standings.waiting(), writes=False)
        for first in range(0, len(numbers), EXPORTED_AT_ONCE):
            if piece := await self._ask(functools.partial(self._export, numbers[first : first + EXPORTED_AT_ONCE])):
                yield piece

    def _export(self, numbers: Sequence[int], ledger: Ledger) -> list[StoredOrder]:
        return ledger.export(numbers, self._now())

    async def give_back(self, ids: Sequence[str]) -> None:
        """Let orders wait again whose delivery failed."""
        await self._ask(lambda ledger: ledger.give_back(ids), writes=False)

    async def learn(self, receipts: Sequence[Receipt], cursor: str) -> bool:
        """Write what the far side said later, and from where on it is asked next; say whether that moved on."""
        return await self._ask(lambda ledger: ledger.learn(receipts, cursor, self._now()))

    async def cursor(self) -> str:
        """Return from where on the far side was not yet asked what became of orders."""
        return await self._ask(lambda ledger: ledger.cursor(), writes=False)

    async def trim(self, before_wall_s: float) -> None:
        """Delete settled orders to which nothing happened since then, and let others write in between."""
        looked = TRIMMED_AT_ONCE
        while looked == TRIMMED_AT_ONCE:
            looked = await self._ask(lambda ledger: ledger.trim(before_wall_s, TRIMMED_AT_ONCE))

    async def photos_named(self, hashes: Sequence[str]) -> Sequence[Naming]:
        """Return which orders name these photos, and where each order stands."""
        named: list[Naming] = []
        for sha256 in hashes:
            named += await self._ask(functools.partial(Ledger.photos_named, sha256=sha256), writes=False)
        return named

    async def one(self, order_id: str) -> OrderView | None:
        """Return an order and its state."""
        return await self._ask(lambda ledger: ledger.one(order_id), writes=False)

    async def newest(
        self,
        merchant: str | None,
        limit: int,
        before: int | None = None,
        states: frozenset[State] | None = None,
    ) -> list[OrderView]:
        """Return the newest orders of a merchant, or of all: made before one of them, and in some states."""
        found: list[OrderView] = []
        while True:
            asking: _Asking = functools.partial(
                Ledger.newest, merchant=merchant, limit=limit - len(found), before=before, states=states
            )
            piece, before = await self._ask(asking, writes=False)
            found += piece
            if before is None:
                return found

    async def made_between(self, merchant: str, from_wall_s: float, to_wall_s: float, limit: int) -> list[OrderView]:
        """Return a merchant's orders that were recorded in this time, oldest first."""
        found: list[OrderView] = []
        after: int | None = 0
        while after is not None:
            asking: _Asking = functools.partial(
                Ledger.made_between,
                merchant=merchant,
                from_wall_s=from_wall_s,
                to_wall_s=to_wall_s,
                limit=limit - len(found),
                after=after,
            )
            piece, after = await self._ask(asking, writes=False)
            found += piece
        return found

    async def history(self, order_id: str) -> list[Step]:
        """Return what happened to an order, oldest first."""
        return await self._ask(lambda ledger: ledger.history(order_id), writes=False)

    def counts(self, merchant: str | None) -> Counts:
        """Return how many orders of a merchant are open; with None, of all."""
        return self._writer.counts(merchant)

    def _now(self) -> Moment:
        return Moment(self._clock.wall_s(), self._clock.now_s(), self._boot)

    async def _ask(self, work: Callable[[Ledger], _T], *, writes: bool = True, is_new_order: bool = False) -> _T:
        return await self._thread.ask(work, writes=writes, is_new=is_new_order)

    def _note(self) -> None:
        self._statistics = self._writer.statistics()


def _busy() -> NoCapacity:
    return NoCapacity(N_("The box is busy with other orders."), N_("Wait a minute, then send it again."))
