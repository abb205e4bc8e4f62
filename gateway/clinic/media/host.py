"""The box's side of the media process: it is there when a call needs it, and a leg of a dead one is over.

It is started when somebody opens a consultation's page, given back after some minutes without a leg, and started again
after growing pauses when it died. What it cannot take is not kept: a process that reads no commands, or says nothing
while it has legs, is ended like one that died.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.backhaul.sensing.samples import DelaySample
from gateway.clinic.media.control import (
    Changed,
    Close,
    Command,
    Ear,
    Event,
    Figures,
    LegFigures,
    Loss,
    Measured,
    Open,
    Opened,
    Record,
    RecordingOver,
    Refused,
)
from gateway.clinic.media.lines import EVENTS, Lines, read, write
from gateway.errors import NoCapacity

START_S = 10.0  # a Raspberry Pi imports aiortc in 3 to 4 s (estimated from 0.7 s here, 2026-11)
SILENCE_S = 10.0  # with legs it speaks four times a second
END_S = 1.5  # for its goodbyes, then again after TERM
PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # before each start that follows a death
PROVEN_S = 60.0  # a process that lived so long is no reason to wait
UNSENT_BYTES_MAX = 4_194_304  # commands it has not taken: more than every leg's offer
READ_BYTES = 65_536
_PACKAGES = Path(__file__).resolve().parents[3]

_log = structlog.get_logger("clinic")


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What the media process may use."""

    legs_max: int = 64
    idle_s: float = 300.0
    silence_s: float = SILENCE_S
    first_port: int = 0
    last_port: int = 0
    marked: bool = True


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """How the media process does."""

    running: bool
    starts: int
    deaths: int
    legs: int


class HostedLeg:
    """One leg, as the box knows it."""

    def __init__(self, number: int, changed: Callable[[], None], at_s: float) -> None:
        self.number = number
        self.changed = changed
        self.state = "checking"
        self.figures = LegFigures(number, heard_s=at_s)
        self.opened: asyncio.Future[Opened | Refused] = asyncio.get_running_loop().create_future()


class MediaHost:
    """Whoever has legs in the media process asks here."""

    def __init__(self, limits: MediaLimits, *, now_s: Callable[[], float], ear: Ear | None = None) -> None:
        """Hand what far browsers measure of the link to `ear`."""
        self._limits = limits
        self._now_s = now_s
        self._ear = ear
        self._legs: dict[int, HostedLeg] = {}
        self._number = 0
        self._wanted = asyncio.Event()
        self._up = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._patience: asyncio.Timeout | None = None
        self._spoke = False
        self._starts = self._deaths = 0
        self._recordings: dict[int, Callable[[str], None]] = {}

    def warm(self) -> None:
        """Somebody is about to call: the process will be there."""
        self._wanted.set()
        self._be_patient()

    async def run(self) -> None:
        """Keep the process alive while it is wanted; until cancelled."""
        deaths_in_a_row = 0
        while True:
            await self._wanted.wait()
            await asyncio.sleep(PAUSES_S[min(deaths_in_a_row, len(PAUSES_S) - 1)])
            began_s = self._now_s()
            died = await self._live()
            if not died:
                deaths_in_a_row = 0
                continue
            self._deaths += 1
            deaths_in_a_row = 1 if self._now_s() - began_s >= PROVEN_S else deaths_in_a_row + 1
            _log.error("media.process_died", deaths=self._deaths)

    def statistics(self) -> MediaStatistics:
        """Return how it does."""
        return MediaStatistics(self._up.is_set(), self._starts, self._deaths, len(self._legs))

    @property
    def pid(self) -> int | None:
        """The process's number, where there is one."""
        return self._process.pid if self._process is not None else None

    def enter(self, changed: Callable[[], None]) -> HostedLeg:
        """Return a new leg's place; `changed` is called when its state is another.

        Raises: NoCapacity.
        """
        if len(self._legs) >= self._limits.legs_max:
            raise NoCapacity
        self._number += 1
        leg = self._legs[self._number] = HostedLeg(self._number, changed, self._now_s())
        self.warm()
        return leg

    async def open(self, leg: HostedLeg, command: Open) -> Opened | Refused:
        """Have a leg opened, and return what became of it.

        Raises: NoCapacity when the process is not there.
        """
        try:
            async with asyncio.timeout(START_S):
                await self._up.wait()
        except TimeoutError as exc:
            raise NoCapacity from exc
        if not leg.opened.done():
            self.tell(command)
        return await leg.opened

    def tell(self, command: Command) -> None:
        """Hand a command over; nothing happens where the process is not there: its legs are over anyway."""
        if self._writer is None or self._writer.is_closing():
            return
        self._writer.write(write(command))
        if self._writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._writer.transport.abort()

    def record(self, path: Path, key: bytes, bytes_max: int, free_bytes_min: int, over: Callable[[str], None]) -> int:
        """Return a new recording's number; `over` is told why it ended when it is over, `died` with the process.

        Raises: NoCapacity when the process is not there.
        """
        if not self._up.is_set():
            raise NoCapacity
        self._number += 1
        self._recordings[self._number] = over
        self.tell(Record(self._number, str(path), key.hex(), bytes_max, free_bytes_min))
        return self._number

    def leave(self, leg: HostedLeg) -> None:
        """Let go of a leg."""
        if self._legs.pop(leg.number, None) is not None:
            self.tell(Close(leg.number))
            leg.state = "over"
            _settle(leg)

    async def _live(self) -> bool:
        """Be with one process from its start to its end; say whether it died."""
        ours, its = socket.socketpair()
        with its:
            reader, self._writer = await asyncio.open_unix_connection(sock=ours)
            try:
                self._process = await self._spawn(its)
            except OSError:
                self._writer.close()
                self._writer = None
                return True
        self._starts += 1
        self._spoke = False
        self._up.set()
        died = True
        try:
            died = await self._listen(reader)
        except (ConnectionError, ValueError):
            pass
        finally:
            self._up.clear()
            writer, self._writer = self._writer, None
            self._lose_legs()
            await self._end(writer, self._process)
            self._process = None
        return died

    async def _spawn(self, its: socket.socket) -> asyncio.subprocess.Process:
        limits = self._limits
        told = (its.fileno(), limits.first_port, limits.last_port, int(limits.marked))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", "-P", "-m", "gateway.clinic.media", *map(str, told)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(_PACKAGES)])},
            pass_fds=(its.fileno(),),
        )

    async def _listen(self, reader: asyncio.StreamReader) -> bool:
        """Take events until the process ends or is needed no more; say whether it ended by itself.

        Raises: ConnectionError, ValueError.
        """
        lines = Lines()
        while True:
            try:
                async with asyncio.timeout(None) as self._patience:
                    self._be_patient()
                    data = await reader.read(READ_BYTES)
            except TimeoutError:
                if self._legs:
                    return True  # it hangs
                self._wanted.clear()
                return False
            finally:
                self._patience = None
            if not data:
                return True
            self._spoke = True
            for line in lines.feed(data):
                self._hear(read(line, EVENTS))

    def _be_patient(self) -> None:
        """Wait for the process's next word as long as it may be silent, or needed no more."""
        if self._patience is None or self._patience.expired():
            return
        limits = self._limits
        wait_s = limits.silence_s + (0.0 if self._spoke else START_S) if self._legs else limits.idle_s
        self._patience.reschedule(asyncio.get_running_loop().time() + wait_s)

    def _hear(self, event: Event) -> None:
        match event:
            case Opened() | Refused():
                leg = self._legs.get(event.leg)
                if leg is not None and not leg.opened.done():
                    leg.opened.set_result(event)
            case Changed(leg=number, state=state):
                if leg := self._legs.get(number):
                    self._change(leg, state)
            case Figures(legs=figures):
                for each in figures:
                    if leg := self._legs.get(each.leg):
                        leg.figures = each
            case Measured(delays=delays, losses=losses):
                self._tell_ear(delays, losses)
            case RecordingOver(recording=number, reason=reason):
                if over := self._recordings.pop(number, None):
                    _tell_over(over, reason)

    def _tell_ear(self, delays: tuple[DelaySample, ...], losses: tuple[Loss, ...]) -> None:
        if self._ear is None:
            return
        try:
            self._ear.hear(delays)
            for loss in losses:
                self._ear.hear_loss(loss.way, loss.expected, loss.lost)
        except Exception as exc:  # noqa: BLE001 - what a call tells of the link must not end it
            _log.error("media.ear_failed", error=type(exc).__name__)

    def _change(self, leg: HostedLeg, state: str) -> None:
        if leg.state != state:
            leg.state = state
            if state == "over":
                self._legs.pop(leg.number, None)
                _settle(leg)
            try:
                leg.changed()
            except Exception as exc:  # noqa: BLE001 - one room's fault is neither the process's nor another room's
                _log.error("media.room_failed", error=type(exc).__name__)

    def _lose_legs(self) -> None:
        recordings, self._recordings = self._recordings, {}
        for over in recordings.values():
            _tell_over(over, "died")
        for leg in tuple(self._legs.values()):
            self._change(leg, "over")

    async def _end(self, writer: asyncio.StreamWriter | None, process: asyncio.subprocess.Process | None) -> None:
        """See the process go: at the end of its socket, told by TERM, or by force."""
        if writer is not None:
            writer.close()
        if process is None:
            return
        for insist in (process.terminate, process.kill):
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await process.wait()
                    return
            with suppress(ProcessLookupError):
                insist()
        await process.wait()


def _tell_over(over: Callable[[str], None], reason: str) -> None:
    try:
        over(reason)
    except Exception as exc:  # noqa: BLE001 - one room's fault is neither the process's nor another room's
        _log.error("media.room_failed", error=type(exc).__name__)


def _settle(leg: HostedLeg) -> None:
    """Whoever waits for the leg to open waits in vain."""
    if not leg.opened.done():
        leg.opened.set_result(Refused(leg.number, "fault"))
