"""A link that is watched: a cut under load is told in two seconds, the return in one; a long outage costs little."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.backhaul.sensing.state import LinkState, LinkView, ModemChanged, Silent
from gateway.backhaul.sensing.watch import (
    CARRIER_POLL_S,
    EAGER_S,
    PATIENT_S,
    PROBE_BYTES,
    PROBE_EACH_MAX,
    WAVE_S,
    WEARY_AFTER_S,
    WEARY_S,
    Peer,
    Watch,
)
from tests.unit.demo.virtual_time import LoopClock, in_virtual_time

UP, DEGRADED, DOWN = LinkState.UP, LinkState.DEGRADED, LinkState.DOWN
ORIGIN: Peer = ("origin.example", 443)
TICK_S = 0.1
ROUND_TRIP_S = 0.2
PATIENCE_S = 3.0


def now_s() -> float:
    return asyncio.get_running_loop().time()


class Far:
    """A far side that may be cut off: what is sent then is lost, and whoever asked waits for his deadline."""

    def __init__(self) -> None:
        self.carrier = True
        self.cut = False
        self.idle = False
        self.probed: list[tuple[float, Peer]] = []
        self.changes: list[tuple[float, LinkState]] = []
        self.down_bytes = 0

    async def probe(self, peer: Peer) -> bool:
        self.probed.append((now_s(), peer))
        if self.cut:
            await asyncio.sleep(PATIENCE_S)
            return False
        await asyncio.sleep(ROUND_TRIP_S)
        return True

    def note(self, view: LinkView) -> None:
        self.changes.append((now_s(), view.state))

    def since(self, from_s: float) -> list[tuple[float, LinkState]]:
        return [(round(at - from_s, 2), state) for at, state in self.changes if at >= from_s]


@asynccontextmanager
async def watched(far: Far, peers: tuple[Peer, ...] = (ORIGIN,)) -> AsyncIterator[Watch]:
    """Watch a link that is used all the time, and counted at each tick."""
    watch = Watch(LoopClock(), carrier=lambda: far.carrier, probe=far.probe, peers=peers, on_change=far.note)

    async def count() -> None:
        while True:
            far.down_bytes += 0 if far.cut or far.idle else 5_000
            watch.counted(far.down_bytes, expected=not far.idle)
            await asyncio.sleep(TICK_S)

    async with asyncio.TaskGroup() as tasks:
        beside = [tasks.create_task(watch.run()), tasks.create_task(count())]
        await asyncio.sleep(5)
        yield watch
        for each in beside:
            each.cancel()


@pytest.mark.parametrize("at_s", [0.0, 0.03, 0.31, 0.49, 0.77])
def test_a_silent_cut_under_load_is_told_within_two_seconds_and_its_return_within_one(at_s: float) -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far) as watch:
            for outage_s in (3.0, 20.0, 120.0):
                await asyncio.sleep(90 + at_s)
                far.cut, cut_s = True, now_s()
                await asyncio.sleep(outage_s + at_s)
                assert [state for _, state in far.since(cut_s)] == [DOWN]
                assert far.since(cut_s)[0][0] <= 2.0
                assert watch.view.told_by == "silence"
                far.cut, back_s = False, now_s()
                await asyncio.sleep(1.0)
                assert [state for _, state in far.since(back_s)] == [UP]
                assert far.since(back_s)[0][0] <= 1.0

    in_virtual_time(journey())


def test_a_short_radio_silence_costs_one_probe_and_changes_nothing() -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far):
            far.cut = True
            await asyncio.sleep(1.5)
            far.cut = False
            await asyncio.sleep(30)
            assert (far.changes, len(far.probed)) == ([], 1)

    in_virtual_time(journey())


def test_a_silence_of_one_server_is_cleared_by_another() -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far) as watch:
            watch.learn(Silent(now_s()))
            await asyncio.sleep(TICK_S * 3)
            assert not watch.view.in_doubt

    in_virtual_time(journey())


def test_without_a_carrier_nothing_is_sent_and_its_return_is_the_links() -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far) as watch:
            far.carrier, far.idle, lost_s = False, True, now_s()
            await asyncio.sleep(60)
            assert (far.since(lost_s)[0][0] <= CARRIER_POLL_S, watch.view.told_by) == (True, "carrier")
            assert far.probed == []
            far.carrier, back_s = True, now_s()
            await asyncio.sleep(1)
            assert far.since(back_s)[0][0] <= CARRIER_POLL_S

    in_virtual_time(journey())


def test_a_long_outage_costs_few_bytes_and_whoever_asks_makes_it_eager_again() -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far) as watch:
            watch.progressed(("heard.example", 443))
            far.cut = True
            await asyncio.sleep(5)
            far.idle = True
            await asyncio.sleep(EAGER_S + WEARY_AFTER_S)
            before = watch.statistics()
            await asyncio.sleep(3_600)
            spent = watch.statistics().probe_bytes - before.probe_bytes
            assert spent == pytest.approx(3_600 / WEARY_S * PROBE_BYTES, rel=0.02)
            far.probed.clear()
            watch.wanted(("wanted.example", 443))
            await asyncio.sleep(WAVE_S * 1.5)
            assert ("wanted.example", 443) in [peer for _, peer in far.probed]
            far.cut, back_s = False, now_s()
            await asyncio.sleep(1)
            assert far.since(back_s)[0][0] <= 1.0

    in_virtual_time(journey())


def test_an_outage_in_which_somebody_waits_is_asked_about_all_the_time() -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far):
            far.cut = True  # and something goes on being expected: a call is open
            await asyncio.sleep(EAGER_S + 300)
            far.cut, back_s = False, now_s()
            await asyncio.sleep(1)
            assert far.since(back_s)[0][0] <= 1.0

    in_virtual_time(journey())


@pytest.mark.parametrize("after_s", [100.0, EAGER_S + WEARY_AFTER_S])
def test_in_a_long_outage_every_peer_is_asked_in_turn(after_s: float) -> None:
    async def journey() -> None:
        far = Far()
        peers = tuple((f"origin{number}.example", 443) for number in range(5))
        async with watched(far, peers) as watch:
            for number in range(3):
                watch.progressed((f"heard{number}.example", 443))
            far.cut = True
            await asyncio.sleep(5)
            far.idle = True
            await asyncio.sleep(after_s)
            far.probed.clear()
            await asyncio.sleep(40 * WEARY_S)
            assert {*peers, ("heard1.example", 443), ("heard2.example", 443)} <= {peer for _, peer in far.probed}

    in_virtual_time(journey())


def test_within_an_hour_a_long_outage_is_asked_about_every_few_seconds() -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far):
            far.cut = True
            await asyncio.sleep(5)
            far.idle = True
            await asyncio.sleep(EAGER_S + 60)
            far.probed.clear()
            await asyncio.sleep(300)
            assert len(far.probed) == pytest.approx(300 / PATIENT_S, abs=1)

    in_virtual_time(journey())


def test_a_modem_that_has_its_connection_back_is_asked_about_at_once() -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far) as watch:
            watch.learn(ModemChanged(connected=True))
            far.idle = far.cut = True
            watch.learn(ModemChanged(connected=False))
            assert watch.view.state is DEGRADED
            await asyncio.sleep(1.0)
            assert (watch.view.state, watch.view.told_by) == (DOWN, "modem")
            await asyncio.sleep(100)
            far.cut, back_s = False, now_s()
            watch.learn(ModemChanged(connected=True))
            await asyncio.sleep(1.0)
            assert far.since(back_s) == [(ROUND_TRIP_S, UP)]

    in_virtual_time(journey())


def test_waves_overlap_and_are_few() -> None:
    async def journey() -> None:
        far = Far()
        peers = tuple((f"origin{number}.example", 443) for number in range(9))
        async with watched(far, peers):
            far.cut = True
            await asyncio.sleep(30)
            far.probed.clear()
            await asyncio.sleep(WAVE_S * 10)
            assert len(far.probed) <= 11 * PROBE_EACH_MAX

    in_virtual_time(journey())


def test_a_check_of_a_link_nobody_uses_finds_out_what_it_does() -> None:
    async def journey() -> None:
        far = Far()
        async with watched(far) as watch:
            far.idle = True
            assert await watch.check()
            far.cut = True
            assert not await watch.check()
            await asyncio.sleep(3)
            assert watch.is_down

    in_virtual_time(journey())


def test_addresses_are_looked_up_while_that_can_be_done() -> None:
    async def journey() -> None:
        found: list[Peer] = []
        known = asyncio.Event()

        async def find(peer: Peer) -> bool:
            found.append(peer)
            return known.is_set()

        far = Far()
        watch = Watch(
            LoopClock(), carrier=lambda: True, probe=far.probe, peers=(ORIGIN,), on_change=far.note, find=find
        )
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch.run())
            await asyncio.sleep(1)
            assert found == [ORIGIN]
            known.set()
            await asyncio.sleep(3_600)
            assert found == [ORIGIN, ORIGIN], "again until it is known, and no more then"
            assert far.probed == [], "an idle link is never probed"
            watching.cancel()

    in_virtual_time(journey())
