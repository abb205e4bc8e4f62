"""What one browser sees and hears of another: a voice and a picture, whose source may change at any time.

A voice changes at once. A picture changes where the new one's keyframe begins, and until then the old one goes on, but
not for long: somebody who was turned away from is not shown for ever because another sends nothing.
"""

from gateway.clinic.media.history import History
from gateway.clinic.media.instrument import Instrument
from gateway.clinic.media.outgoing import Outgoing
from gateway.clinic.media.red import retyped
from gateway.clinic.media.rtcp import write_sender_report
from gateway.clinic.media.rtx import Rtx
from gateway.clinic.media.source import Listener, Source, Wire
from gateway.clinic.media.streams import Allowance, Incoming

OLD_PICTURE_S = 2.0  # it goes on for so long after it was turned away from
NACKED_MAX = 128  # of one request; more than a second of picture
ASKS_PER_S_MAX = 0.5  # keyframes one browser asks for: each costs all who watch; saved up for four


class Slot:
    """One of the others, as a browser gets them."""

    def __init__(
        self,
        voice: Outgoing,
        picture: Outgoing,
        *,
        takes_media: bool,
        red_type: int,
        rtx: Rtx | None,
        wire: Wire,
        resends: Allowance,
        instrument: Instrument,
    ) -> None:
        """Send over `wire`; a `red_type` of 0 sends each voice once, without `rtx` the same bytes go again."""
        self.voice = voice
        self.picture = picture
        self._takes_media = takes_media
        self._red_type = red_type
        self._rtx = rtx
        self._wire = wire
        self._resends = resends
        self._instrument = instrument
        self._history = History()
        self._voice_from: Source | None = None
        self._picture_from: Source | None = None
        self._next: Source | None = None  # whose keyframe is waited for
        self._turned_s = float("-inf")
        self._hurries = False
        self._asks = Allowance(ASKS_PER_S_MAX, burst_s=4 / ASKS_PER_S_MAX)
        self._untold: dict[Outgoing, Incoming] = {}  # streams that follow another source, not yet reported
        self.forwarded = self.resent = 0

    @property
    def has_picture(self) -> bool:
        """Whether a picture is shown."""
        return self._picture_from is not None

    @property
    def has_voice(self) -> bool:
        """Whether a voice is heard."""
        return self._voice_from is not None

    def listen(self, voice: Source | None, picture: Source | None, now_s: float) -> None:
        """From now on these are what it gets; nothing, where the browser only sends."""
        if not self._takes_media:
            return
        if voice is not self._voice_from:
            if self._voice_from is not None:
                self._voice_from.voice_to = _without(self._voice_from.voice_to, self)
                self.voice.let_go()
            self._voice_from = voice
            if voice is not None:
                voice.voice_to = (*voice.voice_to, self)
        wanted = None if picture is self._picture_from else picture
        if wanted is not self._next:
            self._turn_to(wanted, now_s)
        if picture is None:
            self._stop_picture()

    def take_voice(
        self, source: Source, number: int, marker: int, timestamp: int, voice: bytes, red: bytes, now_s: float
    ) -> None:
        """Send a packet of voice on."""
        stream = self.voice
        if not stream.follows(source.voice):
            self._untold[stream] = source.voice
        payload, payload_type = voice, 0
        if red and self._red_type:
            payload, payload_type = retyped(red, stream.payload_type), self._red_type
        packet = stream.rewrite(source.voice, number, marker, timestamp, payload, now_s, payload_type)
        if packet is not None:
            self._wire.send_rtp(packet, "audio")
            self.forwarded += 1

    def take_picture(
        self, source: Source, number: int, marker: int, timestamp: int, payload: bytes, descriptor: bytes, now_s: float
    ) -> None:
        """Send a packet of picture on, when its source is shown or becomes it."""
        stream = self.picture
        if not stream.follows(source.picture) or source is not self._picture_from:
            if not self._wire.is_open or not stream.begins(payload):
                return
            self._show(source)
        packet = stream.rewrite(source.picture, number, marker, timestamp, payload, now_s, 0, descriptor)
        if packet is None:
            return
        datagram = self._wire.send_rtp(packet, "video")
        self.forwarded += 1
        kept = packet if self._rtx is not None else datagram
        if kept is not None:
            self._history.keep(stream.number, kept, now_s)

    def send_again(self, sequences: tuple[int, ...], now_s: float, round_trip_s: float) -> None:
        """Send packets of the picture again, within this direction's part for it."""
        for sequence in sequences[:NACKED_MAX]:
            packet = self._history.again(sequence, now_s, round_trip_s=round_trip_s, allowance=self._resends)
            if packet is None:
                continue
            if self._rtx is None:
                went = self._wire.send(packet)
            else:
                went = self._wire.send_rtp(self._rtx.wrap(packet, now_s), "video") is not None
            self.resent += went

    def want_keyframe(self, now_s: float) -> None:
        """The browser cannot go on with the picture it is shown."""
        if self._picture_from is not None and self._asks.take(1, now_s):
            self._picture_from.want_keyframe(now_s)

    def beat(self, now_s: float, round_trip_s: float) -> None:
        """Do what is due: end the old picture, ask for the new one, tell new sources' clocks, forget what is old."""
        self._history.trim(now_s, round_trip_s)
        if self._next is not None and self._picture_from is not None and now_s - self._turned_s > OLD_PICTURE_S:
            self._stop_picture()
        if not self._wire.is_open:
            return
        self._ask(now_s)
        untold, self._untold = self._untold, {}
        for stream, source in untold.items():
            self._report(stream, source, now_s)

    def source_reported(self, stream: Incoming, now_s: float) -> None:
        """Tell the browser the source's clocks."""
        for copy in (self.voice, self.picture):
            self._report(copy, stream, now_s)

    def skip(self) -> None:
        """Go on with the picture at a keyframe."""
        self.picture.let_go()

    def broke(self, exc: Exception) -> None:
        """Be over, and alone."""
        self._wire.broke(exc)

    def lose(self, source: Source) -> None:
        """Nothing more comes from there."""
        if source is self._voice_from:
            self._voice_from = None
            self.voice.let_go()
        if source is self._picture_from:
            self._picture_from = None
            self.picture.let_go()
        if source is self._next:
            self._next = None

    def _turn_to(self, source: Source | None, now_s: float) -> None:
        if self._next is not None:
            self._next.picture_to = _without(self._next.picture_to, self)
        self._next = source
        self._turned_s = now_s
        self._hurries = True
        if source is not None:
            source.picture_to = (*source.picture_to, self)
            if self._wire.is_open:
                self._ask(now_s)

    def _show(self, source: Source) -> None:
        if source is self._next:
            self._stop_picture()
            self._picture_from, self._next = source, None
        self._untold[self.picture] = source.picture

    def _stop_picture(self) -> None:
        if self._picture_from is not None:
            self._picture_from.picture_to = _without(self._picture_from.picture_to, self)
            self._picture_from = None
            self.picture.let_go()

    def _ask(self, now_s: float) -> None:
        """Ask for the keyframe that is waited for, if one is."""
        source = self._next
        if source is None and self._picture_from is not None and not self.picture.follows(self._picture_from.picture):
            source = self._picture_from  # it started anew
        if source is not None:
            source.want_keyframe(now_s, at_once=self._hurries)
            self._hurries = False

    def _report(self, copy: Outgoing, stream: Incoming, now_s: float) -> None:
        tied = stream.tied(now_s)
        timestamp = copy.timestamp_of(stream, tied[1]) if tied else None
        if tied is None or timestamp is None:
            return
        self._instrument.reported(copy.ssrc, tied[0], now_s)
        self._wire.send_rtcp(write_sender_report(copy.ssrc, tied[0], timestamp, copy.packets, copy.payload_bytes))


def _without(listeners: tuple[Listener, ...], one: Slot) -> tuple[Listener, ...]:
    return tuple(each for each in listeners if each is not one)
