"""What callers send is in the recording, packet by packet, and becomes a film that opens."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest

from gateway.cli_recording import film
from gateway.clinic.media.control import RecordLeg, StopRecording
from gateway.clinic.media.rtp_dump import Described, Packet, read
from gateway.clinic.recordings import files
from gateway.durable.sealed_pieces import open_pieces, read_head
from tests.callers import Caller, Exchange, exchanging
from tests.waiting import wait_until

KEY = bytes(range(32))


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with exchanging() as found:
        yield found


class Recorded:
    """A recording in the media process, and what its callers handed to their transports meanwhile."""

    def __init__(self, exchange: Exchange, path: Path, bytes_max: int) -> None:
        self.path = path
        self.reasons: list[str] = []
        self.sent: dict[int, list[bytes]] = {}
        self._host = exchange.host
        self.number = exchange.host.record(self.path, KEY, bytes_max, 0, self.reasons.append)

    def follow(self, who: str, caller: Caller) -> None:
        noted = self.sent.setdefault(caller.peer.number, [])
        transport: Any = caller.connection.getTransceivers()[0].sender.transport
        send = transport._send_rtp

        async def note(data: bytes) -> None:
            if not 192 <= data[1] <= 208:
                noted.append(bytes(data))
            await send(data)

        transport._send_rtp = note
        self._host.tell(RecordLeg(self.number, caller.peer.number, caller.peer.streams(who)))

    async def ended(self) -> list[Described | Packet]:
        self._host.tell(StopRecording(self.number))
        await wait_until(lambda: bool(self.reasons), 5.0)
        return await asyncio.to_thread(self.read)

    def read(self) -> list[Described | Packet]:
        with self.path.open("rb") as file:
            read_head(file)
            return [each for piece in open_pieces(file, KEY) for each in read(piece)]


async def recording(exchange: Exchange, folder: Path, bytes_max: int = 10**9) -> Recorded:
    path = folder / "recordings" / ("a" * 32)
    await asyncio.to_thread(files.make, path, b"{}")
    return Recorded(exchange, path, bytes_max)


async def test_every_packet_of_both_is_in_it_as_it_was_sent_and_they_make_a_film(
    exchange: Exchange, tmp_path: Path
) -> None:
    nurse, doctor = await exchange.call()
    recorded = await recording(exchange, tmp_path)
    recorded.follow("nurse", nurse)
    recorded.follow("doctor", doctor)
    for each in (nurse, doctor):
        await each.both_grow()
        await each.both_grow()
    found = await recorded.ended()
    assert recorded.reasons == [""]
    assert [each.streams.who for each in found if isinstance(each, Described)] == ["nurse", "doctor"]
    for connection, sent in enumerate(recorded.sent.values()):
        came = [each.content for each in found if isinstance(each, Packet) and each.connection == connection]
        assert len(came) > 30
        inside = [each for each in sent if each in set(came)]
        first, last = sent.index(inside[0]), len(sent) - sent[::-1].index(inside[-1])
        assert sorted(sent[first:last]) == sorted(came[came.index(sent[first]) :]), "each of them, once, as it was sent"
    sealed = await asyncio.to_thread(recorded.path.read_bytes)
    assert not any(each[20:60] in sealed for sent in recorded.sent.values() for each in sent if len(each) > 60)
    await asyncio.to_thread(_makes_a_film, recorded.path)


async def test_a_full_disk_ends_the_recording_and_not_the_call(exchange: Exchange, tmp_path: Path) -> None:
    nurse, doctor = await exchange.call()
    recorded = await recording(exchange, tmp_path, bytes_max=2_000)
    recorded.follow("nurse", nurse)
    await wait_until(lambda: recorded.reasons == ["full"], 10.0)
    assert (await asyncio.to_thread(recorded.path.stat)).st_size <= 2_100
    await doctor.both_grow()


async def test_where_the_file_is_gone_the_recording_ends_and_not_the_call(exchange: Exchange, tmp_path: Path) -> None:
    _, doctor = await exchange.call()
    reasons: list[str] = []
    exchange.host.record(tmp_path / "none", KEY, 10**9, 0, reasons.append)
    await wait_until(lambda: reasons == ["disk"], 10.0)
    await doctor.both_grow()


def _makes_a_film(path: Path) -> None:
    with path.with_suffix(".mkv").open("x+b") as made:
        film(files.pieces(path, KEY), made)
    with av.open(path.with_suffix(".mkv")) as made_of:
        assert sorted(each.codec_context.name for each in made_of.streams) == ["opus", "opus", "vp8", "vp8"]
        assert [each.metadata["title"] for each in made_of.streams].count("doctor") == 2
        pictures = list(made_of.decode(made_of.streams.video[0]))
        assert len(pictures) > 5
        assert (pictures[0].width, pictures[0].height) == (160, 120)
        assert made_of.duration is not None
        assert made_of.duration > 500_000, "microseconds"
