"""One consultation: two places, a nurse's and a doctor's, and the media between whoever sits there.

Who joins again takes over the place of their role; the other one's call goes on, and what they see continues when the
new source is there. While both are in, the call holds a realtime share of the link, and every change of the link, of
the shares or of what a browser can receive becomes a new cap for both senders.

Whoever waits is told what the link would carry. A call that would take from others the voice they have does not begin;
one that was under way a moment ago goes on, and the only one always may, with its voice first.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from gateway.backhaul.link import Backhaul, Share
from gateway.backhaul.sharing.admission import VOICE_NEEDS_BPS
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic.allocation import (
    BETTER_VOICE_AFTER_S,
    SPARSE,
    Allocation,
    Picture,
    Voice,
    allocate,
    choose_voice,
)
from gateway.clinic.invitation import Role
from gateway.clinic.media.leg import LegStatistics
from gateway.clinic.messages import AGAIN, RENEW, LinkShown, Plan, State, answer, bye, outlook, state
from gateway.clinic.peer import DirectPath, MediaPath, NoWayError, Peer
from gateway.clinic.media.sdp import Offer
from gateway.clinic.signalling import Socket
from gateway.clock import Clock
from gateway.errors import NoCapacity

CONNECT_S = 20.0  # an answer that led to no connection by then is given up
HEARD_S = 6.0  # browsers send something each 2.5 s even when muted (RFC 7675 §5.1)
LINGER_S = 45.0  # media and socket both gone: the place is free
RENEW_PAUSE_S = 3.0  # a page answers in a second, or is not there
FIGURES_PAUSE_S = 5.0  # figures alone are not worth a message more often
KEEPS_S = 120.0  # a call that broke off is no new one for so long
VOICE_FIRST_S = 6.0  # of a call that nothing promised a picture: as long as a budget takes to rise unwatched

ROLES: tuple[Role, ...] = ("nurse", "doctor")


@dataclass(slots=True)
class _Place:
    """Who sits there now."""

    role: Role
    socket: Socket | None = None
    peer: Peer | None = None
    voice: Voice = SPARSE
    allocation: Allocation | None = None
    shown: State | None = None
    shown_s: float = float("-inf")
    outlook: str = ""
    outlook_s: float = float("-inf")
    was_connected: bool = False
    counted_bytes: tuple[int, int] = (0, 0)
    renewed_s: float = float("-inf")
    better_since_s: float | None = None


class Consultation:
    """A room with two places."""

    def __init__(
        self,
        *,
        clock: Clock,
        backhaul: Backhaul,
        media_path: MediaPath,
        video_bps_max: int,
        gone: Callable[[Peer], None],
    ) -> None:
        self._clock = clock
        self._backhaul = backhaul
        self._paths: dict[Role, MediaPath] = {"nurse": DirectPath(), "doctor": media_path}
        self._video_bps_max = video_bps_max
        self._gone = gone
        self._places = {role: _Place(role) for role in ROLES}
        self._joining = 0
        self._call = ExitStack()
        self._share: Share | None = None
        self._parted_s = float("-inf")
        self._voice_until_s = float("-inf")

    @property
    def is_empty(self) -> bool:
        """Whether nobody sits here, or is about to."""
        taken = any(place.socket is not None or place.peer is not None for place in self._places.values())
        return not taken and not self._joining

    @property
    def is_call(self) -> bool:
        """Whether both are in."""
        return self._share is not None

    def people(self) -> int:
        """Return how many have joined."""
        return sum(place.peer is not None for place in self._places.values())

    def legs(self) -> list[LegStatistics]:
        """Return what each half has carried."""
        return [place.peer.leg.statistics() for place in self._places.values() if place.peer and place.peer.leg]

    async def join(self, role: Role, socket: Socket, offer: Offer) -> None:
        """Answer an offer: whoever sent it sits at the place of `role` from now on.

        Raises: BadRequest, NoAddressError, NoWayError, NoCapacity.
        """
        place = self._places[role]
        self._check_fits(role)
        voice = choose_voice(self._budget_bps(role))
        allocation = self._allocate(place, voice)
        if place.peer is not None and place.peer.continues_with(offer):
            self._seat(place, socket)
            place.voice = voice
            socket.say(answer(place.peer.answer_again(voice, allocation.connect_bps)))
            self.settle()
            return
        ear = None if role == "nurse" else self._backhaul.steering.measuring  # the Wi-Fi's delays are not the link's
        peer = Peer(
            offer, path=self._paths[role], near=role == "nurse", clock=self._clock, changed=self.settle, ear=ear
        )
        self._joining += 1
        try:
            sdp = await peer.answer(voice, allocation.connect_bps)
        except BaseException:
            self._gone(peer)
            raise
        finally:
            self._joining -= 1
        for each in peer.leg.wire.sockets() if peer.leg else ():
            self._backhaul.flows.mark(each, TrafficClass.REALTIME)
        self._seat(place, socket)
        self._vacate(place)
        place.peer, place.voice = peer, voice
        socket.say(answer(sdp))
        self.settle()

    def resume(self, role: Role, socket: Socket) -> None:
        """Let a page that lost its socket go on with its media, or ask it for a new offer."""
        place = self._places[role]
        if place.peer is None or not place.peer.is_connected:
            socket.say(AGAIN)
            return
        self._seat(place, socket)
        self.settle()

    def leave(self, role: Role, socket: Socket) -> None:
        """The person at this socket has left."""
        place = self._places[role]
        if place.socket is socket:
            place.socket = None
            self._vacate(place)
            self.settle()

    def lose(self, role: Role, socket: Socket) -> None:
        """This socket is gone; the media may still be there."""
        place = self._places[role]
        if place.socket is socket:
            place.socket = None
            if place.peer is None or not place.peer.is_connected:
                self._vacate(place)
            self.settle()

    def move(self) -> None:
        """Have the far party's media find the box by the link's new way: it will not come back by the old one."""
        place = self._places["doctor"]
        if place.peer is not None:
            self._vacate(place)
            if place.socket is not None:
                place.socket.say(AGAIN)
        self.settle()

    def beat(self) -> None:
        """Do what is due: caps, reports, counting, and letting go of who is gone."""
        for place in self._places.values():
            if place.peer is not None and self._is_gone(place, place.peer):
                found_a_way = place.was_connected
                self._vacate(place)
                if place.socket is not None and found_a_way:
                    place.socket.say(AGAIN)
                elif place.socket is not None:
                    place.socket.refuse(NoWayError())
        self.settle()
        for place in self._places.values():
            if place.peer is not None and place.peer.leg is not None:
                place.peer.leg.beat()
                self._renew(place)
        self._count()

    def settle(self) -> None:
        """Bring streams, share, caps and what the pages show in line with who is in."""
        nurse, doctor = (self._places[role] for role in ROLES)
        self._connect(nurse, doctor)
        self._connect(doctor, nurse)
        both = nurse.peer is not None and doctor.peer is not None
        if both and self._share is None:
            if not self._backhaul.admission().fits:
                self._voice_until_s = self._clock.now_s() + VOICE_FIRST_S
            self._share = self._call.enter_context(self._backhaul.share(TrafficClass.REALTIME))
        elif not both and self._share is not None:
            self._count()
            self._share = None
            self._parted_s = self._clock.now_s()
            self._call.close()
        for place in (nurse, doctor):
            place.allocation = self._allocate(place, place.voice)
        for place, other in ((nurse, doctor), (doctor, nurse)):
            self._cap(place, other)
            self._show(place, other)
            self._show_outlook(place, other)

    def close(self, reason: str) -> None:
        """Say goodbye to both and let go of everything."""
        for place in self._places.values():
            if place.socket is not None:
                place.socket.say(bye(reason))
                place.socket.hang_up()
                place.socket = None
            self._vacate(place)
        self.settle()

    def _check_fits(self, role: Role) -> None:
        """Let a call begin that fits, and any where none is under way.

        Raises: NoCapacity.
        """
        alone = self._other(role).peer is None
        goes_on = self._share is not None or self._clock.now_s() - self._parted_s < KEEPS_S
        if alone or goes_on or not self._backhaul.open_shares()[TrafficClass.REALTIME]:
            return
        admission = self._backhaul.admission()
        if not admission.fits:
            raise NoCapacity(admission.reason, admission.next_step)

    def _other(self, role: Role) -> _Place:
        return self._places["doctor" if role == "nurse" else "nurse"]

    def _seat(self, place: _Place, socket: Socket) -> None:
        if place.socket is not None and place.socket is not socket:
            place.socket.say(bye("replaced"))
            place.socket.hang_up()
        place.socket, place.shown, place.outlook_s = socket, None, float("-inf")

    def _vacate(self, place: _Place) -> None:
        if place.peer is not None:
            self._count()
            self._gone(place.peer)
        place.peer, place.allocation, place.was_connected, place.counted_bytes = None, None, False, (0, 0)

    def _connect(self, place: _Place, other: _Place) -> None:
        """Feed what `place` sends to `other`, and start the picture where somebody new looks on."""
        if place.peer is None or place.peer.leg is None:
            return
        place.peer.leg.feed(other.peer.leg if other.peer else None)
        if place.peer.is_connected and not place.was_connected:
            place.was_connected = True
            place.peer.leg.beat()  # the cap comes before the picture
            if other.peer is not None and other.peer.leg is not None:
                other.peer.leg.want_keyframe()

    def _is_gone(self, place: _Place, peer: Peer) -> bool:
        if peer.is_over:
            return True
        if not peer.is_connected:
            return self._clock.now_s() - peer.began_s > CONNECT_S
        return place.socket is None and peer.silent_s() > LINGER_S

    def _budget_bps(self, role: Role) -> int:
        budget = self._backhaul.call_budget()
        bps = budget.up_bps if role == "nurse" else budget.down_bps
        return min(bps, VOICE_NEEDS_BPS) if self._clock.now_s() < self._voice_until_s else bps

    def _allocate(self, place: _Place, voice: Voice) -> Allocation:
        other = self._other(place.role).peer
        return allocate(
            self._budget_bps(place.role),
            voice=voice,
            video_bps_max=self._video_bps_max,
            far_bps=other.leg.estimate_bps() if other and other.leg else None,
            before=place.allocation.picture if place.allocation else Picture.ON,
        )

    def _renew(self, place: _Place) -> None:
        """Agree on another voice where the link has changed: a cheaper one at once, a better one after proof."""
        now_s = self._clock.now_s()
        wanted = choose_voice(self._budget_bps(place.role))
        if wanted.rate_bps <= place.voice.rate_bps:
            place.better_since_s = None
        elif place.better_since_s is None:
            place.better_since_s = now_s
        proven = place.better_since_s is None or now_s - place.better_since_s >= BETTER_VOICE_AFTER_S
        if wanted != place.voice and proven and place.socket is not None and now_s - place.renewed_s >= RENEW_PAUSE_S:
            place.renewed_s = now_s
            place.socket.say(RENEW)

    def _cap(self, place: _Place, other: _Place) -> None:
        if place.peer is not None and place.peer.leg is not None and place.allocation and other.allocation:
            place.peer.leg.cap(place.allocation.remb_bps, other.allocation.wire_bps)

    def _show(self, place: _Place, other: _Place) -> None:
        if place.socket is None or place.allocation is None or place.peer is None:
            return
        status = self._backhaul.status()
        now = State(
            others=other.peer is not None and other.was_connected,
            heard=other.peer is not None and other.peer.silent_s() < HEARD_S,
            plan=Plan(
                send=other.peer is not None,
                picture=place.allocation.picture is Picture.ON,
                video_bps=place.allocation.video_bps,
            ),
            link=LinkShown(
                status.state.value,
                status.capacity.down_bps if status.capacity else None,
                status.capacity.up_bps if status.capacity else None,
            ),
        )
        now_s = self._clock.now_s()
        late = now != place.shown and now_s - place.shown_s >= FIGURES_PAUSE_S
        if late or now.matters_more_than(place.shown):
            place.shown, place.shown_s = now, now_s
            place.socket.say(state(now))

    def _show_outlook(self, place: _Place, other: _Place) -> None:
        """Tell whoever waits what the link would carry now."""
        now_s = self._clock.now_s()
        if place.socket is None or place.peer is None or other.peer is not None:
            place.outlook_s = float("-inf")
            return
        if now_s - place.outlook_s < FIGURES_PAUSE_S:
            return
        admission = self._backhaul.admission()
        words = place.socket.words(admission.reason, admission.next_step)
        if words != place.outlook or place.outlook_s == float("-inf"):
            place.socket.say(outlook(words))
        place.outlook, place.outlook_s = words, now_s

    def _count(self) -> None:
        """Put the doctor's bytes on the link's account: what comes from there is down, what goes there is up."""
        place = self._places["doctor"]
        if self._share is None or place.peer is None or place.peer.leg is None:
            return
        wire = place.peer.leg.wire
        down_before, up_before = place.counted_bytes
        place.counted_bytes = wire.received_bytes, wire.sent_bytes
        self._share.moved(down_bytes=wire.received_bytes - down_before, up_bytes=wire.sent_bytes - up_before)
