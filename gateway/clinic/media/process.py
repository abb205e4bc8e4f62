"""The media process: commands become legs, and what these carry becomes events; one that breaks ends alone.

It lives as long as its control socket: at its end every connection is closed, and the process leaves. A fault is of
the leg whose task or datagram it came from: the libraries' tasks bear their leg's number as name.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, assert_never

import structlog
from aiortc import RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

from gateway.backhaul.sensing.samples import DelaySample, Way
from gateway.clinic.media.control import (
    Cap,
    Changed,
    Close,
    Command,
    Event,
    Feed,
    Figures,
    LegFigures,
    Loss,
    Measured,
    Open,
    Opened,
    Record,
    RecordLeg,
    Refused,
    Slot,
    StopRecording,
)
from gateway.clinic.media.forwarding import (
    Wire,
    add_candidates,
    gather_ipv4_only,
    gathered,
    open_connection,
    take_handshakes_alone,
)
from gateway.clinic.media.leg import Leg
from gateway.clinic.media.lines import COMMANDS, Lines, read, write
from gateway.clinic.media.recording import Recorders
from gateway.clinic.media.sdp import CANDIDATES_MAX, read_offer, usable_candidates, write_offer
from gateway.clock import Clock
from gateway.errors import BadRequest

LEGS_MAX = 256  # more than a core carries
OPEN_S = 15.0  # a TURN server that does not answer is given up before (aioice: 5 s)
CLOSE_S = 5.0
BEAT_S = 0.05  # what was asked for again is asked for once more with the next packet, too
REST_S = 0.25  # between two beats without a leg
BEATS_A_MEASURED = 2
BEATS_A_FIGURES = 5
DELAYS_MAX, LOSSES_MAX = 1_000, 500  # of one `Measured`: a line (`LINE_BYTES_MAX`) holds them all
UNSENT_BYTES_MAX = 1_048_576  # events that the box does not take; figures beyond are left out
READ_BYTES = 65_536

_log = structlog.get_logger("media")
_leg: ContextVar[int] = ContextVar("leg")


class NoAddressError(Exception):
    """There is no address to take media at."""


class Gathered:
    """What far legs measured since the last time (`Ear`)."""

    def __init__(self) -> None:
        self._delays: list[DelaySample] = []
        self._losses: list[Loss] = []

    def hear(self, samples: Iterable[DelaySample]) -> None:
        """Take delays."""
        if len(self._delays) < DELAYS_MAX:
            self._delays += samples

    def hear_loss(self, way: Way, expected: int, lost: int) -> None:
        """Take how many packets were due one way, and how many of them never came."""
        if len(self._losses) < LOSSES_MAX:
            self._losses.append(Loss(way, expected, lost))

    def take(self) -> Measured | None:
        """Return it, and begin anew; None where there is nothing."""
        if not self._delays and not self._losses:
            return None
        taken = Measured(tuple(self._delays), tuple(self._losses))
        self._delays, self._losses = [], []
        return taken


@dataclass(slots=True)
class _Held:
    """A leg, from its command on."""

    number: int
    task: asyncio.Task[None] | None = None
    connection: RTCPeerConnection | None = None
    leg: Leg | None = None
    state: str = "checking"
    slots: Sequence[Slot] = field(default_factory=tuple)


class MediaProcess:
    """All legs of a box."""

    def __init__(self, *, clock: Clock, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clock = clock
        self._reader = reader
        self._writer = writer
        self._held: dict[int, _Held] = {}
        self._gathered = Gathered()
        self._recorders = Recorders(clock.now_s, self._say)
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Do as the box says, until it says no more."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_named_task)
        loop.set_exception_handler(self._note_fault)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            beat = tasks.create_task(self._beat(), name="beat")
            try:
                await self._listen()
            finally:
                beat.cancel()
                self._recorders.stop()
                for held in tuple(self._held.values()):
                    if held.task is not None:
                        held.task.cancel()
                    self._let_go(held.number)

    async def _listen(self) -> None:
        lines = Lines()
        with suppress(ConnectionError):
            while data := await self._reader.read(READ_BYTES):
                for line in lines.feed(data):
                    self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            command = read(line, COMMANDS)
        except ValueError:
            _log.error("media.command_unknown")
        else:
            self._apart(partial(self._do, command))

    def _do(self, command: Command) -> None:
        match command:
            case Open(leg=number):
                self._begin(number, command)
            case Feed(leg=number, slots=slots):
                if held := self._held.get(number):
                    held.slots = slots
                    self._guarded(held, self._feed)
            case Cap(leg=number, picture_bps=picture_bps, sent_bps=sent_bps):
                if held := self._held.get(number):
                    self._guarded(held, lambda held: held.leg and held.leg.cap(picture_bps, sent_bps))
            case Close(leg=number):
                self._let_go(number)
            case Record():
                self._recorders.begin(command)
            case RecordLeg(leg=number):
                if held := self._held.get(number):
                    self._guarded(held, partial(self._record, command))
            case StopRecording():
                self._recorders.end(command)
            case _:
                assert_never(command)

    def _begin(self, number: int, command: Open) -> None:
        if number in self._held or len(self._held) >= LEGS_MAX:
            self._say(Refused(number, "fault"))
            return
        held = self._held[number] = _Held(number)
        held.task = self._start(self._open(held, command), f"open {number}")

    async def _open(self, held: _Held, command: Open) -> None:
        _leg.set(held.number)
        try:
            async with asyncio.timeout(OPEN_S):
                opened = await self._negotiate(held, command)
        except (BadRequest, ValueError, OperationError, InvalidAccessError, InvalidStateError):
            self._refuse(held, "offer")
        except NoAddressError:
            self._refuse(held, "address")
        except Exception as exc:  # noqa: BLE001 - whatever a library raises is of this leg alone
            _log.error("media.open_failed", error=type(exc).__name__)
            self._refuse(held, "fault")
        else:
            self._say(opened)
            self._feed_all()

    async def _negotiate(self, held: _Held, command: Open) -> Opened:
        offer = read_offer(command.sdp)
        connection, transceiver = open_connection(command.relays[:1])  # aioice takes one
        held.connection = connection
        await connection.setRemoteDescription(RTCSessionDescription(write_offer(offer), "offer"))
        gather_ipv4_only(transceiver)
        take_handshakes_alone(transceiver)
        if command.direct:
            usable = usable_candidates(offer, near=command.near)
            await add_candidates(connection, offer.transport_mid, usable)
        connection.on("connectionstatechange", partial(self._follow, held))
        answer = await connection.createAnswer()
        await connection.setLocalDescription(answer)
        addresses = gathered(transceiver, "host")[:CANDIDATES_MAX]
        relayed = gathered(transceiver, "relay")
        if not addresses and not relayed:
            raise NoAddressError
        held.leg = self._made(held.number, command, transceiver)
        return Opened(held.number, connection.localDescription.sdp, addresses, relayed)

    def _made(self, number: int, command: Open, transceiver: RTCRtpTransceiver) -> Leg:
        leg = Leg(
            read_offer(command.sdp),
            codec=command.codec,
            with_red=command.with_red,
            number=number,
            clock=self._clock,
            first_sequence=secrets.randbelow(0x8000),
            open_wire=partial(Wire, transceiver, now_s=self._clock.now_s, failed=partial(self._fail, number)),
            ear=None if command.near else self._gathered,
        )
        leg.wire.take_over()
        return leg

    def _follow(self, held: _Held) -> None:
        """Tell the box how a connection stands now."""
        now = held.connection.connectionState if held.connection else "closed"
        state = {"connected": "connected", "failed": "over", "closed": "over"}.get(now, "checking")
        if self._held.get(held.number) is not held or state == held.state:
            return
        held.state = state
        if state == "over":
            self._end(held.number)
        else:
            self._say(Changed(held.number, state))

    def _record(self, command: RecordLeg, held: _Held) -> None:
        if held.leg is not None:
            self._recorders.follow(command, held.leg)

    def _feed_all(self) -> None:
        for held in tuple(self._held.values()):
            self._guarded(held, self._feed)

    def _feed(self, held: _Held) -> None:
        if held.leg is not None:
            held.leg.feed([(self._source(slot.voice), self._source(slot.picture)) for slot in held.slots])

    def _source(self, number: int | None) -> Leg | None:
        held = self._held.get(number) if number is not None else None
        return held.leg if held else None

    async def _beat(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(BEAT_S if self._held else REST_S)
            beats += 1
            self._apart(self._recorders.beat)
            for held in tuple(self._held.values()):
                self._guarded(held, lambda held: held.leg and held.leg.beat())
            if beats % BEATS_A_MEASURED == 0 and (measured := self._gathered.take()):
                self._say(measured)
            if beats % BEATS_A_FIGURES == 0 and self._held:
                self._say(Figures(tuple(self._figures())))

    def _figures(self) -> list[LegFigures]:
        found: list[LegFigures] = []

        def look(held: _Held) -> None:
            if held.leg is not None:
                found.append(held.leg.figures())

        for held in tuple(self._held.values()):
            self._guarded(held, look)
        return found

    def _guarded(self, held: _Held, act: Any) -> None:
        try:
            act(held)
        except Exception as exc:  # noqa: BLE001 - a fault is of one leg
            self._fail(held.number, exc)

    def _apart(self, act: Callable[[], None]) -> None:
        """Do something that is of no leg, and must end none."""
        try:
            act()
        except Exception as exc:  # noqa: BLE001 - the calls go on
            _log.error("media.fault", error=type(exc).__name__)

    def _fail(self, number: int, exc: BaseException | None) -> None:
        _log.error("media.leg_failed", error=type(exc).__name__)
        self._end(number)

    def _note_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the leg whose task failed where nobody waited for it."""
        task = context.get("task") or context.get("future")
        name = task.get_name() if isinstance(task, asyncio.Task) else ""
        number = name.removeprefix("leg ")
        if number.isdigit() and int(number) in self._held:
            self._fail(int(number), context.get("exception"))
        else:
            _log.error("media.fault", error=type(context.get("exception")).__name__)

    def _refuse(self, held: _Held, reason: str) -> None:
        if self._held.get(held.number) is held:
            self._say(Refused(held.number, reason))
            self._let_go(held.number)

    def _end(self, number: int) -> None:
        """A leg is over, and the box hears of it."""
        if number in self._held:
            self._let_go(number)
            self._say(Changed(number, "over"))

    def _let_go(self, number: int) -> None:
        held = self._held.pop(number, None)
        if held is None:
            return
        if held.leg is not None:
            self._guarded(held, lambda held: held.leg and held.leg.leave())
        self._start(self._close(held), f"close {number}")
        self._feed_all()

    async def _close(self, held: _Held) -> None:
        """Close a connection, and its sockets where it takes too long (a TURN server that is gone: 30 s).

        One that is being opened is opened first: aioice forgets the relay it has asked for when it is stopped there.
        """
        if held.task is not None:
            await asyncio.wait((held.task,))
        if held.connection is None:
            return
        closing = self._start(_closed(held.connection), f"closing {held.number}")
        _, slow = await asyncio.wait((closing,), timeout=CLOSE_S)
        if slow:
            self._guarded(held, lambda held: held.leg and held.leg.wire.abort())

    def _start(self, journey: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        if self._tasks is None:
            raise RuntimeError
        return self._tasks.create_task(journey, name=name)

    def _say(self, event: Event) -> None:
        waiting = self._writer.transport.get_write_buffer_size()
        if self._writer.is_closing() or (waiting > UNSENT_BYTES_MAX and isinstance(event, Figures | Measured)):
            return
        self._writer.write(write(event))


async def _closed(connection: RTCPeerConnection) -> None:
    try:
        await connection.close()
    except Exception as exc:  # noqa: BLE001 - what a library does at one's end must not end the others
        _log.error("media.close_failed", error=type(exc).__name__)


def _named_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    """Name what the libraries begin after the leg they do it for."""
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
    number = _leg.get(None)
    if number is not None:
        task.set_name(f"leg {number}")
    return task
