"""The media process answers, forwards, measures and lets go as the box asks, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aioice
import aioice.ice
import pytest

from gateway.backhaul.dialer import Endpoint
from gateway.backhaul.sensing.samples import Sees
from gateway.clinic.media import process
from gateway.clinic.media.control import Close, Figures, Open, Opened, Refused, Relay, Slot
from gateway.clinic.media.host import MediaLimits
from gateway.clinic.media.leg import Leg
from gateway.clinic.media.lines import write
from gateway.clinic.peer import NoWayError, Peer
from gateway.errors import NoCapacity
from tests.callers import Exchange, empty_offer, exchanging, processing
from tests.waiting import wait_until

FIRST, LAST = 47_000, 47_039


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with exchanging(MediaLimits(first_port=FIRST, last_port=LAST)) as found:
        yield found


async def test_both_see_and_hear_each_other_and_the_box_is_told(exchange: Exchange) -> None:
    nurse, doctor = await exchange.call()
    await wait_until(lambda: nurse.peer.figures.forwarded_packets > 20 and doctor.peer.figures.sends_picture)
    await wait_until(lambda: min(doctor.peer.figures.received_bytes, doctor.peer.figures.sent_bytes) > 5_000)
    assert doctor.peer.silent_s() < 1.0
    assert (nurse.peer.slots, doctor.peer.slots) == (1, 1)
    await wait_until(lambda: any(each.sees is Sees.BOTH for each in exchange.ear.delays))
    paths = {each.path.split(":")[1] for each in exchange.ear.delays}
    assert paths == {str(doctor.peer.number)}, "the Wi-Fi's delays are not the link's"


async def test_a_far_browser_answers_checks_and_they_tell_the_round_trip(exchange: Exchange) -> None:
    doctor = await exchange.dial(near=False)
    path = f"call:{doctor.peer.number}:check"
    await wait_until(lambda: sum(each.path == path for each in exchange.ear.delays) >= 3)
    checks = [each for each in exchange.ear.delays if each.path == path]
    assert all(each.sees is Sees.BOTH and 0.0 < each.delay_s < 2.0 for each in checks)
    assert doctor.peer.is_connected


async def test_media_is_taken_within_the_ports_that_are_open(exchange: Exchange) -> None:
    caller = await exchange.dial()
    sdp = caller.connection.remoteDescription.sdp
    ports = [int(line.split()[5]) for line in sdp.splitlines() if line.startswith("a=candidate:")]
    assert ports
    assert all(FIRST <= port <= LAST for port in ports)


async def test_a_slot_that_is_given_to_nobody_is_silent(exchange: Exchange) -> None:
    nurse, doctor = await exchange.call()
    nurse.peer.feed([Slot()])
    await nurse_is_left_alone(nurse.peer)
    await doctor.both_grow()


async def nurse_is_left_alone(peer: Peer) -> None:
    """Return once two figures in a row show nothing forwarded."""
    before = -1
    async with asyncio.timeout(10):
        while peer.figures.forwarded_packets != before:
            before, seen = peer.figures.forwarded_packets, peer.figures
            while peer.figures is seen:
                await asyncio.sleep(0.01)


async def test_who_hangs_up_is_over_and_the_other_goes_on_being_connected(exchange: Exchange) -> None:
    nurse, doctor = await exchange.call()
    await doctor.connection.close()
    await wait_until(lambda: doctor.peer.is_over)
    assert nurse.peer.is_connected
    again = await exchange.dial(near=False)
    nurse.peer.feed([Slot(again.peer.number, again.peer.number)])
    await nurse.both_grow()


@dataclass
class Gone:
    """A media path that leads nowhere."""

    direct: bool = False
    released: list[Endpoint] = field(default_factory=list)

    async def advertise(self, local: Endpoint) -> Endpoint:
        raise OSError

    def release(self, local: Endpoint) -> None:
        self.released.append(local)


async def test_without_a_way_the_browser_is_told_so(exchange: Exchange) -> None:
    path = Gone()
    with pytest.raises(NoWayError):
        await exchange.dial(path=path, near=False)
    await exchange.callers[0].peer.close()
    assert exchange.host.statistics().legs == 0
    assert path.released


async def test_there_is_no_leg_over_the_limit() -> None:
    async with exchanging(MediaLimits(legs_max=1)) as exchange:
        await exchange.dial()
        with pytest.raises(NoCapacity):
            await exchange.dial()


async def test_who_leaves_while_the_process_starts_is_told(exchange: Exchange) -> None:
    leg = exchange.host.enter(lambda: None)
    exchange.host.leave(leg)
    assert await exchange.host.open(leg, Open(leg.number, "v=0", "vp8", near=True, direct=True)) == Refused(
        leg.number, "fault"
    )


# The process itself, in this one


async def test_what_cannot_be_answered_is_refused_by_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    good = await empty_offer()
    async with processing() as box:
        assert await box.answered(Open(1, "v=0", "vp8", near=True, direct=True)) == Refused(1, "offer")
        assert await box.answered(Open(2, good, "av1", near=True, direct=True)) == Refused(2, "offer")
        monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
        assert await box.answered(Open(3, good, "vp8", near=True, direct=True)) == Refused(3, "address")


async def test_a_leg_too_many_or_named_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LEGS_MAX", 1)
    good = await empty_offer()
    async with processing() as box:
        first = await box.answered(Open(1, good, "vp8", near=True, direct=True))
        assert isinstance(first, Opened)
        assert await box.answered(Open(2, good, "vp8", near=True, direct=True)) == Refused(2, "fault")
        box.writer.write(write(Close(1)))
        assert isinstance(await box.answered(Open(3, good, "vp8", near=True, direct=True)), Opened)


async def test_a_relay_that_does_not_answer_leaves_the_box_s_own_addresses() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        relay = Relay(f"turn:127.0.0.1:{silent.getsockname()[1]}", "u", "p")
        async with processing() as box:
            opened = await box.answered(Open(1, await empty_offer(), "vp8", near=False, direct=True, relays=(relay,)))
            assert isinstance(opened, Opened)
            assert opened.addresses
            assert opened.relayed == ()


async def test_a_beat_that_raises_ends_that_leg_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    good = await empty_offer()
    async with processing() as box:
        for leg in (1, 2):
            await box.answered(Open(leg, good, "vp8", near=True, direct=True))
        before = Leg.beat

        def beat(leg: Leg) -> None:
            if leg.figures().leg == 1:
                raise ZeroDivisionError
            before(leg)

        monkeypatch.setattr(Leg, "beat", beat)
        box.events.clear()
        await wait_until(lambda: any(isinstance(each, Figures) and len(each.legs) == 1 for each in box.events))
        last = [each for each in box.events if isinstance(each, Figures)][-1]
        assert [each.leg for each in last.legs] == [2]


async def test_a_relay_that_answers_after_the_leg_was_closed_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()
    made: list[aioice.ice.StunProtocol] = []

    async def relayed(
        *, component: int, protocol_factory: Callable[[], aioice.ice.StunProtocol], **others: object
    ) -> tuple[aioice.Candidate, aioice.ice.StunProtocol]:
        assert others
        asked.set()
        await answered.wait()
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(protocol_factory, local_addr=("127.0.0.1", 0))
        made.append(protocol)
        protocol.local_candidate = aioice.Candidate("1", component, "udp", 1, "127.0.0.1", 50_000, "relay")
        return protocol.local_candidate, protocol

    monkeypatch.setattr(aioice.ice, "relayed_candidate", relayed)
    relay = Relay("turn:127.0.0.1:3478", "u", "p")
    async with processing() as box:
        offer = Open(1, await empty_offer(), "vp8", near=False, direct=True, relays=(relay,))
        box.writer.write(write(offer))
        await asked.wait()
        box.writer.write(write(Close(1)))
        box.writer.write(write(Open(2, "v=0", "vp8", near=True, direct=True)))
        await wait_until(lambda: Refused(2, "offer") in box.events)
        answered.set()
        await wait_until(lambda: bool(made) and made[0].transport.is_closing())


async def test_a_command_that_breaks_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    good = await empty_offer()
    async with processing() as box:
        await box.answered(Open(1, good, "vp8", near=True, direct=True))
        monkeypatch.setattr(process.MediaProcess, "_let_go", lambda self, number: 1 / 0)
        box.writer.write(write(Close(1)))
        opened = await box.answered(Open(2, good, "vp8", near=True, direct=True))
        monkeypatch.undo()
        assert isinstance(opened, Opened)
        box.events.clear()
        await wait_until(lambda: any(isinstance(each, Figures) and len(each.legs) == 2 for each in box.events))
