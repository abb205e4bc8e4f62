"""The clinic: every consultation that is open, behind links that are signed.

It asks the backhaul what a call may take and is told of each change; it knows no page and no account. Tasks live in
`run`: one hears of the link, one beats for all calls, one lets go of connections that ended. A socket's journey is the
request that opened it.
"""

import asyncio
from dataclasses import dataclass

import structlog
from aiohttp import web

from gateway.backhaul.link import Backhaul
from gateway.clinic.consultation import Consultation
from gateway.clinic.media.forwarding import outlive_outages
from gateway.clinic.invitation import Expired, Invitation, read
from gateway.clinic.media.leg import LegStatistics
from gateway.clinic.messages import Answered, Heard, Left, Offered, Resumed
from gateway.clinic.peer import MediaPath, Peer
from gateway.clinic.media.sdp import read_offer
from gateway.clinic.signalling import Socket, SocketLimits, check_origin
from gateway.clock import Clock
from gateway.errors import N_, NoCapacity

BEAT_S = 0.25
NEGOTIATION_S = 10.0
SOCKETS_PER_PLACE_MAX = 4  # a page that reloads on a weak link leaves some behind
_log = structlog.get_logger("clinic")


@dataclass(frozen=True, slots=True)
class ClinicLimits:
    """What the clinic takes; every one a setting."""

    link_s: int
    video_bps_max: int
    calls_max: int
    message_bytes_max: int = 65_536
    messages_per_s_max: int = 10
    sockets_max: int = 64


@dataclass(frozen=True, slots=True)
class ClinicStatistics:
    """What the clinic does now, and has carried since the start."""

    consultations: int
    people: int
    calls: int
    sockets: int
    received_bytes: int
    sent_bytes: int
    forwarded_packets: int
    resent_packets: int
    keyframe_requests: int


class ClinicRoom:
    """All consultations."""

    def __init__(
        self, *, key: bytes, clock: Clock, backhaul: Backhaul, media_path: MediaPath, limits: ClinicLimits
    ) -> None:
        self._key = key
        self._clock = clock
        self._backhaul = backhaul
        self._media_path = media_path
        self._limits = limits
        self._consultations: dict[str, Consultation] = {}
        self._sockets: dict[Socket, Invitation] = {}  # the oldest first
        self._ended: asyncio.Queue[Peer] = asyncio.Queue()  # at most two a consultation, and offers are paced
        self._carried = LegStatistics(0, 0, 0, 0, 0, 0.0)
        self._is_open = False

    async def start(self) -> None:
        """Let people join from now on."""
        outlive_outages()
        self._is_open = True

    async def run(self) -> None:
        """Follow the link and the calls; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_link(), name="clinic link")
            tasks.create_task(self._beat(), name="clinic beat")
            tasks.create_task(self._close_ended(), name="clinic ended")

    async def stop(self) -> None:
        """Say goodbye to every page and close every connection."""
        self._is_open = False
        for consultation in self._consultations.values():
            consultation.close("stopping")
        self._consultations.clear()
        for socket in self._sockets:
            socket.hang_up()
        while not self._ended.empty():
            await self._ended.get_nowait().close()

    def read(self, token: str) -> Invitation:
        """Return what a link opens.

        Raises: NotAllowed.
        """
        return read(self._key, token, self._clock.wall_s())

    async def serve_socket(self, request: web.Request, token: str) -> web.StreamResponse:
        """Serve one participant's WebSocket until it closes.

        Raises: NotAllowed, NoCapacity; before the upgrade.
        """
        check_origin(request)
        limits = SocketLimits(self._limits.message_bytes_max, self._limits.messages_per_s_max)
        socket = Socket(request, limits, self._clock)
        try:
            invitation = self.read(token)
        except Expired as exc:
            return await _turn_away(socket, exc)
        if not self._is_open or len(self._sockets) >= self._limits.sockets_max:
            raise NoCapacity

        async def hear(heard: Heard) -> None:
            await self._hear(invitation, socket, heard)

        self._make_place(invitation)
        self._sockets[socket] = invitation
        try:
            await socket.converse(hear)
        finally:
            self._sockets.pop(socket, None)
            if consultation := self._consultations.get(invitation.consultation):
                consultation.lose(invitation.role, socket)
                self._forget_empty()
        return socket.response

    def statistics(self) -> ClinicStatistics:
        """Return what the clinic does now."""
        open_now = list(self._consultations.values())
        legs = [self._carried, *(leg for each in open_now for leg in each.legs())]
        return ClinicStatistics(
            consultations=len(open_now),
            people=sum(each.people() for each in open_now),
            calls=sum(each.is_call for each in open_now),
            sockets=len(self._sockets),
            received_bytes=sum(leg.received_bytes for leg in legs),
            sent_bytes=sum(leg.sent_bytes for leg in legs),
            forwarded_packets=sum(leg.forwarded_packets for leg in legs),
            resent_packets=sum(leg.resent_packets for leg in legs),
            keyframe_requests=sum(leg.keyframe_requests for leg in legs),
        )

    async def _hear(self, invitation: Invitation, socket: Socket, heard: Heard) -> None:
        match heard:
            case Offered(sdp=sdp):
                offer = read_offer(sdp)
                consultation = self._consultation(invitation.consultation)
                try:
                    async with asyncio.timeout(NEGOTIATION_S):
                        await consultation.join(invitation.role, socket, offer)
                except TimeoutError as exc:
                    raise NoCapacity from exc
            case Resumed():
                self._consultation(invitation.consultation).resume(invitation.role, socket)
            case Left():
                if consultation_left := self._consultations.get(invitation.consultation):
                    consultation_left.leave(invitation.role, socket)
            case Answered():
                pass

    def _make_place(self, invitation: Invitation) -> None:
        """Hang up the oldest of too many sockets with one link, so that one link cannot fill the clinic."""
        place = (invitation.consultation, invitation.role)
        same = [socket for socket, other in self._sockets.items() if (other.consultation, other.role) == place]
        for socket in same[: max(0, len(same) + 1 - SOCKETS_PER_PLACE_MAX)]:
            socket.hang_up()
            self._sockets.pop(socket)

    def _consultation(self, name: str) -> Consultation:
        known = self._consultations.get(name)
        if known is not None:
            return known
        if len(self._consultations) >= self._limits.calls_max:
            raise NoCapacity(
                N_("All consultation rooms are in use."), N_("Wait until another consultation ends, then join again.")
            )
        made = self._consultations[name] = Consultation(
            clock=self._clock,
            backhaul=self._backhaul,
            media_path=self._media_path,
            video_bps_max=self._limits.video_bps_max,
            gone=self._note_ended,
        )
        return made

    def _note_ended(self, peer: Peer) -> None:
        if peer.leg is not None:
            peer.leg.feed(None)
            self._carried = _sum(self._carried, peer.leg.statistics())
        self._ended.put_nowait(peer)

    def _forget_empty(self) -> None:
        for name in [name for name, each in self._consultations.items() if each.is_empty]:
            del self._consultations[name]

    async def _follow_link(self) -> None:
        ways = self._backhaul.ways
        before = ways.active
        async for _ in self._backhaul.changes():
            cut = before != ways.active and not ways.carries(before)
            before = ways.active
            for consultation in self._consultations.values():
                if cut:
                    consultation.move()
                else:
                    consultation.settle()

    async def _beat(self) -> None:
        while True:
            for consultation in self._consultations.values():
                consultation.beat()
            self._forget_empty()
            await asyncio.sleep(BEAT_S)

    async def _close_ended(self) -> None:
        while True:
            peer = await self._ended.get()
            try:
                await peer.close()
            except asyncio.CancelledError:
                self._ended.put_nowait(peer)
                raise
            except Exception as exc:  # noqa: BLE001 - what a library does at the end of one call must not end the others
                _log.error("call.close_failed", error=type(exc).__name__)


async def _turn_away(socket: Socket, error: Expired) -> web.StreamResponse:
    """Tell a page in its own words that its link has run out: a refused upgrade would tell it nothing."""

    async def hear(heard: Heard) -> None:
        del heard
        raise error

    socket.refuse(error)
    socket.hang_up()
    await socket.converse(hear)
    return socket.response


def _sum(a: LegStatistics, b: LegStatistics) -> LegStatistics:
    return LegStatistics(
        received_bytes=a.received_bytes + b.received_bytes,
        sent_bytes=a.sent_bytes + b.sent_bytes,
        forwarded_packets=a.forwarded_packets + b.forwarded_packets,
        resent_packets=a.resent_packets + b.resent_packets,
        keyframe_requests=a.keyframe_requests + b.keyframe_requests,
        fraction_lost=0.0,
    )
