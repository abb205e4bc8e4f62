"""A share that is held, raised, or carried by one connection after another loses nothing and waits for nobody else."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.backhaul.dialer import Endpoint, connect
from gateway.backhaul.link import Backhaul, Share
from gateway.backhaul.measuring import BEGINS_BPS_MIN
from gateway.backhaul.sensing.flows import Flows
from gateway.backhaul.sensing.samples import FULL_BYTES, Way
from gateway.backhaul.shaping.window import SEGMENTS_MIN
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.company import ALONE_AFTER_S
from gateway.backhaul.sharing.shares import Capacity
from gateway.backhaul.steering import IDLE_AFTER_S, IDLE_TICK_S, MAKES_ROOM_S, TICK_S, Steering
from tests.clocks import HandClock
from tests.unit.demo.virtual_time import LoopClock, in_virtual_time

REALTIME, INTERACTIVE, WEB, BULK = TrafficClass


async def answers(peer: tuple[str, int]) -> bool:
    return bool(peer)


def made(capacity: Capacity | None = None, *, measured: bool = False) -> Backhaul:
    return Backhaul(LoopClock(), capacity=capacity, carrier=lambda: True, probe=answers, measured=measured)


def test_what_rises_out_of_a_class_that_is_held_goes_on() -> None:
    async def journey() -> None:
        backhaul = made()
        backhaul.hold(BULK, held=True)
        with backhaul.share(BULK) as page, backhaul.share(BULK) as warming:
            async with asyncio.TaskGroup() as tasks:
                wanted = tasks.create_task(page.take_down(1_000))
                other = tasks.create_task(warming.take_down(1_000))
                await asyncio.sleep(1)
                page.rise(WEB)
                await asyncio.sleep(1)
                assert (wanted.done(), other.done()) == (True, False)
                backhaul.hold(BULK, held=False)
                await asyncio.sleep(1)
                assert other.done()

    in_virtual_time(journey())


def test_a_class_that_is_let_go_and_held_again_at_once_waits() -> None:
    async def journey() -> None:
        backhaul = made()
        backhaul.hold(BULK, held=True)
        with backhaul.share(BULK) as warming:
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(warming.take_up(1_000))
                await asyncio.sleep(1)
                backhaul.hold(BULK, held=False)
                backhaul.hold(BULK, held=True)
                await asyncio.sleep(1)
                assert not waiting.done()
                backhaul.hold(BULK, held=False)

    in_virtual_time(journey())


def test_who_is_cancelled_while_held_counts_what_came_and_nothing_that_did_not_go() -> None:
    async def journey() -> None:
        backhaul = made()
        backhaul.hold(BULK, held=True)
        with backhaul.share(BULK) as warming:
            for take in (warming.take_down, warming.take_up):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(take(1_000), 1)
        assert (backhaul.moved()[BULK].down_bytes, backhaul.moved()[BULK].up_bytes) == (1_000, 0)

    in_virtual_time(journey())


@pytest.mark.parametrize(("capacity", "measured"), [(None, False), (None, True), (Capacity(400_000, 400_000), False)])
def test_all_that_goes_up_goes_in_order_and_is_counted_once(capacity: Capacity | None, measured: bool) -> None:
    content = bytes(range(256)) * 200

    async def journey() -> None:
        backhaul = made(capacity, measured=measured)
        with backhaul.share(INTERACTIVE) as order:
            pieces = [piece async for piece in order.going_up(content)]
            assert b"".join(pieces) == content
            assert max(map(len, pieces)) <= backhaul.steering.piece_bytes
            assert [piece async for piece in order.going_up(b"")] == []
        assert backhaul.moved()[INTERACTIVE].up_bytes == len(content)

    in_virtual_time(journey())


def test_what_comes_down_is_handed_on_as_it_came_and_counted_once() -> None:
    async def journey() -> None:
        backhaul = made()
        with backhaul.share(WEB) as page:
            assert [piece async for piece in page.coming_down(b"abc")] == [b"abc"]
        assert backhaul.moved()[WEB].down_bytes == 3

    in_virtual_time(journey())


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(8)
        yield sock


async def test_a_share_that_is_tried_again_on_a_kept_connection_counts_only_its_own(listening: socket.socket) -> None:
    backhaul = Backhaul(HandClock(), capacity=None, carrier=lambda: True, probe=answers)
    end = Endpoint(*listening.getsockname())
    with await connect(backhaul.flows, end) as first, await connect(backhaul.flows, end) as kept:
        peers = [listening.accept()[0] for _ in range(2)]
        peers[1].sendall(bytes(20_000))
        with backhaul.share(WEB) as share:
            (flow,) = backhaul.steering.open.values()
            for sock in (first, kept):
                share.through(sock)
                backhaul.steering.tick()
                backhaul.steering.tick()
                assert flow.window_bytes is not None
                share.leave(sock)
                assert flow.window_bytes is None
            assert flow.down_bytes == 0
        for peer in peers:
            peer.close()


async def test_a_share_lets_go_of_a_connection_that_was_closed_under_it(listening: socket.socket) -> None:
    backhaul = Backhaul(HandClock(), capacity=None, carrier=lambda: True, probe=answers)
    with await connect(backhaul.flows, Endpoint(*listening.getsockname())) as sock, backhaul.share(WEB) as share:
        (flow,) = backhaul.steering.open.values()
        share.through(sock)
        backhaul.steering.tick()
        sock.close()
        backhaul.steering.tick()
        share.leave(sock)
        assert not flow.moves
        assert flow.window_bytes is None


async def test_a_pace_that_stays_costs_no_system_call(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows = Flows(HandClock())
    with await connect(flows, Endpoint(*listening.getsockname())) as sock:
        flows.through(1, sock, WEB)
        calls: list[int] = []
        monkeypatch.setattr("gateway.backhaul.sensing.flows._set", lambda *told: calls.append(told[-1]))
        for rate_bps in (80_000, 80_000, None, None, 80_000):
            flows.pace_up(1, rate_bps)
        assert calls == [10_000, -1, 10_000]


def test_who_comes_to_an_idle_link_is_steered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        backhaul = made(measured=True)
        ticks: list[float] = []
        monkeypatch.setattr(backhaul.steering, "tick", lambda: ticks.append(asyncio.get_running_loop().time()))
        async with asyncio.TaskGroup() as tasks:
            steering = tasks.create_task(backhaul.steering.run())
            with backhaul.share(WEB):
                await asyncio.sleep(5.0)
                assert ticks[-1] - ticks[-2] == pytest.approx(IDLE_TICK_S + TICK_S), "an idle link is looked at seldom"
                await asyncio.sleep(ticks[-1] + TICK_S * 1.5 - asyncio.get_running_loop().time())
                came_s = asyncio.get_running_loop().time()
                with backhaul.share(WEB):
                    await asyncio.sleep(TICK_S)
                    assert came_s <= ticks[-1] <= came_s + TICK_S
            steering.cancel()

    in_virtual_time(journey())


def test_a_share_that_waited_long_for_its_connection_is_steered_from_the_first_byte() -> None:
    async def journey() -> None:
        backhaul = made(measured=True)
        with backhaul.share(WEB) as page, socket.socket() as sock:
            (number,) = backhaul.steering.open
            await asyncio.sleep(IDLE_AFTER_S + 1)
            backhaul.steering.tick()
            assert number in backhaul.steering._sleeping
            page.through(sock)
            assert number not in backhaul.steering._sleeping

    in_virtual_time(journey())


def began_s(classes: list[TrafficClass], *, beside_a_call: bool) -> list[float]:
    """Return when each of these could begin on a link that nobody knows, in seconds; all want to at once."""

    async def begin(backhaul: Backhaul, traffic_class: TrafficClass) -> float:
        with backhaul.share(traffic_class) as share:
            await share.begin()
            return LoopClock().now_s()

    async def journey() -> None:
        backhaul, since_s = made(measured=True), LoopClock().now_s()
        with ExitStack() as calls:
            if beside_a_call:
                calls.enter_context(backhaul.share(REALTIME))
            async with asyncio.TaskGroup() as tasks:
                begun = [tasks.create_task(begin(backhaul, each)) for each in classes]
        found.extend(each.result() - since_s for each in begun)

    found: list[float] = []
    in_virtual_time(journey())
    return found


def test_beside_a_call_pages_begin_one_after_another_on_a_link_that_nobody_knows() -> None:
    each_s = SEGMENTS_MIN * FULL_BYTES * 8 / BEGINS_BPS_MIN
    begun_s = began_s([WEB] * 4 + [BULK] * 4, beside_a_call=True)
    assert begun_s == pytest.approx([begun_s[0] + each_s * number for number in range(8)], abs=0.01)
    assert begun_s[0] < 0.02


@pytest.mark.parametrize(("content_bps", "waits_s"), [(75_000, MAKES_ROOM_S), (2_000_000, 0.0)])
def test_a_call_that_has_a_weak_link_for_itself_makes_room_before_a_page_begins(
    content_bps: int, waits_s: float
) -> None:
    async def journey() -> None:
        backhaul = made(measured=True)
        with backhaul.share(REALTIME), backhaul.share(WEB) as page:
            for direction in Way:
                backhaul.checked(direction, content_bps)
            await asyncio.sleep(ALONE_AFTER_S + 1)
            assert backhaul.steering.calls_alone()
            since_s = LoopClock().now_s()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(page.begin())
                await asyncio.sleep(0.01)
                assert backhaul.steering.calls_alone() is (waits_s == 0), "its budget falls meanwhile"
            assert LoopClock().now_s() - since_s == pytest.approx(max(waits_s, 0.01), abs=0.02)

    in_virtual_time(journey())


def test_every_page_of_a_moment_waits_until_the_call_has_made_room() -> None:
    async def began_s(page: Share, after_s: float) -> float:
        await asyncio.sleep(after_s)
        await page.begin()
        return LoopClock().now_s()

    async def journey() -> None:
        backhaul = made(measured=True)
        with backhaul.share(REALTIME), backhaul.share(WEB) as page, backhaul.share(WEB) as other:
            for direction in Way:
                backhaul.checked(direction, 75_000)
            await asyncio.sleep(ALONE_AFTER_S + 1)
            since_s = LoopClock().now_s()
            async with asyncio.TaskGroup() as tasks:
                begun = [tasks.create_task(began_s(page, 0.0)), tasks.create_task(began_s(other, 0.1))]
            first_s, second_s = (each.result() - since_s for each in begun)
            assert first_s == pytest.approx(MAKES_ROOM_S, abs=0.02)
            assert second_s > MAKES_ROOM_S

    in_virtual_time(journey())


def test_beside_a_call_on_a_weak_link_pages_wait_their_turn_and_the_answer_to_an_order_does_not() -> None:
    async def reads(steering: Steering, page: int) -> None:
        for _ in range(1_000):
            await steering.take_down(page, 1_000_000)

    def begin_pages(backhaul: Backhaul, shares: ExitStack) -> None:
        for _ in range(20):
            shares.enter_context(backhaul.share(WEB))

    async def journey() -> None:
        backhaul = made(measured=True)
        with ExitStack() as shares:
            shares.enter_context(backhaul.share(WEB))
            (page,) = backhaul.steering.open
            order, _ = [shares.enter_context(backhaul.share(each)) for each in (INTERACTIVE, REALTIME)]
            for direction in Way:
                backhaul.checked(direction, 75_000)
            async with asyncio.TaskGroup() as tasks:
                steering = tasks.create_task(backhaul.steering.run())
                begin_pages(backhaul, shares)
                await asyncio.sleep(2 * TICK_S)
                reading = tasks.create_task(reads(backhaul.steering, page))
                for _ in range(int(ALONE_AFTER_S) + 1):
                    begin_pages(backhaul, shares)
                    await asyncio.sleep(1)
                assert not reading.done()
                assert not backhaul.steering.calls_alone(), "somebody waits who would use more"
                since_s = LoopClock().now_s()
                await order.take_down(350)
                assert LoopClock().now_s() == since_s
                for each in (reading, steering):
                    each.cancel()

    in_virtual_time(journey())


@pytest.mark.parametrize(("beside_a_call", "traffic_class"), [(True, INTERACTIVE), (False, WEB)])
def test_orders_and_pages_without_a_call_begin_at_once(beside_a_call: bool, traffic_class: TrafficClass) -> None:
    assert began_s([traffic_class] * 20, beside_a_call=beside_a_call) == [0.0] * 20
