"""One RTP stream in, one RTP stream out: numbering, reports, losses, and what may be sent again. Pure.

A packet is forwarded by its header alone. Sequence numbers and timestamps are shifted by a constant a source, so a
packet that arrives late keeps its place; when the source changes (somebody joined again) the shift changes, and what
the browser sees goes on without a gap. What was sent once is only ever sent again as the same bytes: one number of a
stream never stands for two contents, which SRTP's keys forbid (RFC 3711 §9.1).

Source: RFC 3550 §6.4.1, A.3, A.8 (reports), RFC 4585 §6.2.1 (NACK), §6.3.1 (PLI).
"""

import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

HEADER_BYTES = 12
GAP_MAX = 64  # packets missed at once that are asked for; over it, only a new keyframe helps
NACKS_PER_S_MAX = 20
HISTORY_S = 1.0  # an older packet comes too late for a picture that is 150 ms behind
HISTORY_BYTES_MAX = 262_144  # 1 s at 2 Mbit/s
RESEND_RATIO = 0.2  # of what the direction may carry (without a cap: 141,000 resends and 12 s of delay, 2026-11)
RESEND_PAUSE_S = 0.05  # the same packet is asked for again before it can have come
RESENDS_MAX = 3
KEYFRAME_PAUSE_S = 0.5  # a keyframe costs as much as half a second of picture

_HEADER = struct.Struct("!BBHLL")
_EXTENSION = struct.Struct("!HHL")  # RFC 8285 §4.2: profile, length, one element of three bytes
ONE_BYTE = 0xBEDE  # RFC 8285 §4.2


class Header(NamedTuple):
    """What forwarding needs of an RTP header (RFC 3550 §5.1)."""

    padded: int  # the P bit in place
    marker: int  # the M bit in place
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload_at: int


def read_header(packet: bytes) -> Header | None:
    """Return the header of an RTP packet, or None when it is not one."""
    if len(packet) < HEADER_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
    if first >> 6 != 2:
        return None
    payload_at = HEADER_BYTES + 4 * (first & 0x0F)
    if first & 0x10:
        if len(packet) < payload_at + 4:
            return None
        payload_at += 4 + 4 * int.from_bytes(packet[payload_at + 2 : payload_at + 4])
    if len(packet) < payload_at:
        return None
    return Header(first & 0x20, second & 0x80, second & 0x7F, sequence, timestamp, ssrc, payload_at)


@dataclass(frozen=True, slots=True)
class Reception:
    """What a receiver report says of one stream (RFC 3550 §6.4.1)."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    since_report: int  # in 1/65536 s


class Incoming:
    """A stream a browser sends to the box."""

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.ssrc: int | None = None
        self.packets = 0
        self._first = 0
        self._highest = 0  # extended: wraps counted
        self._expected_before = 0
        self._packets_before = 0
        self._transit: int | None = None
        self._jitter = 0.0
        self._report = 0
        self._report_s: float | None = None
        self._nacks = Allowance(NACKS_PER_S_MAX, burst_s=1.0)

    def received(self, header: Header, now_s: float) -> range:
        """Take note of a packet; return the sequence numbers that were skipped before it (extended)."""
        if header.ssrc != self.ssrc:
            self._begin(header)
            return range(0)
        self.packets += 1
        self._note_jitter(header, now_s)
        ahead = _distance(self._highest, header.sequence)
        if ahead <= 0:
            return range(0)
        skipped = range(self._highest + 1, self._highest + ahead)
        self._highest += ahead
        return skipped

    @property
    def expected(self) -> int:
        """How many packets there are from the first to the last that came."""
        return self._highest - self._first + 1

    def may_ask_again(self, now_s: float) -> bool:
        """Whether one more NACK may go out now."""
        return self._nacks.take(1, now_s)

    def reported(self, ntp: int, now_s: float) -> None:
        """Take note of a sender report."""
        self._report = (ntp >> 16) & 0xFFFFFFFF
        self._report_s = now_s

    def reception(self, now_s: float) -> Reception | None:
        """Return the report since the last one, or None before the first packet."""
        if self.ssrc is None:
            return None
        expected = self.expected
        expected_since = expected - self._expected_before
        lost_since = expected_since - (self.packets - self._packets_before)
        self._expected_before, self._packets_before = expected, self.packets
        fraction = min(255, (lost_since << 8) // expected_since) if expected_since and lost_since > 0 else 0
        since_s = now_s - self._report_s if self._report_s is not None else 0.0
        return Reception(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            packets_lost=max(-(1 << 23), min(expected - self.packets, (1 << 23) - 1)),
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=int(self._jitter),
            last_report=self._report,
            since_report=int(since_s * 65_536) & 0xFFFFFFFF,
        )

    def _begin(self, header: Header) -> None:
        self.ssrc = header.ssrc
        self.packets = 1
        self._first = self._highest = header.sequence
        self._expected_before = self._packets_before = 0
        self._transit = None
        self._jitter = 0.0
        self._report, self._report_s = 0, None

    def _note_jitter(self, header: Header, now_s: float) -> None:
        transit = (int(now_s * self.clock_rate) - header.timestamp) & 0xFFFFFFFF
        if self._transit is not None:
            moved = abs(((transit - self._transit + 0x80000000) & 0xFFFFFFFF) - 0x80000000)
            self._jitter += (moved - self._jitter) / 16  # A.8
        self._transit = transit


class Outgoing:
    """A stream the box sends to a browser, whoever its source is."""

    def __init__(
        self,
        *,
        ssrc: int,
        payload_type: int,
        clock_rate: int,
        abs_send_time_id: int | None,
        sequence: int,
    ) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.packets = 0
        self.payload_bytes = 0
        self._payload_type = payload_type
        self._abs_send_time_id = abs_send_time_id
        self._source_ssrc: int | None = None
        self._source_first = 0  # extended, as the two below
        self._source_highest = 0
        self._shift = 0
        self._next = sequence
        self._timestamp_shift = 0
        self._timestamp = 0
        self._sent_s: float | None = None

    def rewrite(self, packet: bytes, header: Header, now_s: float) -> tuple[int, bytes] | None:
        """Return the packet as this stream's, with its sequence number; None for one from before the source began."""
        if header.ssrc != self._source_ssrc:
            self._follow(header, now_s)
        source = self._source_highest + _distance(self._source_highest, header.sequence)
        if source < self._source_first:
            return None
        self._source_highest = max(self._source_highest, source)
        number = source + self._shift
        self._next = max(self._next, number + 1)
        self._timestamp = (header.timestamp + self._timestamp_shift) & 0xFFFFFFFF
        self._sent_s = now_s
        self.packets += 1
        self.payload_bytes += len(packet) - header.payload_at
        return number & 0xFFFF, self._written(packet, header, number & 0xFFFF, now_s)

    def timestamp_of(self, ssrc: int, timestamp: int) -> int | None:
        """Return the source's timestamp as this stream's, or None when it is not following that source."""
        return (timestamp + self._timestamp_shift) & 0xFFFFFFFF if ssrc == self._source_ssrc else None

    def _follow(self, header: Header, now_s: float) -> None:
        if self._sent_s is not None:
            # the gap lasted as long as it lasted, and at least a frame
            passed = max(int((now_s - self._sent_s) * self.clock_rate), self.clock_rate // 50)
            self._timestamp_shift = (self._timestamp + passed - header.timestamp) & 0xFFFFFFFF
        self._source_ssrc = header.ssrc
        self._source_first = self._source_highest = header.sequence
        self._shift = self._next - header.sequence

    def _written(self, packet: bytes, header: Header, sequence: int, now_s: float) -> bytes:
        extended = self._abs_send_time_id is not None
        head = _HEADER.pack(
            0x80 | header.padded | (0x10 if extended else 0),
            header.marker | self._payload_type,
            sequence,
            self._timestamp,
            self.ssrc,
        )
        if not extended:
            return head + packet[header.payload_at :]
        # 24 bits of seconds, 18 of them behind the point; ours, so that the browser measures our leg alone
        sent = int(now_s * 262_144) & 0xFFFFFF
        element = (((self._abs_send_time_id or 0) << 4 | 2) << 24) | sent
        return head + _EXTENSION.pack(ONE_BYTE, 1, element) + packet[header.payload_at :]


class History:
    """What was sent in the last second, to be sent again as it was."""

    def __init__(self, resend_bps: int = 0) -> None:
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._bytes = 0
        self._allowance = Allowance(resend_bps / 8, burst_s=0.5)

    def allow(self, direction_bps: int) -> None:
        """Let resends take their part of what the direction may carry."""
        self._allowance.rate = direction_bps * RESEND_RATIO / 8

    def keep(self, sequence: int, datagram: bytes, now_s: float) -> None:
        """Remember a datagram, and forget what is too old or too much."""
        before = self._sent.pop(sequence, None)
        self._bytes += len(datagram) - (len(before.datagram) if before else 0)
        self._sent[sequence] = _Sent(datagram, now_s)
        while self._sent:
            oldest = next(iter(self._sent.values()))
            if now_s - oldest.sent_s <= HISTORY_S and self._bytes <= HISTORY_BYTES_MAX:
                break
            self._bytes -= len(self._sent.popitem(last=False)[1].datagram)

    def again(self, sequence: int, now_s: float) -> bytes | None:
        """Return a datagram to send again, or None when it is gone, was just sent, or has used its part of the link."""
        sent = self._sent.get(sequence)
        if sent is None or now_s - sent.sent_s > HISTORY_S:
            return None
        if sent.resends >= RESENDS_MAX or now_s - sent.resent_s < RESEND_PAUSE_S:
            return None
        if not self._allowance.take(len(sent.datagram), now_s):
            return None
        sent.resends += 1
        sent.resent_s = now_s
        return sent.datagram


class _Sent:
    __slots__ = ("datagram", "resends", "resent_s", "sent_s")

    def __init__(self, datagram: bytes, now_s: float) -> None:
        self.datagram = datagram
        self.sent_s = now_s
        self.resent_s = float("-inf")
        self.resends = 0


class KeyframeRequests:
    """Asks for keyframes merged into one each `KEYFRAME_PAUSE_S`."""

    def __init__(self) -> None:
        self._wanted = False
        self._asked_s = float("-inf")

    def want(self) -> None:
        """Somebody needs a keyframe."""
        self._wanted = True

    def due(self, now_s: float) -> bool:
        """Whether to ask the source now; it then counts as asked."""
        if not self._wanted or now_s - self._asked_s < KEYFRAME_PAUSE_S:
            return False
        self._wanted = False
        self._asked_s = now_s
        return True


class Allowance:
    """So much a second, saved up for `burst_s` at most."""

    def __init__(self, rate: float, *, burst_s: float) -> None:
        self.rate = rate
        self._burst_s = burst_s
        self._saved = 0.0
        self._filled_s: float | None = None

    def take(self, amount: float, now_s: float) -> bool:
        """Whether `amount` may go now; it then counts."""
        burst = self.rate * self._burst_s
        passed_s = self._burst_s if self._filled_s is None else now_s - self._filled_s
        self._saved = min(self._saved + passed_s * self.rate, burst)
        self._filled_s = now_s
        if self._saved < amount:
            return False
        self._saved -= amount
        return True


def _distance(extended: int, sequence: int) -> int:
    """How far `sequence` (16 bits) is ahead of an extended number; negative when it is behind (RFC 3550 A.1).

    >>> _distance(65_535, 0), _distance(65_536, 65_535)
    (1, -1)
    """
    return ((sequence - extended + 0x8000) & 0xFFFF) - 0x8000
