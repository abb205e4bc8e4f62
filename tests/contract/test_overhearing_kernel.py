"""What the kernel's part of the listening does: the filter passes what the parser reads, thinned as it should be;
directions and arrivals are told on a real interface, which may vanish; and without the right to listen nothing breaks.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.backhaul.sensing.overhearing import NO_INTERFACE, NOT_ALLOWED, Overhearing, attach
from gateway.backhaul.sensing.samples import DelaySample, Sees
from gateway.backhaul.sensing.segments import SNAP_BYTES, kernel_filter, parse
from gateway.clock import SystemClock
from tests.clocks import HandClock
from tests.unit.backhaul.test_overheard_segments import FAR, FAR6, NEAR, NEAR6, OPTIONS, packet
from tests.waiting import wait_until

NAMESPACE, INTERFACE, PEER = "tkebeyond", "tkelink0", "tkelink1"
BOX, BEYOND = "10.93.7.1", "10.93.7.2"
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a network namespace")
SERVER = f"""
import socket, time
with socket.create_server(("{BEYOND}", 8000)) as server:
    print("ready", flush=True)
    taken, _ = server.accept()
    with taken:
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                taken.sendall(b"x" * 1000)
                time.sleep(0.005)
        except OSError:
            pass
"""


@pytest.fixture
def filtered() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Whoever sends here is filtered there; what is sent counts as coming in."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        there.setblocking(False)
        yield here, there


@pytest.fixture
def link() -> Iterator[str]:
    """An interface of this machine whose other end is in a namespace."""
    try:
        _ip("netns", "add", NAMESPACE)
        _ip("link", "add", INTERFACE, "type", "veth", "peer", "name", PEER, "netns", NAMESPACE)
    except (OSError, subprocess.CalledProcessError):
        _remove()
        pytest.skip("this machine makes no network namespace")
    try:
        _ip("address", "add", f"{BOX}/30", "dev", INTERFACE)
        _ip("link", "set", INTERFACE, "up")
        _ip("-n", NAMESPACE, "address", "add", f"{BEYOND}/30", "dev", PEER)
        _ip("-n", NAMESPACE, "link", "set", PEER, "up")
        yield INTERFACE
    finally:
        _remove()


def test_the_filter_passes_segments_of_both_versions(filtered: tuple[socket.socket, socket.socket]) -> None:
    segments = [packet(NEAR, 1, FAR, 2), packet(NEAR6, 1, FAR6, 2), packet(NEAR, 1, FAR, 2, ip_options=b"\x94\x04\0\0")]
    assert [_passed(filtered, each, 0) for each in segments] == [each[:SNAP_BYTES] for each in segments]
    assert _passed(filtered, segments[0] + bytes(1_400), 0) == (segments[0] + bytes(1_400))[:SNAP_BYTES]


def test_thinning_goes_by_the_echo_in_what_comes_in(filtered: tuple[socket.socket, socket.socket]) -> None:
    passed = [
        echoed
        for echoed in range(256)
        if _passed(filtered, packet(FAR, 1, NEAR, 2, options=OPTIONS[:8] + echoed.to_bytes(4)), 4)
    ]
    assert passed == list(range(16, 256, 16))  # who greets echoes nothing, and tells nothing


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.integers(0, 51), st.sampled_from([NEAR, NEAR6]))
def test_the_filter_passes_all_that_the_parser_reads(
    filtered: tuple[socket.socket, socket.socket], noise: bytes, at: int, source: str
) -> None:
    whole = packet(source, 1, FAR if source == NEAR else FAR6, 2)
    damaged = whole[:at] + noise + whole[at + len(noise) :]
    if parse(damaged[:SNAP_BYTES], outgoing=False, at_s=0.0) is not None:
        assert _passed(filtered, damaged, 0) == damaged[:SNAP_BYTES]


@ROOT
async def test_both_directions_are_heard_on_a_real_interface(link: str) -> None:
    overhearing = Overhearing(link, SystemClock())
    assert overhearing.start() is None
    told: list[DelaySample] = []

    def heard(sees: Sees) -> bool:
        told.extend(overhearing.drain())
        return any(each.sees is sees for each in told)

    with _server(), socket.create_connection((BEYOND, 8000), timeout=5) as sock:
        sock.setblocking(False)

        def download(sees: Sees) -> bool:
            with suppress(BlockingIOError):
                sock.recv(65_536)
            return heard(sees)

        await wait_until(lambda: download(Sees.DOWN))
        await wait_until(lambda: download(Sees.UP))
    statistics = overhearing.statistics()
    overhearing.stop()
    assert all(-0.02 < each.delay_s < 0.1 for each in told)
    assert statistics.trouble is None
    assert statistics.flows == 1
    assert overhearing.drain() == []


@ROOT
async def test_an_interface_that_vanishes_is_waited_for(link: str, clock: HandClock) -> None:
    overhearing = Overhearing(link, clock)
    assert overhearing.start() is None
    _ip("link", "delete", link)
    clock.pass_s(1.0)

    def gone() -> bool:
        clock.pass_s(0.02)
        overhearing.drain()
        return overhearing.statistics().trouble == NO_INTERFACE

    await wait_until(gone)
    _ip("link", "add", INTERFACE, "type", "veth", "peer", "name", PEER, "netns", NAMESPACE)
    _ip("link", "set", INTERFACE, "up")
    clock.pass_s(10.0)
    overhearing.drain()
    assert overhearing.statistics().trouble is None
    overhearing.stop()


def test_without_the_right_to_listen_the_box_does_without(monkeypatch: pytest.MonkeyPatch, clock: HandClock) -> None:
    def forbidden(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("gateway.backhaul.sensing.overhearing.socket.socket", forbidden)
    overhearing = Overhearing("wwan0", clock)
    assert overhearing.start() == NOT_ALLOWED
    clock.pass_s(60.0)
    assert overhearing.drain() == []
    assert overhearing.statistics().looked_at == 0


def _passed(pair: tuple[socket.socket, socket.socket], data: bytes, thin_bits: int) -> bytes | None:
    here, there = pair
    attach(there, kernel_filter(thin_bits))
    with suppress(PermissionError):  # how a unix socket says that the filter drops it
        here.send(data)
    try:
        return there.recv(2_000)
    except BlockingIOError:
        return None


@contextmanager
def _server() -> Iterator[None]:
    command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.terminate()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _remove() -> None:
    with suppress(OSError):
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)
        subprocess.run(["ip", "link", "delete", INTERFACE], check=False, capture_output=True)
