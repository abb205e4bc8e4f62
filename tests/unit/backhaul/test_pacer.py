"""A pacer lets bytes pass at the rate of the moment, first come, first served (time is virtual)."""

import asyncio

import pytest

from gateway.backhaul.shaping.pacer import BURST_BYTES_MIN, BURST_S, Pacer
from tests.unit.demo.virtual_time import in_virtual_time


def now_s() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("rate_bps", [8_000, 100_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("piece_bytes", [100, 1_448, 65_536])
def test_over_time_bytes_pass_at_the_rate(rate_bps: int, piece_bytes: int) -> None:
    pieces = max(5 * rate_bps // 8 // piece_bytes, 4)

    async def journey() -> float:
        pacer = Pacer(lambda: rate_bps, now_s)
        await pacer.take(piece_bytes)
        begun_s = now_s()
        for _ in range(pieces):
            await pacer.take(piece_bytes)
        return now_s() - begun_s

    burst_s = max(BURST_S, BURST_BYTES_MIN * 8 / rate_bps)
    expected_s = pieces * piece_bytes * 8 / rate_bps
    assert in_virtual_time(journey()) == pytest.approx(expected_s, abs=burst_s + 0.1)


def test_without_a_limit_nothing_waits() -> None:
    async def journey() -> float:
        pacer, begun_s = Pacer(lambda: None, now_s), now_s()
        for _ in range(100):
            await pacer.take(1_000_000)
        return now_s() - begun_s

    assert in_virtual_time(journey()) == 0.0


def test_after_a_pause_no_more_than_the_burst_passes_at_once() -> None:
    async def journey() -> int:
        pacer = Pacer(lambda: 1_000_000, now_s)
        await asyncio.sleep(3_600)
        await pacer.take(1)
        begun_s, passed = now_s(), 0
        while now_s() == begun_s:
            await pacer.take(1_000)
            passed += 1_000
        return passed

    assert in_virtual_time(journey()) <= 1_000_000 / 8 * BURST_S + 1_000


def test_a_waiting_taker_sees_a_new_rate() -> None:
    async def journey() -> float:
        rate_bps = 0
        pacer, begun_s = Pacer(lambda: rate_bps, now_s), now_s()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pacer.take(50_000))
            await asyncio.sleep(10)
            rate_bps = 1_000_000
        return now_s() - begun_s

    assert in_virtual_time(journey()) == pytest.approx(10.2, abs=0.2)


def test_takers_pass_in_the_order_in_which_they_came() -> None:
    async def journey() -> list[int]:
        pacer, passed = Pacer(lambda: 100_000, now_s), list[int]()

        async def take(number: int, size_bytes: int) -> None:
            await pacer.take(size_bytes)
            passed.append(number)

        async with asyncio.TaskGroup() as tasks:
            for number, size_bytes in enumerate((20_000, 100, 5_000, 1)):
                tasks.create_task(take(number, size_bytes))
        return passed

    assert in_virtual_time(journey()) == [0, 1, 2, 3]


def test_a_taker_that_gives_up_leaves_the_turn_to_the_next() -> None:
    async def journey() -> float:
        pacer, begun_s = Pacer(lambda: 8_000, now_s), now_s()
        await pacer.take(3_000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pacer.take(1_000_000), 0.5)
        await pacer.take(1_000)
        return now_s() - begun_s

    assert in_virtual_time(journey()) == pytest.approx(1.0, abs=0.2)
