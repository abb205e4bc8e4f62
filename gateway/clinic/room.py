"""The clinic: every consultation that is open, behind links that are signed.

It asks the backhaul what a call may take and is told of each change; it knows no page and no account. Tasks live in
`run`: one hears of the link, one beats for all calls, one lets go of connections that ended, one is with the media
process, and two follow the records. A socket's journey is the request that opened it, and hears of its own room alone.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web

from gateway.backhaul.link import Backhaul
from gateway.clinic.consultation import Consultation
from gateway.clinic.hearing import Hearing
from gateway.clinic.invitation import Expired, Invitation, read
from gateway.clinic.keeping import Keeping, RecordKeeper, readers_of, said
from gateway.clinic.link_check import LinkCheck
from gateway.clinic.media.control import LegFigures, Relay
from gateway.clinic.media.host import MediaHost, MediaStatistics
from gateway.clinic.media.sdp import Offer, read_offer
from gateway.clinic.media.streams import Allowance
from gateway.clinic.messages import Switched, outlook
from gateway.clinic.peer import DirectPath, MediaPath, Peer, Way
from gateway.clinic.recordings.recordings import Recordings
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.views import Actor
from gateway.clinic.signalling import Socket, SocketLimits, check_origin
from gateway.clock import Clock
from gateway.errors import N_, GatewayError, NoCapacity, NotAllowed

BEAT_S = 0.25
SOCKETS_PER_PLACE_MAX = 4  # a page that reloads on a weak link leaves some behind
OFFERS_PER_S_MAX = 0.5  # with one link
OFFERS_AT_ONCE = 10  # a page that is reloaded over and over, by hand
OFFERING_MAX = 1_000  # links whose offers are remembered
ENDED_MAX = 1_000  # consultations that are known to be over; the records know of the others
COURSES_MAX = 100  # calls that began or ended, and whose record is still to be written
_log = structlog.get_logger("clinic")


@dataclass(frozen=True, slots=True)
class ClinicLimits:
    """What the clinic takes; every one a setting."""

    link_s: int
    video_bps_max: int
    calls_max: int
    codecs: tuple[str, ...] = ("vp8",)
    doubles_voices: bool = False
    """Whether RED is negotiated, and used where packets are lost."""
    message_bytes_max: int = 65_536
    messages_per_s_max: int = 10
    sockets_max: int = 64
    check_bytes_max: int = 65_536
    """Of a train of packets that finds out what the link carries, before a call; 0: none is sent."""


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


@dataclass(frozen=True, slots=True)
class Seat:
    """Where somebody without a page sits."""

    invitation: Invitation
    leg: int | None
    """The number of their connection: whoever takes the place after them has another."""
    answer: str


class ClinicRoom:
    """All consultations."""

    def __init__(
        self,
        *,
        key: bytes,
        clock: Clock,
        backhaul: Backhaul,
        media_path: MediaPath,
        host: MediaHost,
        limits: ClinicLimits,
        records: RecordKeeper | None = None,
        recordings: Recordings | None = None,
        relays: Callable[[], tuple[Relay, ...]] = tuple,
    ) -> None:
        self._key = key
        self._clock = clock
        self._backhaul = backhaul
        self._media_path = media_path
        self._host = host
        self._limits = limits
        self._keeping = Keeping(records) if records is not None else None
        self._recordings = recordings
        self._relays = relays
        self._consultations: dict[str, Consultation] = {}
        self._over: dict[str, None] = {}  # consultations that were ended, the latest last
        self._offers: dict[tuple[str, str], Allowance] = {}
        self._sockets: dict[Socket, Invitation] = {}  # the oldest first
        self._ended: asyncio.Queue[Peer] = asyncio.Queue()  # at most four a consultation, and offers are paced
        self._courses: asyncio.Queue[tuple[str, float, Mapping[str, object] | None]] = asyncio.Queue(COURSES_MAX)
        self._carried = LegFigures(0)
        self._is_open = False
        self._check = LinkCheck(clock, backhaul, limits.check_bytes_max)

    async def start(self) -> None:
        """Let people join from now on."""
        self._is_open = True

    async def run(self) -> None:
        """Follow the link and the calls; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._host.run(), name="clinic media")
            tasks.create_task(self._follow_link(), name="clinic link")
            tasks.create_task(self._beat(), name="clinic beat")
            tasks.create_task(self._close_ended(), name="clinic ended")
            if self._recordings is not None:
                tasks.create_task(self._recordings.run(), name="clinic recordings")
            if self._keeping is not None:
                tasks.create_task(self._follow_records(self._keeping), name="clinic entries")
                tasks.create_task(self._keep_courses(self._keeping), name="clinic courses")

    async def stop(self) -> None:
        """Say goodbye to every page and close every connection."""
        self._is_open = False
        for consultation in self._consultations.values():
            consultation.close("stopping")
        self._consultations.clear()
        if self._recordings is not None:
            self._recordings.stop()
        for socket in self._sockets:
            socket.hang_up()
        while not self._ended.empty():
            await self._ended.get_nowait().close()
        while self._keeping is not None and not self._courses.empty():
            await self._keep_course(self._keeping, *self._courses.get_nowait())

    def read(self, token: str) -> Invitation:
        """Return what a link opens.

        Raises: NotAllowed.
        """
        invitation = read(self._key, token, self._clock.wall_s())
        if invitation.consultation in self._over:
            raise Ended
        return invitation

    def relays(self) -> tuple[Relay, ...]:
        """Return the relays a far party's browser may use, with credentials that expire."""
        return self._relays()

    def end(self, consultation: str) -> None:
        """A consultation is over: its people are told, and its links open nothing any more."""
        self._over.pop(consultation, None)
        self._over[consultation] = None
        while len(self._over) > ENDED_MAX:
            self._over.pop(next(iter(self._over)))
        if ended := self._consultations.pop(consultation, None):
            ended.close("ended")
        self._hang_up(consultation)

    def reopen(self, consultation: str) -> None:
        """A consultation that was over may be entered again, with the links that are still good."""
        self._over.pop(consultation, None)

    async def serve_socket(self, request: web.Request, token: str, far: bool) -> web.StreamResponse:
        """Serve one participant's WebSocket until it closes; `far` where they came in by the door.

        Raises: NotAllowed, NoCapacity; before the upgrade.
        """
        check_origin(request)
        limits = SocketLimits(self._limits.message_bytes_max, self._limits.messages_per_s_max)
        socket = Socket(request, limits, self._clock)
        try:
            invitation = await self._admit(token)
        except (Expired, Ended) as exc:
            return await _turn_away(socket, exc)
        if not self._is_open or len(self._sockets) >= self._limits.sockets_max:
            raise NoCapacity
        self._host.warm()
        self._make_place(invitation)
        self._sockets[socket] = invitation
        enter = partial(self._enter, invitation)
        find = partial(self._consultations.get, invitation.consultation)
        record = partial(self._record, invitation.consultation)
        hearing = Hearing(invitation, socket, far, enter, find, self._keeping, self._clock, record)
        try:
            self._say_outlook(socket)
            await socket.converse(hearing.hear)
        finally:
            self._sockets.pop(socket, None)
            if consultation := self._consultations.get(invitation.consultation):
                consultation.lose(invitation.role, socket)
                self._forget_empty()
        return socket.response

    async def check_link(self, request: web.Request, token: str) -> web.StreamResponse:
        """Find out with a far party's page what the link carries, before they join.

        Raises: NotAllowed; before the upgrade.
        """
        await self._admit(token)
        return await self._check.serve(request)

    async def join_without_socket(self, token: str, sdp: str, *, far: bool) -> Seat:
        """Return the seat of somebody who has no page: a camera, or a screen that watches.

        Raises: NotAllowed, BadRequest, NoAddressError, NoWayError, NoCapacity.
        """
        invitation = await self._admit(token)
        if not self._is_open:
            raise NoCapacity
        self._host.warm()
        offer = read_offer(sdp)
        consultation = self._enter(invitation)
        switches = Switched(voice=offer.of("audio").is_sent, picture=offer.of("video").is_sent)
        answer = await consultation.join(invitation.role, None, offer, sdp=sdp, far=far, switches=switches)
        return Seat(invitation, consultation.leg_of(invitation.role), answer)

    def holds(self, seat: Seat) -> bool:
        """Whether whoever joined without a page is still in."""
        consultation = self._consultations.get(seat.invitation.consultation)
        return consultation is not None and consultation.leg_of(seat.invitation.role) == seat.leg

    def leave_without_socket(self, seat: Seat) -> None:
        """Whoever joined without a page has left."""
        if self.holds(seat):
            self._consultations[seat.invitation.consultation].leave(seat.invitation.role, None)
            self._forget_empty()

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

    def media(self) -> MediaStatistics:
        """Return how the media process does."""
        return self._host.statistics()

    async def _admit(self, token: str) -> Invitation:
        """Return what a link opens, where that is not over.

        Raises: NotAllowed.
        """
        invitation = self.read(token)
        if self._keeping is not None and await self._keeping.has_ended(invitation.consultation):
            raise Ended
        return invitation

    def _make_place(self, invitation: Invitation) -> None:
        """Hang up the oldest of too many sockets with one link, so that one link cannot fill the clinic."""
        place = (invitation.consultation, invitation.role)
        same = [socket for socket, other in self._sockets.items() if (other.consultation, other.role) == place]
        for socket in same[: max(0, len(same) + 1 - SOCKETS_PER_PLACE_MAX)]:
            socket.hang_up()
            self._sockets.pop(socket)

    def _enter(self, invitation: Invitation) -> Consultation:
        """Return the consultation for an offer: each costs a handshake, so one link has so many of them.

        Raises: NotAllowed, NoCapacity.
        """
        place = invitation.consultation, invitation.role
        offers = self._offers.pop(place, None) or Allowance(OFFERS_PER_S_MAX, burst_s=OFFERS_AT_ONCE / OFFERS_PER_S_MAX)
        self._offers[place] = offers  # the last one used stands last
        if len(self._offers) > OFFERING_MAX:
            del self._offers[next(iter(self._offers))]
        if not offers.take(1, self._clock.now_s()):
            raise NoCapacity(N_("That was asked too often."), N_("Wait a minute, then try again."))
        return self._consultation(invitation.consultation)

    def _consultation(self, name: str) -> Consultation:
        """Return a consultation that people may be in.

        Raises: NotAllowed, NoCapacity.
        """
        if name in self._over:
            raise Ended
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
            open_peer=self._open_peer,
            video_bps_max=self._limits.video_bps_max,
            codecs=self._limits.codecs,
            doubles_voices=self._limits.doubles_voices,
            gone=self._note_ended,
            began=partial(self._note_course, name, None),
            finished=partial(self._note_course, name),
        )
        return made

    def _open_peer(self, offer: Offer, *, sdp: str, near: bool, codec: str, changed: Callable[[], None]) -> Peer:
        way = Way(DirectPath(), near) if near else Way(self._media_path, near, self._relays())
        return Peer(
            offer,
            sdp=sdp,
            host=self._host,
            way=way,
            clock=self._clock,
            changed=changed,
            codec=codec,
            with_red=self._limits.doubles_voices,
        )

    async def _record(self, name: str, on: bool) -> None:
        """Record a consultation from now on, or not any more.

        Raises: NotAllowed where nothing is recorded here; Conflict without consent; NotFound, NoCapacity.
        """
        consultation = self._consultations.get(name)
        if consultation is None or not on or consultation.is_recorded:
            if consultation is not None and not on:
                consultation.end_recording()
            return
        if self._recordings is None:
            raise NotAllowed
        made = await self._recordings.begin(name, consultation.end_recording, by=Actor(Writer.NURSE, "nurse"))
        if self._consultations.get(name) is consultation:
            consultation.record(made)
        else:
            made.end()

    def _say_outlook(self, socket: Socket) -> None:
        """Tell a page that looks at its devices what the link would carry."""
        admission = self._backhaul.admission()
        socket.say(outlook(socket.words(admission.reason, admission.next_step)))

    def _note_ended(self, peer: Peer) -> None:
        self._carried = _sum(self._carried, peer.figures)
        self._ended.put_nowait(peer)

    def _note_course(self, name: str, fields: Mapping[str, object] | None) -> None:
        if self._keeping is None or self._courses.full():
            return
        self._courses.put_nowait((name, self._clock.wall_s(), fields))

    def _forget_empty(self) -> None:
        for name in [name for name, each in self._consultations.items() if each.is_empty]:
            self._consultations.pop(name).finish()

    async def _follow_link(self) -> None:
        ways = self._backhaul.ways
        before = ways.active
        async for _ in self._backhaul.changes():
            cut = before != ways.active and not ways.carries(before)
            before = ways.active
            for socket, invitation in self._sockets.items():
                if invitation.consultation not in self._consultations:
                    self._say_outlook(socket)
            self._each(Consultation.move if cut else Consultation.settle)

    async def _beat(self) -> None:
        while True:
            self._each(Consultation.beat)
            self._forget_empty()
            await asyncio.sleep(BEAT_S)

    def _each(self, act: Callable[[Consultation], None]) -> None:
        """Do something with every consultation; one that breaks over it begins anew, and the others go on."""
        for name, consultation in tuple(self._consultations.items()):
            try:
                act(consultation)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is of one call alone
                _log.error("call.broke", error=type(exc).__name__)
                self._consultations.pop(name, None)
                self._hang_up(name)
                consultation.abandon()

    def _hang_up(self, consultation: str) -> None:
        for socket, invitation in self._sockets.items():
            if invitation.consultation == consultation:
                socket.hang_up()

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

    async def _follow_records(self, keeping: Keeping) -> None:
        """Tell the people of a consultation what is written in its record, wherever that is."""
        async for record, kept in keeping.watch():
            if consultation := self._consultations.get(record):
                consultation.tell(kept.id, said(kept), readers_of(kept.kind))

    async def _keep_courses(self, keeping: Keeping) -> None:
        while True:
            await self._keep_course(keeping, *await self._courses.get())

    async def _keep_course(
        self, keeping: Keeping, name: str, wall_s: float, fields: Mapping[str, object] | None
    ) -> None:
        try:
            if fields is None:
                await keeping.note_call(name)
            else:
                await keeping.keep_quality(name, wall_s, fields)
        except GatewayError as exc:
            _log.warning("call.course_not_kept", error=exc.code)


class Ended(NotAllowed):
    """A genuine link of a consultation that is over."""

    code = "ended"
    what = N_("This consultation has ended.")
    advice = N_("Ask the clinic for a new link.")


async def _turn_away(socket: Socket, error: NotAllowed) -> web.StreamResponse:
    """Tell a page in its own words that its link opens nothing any more: a refused upgrade would tell it nothing."""

    async def hear(heard: object) -> None:
        del heard
        raise error

    socket.refuse(error)
    socket.hang_up()
    await socket.converse(hear)
    return socket.response


def _sum(a: LegFigures, b: LegFigures) -> LegFigures:
    return LegFigures(
        0,
        received_bytes=a.received_bytes + b.received_bytes,
        sent_bytes=a.sent_bytes + b.sent_bytes,
        forwarded_packets=a.forwarded_packets + b.forwarded_packets,
        resent_packets=a.resent_packets + b.resent_packets,
        keyframe_requests=a.keyframe_requests + b.keyframe_requests,
    )
