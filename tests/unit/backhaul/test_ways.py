"""With two ways a cut one is left within seconds, its connections end, and it is gone back to with proof."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from gateway.backhaul.sensing.watch import Peer
from gateway.backhaul.ways import ways as module
from gateway.backhaul.ways.binding import address_of, bind_to, cut
from gateway.backhaul.ways.modem_view import ModemView
from gateway.backhaul.ways.order import GOOD_FOR_S
from gateway.backhaul.ways.ways import CHECK_S, LEAVE_S, Way, Ways
from tests.unit.demo.virtual_time import LoopClock, in_virtual_time

ORIGIN: Peer = ("origin.example", 443)
TICK_S = 0.1


def now_s() -> float:
    return asyncio.get_running_loop().time()


class Far:
    """What one way leads to."""

    def __init__(self) -> None:
        self.cut = False
        self.probes = 0
        self.carrier = True

    def has_carrier(self) -> bool:
        return self.carrier

    async def probe(self, peer: Peer) -> bool:
        self.probes += 1
        if self.cut:
            await asyncio.sleep(3.0)
            return False
        await asyncio.sleep(0.2)
        return True


class Village:
    """Two ways out, used all the time over the one that is taken."""

    def __init__(self) -> None:
        self.far = {"4g": Far(), "satellite": Far()}
        self.taken: list[tuple[float, str]] = []
        found = [Way(name, far.has_carrier, far.probe, interface=f"{name[:3]}0") for name, far in self.far.items()]
        self.ways = Ways(LoopClock(), found, peers=(ORIGIN,), on_change=self._note)

    def _note(self) -> None:
        if not self.taken or self.taken[-1][1] != self.ways.active:
            self.taken.append((now_s(), self.ways.active))

    async def use(self) -> None:
        down_bytes = dict.fromkeys(self.far, 0)
        while True:
            active = self.ways.active
            down_bytes[active] += 0 if self.far[active].cut else 5_000
            self.ways.watch.counted(down_bytes[active], expected=True)
            await asyncio.sleep(TICK_S)


@asynccontextmanager
async def village() -> AsyncIterator[Village]:
    made = Village()
    async with asyncio.TaskGroup() as tasks:
        beside = [tasks.create_task(made.ways.run()), tasks.create_task(made.use())]
        await asyncio.sleep(5)
        yield made
        for each in beside:
            each.cancel()


def test_a_way_that_is_cut_silently_is_left_within_three_seconds_and_gone_back_to_after_proof() -> None:
    async def journey() -> None:
        async with village() as here:
            here.far["4g"].cut, cut_s = True, now_s()
            await asyncio.sleep(120)
            assert [name for _, name in here.taken] == ["satellite"]
            assert here.taken[0][0] - cut_s <= 3.0
            assert here.ways.interface == "sat0"
            here.far["4g"].cut, back_s = False, now_s()
            await asyncio.sleep(GOOD_FOR_S + 3 * CHECK_S)
            assert [name for _, name in here.taken] == ["satellite", "4g"]
            assert GOOD_FOR_S <= here.taken[-1][0] - back_s <= GOOD_FOR_S + 2 * CHECK_S

    in_virtual_time(journey())


def test_a_better_way_that_fails_again_while_it_is_tried_is_not_gone_back_to() -> None:
    async def journey() -> None:
        async with village() as here:
            here.far["4g"].cut = True
            await asyncio.sleep(10)
            for _ in range(6):
                here.far["4g"].cut = False
                await asyncio.sleep(GOOD_FOR_S / 2)
                here.far["4g"].cut = True
                await asyncio.sleep(GOOD_FOR_S / 2)
            assert [name for _, name in here.taken] == ["satellite"]

    in_virtual_time(journey())


def test_a_second_way_costs_nothing_while_the_first_is_well() -> None:
    async def journey() -> None:
        async with village() as here:
            await asyncio.sleep(3_600)
            assert (here.far["satellite"].probes, here.taken) == (0, [])

    in_virtual_time(journey())


def test_a_lost_carrier_is_left_within_a_second_and_so_is_a_way_whose_allowance_is_spent() -> None:
    async def journey() -> None:
        async with village() as here:
            here.far["4g"].carrier = False
            await asyncio.sleep(1)
            assert here.ways.active == "satellite"
            here.far["4g"].carrier = True
            await asyncio.sleep(GOOD_FOR_S + 3 * CHECK_S)
            assert here.ways.active == "4g"
            here.ways.spend("4g", spent=True)
            assert here.ways.active == "satellite"
            here.ways.spend("4g", spent=False)
            assert here.ways.active == "4g"

    in_virtual_time(journey())


def test_what_stalled_on_the_way_that_was_left_says_nothing_of_the_new_one() -> None:
    async def journey() -> None:
        async with village() as here:
            asked_s = now_s()
            here.far["4g"].cut = True
            await asyncio.sleep(5)
            here.ways.watch.view = here.ways.watch.view.__class__()  # nothing was heard on it yet
            here.ways.stalled(ORIGIN, asked_s)
            assert not here.ways.watch.view.in_doubt
            here.ways.stalled(ORIGIN, now_s())
            assert here.ways.watch.view.in_doubt

    in_virtual_time(journey())


def test_a_modem_speaks_of_its_own_way_alone() -> None:
    async def journey() -> None:
        async with village() as here:
            here.ways.hear_modems((ModemView("4g0", connected=True),))
            here.far["4g"].cut = True
            here.ways.hear_modems((ModemView("4g0", connected=False),))
            await asyncio.sleep(1)
            assert here.ways.active == "satellite"
            by_name = {each.name: each for each in here.ways.status()}
            assert (by_name["4g"].view.told_by, by_name["satellite"].view.connected) == ("modem", None)
            here.ways.hear_modems(())
            assert by_name["satellite"].active

    in_virtual_time(journey())


async def _far_end() -> tuple[asyncio.Server, int]:
    async def sit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of an answer")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(sit, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_connections_of_a_dead_way_end_at_once_and_not_as_if_they_were_whole(
    monkeypatch: pytest.MonkeyPatch, loop_factory: type[asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.setattr(module, "bind_to", lambda sock, interface: bind_to(sock, "lo"))

    async def journey() -> None:
        here = Village()
        server, port = await _far_end()
        with socket.socket() as sock:
            sock.setblocking(False)
            here.ways.bind(sock)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=sock)
            assert await reader.read(100) == b"half of an answer"
            here.far["4g"].carrier = False
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(here.ways.run())
                with pytest.raises(ConnectionResetError):
                    async with asyncio.timeout(5):
                        await reader.read(100)
                watching.cancel()
            writer.close()
        server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(journey())


def test_connections_that_work_may_end_on_the_way_that_was_left_but_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[tuple[float, socket.socket]] = []
    monkeypatch.setattr(module, "bind_to", lambda sock, interface: None)
    monkeypatch.setattr(module, "cut", lambda sock: ended.append((now_s(), sock)))

    async def journey() -> None:
        async with village() as here:
            here.far["4g"].cut = True
            await asyncio.sleep(5)
            with socket.socket() as tunnel, socket.socket() as page:
                here.ways.bind(tunnel)
                here.far["4g"].cut = False
                await asyncio.sleep(GOOD_FOR_S + 3 * CHECK_S)
                assert (here.ways.active, ended) == ("4g", [])
                here.ways.bind(page)
                await asyncio.sleep(LEAVE_S + CHECK_S)
                assert [(sock, LEAVE_S <= at - here.taken[-1][0] <= LEAVE_S + CHECK_S) for at, sock in ended] == [
                    (tunnel, True)
                ]

    in_virtual_time(journey())


def test_a_socket_is_bound_to_its_device_or_by_its_address() -> None:
    with socket.socket() as sock:
        bind_to(sock, "lo")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"
    assert address_of("lo") == "127.0.0.1"
    with socket.socket() as sock, pytest.raises(OSError):
        bind_to(sock, "tkw-nowhere")


def test_where_a_device_may_not_be_named_its_address_is() -> None:
    class OldKernel(socket.socket):
        def setsockopt(self, level: int, option: int, value: Any, *size: Any) -> None:
            if option == socket.SO_BINDTODEVICE:
                raise PermissionError
            super().setsockopt(level, option, value, *size)

    with OldKernel() as sock:
        bind_to(sock, "lo")
        assert sock.getsockname()[0] == "127.0.0.1"


def test_a_socket_that_is_closed_or_was_never_connected_is_cut_without_harm() -> None:
    sock = socket.socket()
    cut(sock)
    sock.close()
    cut(sock)
    assert sock.fileno() == -1
