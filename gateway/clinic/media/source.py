"""What one browser sends: its voice and picture are followed, repaired where they can be, and handed to who listens.

Nothing waits here: a packet is counted, looked at, and handed on in the same call. What is missing of a picture is
asked for again by the box, so that the browsers that watch find it repaired; of a voice nothing is: it would be late.

A cap holds for a browser that does not obey it, too: what is far above is not handed on, and the picture goes on at a
keyframe. What raises where a packet is handed to ends there.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.clinic.media.control import Ear
from gateway.clinic.media.headers import HEADER, MARKER, PADDED, element, payload_of, payload_start
from gateway.clinic.media.instrument import Instrument
from gateway.clinic.media.missing import KeyframeRequests, Missing
from gateway.clinic.media.payloads import BEGINS
from gateway.clinic.media.red import primary_of
from gateway.clinic.media.rtcp import SenderReported, write_keyframe_request, write_nack
from gateway.clinic.media.rtx import unwrap
from gateway.clinic.media.sdp import Offer
from gateway.clinic.media.speaking import VoiceLevel
from gateway.clinic.media.streams import Allowance, Incoming, Reception, SenderTime

CLOCK_RATES = {"audio": 48_000, "video": 90_000}  # RFC 7587 §4.1, RFC 7741 §4.1
PICTURE_S = 2.0  # a picture of which nothing came for so long is none
OVER_CAP = 2  # Chromium's encoder is 1.4 times above a cap that fell, for some seconds (2026-11)
OVER_CAP_BYTES = 131_072  # and ahead of it by a keyframe of a shared screen
VOICE_BYTES_PER_S_MAX = 32_768  # of payload; Opus of a studio has 20,000
REPORTS_PER_S_MAX = 20  # each is handed on to everybody who listens

_VOICE, _RED, _PICTURE, _AGAIN = range(4)


class Wire(Protocol):
    """The protected datagrams between the box and one browser."""

    received_bytes: int
    sent_bytes: int
    heard_s: float

    @property
    def is_open(self) -> bool:
        """Whether media can be sent now."""
        ...

    def send_rtp(self, packet: bytes, kind: str) -> bytes | None:
        """Protect and send a packet of a kind; return the datagram, or None when it could not go."""
        ...

    def send(self, datagram: bytes) -> bool:
        """Send a protected datagram again; False when it could not go."""
        ...

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send reports or requests."""
        ...

    def broke(self, exc: Exception) -> None:
        """Be over: something of this browser's raised."""
        ...


class Listener(Protocol):
    """Who gets what a browser sends."""

    def take_voice(
        self, source: "Source", number: int, marker: int, timestamp: int, voice: bytes, red: bytes, now_s: float
    ) -> None:
        """Take a packet of voice; `red` is all of it where it was sent twice, else empty."""
        ...

    def take_picture(
        self,
        source: "Source",
        number: int,
        marker: int,
        timestamp: int,
        payload: bytes,
        descriptor: bytes,
        now_s: float,
    ) -> None:
        """Take a packet of picture."""
        ...

    def source_reported(self, stream: Incoming, now_s: float) -> None:
        """Tell the browser the source's clocks."""
        ...

    def skip(self) -> None:
        """Take note that some of the picture was left out: it goes on at a keyframe."""
        ...

    def lose(self, source: "Source") -> None:
        """Take note that nothing more comes from there."""
        ...

    def broke(self, exc: Exception) -> None:
        """Be over: what it was handed raised."""
        ...


class Source:
    """One browser's voice and picture."""

    def __init__(
        self, offer: Offer, *, codec: str, with_red: bool, ssrc: int, instrument: Instrument, ear: Ear | None
    ) -> None:
        """Ask for things as `ssrc`; `with_red` as it was answered."""
        voice, picture = offer.of("audio"), offer.of("video")
        coding = picture.coding(codec)
        self._roles = {voice.coding("opus").payload_type: _VOICE, coding.payload_type: _PICTURE}
        if with_red and voice.red_type:
            self._roles[voice.red_type] = _RED
        if coding.rtx_type:
            self._roles[coding.rtx_type] = _AGAIN
        self._opus_type = voice.coding("opus").payload_type
        self._level_id = voice.audio_level_id
        self._descriptor_id = picture.descriptor_id if codec == "av1" else 0
        self._begins: Callable[[bytes], bool] = BEGINS[codec]
        self._can_resend = "nack" in coding.feedback
        self._ssrc = ssrc
        self._instrument = instrument
        self._ear = ear
        self._wire: Wire | None = None
        self._missing = Missing()
        self._keyframes = KeyframeRequests()
        self._level = VoiceLevel()
        self._time = SenderTime()
        self._reports = Allowance(REPORTS_PER_S_MAX, burst_s=0.5)
        self._picture_s = float("-inf")
        self._capped: Allowance | None = None  # until a cap is known
        self._voice_bytes = Allowance(VOICE_BYTES_PER_S_MAX, burst_s=1.0)
        self.voice = Incoming(CLOCK_RATES["audio"])
        self.picture = Incoming(CLOCK_RATES["video"])
        self.voice_to: tuple[Listener, ...] = ()
        self.picture_to: tuple[Listener, ...] = ()
        self.keyframe_requests = 0
        self.round_trip_s = 0.1  # until it is known

    def cap(self, picture_bps: int) -> None:
        """From now on its picture may take so much."""
        if self._capped is None:
            self._capped = Allowance(0, burst_s=0)
        self._capped.hold_to(picture_bps * OVER_CAP / 8, OVER_CAP_BYTES)
        self._keyframes.hold_to(picture_bps)

    def connect(self, wire: Wire) -> None:
        """From now on what is asked of the browser goes this way."""
        self._wire = wire

    def take_rtp(self, packet: bytes, now_s: float) -> None:
        """Take a packet of the browser's; what is none is nothing."""
        at = payload_start(packet)
        if not at:
            return
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(packet)
        role = self._roles.get(second & 0x7F)
        if role is None:
            return
        payload = payload_of(packet, at) if first & PADDED else packet[at:]
        if payload is None:
            return
        marker = second & MARKER
        if role == _PICTURE:
            number = self._count_picture(ssrc, sequence, timestamp, now_s)
            if number >= 0:
                self._take_picture(packet, at, number, marker, timestamp, payload, now_s)
        elif role == _AGAIN:
            original = unwrap(payload)
            number = self.picture.restored(original[0]) if original else -1
            if original and number >= 0:
                self._take_picture(packet, at, number, marker, timestamp, original[1], now_s)
        else:
            number = self.voice.received(ssrc, sequence, timestamp, now_s)
            if number >= 0:
                self._take_voice(packet, at, number, marker, timestamp, payload, now_s, is_red=role == _RED)

    def want_keyframe(self, now_s: float, *, at_once: bool = False) -> None:
        """Ask this browser for a keyframe, soon; `at_once` for somebody who has nothing to show yet."""
        self._keyframes.want(at_once=at_once)
        self._ask_for_keyframe(now_s)

    def beat(self, now_s: float) -> None:
        """Ask for what is due: packets again, and a keyframe that had to wait."""
        self._ask_again(now_s)
        self._ask_for_keyframe(now_s)

    def reported(self, report: SenderReported, now_s: float) -> None:
        """Take the browser's clocks, and hand them on."""
        for stream, listeners in ((self.voice, self.voice_to), (self.picture, self.picture_to)):
            if stream.ssrc == report.ssrc and self._reports.take(1, now_s):
                stream.reported(report.ntp, now_s)
                stream.tie(self._time.ours(report.ntp, now_s), report.timestamp, now_s)
                for each in listeners:
                    try:
                        each.source_reported(stream, now_s)
                    except Exception as exc:  # noqa: BLE001 - whatever it is, it is not this browser's
                        each.broke(exc)

    def receptions(self, now_s: float) -> list[Reception]:
        """Return how its streams arrived since the last time."""
        return [each for stream in (self.voice, self.picture) if (each := stream.reception(now_s))]

    def voice_level(self, now_s: float) -> float:
        """Return how loud its voice is, 0 to 1."""
        return self._level.level(now_s)

    def sends_picture(self, now_s: float) -> bool:
        """Whether a picture comes now."""
        return now_s - self._picture_s <= PICTURE_S

    def leave(self) -> None:
        """Nothing more comes from it."""
        for each in {*self.voice_to, *self.picture_to}:
            each.lose(self)
        self.voice_to = self.picture_to = ()

    def _count_picture(self, ssrc: int, sequence: int, timestamp: int, now_s: float) -> int:
        stream = self.picture
        run = stream.run
        number = stream.received(ssrc, sequence, timestamp, now_s)
        if stream.run is not run:
            self._missing.forget()
        elif stream.skipped and not (self._can_resend and self._missing.skipped(number, stream.skipped)):
            self.want_keyframe(now_s)
        return number

    def _take_picture(
        self, packet: bytes, at: int, number: int, marker: int, timestamp: int, payload: bytes, now_s: float
    ) -> None:
        self._picture_s = now_s
        if self._begins(payload):
            self._keyframes.came()
            self._missing.forget(before=number)
        if self._missing:
            self._missing.came(number)
            self._ask_again(now_s)
        if self._ear is not None:
            sample = self._instrument.arrived(packet, at, "video", timestamp, now_s)
            if sample is not None:
                self._ear.hear((sample,))
        if self._capped is not None and not self._capped.take(len(payload), now_s):
            for each in self.picture_to:
                each.skip()
            return
        descriptor = b""
        if self._descriptor_id:
            from_, length = element(packet, at, self._descriptor_id)
            descriptor = packet[from_ : from_ + length]
        for each in self.picture_to:
            try:
                each.take_picture(self, number, marker, timestamp, payload, descriptor, now_s)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is not this browser's
                each.broke(exc)

    def _take_voice(
        self,
        packet: bytes,
        at: int,
        number: int,
        marker: int,
        timestamp: int,
        payload: bytes,
        now_s: float,
        *,
        is_red: bool,
    ) -> None:
        voice = primary_of(payload, self._opus_type) if is_red else payload
        if voice is None or not self._voice_bytes.take(len(payload), now_s):
            return
        level_at, length = element(packet, at, self._level_id)
        if length:
            self._level.said(packet[level_at] & 0x7F, now_s)
        else:
            self._level.sized(len(voice), timestamp, now_s)
        if self._ear is not None:
            sample = self._instrument.arrived(packet, at, "audio", timestamp, now_s)
            if sample is not None:
                self._ear.hear((sample,))
        for each in self.voice_to:
            try:
                each.take_voice(self, number, marker, timestamp, voice, payload if is_red else b"", now_s)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is not this browser's
                each.broke(exc)

    def _ask_again(self, now_s: float) -> None:
        source = self.picture.ssrc
        if self._wire is None or source is None:
            return
        numbers, is_lost = self._missing.overdue(now_s, self.round_trip_s)
        if numbers:
            self._wire.send_rtcp(write_nack(self._ssrc, source, numbers))
        if is_lost:
            self.want_keyframe(now_s)

    def _ask_for_keyframe(self, now_s: float) -> None:
        source = self.picture.ssrc
        if source is None or self._wire is None or not self._wire.is_open or not self._keyframes.due(now_s):
            return
        self.keyframe_requests += 1
        self._wire.send_rtcp(write_keyframe_request(self._ssrc, source))
