"""What one participant's page says reaches its own consultation, and its own record, within what it may say there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_never

from gateway.clinic.consultation import Consultation
from gateway.clinic.invitation import Invitation
from gateway.clinic.keeping import Keeping
from gateway.clinic.media.sdp import read_offer
from gateway.clinic.media.streams import Allowance
from gateway.clinic.messages import (
    AGAIN,
    Answered,
    EntriesAsked,
    EntryWritten,
    Heard,
    Left,
    Measured,
    Offered,
    Pinned,
    RecordAsked,
    Resumed,
    StillSent,
    Switched,
    kept,
    recording,
)
from gateway.clinic.records.views import Entry
from gateway.clinic.signalling import Socket
from gateway.clock import Clock
from gateway.errors import N_, GatewayError, NoCapacity, NotAllowed, NotFound, TooMany

NEGOTIATION_S = 15.0  # a media process that starts takes some seconds
ENTRIES_PER_S_MAX = 5
READS_PER_S_MAX = 0.5  # each reads a record, and is written into its audit trail
BURST_S = 4.0


class Hearing:
    """One socket's way into its room."""

    def __init__(
        self,
        invitation: Invitation,
        socket: Socket,
        far: bool,
        enter: Callable[[], Consultation],
        find: Callable[[], Consultation | None],
        keeping: Keeping | None,
        clock: Clock,
        record: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._record = invitation.consultation
        self._role = invitation.role
        self._socket = socket
        self._far = far
        self._enter = enter
        self._find = find
        self._keeping = keeping
        self._clock = clock
        self._record_call = record
        self._entries = Allowance(ENTRIES_PER_S_MAX, burst_s=BURST_S)
        self._reads = Allowance(READS_PER_S_MAX, burst_s=BURST_S)

    async def hear(self, heard: Heard) -> None:
        """Do what the page wants.

        Raises: GatewayError, in words for its reader.
        """
        match heard:
            case Offered(sdp=sdp):
                await self._join(sdp)
            case EntryWritten():
                await self._write(heard)
            case EntriesAsked(after=after):
                await self._read(after)
            case RecordAsked(on=on):
                await self._begin_or_end(on)
            case _:
                self._tell(heard)

    def _tell(self, heard: Resumed | Answered | Left | Switched | Pinned | StillSent | Measured) -> None:
        room, role, socket = self._find(), self._role, self._socket
        if room is None:
            if isinstance(heard, Resumed):
                socket.say(AGAIN)
            return
        match heard:
            case Answered():
                pass
            case Resumed():
                room.resume(role, socket)
            case Left():
                room.leave(role, socket)
            case Switched():
                room.switch(role, socket, heard)
            case Pinned():
                room.pin(role, socket, heard)
            case StillSent(image=image):
                room.show_still(role, socket, image)
            case Measured(figures=figures):
                room.measure(role, socket, figures)
            case _:
                assert_never(heard)

    async def _join(self, sdp: str) -> None:
        offer = read_offer(sdp)
        try:
            async with asyncio.timeout(NEGOTIATION_S):
                await self._enter().join(self._role, self._socket, offer, sdp=sdp, far=self._far)
        except TimeoutError as exc:
            raise NoCapacity from exc

    async def _write(self, written: EntryWritten) -> None:
        """Keep an entry and say so; what is refused is refused by its id, and sent again by whoever wrote it."""
        try:
            if not self._entries.take(1, self._clock.now_s()):
                raise TooMany
            if room := self._find():
                room.wrote(self._role, written.id)
            entry = await self._keep(written)
        except GatewayError as exc:
            self._socket.refuse(exc, written.id)
            return
        self._socket.say(kept(entry.id, entry.sequence))

    async def _begin_or_end(self, on: bool) -> None:
        """Have the call recorded or not; why it is not is said where it was asked for."""
        if self._role != "nurse" or not self._reads.take(1, self._clock.now_s()):
            raise NotAllowed
        try:
            await self._record_call(on)
        except GatewayError as exc:
            self._socket.say(recording(self._socket.words(exc.what, exc.advice)))

    async def _read(self, after: int) -> None:
        if self._keeping is None:
            return
        if not self._reads.take(1, self._clock.now_s()):
            raise NoCapacity(N_("That was asked too often."), N_("Wait a minute, then try again."))
        self._socket.catch_up(await self._keeping.read(self._record, self._role, after))

    async def _keep(self, written: EntryWritten) -> Entry:
        if self._keeping is None:
            raise NotFound
        return await self._keeping.keep(self._record, self._role, written)
