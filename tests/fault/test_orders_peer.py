"""Merchants change their minds, the box is killed, the peer confuses: each order takes effect once, as it stands.

A walk is made of random steps, each from a number: recording, sending again, changing, cancelling, requeueing, sending,
asking, killing. Then everybody behaves, and the box, the marketplace and the merchants must agree.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from gateway.backhaul.link import Backhaul
from gateway.durable.writer import Request
from gateway.errors import Conflict
from gateway.market.attention import Code
from gateway.market.batch import Outcome
from gateway.market.drain import Drain
from gateway.market.following import Following
from gateway.market.journal.journal import Journal, JournalLimits
from gateway.market.journal.ledger import Ledger
from gateway.market.marketplaces.port import NotDelivered
from gateway.market.order import Order
from gateway.market.records import OrderView
from gateway.market.room import MarketLimits
from gateway.market.states import State
from tests.clocks import HandClock
from tests.fault.conftest import Trials
from tests.fault.orders_peer import HostileMarketplace, Killed
from tests.unit.market.orders import KEY, PATIENCE, an_order

WALKS, STEPS = 240, 40
LIMITS = MarketLimits(batch_orders_max=6, gather_s=0.0, patience=PATIENCE)
MERCHANTS = ("ana", "luis")
_T = TypeVar("_T")


@pytest.fixture(autouse=True)
def loop_stays_free() -> None:
    """Here the journal works in the loop's own thread, a step at a time, so that a walk is the same each time."""


class StraightJournal(Journal):
    """A journal without a thread of its own."""

    async def start(self, *, waits: bool = True) -> None:
        self._writer.start()
        self._statistics = self._writer.statistics()

    async def stop(self) -> None:
        self._writer.stop()

    async def _ask(self, work: Callable[[Ledger], _T], *, writes: bool = True, is_new_order: bool = False) -> _T:
        request = Request(work, writes, is_new_order)
        self._writer.serve([request])
        self._statistics = self._writer.statistics()
        if request.error is not None:
            raise request.error
        outcome: _T = request.outcome
        return outcome


class Walk:
    """A box, its merchants and its marketplace, for some steps."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.peer = HostileMarketplace(Random(seed + 1))
        self.receipts: dict[str, str] = {}  # by order; what merchants hold in their hands
        self.first: dict[str, tuple[Order, str]] = {}
        self.wanted: dict[
            str, tuple[int, str, bool]
        ] = {}  # the last revision that was said to be taken: content, cancel
        self.refusals: list[Conflict] = []
        self._folder = folder
        self._boots = 0
        self._clock = HandClock()
        self._backhaul = Backhaul(self._clock, capacity=None, carrier=lambda: True, probe=_answers)
        self.journal = self._new_journal()

    async def go(self) -> None:
        await self._boot()
        acts = [
            (6, self.record), (2, self.record_some), (3, self.send_again), (4, self.change), (3, self.cancel),
            (2, self.requeue), (9, self.deliver), (4, self.ask), (3, self.kill), (4, self.decide),
        ]  # fmt: skip
        doing = [act for weight, act in acts for _ in range(weight)]
        for _ in range(STEPS):
            self._clock.pass_s(60)
            await self.random.choice(doing)()
        await self.make_peace()
        await self.check()
        await self.journal.stop()

    async def record(self) -> None:
        order, merchant = an_order(), self.random.choice(MERCHANTS)
        self.first[order.id] = (order, merchant)
        self.peer.gossip.append(order.id)
        if self.random.random() < 0.1:
            self.peer.turned_away[order.id] = "We do not sell this"
        found = await self.journal.record(order, merchant)
        assert found is not None
        assert found.is_new
        self.receipts[order.id] = found.receipt
        self.wanted[order.id] = (1, order.note, False)

    async def record_some(self) -> None:
        orders = [an_order() for _ in range(self.random.randrange(1, 4))]
        found = await self.journal.record_all(orders, "ana")
        assert found is not None
        for order, recorded in zip(orders, found, strict=True):
            self.first[order.id] = (order, "ana")
            self.receipts[order.id], self.wanted[order.id] = recorded.receipt, (1, order.note, False)
            self.peer.gossip.append(order.id)

    async def send_again(self) -> None:
        if self.first:
            order, merchant = self.random.choice(list(self.first.values()))
            again = await self.journal.record(order, merchant)
            assert again is not None
            assert (again.receipt, again.is_new) == (self.receipts[order.id], False)

    async def change(self) -> None:
        await self._revise(is_cancel=False)

    async def cancel(self) -> None:
        await self._revise(is_cancel=True)

    async def _revise(self, *, is_cancel: bool) -> None:
        view = await self._some_view()
        if view is None or view.order is None:
            return
        note = f"revision {view.revision + 1}"
        order = None if is_cancel else view.order.model_copy(update={"note": note})
        shown = view.revision - (self.random.random() < 0.1)
        try:
            changed = await self.journal.change(view.id, view.merchant, order, shown=shown, made_by="ana")
        except Conflict as refused:
            self.refusals.append(refused)
            return
        assert shown == view.revision
        assert changed.revision == view.revision + 1
        self.wanted[view.id] = (changed.revision, self.wanted[view.id][1] if is_cancel else note, is_cancel)

    async def requeue(self) -> None:
        view = await self._some_view()
        if view is not None:
            with suppress(Conflict):
                await self.journal.requeue(view.id, None)

    async def deliver(self) -> None:
        self._clock.pass_s(5)
        try:
            await self._drain._send_batch()
        except NotDelivered:
            pass
        except Killed:
            await self.kill()

    async def ask(self) -> None:
        await self._following._visit()

    async def decide(self) -> None:
        self.peer.decide()

    async def kill(self) -> None:
        """Take the power from the process: what it had written is all that is left."""
        former = self.journal
        counts = [former.counts(each) for each in (None, *MERCHANTS)]
        before, self._boots = self._folder / str(self._boots), self._boots + 1
        shutil.copytree(before, self._folder / str(self._boots), ignore=shutil.ignore_patterns("*-shm", "ballast"))
        await former.stop()
        shutil.rmtree(before)
        self._clock.now = self.random.random() * 100  # the monotonic clock begins again
        self.journal = self._new_journal()
        await self._boot()
        assert [self.journal.counts(each) for each in (None, *MERCHANTS)] == counts, "nothing is forgotten"

    async def make_peace(self) -> None:
        """Let the wire and the peer behave, and people decide what is theirs to decide."""
        self.peer.let_late_ones_arrive()
        self.peer.is_hostile = False
        for _ in range(12):
            self.peer.settle_what_is_held()
            while self.journal.statistics().sendable:
                self._clock.pass_s(60)
                await self._drain._send_batch()
            await self._following._visit()
            views = await self.journal.newest(None, 1_000, states=frozenset({State.NEEDS_ATTENTION}))
            undecided = [view for view in views if not self._is_too_late(view)]
            if not undecided:
                return
            for view in undecided:
                await self._resolve(view)
        pytest.fail("it comes to no end")

    def _is_too_late(self, view: OrderView) -> bool:
        kept = self.peer.kept.get(view.id)
        is_over = kept is not None and kept.outcome in {Outcome.FULFILLED, Outcome.CANCELLED}
        return is_over and view.attention is not None and view.attention.code is Code.CHANGE_NOT_TAKEN

    async def _resolve(self, view: OrderView) -> None:
        assert view.attention is not None
        assert view.order is not None
        wanted = self.wanted[view.id]
        if view.attention.code is Code.OUT_OF_STOCK and not wanted[2]:
            changed = await self.journal.change(
                view.id, view.merchant, view.order.model_copy(update={"note": "fewer"}), shown=view.revision
            )
            self.wanted[view.id] = (changed.revision, "fewer", False)
        else:
            await self.journal.requeue(view.id, None)

    async def check(self) -> None:
        views = {view.id: view for view in await self.journal.newest(None, 10_000)}
        assert set(views) == set(self.first), "none lost, none invented"
        assert {each: view.receipt for each, view in views.items()} == self.receipts
        assert len(set(self.receipts.values())) == len(self.receipts)
        assert set(self.peer.kept) <= set(self.first), "none invented over there"
        assert set(self.peer.came_to_be.values()) <= {1}, "none twice"
        statistics = self.journal.statistics()
        assert (statistics.waiting, statistics.sendable, statistics.damaged) == (0, 0, 0)
        assert all(refused.what and refused.advice for refused in self.refusals), "each refusal is explained"
        for view in views.values():
            try:
                self._agree(view)
            except AssertionError as exc:
                steps = [f"{step.state} {step.revision} {step.reason}" for step in await self.journal.history(view.id)]
                exc.add_note(f"{view}\nthere: {self.peer.kept.get(view.id)}\nhere: {steps}")
                raise

    def _agree(self, view: OrderView) -> None:
        revision, note, is_cancelled = self.wanted[view.id]
        kept = self.peer.kept.get(view.id)
        assert view.order is not None
        assert (view.revision, view.order.note) == (revision, note)
        stands = kept is not None and (kept.order.revision, kept.order.order.note) == (revision, note)
        match view.state:
            case State.ACCEPTED | State.FULFILLED:
                assert stands
                assert kept is not None
                assert not kept.order.is_cancelled
                assert (kept.outcome is Outcome.FULFILLED) == (view.state is State.FULFILLED), kept
            case State.CANCELLED if is_cancelled:
                assert kept is None or kept.order.is_cancelled or kept.outcome is Outcome.CANCELLED
            case State.CANCELLED:
                assert kept is not None
                assert kept.outcome is Outcome.CANCELLED
                assert view.reason
            case State.REJECTED:
                assert view.reason in {"We do not sell this", "We decided: rejected"}
            case State.NEEDS_ATTENTION:
                assert self._is_too_late(view)
            case other:
                pytest.fail(f"{other} is no end")

    async def _some_view(self) -> OrderView | None:
        if not self.first:
            return None
        return await self.journal.one(self.random.choice(list(self.first)))

    def _new_journal(self) -> Journal:
        limits = JournalLimits(ballast_bytes=0, free_bytes_min=0)
        return StraightJournal(self._folder / str(self._boots), "SMT", KEY, self._clock, limits)

    async def _boot(self) -> None:
        await self.journal.start()
        self._drain = Drain(
            self.journal, self.peer, self._backhaul, box_name="san-mateo", clock=self._clock, limits=LIMITS,
            random=self.random,
        )  # fmt: skip
        self._following = Following(self.journal, self.peer, self._backhaul, every_s=300.0, random=self.random)


async def _answers(peer: tuple[str, int]) -> bool:
    del peer
    return True


def test_box_marketplace_and_merchants_agree_in_the_end(memory: Path, trials: Trials) -> None:
    faults: Counter[str] = Counter()
    orders = 0
    for seed in range(WALKS):
        walk = Walk(memory / str(seed), seed)
        try:
            asyncio.run(walk.go())
        except BaseException as exc:
            exc.add_note(f"walk {seed}")
            raise
        faults += walk.peer.faults
        orders += len(walk.first)
        shutil.rmtree(memory / str(seed))
    assert all(faults[name] > WALKS / 20 for name in ("delayed", "failed after storing", "answer lost", "box killed"))
    print(f"{WALKS} walks, {orders} orders, {dict(faults)}")
    trials("walks with a hostile peer, kills and changes between any two steps", WALKS)
