"""One browser's half of a call: its streams are followed and handed to the other half, and told what they may take.

A packet goes straight through: `Wire` → `Incoming` (numbering) → the other leg's `Outgoing` (rewriting) → its `Wire`.
What a browser asks for is answered where it can be: packets from the leg's own history, keyframes from the source,
merged. Reports keep the source's pair of clocks, so that lips and voice stay together (RFC 3550 §6.4.1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, assert_never

from aiortc import RTCRtpTransceiver

from gateway.backhaul.sensing.samples import DelaySample, Way
from gateway.clinic.media.forwarding import (
    BitrateEstimated,
    Feedback,
    KeyframeWanted,
    PacketsMissed,
    ReceiverReported,
    SenderReported,
    Wire,
    outgoing_ssrc,
    write_keyframe_request,
    write_nack,
    write_receiver_report,
    write_remb,
    write_sender_report,
)
from gateway.clinic.media.instrument import Instrument
from gateway.clinic.media.sdp import Offer
from gateway.clinic.media.streams import GAP_MAX, History, Incoming, KeyframeRequests, Outgoing, read_header
from gateway.clock import Clock

CLOCK_RATES = {"audio": 48_000, "video": 90_000}  # RFC 7587 §4.1, RFC 7741 §4.1
REMB_PAUSE_S = 0.45  # a cap that is lost comes again; a change goes at once
REPORT_PAUSE_S = 1.0
ESTIMATE_S = 5.0  # browsers repeat theirs each second
SILENCE_S = 1.0  # a browser that sends its voice is heard 17 times a second or more
NACKED_MAX = 128  # of one request; more than a second of picture


class Ear(Protocol):
    """Who wants to know what a call tells of the link."""

    def hear(self, samples: Iterable[DelaySample]) -> None:
        """Take delays."""
        ...

    def hear_loss(self, way: Way, expected: int, lost: int) -> None:
        """Take how many packets were due one way, and how many of them never came."""
        ...


@dataclass(frozen=True, slots=True)
class LegStatistics:
    """What one leg has carried since it began."""

    received_bytes: int
    sent_bytes: int
    forwarded_packets: int
    resent_packets: int
    keyframe_requests: int
    fraction_lost: float
    """Of what we send, as the browser last reported it."""


class Leg:
    """The media of one browser; with an `ear`, of one beyond the link."""

    def __init__(
        self,
        offer: Offer,
        transceivers: Mapping[str, RTCRtpTransceiver],
        clock: Clock,
        first_sequence: int,
        ear: Ear | None = None,
    ) -> None:
        self._clock = clock
        self._kinds = {each.payload_type: each.kind for each in offer.media}
        self._incoming = {kind: Incoming(rate) for kind, rate in CLOCK_RATES.items()}
        self._outgoing = {
            kind: Outgoing(
                ssrc=outgoing_ssrc(transceivers[kind]),
                payload_type=offer.of(kind).payload_type,
                clock_rate=rate,
                abs_send_time_id=offer.of(kind).abs_send_time_id if kind == "video" else None,
                sequence=first_sequence,
            )
            for kind, rate in CLOCK_RATES.items()
        }
        self.wire = Wire(
            transceivers["audio"], now_s=clock.now_s, take_rtp=self._take_rtp, take_feedback=self._take_feedback
        )
        self._ssrc = self._outgoing["video"].ssrc  # who our own reports come from
        self._ear = ear
        stamp_ids = {each.kind: each.abs_send_time_id for each in offer.media}
        self._instrument = Instrument(f"call:{self._ssrc}", stamp_ids)
        self._other: Leg | None = None
        self._history = History()
        self._keyframes = KeyframeRequests()
        self._remb_bps: int | None = None
        self._remb_s = self._report_s = float("-inf")
        self._estimate_bps: int | None = None
        self._estimate_s = float("-inf")
        self._fraction_lost = 0.0
        self._was_silent = False
        self._forwarded = self._resent = self._keyframe_requests = 0

    def feed(self, other: "Leg | None") -> None:
        """From now on this browser's streams go to `other`, or nowhere."""
        if other is self._other:
            return
        self._other = other
        if other is not None:
            self.want_keyframe()

    def want_keyframe(self) -> None:
        """Ask this browser for a keyframe, soon."""
        self._keyframes.want()
        self._ask_for_keyframe(self._clock.now_s())

    def cap(self, remb_bps: int, sent_to_it_bps: int) -> None:
        """Let the browser's picture take `remb_bps`, and resends a part of what is sent to it."""
        self._history.allow(sent_to_it_bps)
        if remb_bps != self._remb_bps:
            self._remb_bps = remb_bps
            self._send_remb(self._clock.now_s())

    def estimate_bps(self) -> int | None:
        """Return what this browser says the way to it can carry, if it said so lately."""
        return self._estimate_bps if self._clock.now_s() - self._estimate_s <= ESTIMATE_S else None

    def beat(self) -> None:
        """Send what is due: the cap, reports, and a keyframe request that had to wait."""
        now_s = self._clock.now_s()
        if now_s - self._remb_s >= REMB_PAUSE_S:
            self._send_remb(now_s)
        if now_s - self._report_s >= REPORT_PAUSE_S and self.wire.is_open:
            self._report_s = now_s
            self._tell_loss_down()
            receptions = [each for stream in self._incoming.values() if (each := stream.reception(now_s))]
            if receptions:
                self.wire.send_rtcp(write_receiver_report(self._ssrc, receptions))
        if now_s - self.wire.heard_s > SILENCE_S:
            self._was_silent = True
        elif self._was_silent:
            self._was_silent = False
            if self._other is not None:
                self._other.want_keyframe()  # nothing before it can be shown
        self._ask_for_keyframe(now_s)

    def statistics(self) -> LegStatistics:
        """Return what it has carried."""
        return LegStatistics(
            received_bytes=self.wire.received_bytes,
            sent_bytes=self.wire.sent_bytes,
            forwarded_packets=self._forwarded,
            resent_packets=self._resent,
            keyframe_requests=self._keyframe_requests,
            fraction_lost=self._fraction_lost,
        )

    def _take_rtp(self, packet: bytes, now_s: float) -> None:
        header = read_header(packet)
        kind = self._kinds.get(header.payload_type) if header else None
        if header is None or kind is None:
            return
        skipped = self._incoming[kind].received(header, now_s)
        if skipped and kind == "video":
            self._ask_again(skipped, now_s)
        if self._ear is not None and (sample := self._instrument.arrived(packet, header, kind, now_s)):
            self._ear.hear((sample,))
        other = self._other
        if other is None or not other.wire.is_open:
            return
        written = other._outgoing[kind].rewrite(packet, header, now_s)
        if written is None:
            return
        sequence, copy = written
        datagram = other.wire.send_rtp(copy)
        other._forwarded += 1
        if datagram is not None and kind == "video":
            other._history.keep(sequence, datagram, now_s)

    def _take_feedback(self, feedback: Feedback, now_s: float) -> None:
        match feedback:
            case SenderReported():
                self._pass_report_on(feedback, now_s)
            case ReceiverReported(ssrc=ssrc, fraction_lost=lost):
                if ssrc == self._outgoing["video"].ssrc:
                    self._fraction_lost = lost / 256
                if self._ear is not None:
                    self._tell(self._ear, feedback, now_s)
            case PacketsMissed(ssrc=ssrc, sequences=sequences):
                if ssrc == self._outgoing["video"].ssrc:
                    self._send_again(sequences, now_s)
            case KeyframeWanted(ssrc=ssrc):
                if ssrc == self._outgoing["video"].ssrc and self._other is not None:
                    self._other.want_keyframe()
            case BitrateEstimated(bps=bps):
                self._estimate_bps, self._estimate_s = bps, now_s
            case _:
                assert_never(feedback)

    def _pass_report_on(self, report: SenderReported, now_s: float) -> None:
        for kind, stream in self._incoming.items():
            if stream.ssrc != report.ssrc:
                continue
            stream.reported(report.ntp, now_s)
            if self._other is None:
                return
            copy = self._other._outgoing[kind]
            timestamp = copy.timestamp_of(report.ssrc, report.timestamp)
            if timestamp is not None:
                self._other._instrument.reported(copy.ssrc, report.ntp, now_s)
                self._other.wire.send_rtcp(
                    write_sender_report(copy.ssrc, report.ntp, timestamp, copy.packets, copy.payload_bytes)
                )

    def _tell(self, ear: Ear, report: ReceiverReported, now_s: float) -> None:
        """Tell what a report shows of the link."""
        round_trip = self._instrument.answered(report.ssrc, report.last_report, report.since_report, now_s)
        if round_trip is not None:
            ear.hear((round_trip,))
        if report.ssrc == self._outgoing["audio"].ssrc:
            loss = self._instrument.lost_up(report.highest_sequence, report.packets_lost)
            if loss is not None:
                ear.hear_loss(Way.UP, *loss)

    def _tell_loss_down(self) -> None:
        voice = self._incoming["audio"]
        if self._ear is not None and (loss := self._instrument.lost_down(voice.expected, voice.packets)):
            self._ear.hear_loss(Way.DOWN, *loss)

    def _ask_again(self, skipped: range, now_s: float) -> None:
        stream = self._incoming["video"]
        if len(skipped) > GAP_MAX:
            self._keyframes.want()
            self._ask_for_keyframe(now_s)
        elif stream.may_ask_again(now_s) and stream.ssrc is not None:
            self.wire.send_rtcp(write_nack(self._ssrc, stream.ssrc, skipped))

    def _send_again(self, sequences: tuple[int, ...], now_s: float) -> None:
        for sequence in sequences[:NACKED_MAX]:
            datagram = self._history.again(sequence, now_s)
            if datagram is not None and self.wire.send(datagram):
                self._resent += 1

    def _ask_for_keyframe(self, now_s: float) -> None:
        source = self._incoming["video"].ssrc
        if source is not None and self.wire.is_open and self._keyframes.due(now_s):
            self._keyframe_requests += 1
            self.wire.send_rtcp(write_keyframe_request(self._ssrc, source))

    def _send_remb(self, now_s: float) -> None:
        if self._remb_bps is not None and self.wire.is_open:
            self._remb_s = now_s
            # a browser applies a REMB to all it sends; before its first packet the list names nobody
            self.wire.send_rtcp(write_remb(self._ssrc, self._remb_bps, self._incoming["video"].ssrc or 0))
