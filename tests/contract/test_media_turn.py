"""With a TURN server (coturn) the box has an address there, and a call goes through it alone."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator

import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from gateway.clinic.allocation import SPARSE
from gateway.clinic.media import process
from gateway.clinic.media.control import Changed, Feed, Figures, LegFigures, Open, Opened, Relay, Slot
from gateway.clinic.media.lines import write
from gateway.clinic.media.sdp import Candidate, read_offer, write_answer
from tests.callers import Box, offering, processing
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed")


@pytest.fixture
async def relay(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    """A TURN server; from now on it is the only address there is."""
    (host, *_) = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False) or pytest.skip("no network address")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        server = await asyncio.create_subprocess_exec(
            *("turnserver", "-n", "--no-tls", "--no-dtls", "--no-cli", f"--listening-ip={host}", f"--relay-ip={host}"),
            *(f"--listening-port={port}", "--lt-cred-mech", "--user=box:secret", "--realm=tambo"),
            *(f"--pidfile={folder}/pid", f"--userdb={folder}/db", "--log-file=stdout"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await wait_until(lambda: listens(host, port))
        yield Relay(f"turn:{host}:{port}", "box", "secret")
        server.terminate()
        await server.wait()


def listens(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((host, port)) == 0


async def answered(box: Box, leg: int, connection: RTCPeerConnection, relay: Relay) -> Opened:
    """Connect a program by the relay's address alone."""
    offer = read_offer(connection.localDescription.sdp)
    command = Open(leg, connection.localDescription.sdp, "vp8", near=False, direct=True, relays=(relay,))
    opened = await box.answered(command)
    assert isinstance(opened, Opened)
    answer = write_answer(
        opened.sdp, offer, addresses=opened.addresses, relayed=opened.relayed, voice=SPARSE, connect_bps=300_000
    )
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await wait_until(lambda: Changed(leg, "connected") in box.events)
    return opened


async def test_a_call_goes_through_the_relay_alone(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = [await offering(), await offering()]
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    monkeypatch.setattr(process, "usable_candidates", lambda offer, near: every_candidate(offer.candidates))
    async with processing() as box:
        for leg, connection in enumerate(connections, start=1):
            opened = await answered(box, leg, connection, relay)
            assert opened.addresses == ()
            assert len(opened.relayed) == 1
        box.writer.write(write(Feed(1, (Slot(2, 2),))) + write(Feed(2, (Slot(1, 1),))))
        await wait_until(lambda: all(each.forwarded_packets > 50 for each in figures(box)), 20.0)
        for connection in connections:
            await connection.close()


def figures(box: Box) -> tuple[LegFigures, ...]:
    """What the process last said of its legs."""
    return next((each.legs for each in reversed(box.events) if isinstance(each, Figures)), (LegFigures(0),))


def every_candidate(lines: tuple[str, ...]) -> list[Candidate]:
    """This machine's own addresses, which no box would use for a far browser."""
    found = [line.split() for line in lines]
    return [Candidate(each[4], int(each[5]), int(each[3]), each[7]) for each in found if ":" not in each[4]]
