"""The backhaul tells what the link does, paces by class, counts what moved, and probes only in doubt (virtual time)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.backhaul.link import CALL_UNKNOWN_BPS, CALL_WANTS_BPS, Backhaul, Budget, Moved, Peer
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sensing.watch import CARRIER_POLL_S, PROBE_EACH_MAX
from gateway.backhaul.sharing.admission import NO_LINK
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from tests.unit.demo.virtual_time import LoopClock, in_virtual_time

REALTIME, INTERACTIVE, WEB, BULK = TrafficClass
ORIGIN: Peer = ("origin.example", 80)
CONFIGURED = (ORIGIN,)
MEGABIT = Capacity(1_000_000, 500_000)


class Far:
    """The far side: the modem's carrier, and who answers a probe."""

    def __init__(self) -> None:
        self.carrier = True
        self.answering = True
        self.dead: set[Peer] = set()
        self.probed: list[Peer] = []

    async def probe(self, peer: Peer) -> bool:
        self.probed.append(peer)
        return self.answering and peer not in self.dead


def made(far: Far, capacity: Capacity | None = MEGABIT, peers: tuple[Peer, ...] = CONFIGURED) -> Backhaul:
    return Backhaul(LoopClock(), capacity=capacity, carrier=lambda: far.carrier, probe=far.probe, peers=peers)


@asynccontextmanager
async def running(far: Far, capacity: Capacity | None = MEGABIT) -> AsyncIterator[Backhaul]:
    backhaul = made(far, capacity)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(backhaul.run())
        await asyncio.sleep(0)
        yield backhaul
        watching.cancel()


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_an_idle_link_is_never_probed() -> None:
    async def journey() -> None:
        far = Far()
        async with running(far) as backhaul:
            await asyncio.sleep(3_600)
            assert (far.probed, backhaul.status().state) == ([], LinkState.UP)

    in_virtual_time(journey())


def test_a_stall_is_probed_and_an_answer_clears_it() -> None:
    async def journey() -> None:
        far = Far()
        async with running(far) as backhaul:
            backhaul.stalled(("silent.example", 443), now_s())
            assert backhaul.status().state is LinkState.DEGRADED
            await asyncio.sleep(3)
            assert backhaul.status().state is LinkState.UP
            assert ("silent.example", 443) in far.probed
            asked = len(far.probed)
            await asyncio.sleep(60)
            assert len(far.probed) == asked, "the doubt is over"

    in_virtual_time(journey())


def test_a_link_that_answers_no_probe_is_down_until_one_is_answered() -> None:
    async def journey() -> None:
        far = Far()
        far.answering = False
        async with running(far) as backhaul:
            backhaul.stalled(ORIGIN, now_s())
            await asyncio.sleep(3)
            assert backhaul.is_down
            assert backhaul.admission() == NO_LINK, "no call is promised"
            await asyncio.sleep(600)
            assert backhaul.is_down
            far.answering = True
            await asyncio.sleep(3)
            assert not backhaul.is_down

    in_virtual_time(journey())


def test_the_modems_carrier_is_believed_at_once_both_ways() -> None:
    async def journey() -> None:
        far = Far()
        async with running(far) as backhaul:
            far.carrier = False
            await asyncio.sleep(CARRIER_POLL_S * 1.5)
            assert (backhaul.is_down, backhaul.status().told_by) == (True, "carrier")
            await asyncio.sleep(60)
            assert far.probed == [], "nothing is sent without a carrier"
            far.carrier = True
            await asyncio.sleep(CARRIER_POLL_S * 1.5)
            assert not backhaul.is_down

    in_virtual_time(journey())


def test_the_peers_asked_are_the_last_heard_of_and_few() -> None:
    async def journey() -> None:
        far = Far()
        far.answering = False
        async with running(far) as backhaul:
            for number in range(20):
                backhaul.progressed((f"host{number}.example", 443))
            backhaul.stalled(("host19.example", 443), now_s())
            await asyncio.sleep(0.5)
            last = [(f"host{number}.example", 443) for number in range(20 - PROBE_EACH_MAX, 20)]
            assert far.probed == [*CONFIGURED, *last]

    in_virtual_time(journey())


def test_dead_addresses_do_not_crowd_out_the_peers_that_were_configured() -> None:
    async def journey() -> None:
        far = Far()
        far.dead = {(f"dead{number}.example", 443) for number in range(50)}
        async with running(far) as backhaul:
            for peer in sorted(far.dead):
                backhaul.stalled(peer, now_s())
            await asyncio.sleep(3)
            assert backhaul.status().state is LinkState.UP

    in_virtual_time(journey())


def test_who_is_asked_for_while_the_link_is_down_is_probed_too() -> None:
    async def journey() -> None:
        far = Far()
        far.dead = set(CONFIGURED)
        async with running(far) as backhaul:
            backhaul.stalled(CONFIGURED[0], now_s())
            await asyncio.sleep(3)
            assert backhaul.is_down, "all that is known is silent"
            backhaul.wanted(("alive.example", 443))
            await asyncio.sleep(3)
            assert not backhaul.is_down

    in_virtual_time(journey())


def test_a_change_is_told_to_who_waits_for_it() -> None:
    async def journey() -> None:
        far = Far()
        async with running(far) as backhaul:
            changes = backhaul.changes()
            assert (await anext(changes)).state is LinkState.UP
            backhaul.stalled(ORIGIN, now_s())
            assert (await anext(changes)).state is LinkState.DEGRADED
            backhaul.tell_capacity(Capacity(300_000, 200_000))
            assert (await anext(changes)).capacity == Capacity(300_000, 200_000)

    in_virtual_time(journey())


@pytest.mark.parametrize(
    ("capacity", "calls", "expected"),
    [
        (None, 0, Budget(CALL_UNKNOWN_BPS, CALL_UNKNOWN_BPS)),
        (None, 3, Budget(CALL_UNKNOWN_BPS // 3, CALL_UNKNOWN_BPS // 3)),
        (Capacity(10_000_000, 10_000_000), 1, Budget(CALL_WANTS_BPS, CALL_WANTS_BPS)),
        (Capacity(250_000, 1_000_000), 1, Budget(225_000, CALL_WANTS_BPS)),
        (Capacity(1_000_000, 500_000), 2, Budget(450_000, 225_000)),
    ],
)
def test_each_call_gets_its_part_of_what_calls_may_use(capacity: Capacity | None, calls: int, expected: Budget) -> None:
    async def journey() -> None:
        backhaul = made(Far(), capacity)
        held = [backhaul.share(REALTIME) for _ in range(calls)]
        for each in held:
            each.__enter__()
        assert backhaul.call_budget() == expected
        assert backhaul.open_shares()[REALTIME] == calls
        for each in held:
            each.__exit__(None, None, None)
        assert backhaul.open_shares()[REALTIME] == 0

    in_virtual_time(journey())


def test_a_class_is_paced_to_its_share_and_what_moved_is_counted() -> None:
    async def journey() -> None:
        backhaul, begun_s = made(Far()), now_s()
        with backhaul.share(REALTIME) as call, backhaul.share(WEB) as page:
            for _ in range(50):
                await page.take_down(2_500)
            call.moved(down_bytes=300, up_bytes=200)
        took_s = now_s() - begun_s
        assert took_s == pytest.approx(125_000 * 8 / 200_000, abs=0.3)
        assert backhaul.moved()[WEB] == Moved(125_000, 0)
        assert backhaul.moved()[REALTIME] == Moved(300, 200)

    in_virtual_time(journey())


def test_without_a_figure_nothing_is_paced() -> None:
    async def journey() -> None:
        backhaul, begun_s = made(Far(), capacity=None), now_s()
        with backhaul.share(BULK) as warming:
            await warming.take_up(10_000_000)
        assert now_s() == begun_s

    in_virtual_time(journey())


def test_a_new_figure_holds_for_who_waits_already() -> None:
    async def journey() -> None:
        backhaul, begun_s = made(Far(), Capacity(1_000, 1_000)), now_s()
        with backhaul.share(INTERACTIVE) as order:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(order.take_up(100_000))
                await asyncio.sleep(1)
                backhaul.tell_capacity(Capacity(8_000_000, 8_000_000))
        assert now_s() - begun_s < 2

    in_virtual_time(journey())


def test_what_rises_goes_on_at_the_pace_of_its_new_class() -> None:
    async def scenario() -> None:
        backhaul = made(Far())
        with backhaul.share(WEB), backhaul.share(BULK) as page:
            await page.take_down(100_000)  # a debt of 8 s at a tenth of the link
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(page.take_down(1_000))
                await asyncio.sleep(1)
                risen_s = now_s()
                page.rise(WEB)
                page.rise(BULK)  # who comes later in a lower class takes nothing away
                assert backhaul.open_shares() == {REALTIME: 0, INTERACTIVE: 0, WEB: 2, BULK: 0}
            assert waiting.result() is None
            assert now_s() - risen_s < 2, "half of the link now"
        assert not any(backhaul.open_shares().values())

    in_virtual_time(scenario())
