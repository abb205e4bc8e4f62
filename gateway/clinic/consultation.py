"""One consultation: a place for each role, at most four taken, and the media between whoever sits there.

Who joins again takes over the place of their role; the others' call goes on, and what they see continues when the new
source is there. While two are in and one of them is beyond the link, the call holds a realtime share of it, and every
change of the link, of the shares, of who speaks or of what a browser can receive becomes a new plan for everybody.

Whoever waits is told what the link would carry. A call that would take from others the voice they have does not begin;
one that was under way a moment ago goes on, and the only one always may, with its voice first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.backhaul.link import Backhaul
from gateway.clinic.allocation import BETTER_VOICE_AFTER_S, SPARSE, Voice
from gateway.clinic.claim import KEEPS_S, Claim
from gateway.clinic.course import Course, fields_of, follow
from gateway.clinic.focus import Focus
from gateway.clinic.focus import follow as follow_focus
from gateway.clinic.invitation import ROLES, Role
from gateway.clinic.media.control import LegFigures, Slot
from gateway.clinic.media.sdp import Offer
from gateway.clinic.media.streams import Allowance
from gateway.clinic.messages import (
    AGAIN,
    FIGURES_PAUSE_S,
    RENEW,
    Message,
    Pinned,
    Switched,
    answer,
    bye,
    outlook,
    recording,
    state,
    still,
)
from gateway.clinic.peer import NoWayError, Peer
from gateway.clinic.place import CAME_BACK_S, NEVER_S, STILL_PAUSE_S, OpenPeer, Place
from gateway.clinic.quality import CallQuality, PageFigures
from gateway.clinic.recordings.recordings import Ongoing
from gateway.clinic.sharing_out import Outcome, begin_with, share_out, voices_fit
from gateway.clinic.showing import quality_of, state_of
from gateway.clinic.signalling import Socket
from gateway.clock import Clock
from gateway.errors import N_, NoCapacity

PEOPLE_MAX = 4
KEPT_ROLES = frozenset({"nurse", "doctor"})  # whose places nobody else takes
RECODINGS_PER_S_MAX = 1 / 60  # each has everybody come again; saved up for three: people who come in together
STILL_EARLY_RATIO = 0.8  # a page's timer is not exact
RENEW_PAUSE_S = 3.0  # a page answers in a second, or is not there


class Consultation:
    """A room with a place for each role."""

    def __init__(
        self,
        *,
        clock: Clock,
        backhaul: Backhaul,
        open_peer: OpenPeer,
        video_bps_max: int,
        codecs: Sequence[str] = ("vp8",),
        doubles_voices: bool = False,
        gone: Callable[[Peer], None],
        began: Callable[[], None] = lambda: None,
        finished: Callable[[Mapping[str, object]], None] = lambda fields: None,
    ) -> None:
        """Hand connections that ended to `gone`; say when people hear each other, and how it went once it is over."""
        self._clock = clock
        self._backhaul = backhaul
        self._open_peer = open_peer
        self._claim = Claim(clock, backhaul, video_bps_max)
        self._codecs = codecs
        self._doubles_voices = doubles_voices
        self._gone = gone
        self._began = began
        self._finished = finished
        self._places = {role: Place(role) for role in ROLES}
        self._joining = 0
        self._is_over = False
        self._recodings = Allowance(RECODINGS_PER_S_MAX, burst_s=3 / RECODINGS_PER_S_MAX)
        self._parted_s = NEVER_S
        self._parted_wall_s = 0.0
        self._focus = Focus()
        self._outcome = Outcome()
        self._course: Course | None = None
        self._recording: Ongoing | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nobody sits here, or is about to."""
        return not any(place.is_taken for place in self._places.values()) and not self._joining

    @property
    def is_call(self) -> bool:
        """Whether two or more are in."""
        return self.people() > 1

    def people(self) -> int:
        """Return how many have joined."""
        return len(self._seated())

    def leg_of(self, role: Role) -> int | None:
        """Return the number of the connection of whoever sits at a place."""
        peer = self._places[role].peer
        return peer.number if peer is not None else None

    def legs(self) -> list[LegFigures]:
        """Return what each connection has carried."""
        return [peer.figures for _, peer in self._seated()]

    async def join(
        self,
        role: Role,
        socket: Socket | None,
        offer: Offer,
        *,
        sdp: str = "",
        far: bool = False,
        switches: Switched | None = None,
    ) -> str:
        """Return the answer to an offer: whoever sent it sits at the place of `role` from now on.

        A page is told the answer first of all, and says what it sends; of a camera, without a socket, `switches` does.

        Raises: BadRequest, NoAddressError, NoWayError, NoCapacity.
        """
        place = self._places[role]
        self._check_fits(place, far=far)
        voice, connect_bps = begin_with(far, self._claim.budgets())
        if not self._backhaul.is_known():
            voice = SPARSE  # a cheaper one later costs an offer, on a link that is full by then
        if place.peer is not None and place.peer.continues_with(offer):
            place.voice = self._wanted_voice(place)
            said = place.peer.answer_again(place.voice, connect_bps)
            self._seat(place, socket, answer(said))
            self.settle()
            return said
        codec = self._codec(place, offer)
        changes = any(each is not place and each.codec != codec for each, _ in self._seated())
        if changes and not self._recodings.take(1, self._clock.now_s()):
            raise NoCapacity(N_("That was asked too often."), N_("Wait a minute, then try again."))
        peer = self._open_peer(offer, sdp=sdp, near=not far, codec=codec, changed=self.settle)
        self._joining += 1
        try:
            said = await peer.answer(voice, connect_bps)
            place = self._places[role]  # who sat there may have left, others may have come, all may be over
            self._check_fits(place, far=far)
        except BaseException:
            self._gone(peer)
            raise
        finally:
            self._joining -= 1
        self._vacate(place)
        place.far, place.peer, place.voice, place.codec = far, peer, voice, codec
        place.has_voice = switches is None or switches.voice
        place.switches = switches or place.switches
        self._seat(place, socket, answer(said))
        self._come_again(each for each in self._places.values() if each.peer is not None and each.codec != codec)
        self.settle()
        return said

    def resume(self, role: Role, socket: Socket) -> None:
        """Let a page that lost its socket go on with its media, or ask it for a new offer."""
        place = self._places[role]
        if place.peer is None or not place.peer.is_connected or place.peer.silent_s() > CAME_BACK_S:
            socket.say(AGAIN)
            return
        self._seat(place, socket)
        self.settle()

    def leave(self, role: Role, socket: Socket | None) -> None:
        """The person at this socket has left."""
        place = self._places[role]
        if place.socket is socket:
            place.socket = None
            self._vacate(place)
            self._places[role] = Place(role)
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
        """Have the media from beyond find the box by the link's new way: they will not come back by the old one."""
        self._come_again(place for place, _ in self._seated() if place.far)
        self.settle()

    def switch(self, role: Role, socket: Socket, switches: Switched) -> None:
        """Take note of what a person sends."""
        if self._places[role].socket is socket:
            self._places[role].switches = switches
            self.settle()

    def pin(self, role: Role, socket: Socket, pinned: Pinned) -> None:
        """Take note of whose picture matters to a person."""
        if self._places[role].socket is socket and pinned.who != role:
            self._places[role].pinned = pinned.who
            self.settle()

    def measure(self, role: Role, socket: Socket, figures: PageFigures) -> None:
        """Take note of what a page measured."""
        place = self._places[role]
        if place.socket is socket:
            place.figures, place.figures_s = figures, self._clock.now_s()

    def show_still(self, role: Role, socket: Socket, image: str) -> None:
        """Show a still to whoever would see the picture that is paused; one that was not asked for is dropped."""
        place, now_s = self._places[role], self._clock.now_s()
        given = self._outcome.given.get(role)
        if place.socket is not socket or given is None or given.still_s is None:
            return
        if now_s - place.still_s < max(STILL_PAUSE_S, given.still_s * STILL_EARLY_RATIO):
            return
        place.still_s = now_s
        for other, _ in self._seated():
            slots = self._outcome.given[other.role].slots
            if other.socket is not None and any(each.who == role and not each.picture for each in slots):
                other.socket.say(still(role, image))

    @property
    def is_recorded(self) -> bool:
        """Whether what its people send is written down."""
        return self._recording is not None and self._recording.is_on

    def record(self, made: Ongoing) -> None:
        """Have everybody who sends in this recording, and show it to all."""
        self._recording = made
        self.settle()

    def end_recording(self, sentence: str = "") -> None:
        """Record nothing any more; tell the nurse why where they did not ask for it."""
        self._end_recording_now()
        nurse = self._places["nurse"]
        if sentence and nurse.socket is not None:
            nurse.socket.say(recording(nurse.socket.words(sentence)))
        self.settle()

    def wrote(self, role: Role, entry: str) -> None:
        """Know that the page at this place has this entry already."""
        self._places[role].wrote.append(entry)

    def tell(self, entry: str, message: Message, roles: frozenset[Role]) -> None:
        """Say to everybody among `roles` what was written, but to whoever wrote it."""
        for place in self._places.values():
            if place.socket is not None and place.role in roles and entry not in place.wrote:
                place.socket.say(message)

    def beat(self) -> None:
        """Do what is due: caps, counting, and letting go of who is gone."""
        now_s = self._clock.now_s()
        for place, peer in self._seated():
            if place.is_gone(peer, now_s):
                found_a_way = place.was_connected
                self._come_again([place], say=found_a_way)
                if place.socket is not None and not found_a_way:
                    place.socket.refuse(NoWayError())
        self.settle()
        for place, _ in self._seated():
            self._renew(place)
        self._count()
        self._follow_course()

    def settle(self) -> None:
        """Bring feeds, share, caps and what the pages show in line with who is in."""
        now_s = self._clock.now_s()
        for place, peer in self._seated():
            if peer.is_connected and not place.was_connected:
                place.was_connected, place.connected_s = True, now_s
        self._hold_claim()
        levels = {place.role: peer.figures.voice_level for place, peer in self._seated() if place.switches.voice}
        self._focus = follow_focus(self._focus, levels, now_s)
        people = [place.person(peer, now_s, doubles_voices=self._doubles_voices) for place, peer in self._seated()]
        for place, person in zip((place for place, _ in self._seated()), people, strict=True):
            place.came_back = place.came_back and not person.is_ready
        self._outcome = share_out(people, self._claim.budgets(), self._focus.role, self._outcome, now_s)
        numbers = {place.role: peer.number for place, peer in self._seated()}
        for place, peer in self._seated():
            given = self._outcome.given[place.role]
            voices = [numbers.get(each.who) if each.who else None for each in given.slots]
            peer.cap(given.remb_bps, given.sent_bps)  # before the picture
            peer.feed(
                [Slot(voice, voice if each.picture else None) for each, voice in zip(given.slots, voices, strict=True)]
            )
        if self._recording is not None:
            self._recording.follow(
                (peer.number, peer.streams(place.role)) for place, peer in self._seated() if place.was_connected
            )
        for place, _ in self._seated():
            self._show(place)
            self._show_outlook(place)

    def close(self, reason: str) -> None:
        """Say goodbye to everybody and let go of everything; who is being answered comes too late."""
        self._is_over = True
        for place in self._places.values():
            if place.socket is not None:
                place.socket.say(bye(reason))
                place.socket.hang_up()
                place.socket = None
            self._vacate(place)
        self.settle()
        self.finish()

    def abandon(self) -> None:
        """Let go of everything without a look at how it stands: it broke."""
        self._is_over = True
        for _, peer in self._seated():
            self._gone(peer)
        self._places = {role: Place(role) for role in ROLES}
        self._claim.let_go()
        self._end_recording_now()

    def finish(self) -> None:
        """Tell how the call went, if there was one; it is recorded no more."""
        self._end_recording_now()
        course, self._course = self._course, None
        if course is not None:
            ended_wall_s = self._clock.wall_s() if self.is_call else self._parted_wall_s
            self._finished(fields_of(course, ended_wall_s))

    def _end_recording_now(self) -> None:
        made, self._recording = self._recording, None
        if made is not None:
            made.end()

    def _seated(self) -> list[tuple[Place, Peer]]:
        return [(place, place.peer) for place in self._places.values() if place.peer is not None]

    def _check_fits(self, place: Place, *, far: bool) -> None:
        """Let a call begin that fits, and any where none is under way; let somebody in whose voice fits.

        Raises: NoCapacity.
        """
        if self._is_over:
            raise NoCapacity
        others = [each for each, _ in self._seated() if each is not place]
        if place.peer is not None or not others:
            return
        awaited = KEPT_ROLES - {place.role, *(each.role for each in others)}
        if len(others) + len(awaited) >= PEOPLE_MAX:
            raise NoCapacity(N_("All places of this consultation are taken."), N_("Wait until somebody has left."))
        now_s = self._clock.now_s()
        if len(others) > 1 and not place.came_back:
            people = [each.person(peer, now_s) for each, peer in self._seated()]
            if not voices_fit(people, far, self._claim.budgets()):
                raise NoCapacity(
                    N_("The link carries the voices of those who are in, and no more."),
                    N_("Wait until somebody has left, or until the link is better."),
                )
        self._claim.check_begins(self._parted_s)

    def _codec(self, place: Place, offer: Offer) -> str:
        """Return the codec in use where the newcomer has it, else the first that all have; VP8 works (RFC 7742 §5)."""
        others = [(each.codec, peer.offer) for each, peer in self._seated() if each is not place]
        in_use = [codec for codec, _ in others[:1]]
        offers = [offer, *(each for _, each in others)]
        wanted = (codec for codec in (*in_use, *self._codecs) if all(codec in each.codecs for each in offers))
        return next(wanted, "vp8")

    def _seat(self, place: Place, socket: Socket | None, *messages: Message) -> None:
        before = place.seat(socket)
        if before is not None:
            before.say(bye("replaced"))
            before.hang_up()
        if socket is not None:
            for each in messages:
                socket.say(each)

    def _come_again(self, places: Iterable[Place], *, say: bool = True) -> None:
        """Let go of connections, and have their pages begin new ones."""
        for place in list(places):
            self._vacate(place)
            if place.socket is not None and say:
                place.socket.say(AGAIN)

    def _vacate(self, place: Place) -> None:
        if place.peer is not None:
            self._count()
            self._gone(place.peer)
            place.came_back = place.came_back or place.was_connected
        place.peer, place.was_connected, place.counted_bytes = None, False, (0, 0)

    def _hold_claim(self) -> None:
        self._claim.hold(place for place, _ in self._seated())
        if self.is_call:
            self._parted_s, self._parted_wall_s = self._clock.now_s(), self._clock.wall_s()

    def _wanted_voice(self, place: Place) -> Voice:
        given = self._outcome.given.get(place.role)
        return given.voice if given is not None else begin_with(place.far, self._claim.budgets())[0]

    def _renew(self, place: Place) -> None:
        """Agree on another voice where the link has changed: a cheaper one at once, a better one after proof."""
        now_s = self._clock.now_s()
        wanted = self._wanted_voice(place)
        if not wanted.is_better_than(place.voice):
            place.better_since_s = None
        elif place.better_since_s is None:
            place.better_since_s = now_s
        is_heard = self.is_call  # alone, nobody hears the gap that a change makes
        proven = place.better_since_s is None or now_s - place.better_since_s >= BETTER_VOICE_AFTER_S or not is_heard
        if wanted != place.voice and proven and place.socket is not None and now_s - place.renewed_s >= RENEW_PAUSE_S:
            place.renewed_s = now_s
            place.socket.say(RENEW)

    def _quality(self, place: Place) -> CallQuality:
        places, status = list(self._places.values()), self._backhaul.status()
        return quality_of(place, places, self._outcome, self._claim.budgets(), status, self._clock.now_s())

    def _show(self, place: Place) -> None:
        if place.socket is None:
            return
        if place.far:
            place.socket.pace(self._outcome.spare_up_bps)
        places, status = list(self._places.values()), self._backhaul.status()
        now = state_of(place, places, self._outcome, self._quality(place), status, self._focus.role)
        now = replace(now, recording=self.is_recorded)
        now_s = self._clock.now_s()
        is_due = now != place.shown and now_s - place.shown_s >= now.may_wait_s(place.shown)
        if is_due and place.tells.take(1, now_s):  # what one changes all the time must not fill the others' sockets
            place.shown, place.shown_s = now, now_s
            place.socket.say(state(now))

    def _show_outlook(self, place: Place) -> None:
        """Tell whoever waits what the link would carry now."""
        now_s = self._clock.now_s()
        if place.socket is None or self.people() > 1:
            place.outlook_s = NEVER_S
            return
        if now_s - place.outlook_s < FIGURES_PAUSE_S:
            return
        admission = self._backhaul.admission()
        words = place.socket.words(admission.reason, admission.next_step)
        if words != place.outlook or place.outlook_s == NEVER_S:
            place.socket.say(outlook(words))
        place.outlook, place.outlook_s = words, now_s

    def _follow_course(self) -> None:
        now_s = self._clock.now_s()
        if not self.is_call:
            if self._course is not None and now_s - self._parted_s >= KEEPS_S:
                self.finish()
            return
        places = [place for place, _ in self._seated()]
        if self._course is None and all(place.was_connected for place in places):
            self._course = Course(self._clock.wall_s(), now_s)
            self._began()
        if self._course is not None:
            self._course = follow(
                self._course,
                now_s,
                heard=all(place.is_heard for place in places),
                seen=any(slot.picture for each in self._outcome.given.values() for slot in each.slots),
                causes=frozenset(self._quality(place).cause for place in places) - {"none"},
            )

    def _count(self) -> None:
        self._claim.count(place for place, _ in self._seated())
