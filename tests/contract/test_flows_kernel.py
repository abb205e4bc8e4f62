"""What the kernel does with the options that steer the box's connections, and what it says of them.

The way is a TUN device whose far side sends every packet back with its two addresses changed over, `ONE_WAY_S` later:
so the machine talks to itself over real segments and a real round trip. Checksums stay right.
"""

import asyncio
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest
import uvloop

from gateway.backhaul.dialer import Endpoint, connect
from gateway.backhaul.sensing.flows import SMALL_BYTES, TCP_WINDOW_CLAMP, Flows
from gateway.backhaul.sensing.samples import FULL_BYTES, FlowSample
from gateway.backhaul.shaping.window import STEP_BYTES
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import SystemClock

ONE_WAY_S = 0.02
FIRST_BYTES = 8 * FULL_BYTES
FLOW = 7
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
SO_MAX_PACING_RATE = 47
DEADLINE_S = 5.0

needs_tun = pytest.mark.skipif(
    not Path("/dev/net/tun").exists() or os.geteuid() != 0, reason="needs root and /dev/net/tun"
)


@pytest.fixture(scope="module")
def way() -> Iterator[tuple[str, str]]:
    """The box's address, and that of the world, 20 ms away."""
    number = os.getpid() % 250
    name, near, far = f"flows{number}", f"10.213.{number}.1", f"10.213.{number}.2"
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    for words in (f"addr add {near}/30 dev {name}", f"link set {name} up"):
        subprocess.run(["ip", *words.split()], check=True)
    over = threading.Event()
    carrying = threading.Thread(target=carry, args=(device, over))
    carrying.start()
    yield near, far
    over.set()
    carrying.join()
    os.close(device)


def carry(device: int, over: threading.Event) -> None:
    """Send every IPv4 packet back from whom it was for, a while later."""
    waiting: deque[tuple[float, bytes]] = deque()
    while not over.is_set():
        wait_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.05
        if select.select([device], [], [], wait_s)[0]:
            packet = os.read(device, 65_536)
            if packet[0] >> 4 == 4:
                turned = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                waiting.append((time.monotonic() + ONE_WAY_S, turned))
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(device, waiting.popleft()[1])


class Peer:
    """The far end of one connection, and what its kernel says."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)

    def push(self) -> None:
        """Let the kernel send all the time."""
        try:
            while True:
                self.sock.send(bytes(65_536))
        except BlockingIOError:
            return

    def told(self, layout: str, at: int) -> int:
        raw = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 240)
        (value,) = struct.unpack_from(layout, raw, at)
        return int(value)

    @property
    def sent_bytes(self) -> int:
        return self.told("=Q", 200)

    @property
    def window_bytes(self) -> int:
        return self.told("=I", 228)

    @property
    def segment_bytes(self) -> int:
        return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)

    @property
    def scale(self) -> int:
        return self.told("=B", 6) & 15


@contextmanager
def connected(flows: Flows, host: str) -> Iterator[tuple[socket.socket, Peer]]:
    """A connection of the box that carries a flow."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        with flows.open_socket((socket.AF_INET, socket.SOCK_STREAM, 0)) as sock:
            sock.setblocking(True)
            sock.connect((host, listener.getsockname()[1]))
            sock.setblocking(False)
            flows.through(FLOW, sock, TrafficClass.WEB)
            accepted, _ = listener.accept()
            with accepted:
                yield sock, Peer(accepted)
                flows.leave(FLOW, sock)


def until(holds: Callable[[], bool], *each: Callable[[], object]) -> None:
    """Do `each` again and again until it `holds`."""
    end_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end_s
        for do in each:
            do()
        time.sleep(0.002)


def read(sock: socket.socket) -> int:
    """Read what is there."""
    try:
        return len(sock.recv(1 << 20))
    except BlockingIOError:
        return 0


def has(peer: Peer, window_bytes: int) -> bool:
    """Say whether the peer was told of this window, as far as its field can say it."""
    return window_bytes <= peer.window_bytes < window_bytes + STEP_BYTES


def only(flows: Flows) -> FlowSample:
    (sample,) = flows.sample()
    return sample


def flows_of(first_bytes: int | None = FIRST_BYTES) -> Flows:
    return Flows(SystemClock(), first_window_bytes=lambda: first_bytes)


# The window


@needs_tun
def test_the_first_flight_is_within_the_first_window_and_the_window_still_scales(way: tuple[str, str]) -> None:
    with connected(flows_of(), way[1]) as (_, peer):
        peer.push()
        assert FIRST_BYTES - 2 * FULL_BYTES <= peer.sent_bytes <= FIRST_BYTES
        assert peer.scale == 6, "64 bytes, up to 4 MB"


@needs_tun
def test_without_a_first_window_the_kernel_has_its_way(way: tuple[str, str]) -> None:
    flows = flows_of(None)
    with connected(flows, way[1]) as (sock, peer):
        assert peer.window_bytes > 60_000
        until(lambda: peer.window_bytes > 200_000, peer.push, partial(read, sock), flows.sample)


@needs_tun
def test_small_segments_are_what_the_peer_sends_two_in_the_first_flight(way: tuple[str, str]) -> None:
    flows = flows_of(1)
    flows.small_segments = lambda: True
    with connected(flows, way[1]) as (sock, peer):
        assert peer.segment_bytes == SMALL_BYTES
        assert only(flows).segment_bytes == SMALL_BYTES
        peer.push()
        assert peer.sent_bytes == 2 * SMALL_BYTES
        flows.clamp(FLOW, 2 * SMALL_BYTES)
        go_on = peer.push, partial(read, sock), flows.sample
        until(lambda: only(flows).received_bytes > 20 * SMALL_BYTES, *go_on)
        until(lambda: abs(peer.window_bytes - 2 * SMALL_BYTES) <= STEP_BYTES, *go_on)  # autotuning's lift is taken back


@needs_tun
def test_a_window_goes_up_within_a_round_trip_or_two_and_down_as_soon_as_it_was_used(way: tuple[str, str]) -> None:
    flows = flows_of()
    with connected(flows, way[1]) as (sock, peer):
        go_on = peer.push, partial(read, sock), flows.sample
        until(lambda: only(flows).received_bytes > 10 * FIRST_BYTES, *go_on)
        until(lambda: peer.window_bytes <= FIRST_BYTES + STEP_BYTES, *go_on)  # autotuning's lift is taken back
        for window_bytes in (40 * FULL_BYTES, 4 * FULL_BYTES, 100 * FULL_BYTES, 2 * FULL_BYTES):
            flows.clamp(FLOW, window_bytes)
            before, began_s = only(flows).received_bytes, time.monotonic()
            until(partial(has, peer, window_bytes), *go_on)
            assert only(flows).received_bytes - before < 101 * FULL_BYTES + 40 * window_bytes
            assert time.monotonic() - began_s < 20 * ONE_WAY_S
        assert peer.told("=I", 100) == 0, "nothing had to be sent again"


@needs_tun
def test_who_is_not_read_from_offers_what_is_left_of_a_tight_window_and_loses_nothing_that_was_under_way(
    way: tuple[str, str],
) -> None:
    flows = flows_of()
    window_bytes = 3 * FULL_BYTES
    with connected(flows, way[1]) as (sock, peer):
        flows.clamp(FLOW, 20 * FULL_BYTES)
        go_on = peer.push, partial(read, sock), flows.sample
        until(lambda: only(flows).received_bytes > 200 * FULL_BYTES, *go_on)
        until(partial(has, peer, 20 * FULL_BYTES), *go_on, partial(flows.clamp, FLOW, 20 * FULL_BYTES))
        under_way_bytes = peer.sent_bytes - only(flows).received_bytes
        assert under_way_bytes > window_bytes
        flows.clamp(FLOW, window_bytes, tight=True)
        clamped = only(flows)
        promised_bytes = clamped.received_bytes + clamped.offered_bytes
        for _ in range(150):
            flows.clamp(FLOW, window_bytes, tight=True)
            peer.push()
            flows.sample()
            time.sleep(0.002)
        stopped = only(flows)
        assert stopped.unread_bytes >= under_way_bytes - 2 * FULL_BYTES
        assert stopped.received_bytes <= promised_bytes + window_bytes
        assert stopped.offered_bytes < 2 * FULL_BYTES, "it stands still"
        for _ in range(50):
            before = only(flows).received_bytes
            assert read(sock) > 0
            until(lambda: only(flows).received_bytes > before, peer.push)  # noqa: B023 - called in this turn
            time.sleep(2 * ONE_WAY_S)
            assert only(flows).unread_bytes <= 2 * (window_bytes + STEP_BYTES) + FULL_BYTES  # as its field rounds it up
        assert peer.told("=I", 100) == 0, "nothing had to be sent again"


@needs_tun
def test_room_that_the_kernel_made_is_taken_back_so_that_nobody_is_sent_more_and_more(way: tuple[str, str]) -> None:
    flows = flows_of(1)
    flows.small_segments = lambda: True
    window_bytes, unread_bytes = 2 * SMALL_BYTES, []
    with connected(flows, way[1]) as (sock, peer):
        for _ in range(15):
            # as tcp_clamp_window does for what comes twice, or out of order
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * window_bytes)
            for _ in range(10):
                flows.clamp(FLOW, window_bytes, tight=True)
                peer.push()
                flows.sample()
                time.sleep(0.01)
            unread_bytes.append(only(flows).unread_bytes)
            assert read(sock) > 0
        assert max(unread_bytes) <= 2 * window_bytes, unread_bytes
        assert peer.told("=I", 100) == 0, "nothing had to be sent again"


@needs_tun
def test_a_window_may_pass_what_an_unscaled_field_can_say(way: tuple[str, str]) -> None:
    flows = flows_of()
    with connected(flows, way[1]) as (sock, peer):
        flows.clamp(FLOW, 300_000)
        until(lambda: peer.window_bytes >= 300_000, peer.push, partial(read, sock), partial(flows.clamp, FLOW, 300_000))
        flows.clamp(FLOW, None)
        assert sock.getsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP) > 4_000_000


@needs_tun
def test_a_connection_that_the_kernel_had_its_way_with_can_be_clamped_later_and_loses_nothing(
    way: tuple[str, str],
) -> None:
    flows = flows_of(None)
    with connected(flows, way[1]) as (sock, peer):
        until(lambda: only(flows).received_bytes > 300_000, peer.push, partial(read, sock))
        flows.clamp(FLOW, FIRST_BYTES)
        until(lambda: peer.window_bytes <= FIRST_BYTES + 64, peer.push, partial(read, sock), flows.sample)
        assert peer.told("=I", 100) == 0


def test_a_change_that_is_not_worth_a_call_is_not_made() -> None:
    flows = flows_of()
    with connected(flows, "127.0.0.1") as (sock, _):
        for window_bytes, in_force in ((20_000, 20_000), (20_255, 20_000), (20_700, 20_700), (60_000, 60_000)):
            flows.clamp(FLOW, window_bytes)
            assert sock.getsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP) == in_force
        flows.clamp(FLOW, 61_000)
        assert sock.getsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP) == 60_000, "less than 3 %"


def test_a_first_window_holds_two_segments_at_least() -> None:
    with connected(flows_of(1), "127.0.0.1") as (sock, _):
        assert sock.getsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP) == 2 * FULL_BYTES


# What the kernel says


@needs_tun
def test_what_came_is_counted_to_the_byte_and_what_is_unread_is_known(way: tuple[str, str]) -> None:
    flows = flows_of(None)
    with connected(flows, way[1]) as (sock, peer):
        peer.sock.send(bytes(5_000))
        until(lambda: only(flows).received_bytes == 5_000)
        assert only(flows).unread_bytes == 5_000
        assert len(sock.recv(1_200)) == 1_200
        peer.sock.send(bytes(777))
        until(lambda: only(flows).received_bytes == 5_777)
        sample = only(flows)
        assert (sample.flow, sample.unread_bytes, sample.unsent_bytes) == (FLOW, 4_577, 0)
        assert 5 <= sample.segments_in <= 7
        assert (sample.segments_out, sample.retransmitted) == (0, 0)


@needs_tun
def test_round_trips_are_those_of_the_way(way: tuple[str, str]) -> None:
    flows = flows_of()
    with connected(flows, way[1]) as (sock, peer):
        fresh = only(flows)
        assert fresh.min_rtt_s == pytest.approx(2 * ONE_WAY_S, abs=0.02)
        assert fresh.rtt_s == pytest.approx(2 * ONE_WAY_S, abs=0.02)
        until(lambda: only(flows).received_bytes > 30 * FIRST_BYTES, peer.push, partial(read, sock))
        assert only(flows).rcv_rtt_s == pytest.approx(2 * ONE_WAY_S, abs=0.02)


@needs_tun
def test_what_is_not_acknowledged_is_unsent_and_the_kernel_takes_little_ahead(way: tuple[str, str]) -> None:
    flows = flows_of()
    with connected(flows, way[1]) as (sock, peer):
        flows.pace_up(FLOW, 400_000)
        taken = sock.send(bytes(3_000))
        assert taken == 3_000
        assert only(flows).unsent_bytes == pytest.approx(3_000, abs=1), "the SYN was acknowledged as a byte"
        until(lambda: only(flows).unsent_bytes == 0)
        assert read(peer.sock) == 3_000
        assert only(flows).segments_out == 3


def test_a_flow_that_is_no_more_carried_is_not_told_of() -> None:
    flows = flows_of()
    with connected(flows, "127.0.0.1") as (sock, _):
        assert [each.flow for each in flows.sample()] == [FLOW]
        flows.through(FLOW + 1, sock, TrafficClass.BULK)
        flows.leave(FLOW, sock)
        assert [each.flow for each in flows.sample()] == [FLOW + 1]
        flows.leave(FLOW + 1, sock)
        assert flows.sample() == []


def test_pacing_is_the_flow_s_and_goes_with_it() -> None:
    flows = flows_of()
    with connected(flows, "127.0.0.1") as (sock, _):
        fresh = sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE)
        flows.pace_up(FLOW, 800_000)
        assert sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE) == 100_000
        flows.leave(FLOW, sock)
        assert sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE) == fresh


# A number that is somebody else's by now


@asynccontextmanager
async def listening() -> AsyncIterator[Endpoint]:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    yield Endpoint(*server.sockets[0].getsockname())
    server.close()


async def recycled() -> None:
    flows = flows_of()
    async with listening() as end:
        sock = await connect(flows, end)
        _, writer = await asyncio.open_connection(sock=sock)
        number = sock.fileno()
        assert flows.made(number) is sock
        flows.through(FLOW, sock, TrafficClass.REALTIME)
        writer.transport.abort()
        async with asyncio.timeout(DEADLINE_S):
            while sock.fileno() != -1:
                await asyncio.sleep(0)
        others = [socket.socket() for _ in range(20)]
        other = next(each for each in others if each.fileno() == number)
        before = settings_of(other)
        assert flows.made(number) is None
        flows.clamp(FLOW, 50_000)
        flows.pace_up(FLOW, 8_000)
        flows.rise(FLOW, TrafficClass.REALTIME)
        assert flows.sample() == []
        flows.leave(FLOW, sock)
        assert settings_of(other) == before
        for each in others:
            each.close()


def settings_of(sock: socket.socket) -> list[int]:
    options = [
        (socket.IPPROTO_TCP, TCP_WINDOW_CLAMP),
        (socket.SOL_SOCKET, socket.SO_RCVBUF),
        (socket.SOL_SOCKET, SO_MAX_PACING_RATE),
        (socket.IPPROTO_IP, socket.IP_TOS),
        (socket.SOL_SOCKET, socket.SO_PRIORITY),
    ]
    return [sock.getsockopt(*each) for each in options]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_whoever_gets_a_closed_connection_s_number_is_not_touched(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(recycled())


def test_a_socket_goes_by_the_way_that_is_taken_and_one_that_cannot_is_closed() -> None:
    flows = flows_of()
    bound: list[socket.socket] = []
    flows.bind = bound.append
    with flows.open_socket((socket.AF_INET, socket.SOCK_STREAM, 0)) as sock:
        assert bound == [sock]
    tried: list[socket.socket] = []

    def gone(sock: socket.socket) -> None:
        tried.append(sock)
        raise OSError("no such device")

    flows.bind = gone
    with pytest.raises(OSError, match="no such device"):
        flows.open_socket((socket.AF_INET, socket.SOCK_STREAM, 0))
    assert [each.fileno() for each in tried] == [-1]
