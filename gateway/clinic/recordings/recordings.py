"""A call is recorded while its record says that the patient agrees, and not a moment longer.

The media process writes; here stands what may be written, what it is called, and what becomes of it: the record tells
of a recording that ended, at night it goes to the receiving side behind its record, and then it is erased.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic.media.control import Command, RecordLeg, StopRecording
from gateway.clinic.media.rtp_dump import MEDIA_TYPE, Streams
from gateway.clinic.recordings import files
from gateway.clinic.recordings.rules import WORDS, Due, due
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.recorded import NAME_CHARS, RecordedStanding, entry_id, is_for_recipient
from gateway.clinic.records.standing import is_credible
from gateway.clinic.records.views import Actor, Entry, NewEntry
from gateway.clock import Clock
from gateway.durable.vault import NotOpened
from gateway.errors import N_, Conflict, NoCapacity, NotAllowed
from gateway.exchange.exchange import NotDelivered
from gateway.hours import Hours, Local, left_s

LOOK_S = 60.0
BOX = Actor(Writer.BOX, "recording")
_log = structlog.get_logger("clinic.recordings")


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """What recordings may take, and when they go."""

    is_on: bool = False
    bytes_max: int = 4_000_000_000  # of all that are here
    free_bytes_min: int = 64_000_000  # of the disk, for the records and the orders
    keep_days: int = 30
    hours: tuple[Hours, ...] = (Hours(3_600, 18_000),)


class Recorder(Protocol):
    """The media process."""

    def record(self, path: Path, key: bytes, bytes_max: int, free_bytes_min: int, over: Callable[[str], None]) -> int:
        """Begin one. Raises: NoCapacity."""
        ...

    def tell(self, command: Command) -> None:
        """Hand a command over."""
        ...


class RecordingKeeper(Protocol):
    """The records, as far as recordings need them."""

    async def begin_recording(self, record: str, name: str, key: bytes, *, by: Actor) -> bytes: ...
    async def recording(self, head: bytes, name: str, *, by: Actor | None) -> RecordedStanding | None: ...
    async def keep(self, record: str, entry: NewEntry, *, by: Actor) -> Entry: ...
    def watch(self) -> AsyncIterator[tuple[str, Entry]]: ...


class Server(Protocol):
    """The receiving side."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def has_file(self, sha256: str) -> bool: ...
    async def put_file(
        self,
        sha256: str,
        media_type: str,
        size_bytes: int,
        pieces: AsyncIterator[bytes],
        traffic_class: TrafficClass = TrafficClass.INTERACTIVE,
    ) -> str: ...


class Ongoing:
    """A recording that is under way."""

    def __init__(self, record: str, path: Path, recorder: Recorder, told: Callable[[str], None]) -> None:
        """Say in words to `told` why it ended by itself."""
        self.record = record
        self.path = path
        self.number = 0
        self.is_on = True
        self._recorder = recorder
        self._told = told
        self._followed: set[int] = set()

    def follow(self, legs: Iterable[tuple[int, Streams]]) -> None:
        """Have what comes by these connections in it."""
        for leg, streams in legs:
            if self.is_on and leg not in self._followed:
                self._followed.add(leg)
                self._recorder.tell(RecordLeg(self.number, leg, streams))

    def end(self, reason: str = "") -> None:
        """Record nothing any more; say why where it was not asked for."""
        if not self.is_on:
            return
        self.is_on = False
        self._recorder.tell(StopRecording(self.number))
        if reason:
            self._told(WORDS[reason if reason in WORDS else "fault"])


class Recordings:
    """All recordings of the box."""

    def __init__(
        self,
        *,
        folder: Path,
        records: RecordingKeeper,
        recorder: Recorder,
        clock: Clock,
        limits: RecordingLimits,
        server: Server | None = None,
        is_down: Callable[[], bool] = lambda: False,
    ) -> None:
        """Upload to `server` where there is one, and the link is not down."""
        self._folder = folder
        self._records = records
        self._recorder = recorder
        self._clock = clock
        self._limits = limits
        self._server = server
        self._is_down = is_down
        self._ongoing: dict[str, Ongoing] = {}  # by their files' names, until all is written
        self._wake = asyncio.Event()

    async def begin(self, record: str, told: Callable[[str], None], *, by: Actor) -> Ongoing:
        """Return a recording that is under way, and has nobody in it yet.

        Raises: NotAllowed where the box does not record; Conflict where the patient has not agreed or it is recorded
        already; NotFound, NoCapacity.
        """
        if not self._limits.is_on:
            raise NotAllowed(N_("Calls are not recorded on this box."), N_("The technician can allow it."))
        if any(each.record == record and each.is_on for each in self._ongoing.values()):
            raise Conflict
        name, key = secrets.token_hex(NAME_CHARS // 2), secrets.token_bytes(32)
        made = self._ongoing[name] = Ongoing(record, self._folder / name, self._recorder, told)
        try:
            head = await self._records.begin_recording(record, name, key, by=by)
            await asyncio.to_thread(self._make, made.path, head)
            limits = self._limits
            made.number = self._recorder.record(
                made.path, key, limits.bytes_max, limits.free_bytes_min, lambda reason: self._over(name, reason)
            )
        except BaseException:
            self._over(name, "")
            raise
        if not made.is_on:  # the consent was withdrawn meanwhile
            self._recorder.tell(StopRecording(made.number))
        return made

    async def run(self) -> None:
        """Do with what was recorded what is due; until cancelled."""
        if self._server is not None:
            await self._server.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_consent(), name="recordings consent")
                while True:
                    await self._tidy()
                    self._wake.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_S):
                            await self._wake.wait()
        finally:
            if self._server is not None:
                await self._server.stop()

    def stop(self) -> None:
        """End all that are under way; their records tell of them at the next start."""
        for each in self._ongoing.values():
            each.end()

    async def of(self, record: str, *, by: Actor) -> Sequence[tuple[Path, RecordedStanding]]:
        """Return a record's recordings that are here."""
        found = [(self._folder / name, await self._standing(name, by)) for name in await self._names()]
        return [(path, each) for path, each in found if each is not None and each.record == record]

    async def withdraw(self, record: str) -> None:
        """Erase what was recorded of a record, and record no more of it."""
        for name, each in tuple(self._ongoing.items()):
            if each.record == record:
                each.end("withdrawn")
                await self._erase(name)
        self._wake.set()

    def _make(self, path: Path, head: bytes) -> None:
        limits = self._limits
        try:
            files.make(path, head)
            used_bytes = sum((self._folder / each).stat().st_size for each in files.names(self._folder))
            is_low = shutil.disk_usage(self._folder).free < limits.free_bytes_min
        except OSError as exc:
            raise NoCapacity(N_("The box cannot record now: its storage fails."), N_("Tell the technician.")) from exc
        if used_bytes >= limits.bytes_max or is_low:
            raise NoCapacity(
                N_("There is no room for a recording on the box."), N_("Go on without one, and tell the technician.")
            )

    def _over(self, name: str, reason: str) -> None:
        """A recording is written, or will never be."""
        ended = self._ongoing.pop(name, None)
        if ended is not None:
            ended.end(reason)
        self._wake.set()

    async def _follow_consent(self) -> None:
        while True:
            try:
                async for record, entry in self._records.watch():
                    is_withdrawn = entry.kind == "consent" and not entry.fields["given"]
                    if is_withdrawn and entry.fields["what"] == "recording":
                        await self.withdraw(record)
            except Exception as exc:  # noqa: BLE001 - nothing is recorded that is not looked at again
                _log.error("recording.consent_not_followed", error=type(exc).__name__)
            for each in tuple(self._ongoing.values()):
                each.end("fault")  # a withdrawal may not have been heard; what is recorded is looked at once it is over
            await asyncio.sleep(1.0)

    async def _tidy(self) -> None:
        for name in await self._names():
            if name in self._ongoing:
                continue
            try:
                await self._settle(name)
            except Exception as exc:  # noqa: BLE001 - one that cannot be settled must not hold up the others
                reason = exc.reason if isinstance(exc, NotDelivered) else type(exc).__name__
                _log.warning("recording.not_settled", reason=reason)

    async def _names(self) -> list[str]:
        return await asyncio.to_thread(files.names, self._folder)

    async def _settle(self, name: str) -> None:
        """Do what is due with one that nobody writes any more. Raises: GatewayError, NotOpened, OSError."""
        path = self._folder / name
        ended_wall_s = await asyncio.to_thread(files.ended_wall_s, path)
        standing = await self._standing(name)
        wall_s = self._clock.wall_s()
        since_wall_s = max(ended_wall_s, standing.began_wall_s) if standing is not None else wall_s
        if not is_credible(since_wall_s, wall_s):  # of before the clock was set: its days begin anew
            if is_credible(wall_s, wall_s):
                await asyncio.to_thread(os.utime, path, (wall_s, wall_s))
            since_wall_s = wall_s
        match due(standing, since_wall_s, wall_s, self._limits.keep_days):
            case Due.ERASE:
                await self._erase(name)
            case Due.WRITE if standing is not None:
                await self._write(name, standing, ended_wall_s)
            case Due.UPLOAD if standing is not None:
                await self._upload(name, standing)
            case _:
                pass

    async def _standing(self, name: str, by: Actor | None = None) -> RecordedStanding | None:
        """Return how one stands."""
        try:
            head = await asyncio.to_thread(files.head_of, self._folder / name)
        except (NotOpened, FileNotFoundError):
            return None
        return await self._records.recording(head, name, by=by)

    async def _key(self, name: str, standing: RecordedStanding) -> bytes | None:
        """Return what opens one; None where it goes as it lies, for its recipient. Raises: NotOpened, OSError."""
        head = await asyncio.to_thread(files.head_of, self._folder / name)
        if is_for_recipient(head):
            return None
        if standing.key is None:
            raise NotOpened
        return standing.key

    async def _write(self, name: str, standing: RecordedStanding, ended_wall_s: float) -> None:
        """Let the record tell of a recording."""
        key = await self._key(name, standing)
        content = await asyncio.to_thread(files.content, self._folder / name, key)
        fields: dict[str, object] = {
            "sha256": content.sha256,
            "media_type": MEDIA_TYPE,
            "size_bytes": content.size_bytes,
            "began_s": standing.began_wall_s,
            "ended_s": max(ended_wall_s, standing.began_wall_s),
        }
        entry = NewEntry(entry_id(name), "recording", standing.began_wall_s, fields)
        await self._records.keep(standing.record, entry, by=BOX)

    async def _upload(self, name: str, standing: RecordedStanding) -> None:
        """Let the receiving side have a recording, within the night; then it is erased here."""
        night_s = left_s(self._limits.hours, _local(self._clock.wall_s()))
        if self._server is None or not night_s or self._is_down():
            return
        path, key = self._folder / name, await self._key(name, standing)
        content = await asyncio.to_thread(files.content, path, key)
        reason = ""
        try:
            async with asyncio.timeout(night_s):
                if not await self._server.has_file(content.sha256):
                    reason = await self._server.put_file(
                        content.sha256, MEDIA_TYPE, content.size_bytes, _pieces(path, key), TrafficClass.BULK
                    )
        except TimeoutError:
            _log.info("recording.night_is_over")
            return
        if reason:
            _log.warning("recording.refused")
            return
        _log.info("recording.sent", size_bytes=content.size_bytes)
        await self._erase(name)

    async def _erase(self, name: str) -> None:
        await asyncio.to_thread(files.erase, self._folder / name)


async def _pieces(path: Path, key: bytes | None) -> AsyncIterator[bytes]:
    reading: Iterator[bytes] = files.pieces(path, key)
    while piece := await asyncio.to_thread(next, reading, b""):
        yield piece


def _local(wall_s: float) -> Local:
    here = datetime.fromtimestamp(wall_s, UTC).astimezone()
    return Local(here.toordinal(), here.hour * 3_600 + here.minute * 60 + here.second)
