"""One browser's part in a call: what it sends (`Source`), what it gets (`Slot`s), and what it is told.

A packet goes straight through: `Wire` → `Source` (counting) → the other legs' `Slot`s (rewriting) → their `Wire`s. What
a browser asks for is answered where it can be: packets from the slot's own history, keyframes from the source, merged.
Reports keep the source's pair of clocks, so that lips and voice stay together (RFC 3550 §6.4.1).
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from gateway.backhaul.sensing.samples import DelaySample, Sees, Way
from gateway.clinic.media.control import Ear, LegFigures
from gateway.clinic.media.forwarding import Wire
from gateway.clinic.media.history import RESEND_RATIO
from gateway.clinic.media.instrument import Instrument
from gateway.clinic.media.outgoing import Outgoing
from gateway.clinic.media.rtcp import (
    BitrateEstimated,
    Feedback,
    KeyframeWanted,
    PacketsMissed,
    ReceiverReported,
    SenderReported,
    write_receiver_report,
    write_remb,
)
from gateway.clinic.media.rtx import Rtx
from gateway.clinic.media.sdp import Media, Offer, ssrc_of
from gateway.clinic.media.slot import Slot
from gateway.clinic.media.source import CLOCK_RATES, Source
from gateway.clinic.media.streams import Allowance
from gateway.clock import Clock

REMB_PAUSE_S = 0.45  # a cap that is lost comes again; a change goes at once
REPORT_PAUSE_S = 1.0
ESTIMATE_S = 5.0  # browsers repeat theirs each second
SILENCE_S = 1.0  # a browser that sends its voice is heard 17 times a second or more
HEARD_PER_S_MAX = 10  # reports of a browser that tell of the link; it sends one a second of each stream
CHECK_BITS = 1_100  # of a check, or its answer, with its headers
CHECKS_RATIO = 0.02  # of what the direction carries may be checks,
ASK_PAUSE_S_MIN, ASK_PAUSE_S_MAX = 0.1, 0.5  # as often as that tells a queue from a frame, and at least so often
ROUND_TRIP_WEIGHT = 0.25  # of the newest: one comes each second or so


class Leg:
    """The media of one browser; with an `ear`, of one beyond the link."""

    def __init__(
        self,
        offer: Offer,
        *,
        codec: str,
        with_red: bool,
        number: int,
        clock: Clock,
        first_sequence: int,
        open_wire: Callable[..., Wire],
        ear: Ear | None = None,
    ) -> None:
        """Number its streams from `first_sequence` on; `open_wire` is given `take_rtp` and `take_feedback`."""
        self._number = number
        self._clock = clock
        self._ear = ear
        self._ssrc = ssrc_of(0, "video")  # who our own reports come from
        self._instrument = Instrument(f"call:{number}", {each.kind: each.abs_send_time_id for each in offer.media[:2]})
        self._resends = Allowance(0, burst_s=0.5)
        self.source = Source(
            offer, codec=codec, with_red=with_red, ssrc=self._ssrc, instrument=self._instrument, ear=ear
        )
        self.wire = open_wire(take_rtp=self.source.take_rtp, take_feedback=self._take_feedback)
        if ear is not None:
            self.wire.tell_round_trips(self._take_round_trip)
        self.source.connect(self.wire)
        self._slots = [
            self._slot(index, *offer.pair(index), codec=codec, with_red=with_red, sequence=first_sequence)
            for index in range(offer.slots)
        ]
        self._voices = {each.voice.ssrc: each for each in self._slots}
        self._pictures = {each.picture.ssrc: each for each in self._slots}
        self._remb_bps: int | None = None
        self._remb_s = self._report_s = float("-inf")
        self._estimate_bps: int | None = None
        self._estimate_s = float("-inf")
        self._lost: dict[int, float] = {}
        self._round_trip_s: float | None = None
        self._was_silent = False
        self._heard = Allowance(HEARD_PER_S_MAX, burst_s=1.0)
        self._asked_s, self._sent_bps = float("-inf"), 0

    def feed(self, slots: "Sequence[tuple[Leg | None, Leg | None]]") -> None:
        """From now on its slots carry these: whose voice and whose picture, or nobody's."""
        now_s = self._clock.now_s()
        for index, slot in enumerate(self._slots):
            voice, picture = slots[index] if index < len(slots) else (None, None)
            slot.listen(voice.source if voice else None, picture.source if picture else None, now_s)

    def cap(self, picture_bps: int, sent_bps: int) -> None:
        """Let the browser's picture take `picture_bps`, and resends a part of all that is sent to it."""
        self._resends.rate = sent_bps * RESEND_RATIO / 8
        self._sent_bps = sent_bps
        self.source.cap(picture_bps)
        if picture_bps != self._remb_bps:
            self._remb_bps = picture_bps
            self._send_remb(self._clock.now_s())

    def record(self, note: Callable[[bytes, float], None] | None) -> None:
        """From now on each packet that comes is noted first, and a keyframe is asked for; with None, none is."""
        take = self.source.take_rtp

        def both(packet: bytes, now_s: float) -> None:
            if note is not None:
                note(packet, now_s)
            take(packet, now_s)

        self.wire.hand_to(both if note is not None else take)
        if note is not None:
            self.source.want_keyframe(self._clock.now_s(), at_once=True)

    def beat(self) -> None:
        """Send what is due: the cap, reports, and requests that had to wait."""
        now_s = self._clock.now_s()
        if now_s - self._remb_s >= REMB_PAUSE_S:
            self._send_remb(now_s)
        if now_s - self._report_s >= REPORT_PAUSE_S and self.wire.is_open:
            self._report_s = now_s
            self._tell_loss_down()
            receptions = self.source.receptions(now_s)
            if receptions:
                self.wire.send_rtcp(write_receiver_report(self._ssrc, receptions))
        if self._ear is not None and now_s - self._asked_s >= self._ask_pause_s():
            self._asked_s = now_s
            self.wire.ask(now_s)
        is_silent = now_s - self.wire.heard_s > SILENCE_S
        for slot in self._slots:
            if self._was_silent and not is_silent:
                slot.want_keyframe(now_s)  # nothing before it can be shown
            slot.beat(now_s, self._round_trip_s or 0.0)
        self._was_silent = is_silent
        self.source.beat(now_s)

    def figures(self) -> LegFigures:
        """Return what it has carried, and what its browser says."""
        now_s = self._clock.now_s()
        return LegFigures(
            leg=self._number,
            received_bytes=self.wire.received_bytes,
            sent_bytes=self.wire.sent_bytes,
            forwarded_packets=sum(each.forwarded for each in self._slots),
            resent_packets=sum(each.resent for each in self._slots),
            keyframe_requests=self.source.keyframe_requests,
            fraction_lost=self._fraction_lost(),
            estimate_bps=self._estimate_bps if now_s - self._estimate_s <= ESTIMATE_S else None,
            heard_s=self.wire.heard_s,
            voice_level=self.source.voice_level(now_s),
            sends_picture=self.source.sends_picture(now_s),
            round_trip_s=self._round_trip_s,
        )

    def leave(self) -> None:
        """Nobody is fed by it any more, nor it by anybody."""
        self.feed(())
        self.source.leave()

    def _slot(self, index: int, voice: Media, picture: Media, *, codec: str, with_red: bool, sequence: int) -> Slot:
        coding = picture.coding(codec)
        rtx = Rtx(
            ssrc=ssrc_of(index, "rtx"),
            payload_type=coding.rtx_type,
            sequence=sequence,
            abs_send_time_id=picture.abs_send_time_id,
        )
        return Slot(
            Outgoing(
                codec="opus",
                ssrc=ssrc_of(index, "audio"),
                payload_type=voice.coding("opus").payload_type,
                clock_rate=CLOCK_RATES["audio"],
                sequence=sequence,
            ),
            Outgoing(
                codec=codec,
                ssrc=ssrc_of(index, "video"),
                payload_type=coding.payload_type,
                clock_rate=CLOCK_RATES["video"],
                sequence=sequence,
                abs_send_time_id=picture.abs_send_time_id,
                descriptor_id=picture.descriptor_id if codec == "av1" else 0,
            ),
            takes_media=voice.is_received or picture.is_received,
            red_type=voice.red_type if with_red else 0,
            rtx=rtx if coding.rtx_type else None,
            wire=self.wire,
            resends=self._resends,
            instrument=self._instrument,
        )

    def _take_feedback(self, feedback: Feedback, now_s: float) -> None:
        match feedback:
            case SenderReported():
                self.source.reported(feedback, now_s)
            case ReceiverReported():
                self._note_reception(feedback, now_s)
            case PacketsMissed(ssrc=ssrc, sequences=sequences):
                if slot := self._pictures.get(ssrc):
                    slot.send_again(sequences, now_s, self._round_trip_s or 0.0)
            case KeyframeWanted(ssrc=ssrc):
                if slot := self._pictures.get(ssrc):
                    slot.want_keyframe(now_s)
            case BitrateEstimated(bps=bps):
                self._estimate_bps, self._estimate_s = bps, now_s
            case _:
                assert_never(feedback)

    def _note_reception(self, report: ReceiverReported, now_s: float) -> None:
        """Take what a report on one of our streams says of its losses, and of the way there and back."""
        if report.ssrc not in self._voices and report.ssrc not in self._pictures:
            return
        self._lost[report.ssrc] = report.fraction_lost / 256
        round_trip = self._instrument.answered(report.ssrc, report.last_report, report.since_report, now_s)
        if round_trip is not None:
            before_s = self._round_trip_s
            found_s = round_trip.delay_s
            self._round_trip_s = found_s if before_s is None else before_s + (found_s - before_s) * ROUND_TRIP_WEIGHT
            self.source.round_trip_s = self._round_trip_s
        if self._ear is None or not self._heard.take(1, now_s):
            return
        if round_trip is not None:
            self._ear.hear((round_trip,))
        if report.ssrc in self._voices:
            loss = self._instrument.lost_up(report.ssrc, report.highest_sequence, report.packets_lost)
            if loss is not None:
                self._ear.hear_loss(Way.UP, *loss)

    def _ask_pause_s(self) -> float:
        if not self.wire.is_open:
            return ASK_PAUSE_S_MIN  # nothing crosses yet: what is heard now is the empty link
        return min(max(CHECK_BITS / (CHECKS_RATIO * max(self._sent_bps, 1)), ASK_PAUSE_S_MIN), ASK_PAUSE_S_MAX)

    def _take_round_trip(self, round_trip_s: float, now_s: float) -> None:
        """Tell what a check shows of the way there and back: reports come too seldom to tell a queue from a frame."""
        if self._ear is not None:
            self._ear.hear((DelaySample(now_s, round_trip_s, f"call:{self._number}:check", Sees.BOTH),))

    def _fraction_lost(self) -> float:
        """Return the losses of the picture that suffers most, or of the voices where none is shown."""
        shown = [ssrc for ssrc, slot in self._pictures.items() if slot.has_picture]
        heard = [ssrc for ssrc, slot in self._voices.items() if slot.has_voice]
        return max((self._lost.get(ssrc, 0.0) for ssrc in shown or heard), default=0.0)

    def _tell_loss_down(self) -> None:
        voice = self.source.voice
        if self._ear is not None and (loss := self._instrument.lost_down(voice.expected, voice.packets)):
            self._ear.hear_loss(Way.DOWN, *loss)

    def _send_remb(self, now_s: float) -> None:
        if self._remb_bps is not None and self.wire.is_open:
            self._remb_s = now_s
            # a browser applies a REMB to all it sends; before its first packet the list names nobody
            self.wire.send_rtcp(write_remb(self._ssrc, self._remb_bps, self.source.picture.ssrc or 0))
