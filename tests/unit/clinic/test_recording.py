"""A call is recorded where the box records, the patient agreed and the nurse asks; and kept no longer than that."""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic.media import rtp_dump
from gateway.clinic.media.control import Command, RecordLeg, StopRecording
from gateway.clinic.media.rtp_dump import Described, Packet, Streams
from gateway.clinic.messages import LinkShown, Plan, RecordAsked, State, read_message
from gateway.clinic.recordings import files
from gateway.clinic.recordings.recordings import Ongoing, RecordingLimits, Recordings
from gateway.clinic.records.recorded import open_with_secret
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import NewEntry, delivered
from gateway.durable.recipient import as_bytes, new_pair
from gateway.durable.sealed_pieces import Sealing, beginning, open_pieces, read_head
from gateway.durable.vault import NotOpened
from gateway.errors import BadRequest, Conflict, NoCapacity, NotAllowed
from gateway.hours import parse_hours
from tests.clocks import HandClock
from tests.unit.clinic.record_world import MARK, NURSE, an_id, entry, found_in_clear, patient, some_records

STREAMS = Streams("nurse", "vp8", 111, 63, 96, 97)
CONTENT = rtp_dump.packet(0, 0.5, MARK.encode() * 9)
KEY = bytes(range(32))


@given(st.lists(st.tuples(st.integers(0, 254), st.integers(0, 10**6), st.binary(max_size=1_500)), max_size=20))
def test_what_is_written_of_packets_is_read_again(sent: list[tuple[int, int, bytes]]) -> None:
    content = rtp_dump.description(0, 0.0, STREAMS)
    content += b"".join(rtp_dump.packet(number, at_ms / 1_000, body) for number, at_ms, body in sent)
    first, *packets = rtp_dump.read(content)
    assert first == Described(0, STREAMS)
    assert [(each.connection, each.content) for each in packets if isinstance(each, Packet)] == [
        (number, body) for number, _, body in sent
    ]


@given(st.binary(max_size=200))
def test_a_recording_of_anything_ends_in_a_value_error_or_well(content: bytes) -> None:
    with suppress(ValueError):
        list(rtp_dump.read(content))


@given(st.integers(0, 400))
def test_a_file_cut_off_anywhere_is_a_beginning(length: int) -> None:
    sealing, pieces = Sealing(KEY), [b"a" * 90, b"b" * 90, b"c" * 90]
    whole = beginning(b"{}") + b"".join(sealing.sealed(each) for each in pieces) + sealing.sealed(b"", is_last=True)
    file = io.BytesIO(whole[: len(whole) - min(length, len(whole) - 20)])
    assert read_head(file) == b"{}"
    found = list(open_pieces(file, KEY))
    assert found == [*pieces, b""][: len(found)]


def test_pieces_do_not_open_with_another_key_nor_in_another_order() -> None:
    sealing = Sealing(KEY)
    first, second = sealing.sealed(b"first"), sealing.sealed(b"second")
    for wrong, key in ((first + second, bytes(32)), (second + first, KEY)):
        with pytest.raises(NotOpened):
            list(open_pieces(io.BytesIO(wrong), key))


def test_only_a_plain_yes_or_no_begins_or_ends_a_recording() -> None:
    assert read_message('{"type": "record", "on": true}') == RecordAsked(True)
    with pytest.raises(BadRequest):
        read_message('{"type": "record", "on": 1}')


def test_pages_learn_of_a_recording_at_once() -> None:
    shown = State(True, True, Plan(True, True, 0), LinkShown("good", None, None))
    recorded = State(True, True, Plan(True, True, 0), LinkShown("good", None, None), recording=True)
    assert recorded.may_wait_s(shown) == 0.0


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


@dataclass
class FakeRecorder:
    """A media process that writes one packet as soon as it is asked to."""

    told: list[Command] = field(default_factory=list)
    over: dict[int, Callable[[str], None]] = field(default_factory=dict)
    is_there: bool = True
    written: tuple[Path, bytes] = (Path(), b"")

    def record(self, path: Path, key: bytes, bytes_max: int, free_bytes_min: int, over: Callable[[str], None]) -> int:
        if not self.is_there:
            raise NoCapacity
        self.written = (path, Sealing(key).sealed(CONTENT))
        self.over[len(self.over) + 1] = over
        return len(self.over)

    def tell(self, command: Command) -> None:
        self.told.append(command)
        if isinstance(command, StopRecording) and (over := self.over.get(command.recording)):
            over("")


@dataclass
class FakeServer:
    """A receiving side; nothing else than its files."""

    files: dict[str, bytes] = field(default_factory=dict)
    classes: list[TrafficClass] = field(default_factory=list)

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def has_file(self, sha256: str) -> bool:
        return sha256 in self.files

    async def put_file(
        self,
        sha256: str,
        media_type: str,
        size_bytes: int,
        pieces: AsyncIterator[bytes],
        traffic_class: TrafficClass = TrafficClass.INTERACTIVE,
    ) -> str:
        del media_type, size_bytes
        self.classes.append(traffic_class)
        self.files[sha256] = b"".join([each async for each in pieces])
        return ""


@dataclass
class World:
    """Records, and recordings beside them."""

    records: Records
    recordings: Recordings
    recorder: FakeRecorder
    folder: Path
    record: str
    words: list[str] = field(default_factory=list)

    async def agree(self, *, given: bool = True) -> None:
        await self.records.keep(self.record, entry("consent", what="recording", given=given, how="spoken"), by=NURSE)

    async def begin(self) -> Ongoing:
        """Begin, with one packet in it."""
        made = await self.recordings.begin(self.record, self.words.append, by=NURSE)
        await asyncio.to_thread(_append, *self.recorder.written)
        return made

    async def entries(self) -> list[dict[str, object]]:
        return [
            dict(each.fields) for each in await self.records.entries(self.record, by=NURSE) if each.kind == "recording"
        ]

    async def here(self) -> list[str]:
        return await asyncio.to_thread(files.names, self.folder)

    async def gone(self) -> None:
        async with asyncio.timeout(5.0):
            while await self.here():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def world(
    tmp_path: Path,
    clock: HandClock,
    *,
    server: FakeServer | None = None,
    recipient: str = "",
    limits: RecordingLimits | None = None,
) -> AsyncIterator[World]:
    folder, recorder = tmp_path / "clinic" / "recordings", FakeRecorder()
    async with some_records(tmp_path / "clinic", clock, recipient=recipient) as records, asyncio.TaskGroup() as tasks:
        recordings = Recordings(
            folder=folder,
            records=records,
            recorder=recorder,
            clock=clock,
            limits=limits or RecordingLimits(is_on=True, free_bytes_min=0, hours=(parse_hours("00:00-24:00"),)),
            server=server,
        )
        running = tasks.create_task(recordings.run())
        record = an_id()
        await records.begin(record, Stage.TALKING, by=NURSE, entries=(patient(),))
        yield World(records, recordings, recorder, folder, record)
        running.cancel()


async def test_without_the_setting_nothing_is_recorded(tmp_path: Path, clock: HandClock) -> None:
    async with world(tmp_path, clock, limits=RecordingLimits()) as at:
        await at.agree()
        with pytest.raises(NotAllowed):
            await at.begin()
        assert not await at.here()


async def test_without_consent_nothing_is_recorded(tmp_path: Path, clock: HandClock) -> None:
    async with world(tmp_path, clock) as at:
        with pytest.raises(Conflict):
            await at.begin()
        await at.agree()
        await at.agree(given=False)
        with pytest.raises(Conflict):
            await at.begin()
        await at.gone()
        assert not at.recorder.over


async def test_everybody_is_in_it_once_and_the_record_tells_of_it(tmp_path: Path, clock: HandClock) -> None:
    async with world(tmp_path, clock) as at:
        await at.agree()
        made = await at.begin()
        with pytest.raises(Conflict):
            await at.begin()
        made.follow([(7, STREAMS), (8, STREAMS)])
        made.follow([(7, STREAMS), (9, STREAMS)])
        assert [each.leg for each in at.recorder.told if isinstance(each, RecordLeg)] == [7, 8, 9]
        made.end()
        told = await _written(at)
        assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()
        assert told["size_bytes"] == len(CONTENT)
        assert not at.words
        [(path, standing)] = await at.recordings.of(at.record, by=NURSE)
        assert standing.key is not None
        assert await asyncio.to_thread(list, files.pieces(path, standing.key)) == [CONTENT]
        clear = await asyncio.to_thread(found_in_clear, tmp_path, MARK.encode())
        assert not clear
        assert not await asyncio.to_thread(found_in_clear, at.folder, at.record.encode())


async def test_consent_that_is_taken_back_ends_and_erases_at_once(tmp_path: Path, clock: HandClock) -> None:
    async with world(tmp_path, clock) as at:
        await at.agree()
        made = await at.begin()
        kept = await asyncio.to_thread(os.open, made.path, os.O_RDONLY)
        await at.agree(given=False)
        await at.gone()
        assert not made.is_on
        assert "erased" in at.words[0]
        assert await asyncio.to_thread(os.pread, kept, 64, 0) == bytes(64), "what the card keeps has no key"
        os.close(kept)
        assert not await at.entries()


async def test_a_finished_recording_is_erased_when_consent_is_taken_back(tmp_path: Path, clock: HandClock) -> None:
    async with world(tmp_path, clock) as at:
        await at.agree()
        (await at.begin()).end()
        await _written(at)
        await at.agree(given=False)
        await at.gone()


async def test_a_recording_that_ends_by_itself_says_why(tmp_path: Path, clock: HandClock) -> None:
    async with world(tmp_path, clock) as at:
        await at.agree()
        made = await at.begin()
        at.recorder.over[made.number]("full")
        assert not made.is_on
        assert "no room" in at.words[0]
        assert (await _written(at))["size_bytes"] == len(CONTENT)


async def test_without_the_media_process_nothing_begins(tmp_path: Path, clock: HandClock) -> None:
    async with world(tmp_path, clock) as at:
        await at.agree()
        at.recorder.is_there = False
        with pytest.raises(NoCapacity):
            await at.begin()
        at.recorder.is_there = True
        assert (await at.begin()).is_on


async def test_at_night_it_follows_its_record_and_is_erased_here(tmp_path: Path, clock: HandClock) -> None:
    server = FakeServer()
    async with world(tmp_path, clock, server=server) as at:
        await at.agree()
        (await at.begin()).end()
        told = await _written(at)
        assert not server.files, "its record goes first"
        await _hand_over(at)
        await at.gone()
        assert server.files == {told["sha256"]: CONTENT}
        assert server.classes == [TrafficClass.BULK]


async def test_by_day_it_stays_until_its_days_are_over(tmp_path: Path, clock: HandClock) -> None:
    server, never = FakeServer(), RecordingLimits(is_on=True, free_bytes_min=0, hours=())
    async with world(tmp_path, clock, server=server, limits=never) as at:
        await at.agree()
        (await at.begin()).end()
        await _written(at)
        await _hand_over(at)
        await asyncio.sleep(0.02)
        assert await at.here()
        assert not server.files
        clock.pass_s(31 * 86_400)
        await at.recordings.withdraw(an_id())  # wakes it, and is of nobody
        await at.gone()


async def test_with_a_recipient_it_goes_as_it_lies_and_opens_with_the_secret(tmp_path: Path, clock: HandClock) -> None:
    secret, public = new_pair()
    server = FakeServer()
    async with world(tmp_path, clock, server=server, recipient=public) as at:
        await at.agree()
        (await at.begin()).end()
        await _written(at)
        await _hand_over(at)
        await at.gone()
        [sent] = server.files.values()
    assert MARK.encode() not in sent
    file = io.BytesIO(sent)
    key = open_with_secret(read_head(file), as_bytes(secret))
    assert b"".join(open_pieces(file, key)) == CONTENT
    with pytest.raises(NotOpened):
        open_with_secret(read_head(io.BytesIO(sent)), bytes(32))


async def test_only_the_box_says_that_there_is_a_recording(tmp_path: Path, clock: HandClock) -> None:
    fields = {"sha256": "0" * 64, "media_type": "a/b", "size_bytes": 1, "began_s": 0.0, "ended_s": 1.0}
    async with world(tmp_path, clock) as at:
        with pytest.raises(NotAllowed):
            await at.records.keep(at.record, NewEntry(an_id(), "recording", 0.0, fields), by=NURSE)


async def _hand_over(at: World) -> None:
    await at.records.move(at.record, Stage.FINISHED, by=NURSE)
    await at.records.hand_over(at.record, by=NURSE)
    assert await at.records.due() is not None
    await at.records.settle(at.record, delivered())
    await at.recordings.withdraw(an_id())  # wakes it, and is of nobody


async def _written(at: World) -> dict[str, object]:
    async with asyncio.timeout(5.0):
        while not (found := await at.entries()):
            await asyncio.sleep(0.005)
    return found[-1]
