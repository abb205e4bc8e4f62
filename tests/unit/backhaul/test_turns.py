"""Turns let no more come than the window, serve by rate, and nobody is left standing."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.shaping.turns import DEBT_PLANS_MAX, Turns

FEW = settings(max_examples=25, deadline=None)
PIECE_BYTES = 3_000


async def turn() -> None:
    """Let everybody do what they can."""
    for _ in range(3):
        await asyncio.sleep(0)


class Readers:
    """Flows that read for ever, a piece at each turn."""

    def __init__(self, turns: Turns, tasks: asyncio.TaskGroup, sizes: dict[int, int]) -> None:
        self.turns = turns
        self.went: list[int] = []
        self.bytes = Counter[int]()
        self.tasks = {flow: tasks.create_task(self._read(flow, size)) for flow, size in sizes.items()}

    async def _read(self, flow: int, size_bytes: int) -> None:
        while True:
            await self.turns.take(flow, size_bytes)
            self.went.append(flow)
            self.bytes[flow] += size_bytes
            await asyncio.sleep(0)

    def stop(self) -> None:
        for each in self.tasks.values():
            each.cancel()


async def played(sizes: dict[int, int], rates: dict[int, int], ticks: Iterable[tuple[float, float]]) -> list[int]:
    """Bytes that were let come after each plan (window, what comes already)."""
    turns, told = Turns(), []
    turns.plan(0.0, 1.0, rates)
    async with asyncio.TaskGroup() as tasks:
        readers = Readers(turns, tasks, sizes)
        await turn()
        for window_bytes, coming_bytes in ticks:
            before = readers.bytes.total()
            turns.plan(window_bytes, coming_bytes, rates)
            for _ in range(40):
                await asyncio.sleep(0)
            told.append(readers.bytes.total() - before)
        readers.stop()
    return told


@FEW
@given(
    st.lists(st.integers(1, 6_000), min_size=1, max_size=8),
    st.lists(st.tuples(st.floats(1.0, 30_000), st.floats(0.0, 30_000)), min_size=1, max_size=12),
)
def test_no_more_is_let_come_than_fits_into_the_window(sizes: list[int], ticks: list[tuple[float, float]]) -> None:
    told = asyncio.run(played(dict(enumerate(sizes)), dict.fromkeys(range(len(sizes)), 100_000), ticks))
    for came_bytes, (window_bytes, coming_bytes) in zip(told, ticks, strict=True):
        room_bytes = max(window_bytes - coming_bytes, 0.0)
        assert came_bytes <= max(room_bytes, 0 if coming_bytes else max(sizes))  # a piece larger than all goes alone


def test_a_window_with_room_is_used() -> None:
    told = asyncio.run(played({1: PIECE_BYTES, 2: PIECE_BYTES}, {1: 1, 2: 1}, [(9_000.0, 2_000.0)] * 10))
    assert told == [2 * PIECE_BYTES] * 10


async def shares_of(rates: dict[int, int], sizes: dict[int, int], rounds: int) -> Counter[int]:
    turns = Turns()
    turns.plan(0.0, 1.0, rates)
    async with asyncio.TaskGroup() as tasks:
        readers = Readers(turns, tasks, sizes)
        await turn()
        readers.bytes.clear()
        for _ in range(rounds):
            turns.plan(PIECE_BYTES, 0.0, rates)
            for _ in range(8):
                await asyncio.sleep(0)
        readers.stop()
        return Counter(readers.bytes)


@pytest.mark.parametrize(
    ("rates", "sizes"),
    [
        ({1: 100_000, 2: 100_000, 3: 100_000}, {1: 3_000, 2: 3_000, 3: 3_000}),
        ({1: 300_000, 2: 100_000}, {1: 3_000, 2: 3_000}),
        ({1: 300_000, 2: 100_000, 3: 50_000}, {1: 3_000, 2: 1_500, 3: 750}),
    ],
)
async def test_flows_share_by_rate_over_a_hundred_turns(rates: dict[int, int], sizes: dict[int, int]) -> None:
    came = await shares_of(rates, sizes, 300)
    for flow, rate_bps in rates.items():
        assert came[flow] / came.total() == pytest.approx(rate_bps / sum(rates.values()), abs=0.05)


@FEW
@given(st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(100, 6_000)), min_size=2, max_size=8))
def test_nobody_starves(flows: list[tuple[int, int]]) -> None:
    rates = {flow: rate for flow, (rate, _) in enumerate(flows)}
    sizes = {flow: size for flow, (_, size) in enumerate(flows)}
    total_bps = sum(max(each, 1_000) for each in rates.values())
    needed_bytes = sum(6_000 * total_bps / max(each, 1_000) for each in rates.values())
    if needed_bytes < 500_000:
        came = asyncio.run(shares_of(rates, sizes, int(needed_bytes / 100) + 10))
        assert all(came[flow] for flow in sizes)


@asynccontextmanager
async def standing(*waiting: Coroutine[Any, Any, None]) -> Any:
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as after:
        made = [tasks.create_task(each) for each in waiting]
        for each in made:
            after.callback(each.cancel)
        await turn()
        yield made


async def test_without_a_window_nobody_waits() -> None:
    await Turns().take(1, 10**9)


async def test_all_go_when_the_window_is_enough_for_everybody_again() -> None:
    turns = Turns()
    turns.plan(3_000, 3_000, {})
    async with standing(*(turns.take(flow, 3_000) for flow in range(5))) as waiting:
        assert not any(each.done() for each in waiting)
        turns.plan(None, 0.0, {})
        await turn()
        assert all(each.done() for each in waiting)


async def test_who_is_cancelled_loses_nothing_for_the_others() -> None:
    turns = Turns()
    turns.plan(3_000, 1_000, {1: 100_000, 2: 100_000})
    async with standing(turns.take(1, 9_000), turns.take(1, 500), turns.take(2, 1_000)) as (large, small, other):
        assert not large.done()
        large.cancel()
        await turn()
        assert small.done()  # it stood behind one that was never to go beside others
        assert other.done()
        assert not turns.waits(1)


async def test_who_is_cancelled_waits_no_more() -> None:
    turns = Turns()
    turns.plan(3_000, 3_000, {})
    async with standing(turns.take(1, 3_000)) as (only,):
        assert turns.waits(1)
        only.cancel()
        await turn()
        assert not turns.waits(1)


@pytest.mark.parametrize(("came_bytes", "plans"), [(0, 0), (1_000, 1), (2_000, 3), (1_000_000, DEBT_PLANS_MAX + 1)])
async def test_what_came_without_a_read_is_paid_for_before_the_next_one(came_bytes: int, plans: int) -> None:
    turns = Turns()

    def plan() -> None:
        turns.plan(3_000, 0.0, {1: 4_000}, more_bytes=500, packet_bytes=1_000, patience_plans=1)

    plan()
    turns.charge(came_bytes)
    async with standing(turns.take(1, 3_000)) as (reading,):
        for _ in range(plans):
            assert not reading.done()
            plan()
            await turn()
        assert reading.done()


async def test_who_is_forgotten_goes_at_once() -> None:
    turns = Turns()
    turns.plan(3_000, 3_000, {})
    async with standing(turns.take(1, 3_000), turns.take(1, 3_000), turns.take(2, 3_000)) as (one, two, other):
        turns.forget(1)
        await turn()
        assert one.done()
        assert two.done()
        assert not other.done()
        assert not turns.waits(1)


async def test_who_comes_late_or_paused_has_no_credit() -> None:
    turns, rates = Turns(), {1: 100_000, 2: 100_000}
    turns.plan(0.0, 1.0, rates)
    async with asyncio.TaskGroup() as tasks:
        early = Readers(turns, tasks, {1: PIECE_BYTES})
        for _ in range(50):
            turns.plan(PIECE_BYTES, 0.0, rates)
            await turn()
        late = Readers(turns, tasks, {2: PIECE_BYTES})
        await turn()
        before = early.bytes[1]
        for _ in range(50):
            turns.plan(PIECE_BYTES, 0.0, rates)
            for _ in range(6):
                await asyncio.sleep(0)
        assert abs((early.bytes[1] - before) - late.bytes[2]) <= 2 * PIECE_BYTES
        early.stop()
        late.stop()


async def test_who_came_before_its_share_was_known_does_not_pay_for_that() -> None:
    turns = Turns()
    turns.plan(0.0, 1.0, {1: 100_000})
    async with asyncio.TaskGroup() as tasks:
        readers = Readers(turns, tasks, {1: PIECE_BYTES})
        order = [tasks.create_task(turns.take(2, 350)) for _ in range(3)]
        await turn()
        for _ in range(2):
            turns.plan(PIECE_BYTES, 0.0, {1: 100_000})
            await turn()
        for _ in range(4):
            turns.plan(PIECE_BYTES, 0.0, {1: 100_000, 2: 100_000})
            await turn()
        assert all(each.done() for each in order)
        readers.stop()


async def test_what_rises_does_not_stand_for_what_it_had_before() -> None:
    turns, low, risen = Turns(), {1: 100_000, 2: 1_000}, {1: 100_000, 2: 100_000}
    turns.plan(0.0, 1.0, low)
    async with asyncio.TaskGroup() as tasks:
        readers = Readers(turns, tasks, {1: PIECE_BYTES, 2: PIECE_BYTES})
        await turn()
        for rates, rounds in ((low, 10), (risen, 10)):
            readers.bytes.clear()
            for _ in range(rounds):
                turns.plan(PIECE_BYTES, 0.0, rates)
                for _ in range(8):
                    await asyncio.sleep(0)
        assert readers.bytes[2] >= readers.bytes[1] - 2 * PIECE_BYTES
        readers.stop()
