"""One RTP stream as the box sends it to a browser, whoever its source is now. Pure.

A packet is forwarded by its header alone. Sequence numbers and timestamps are shifted by a constant a source, so a
packet that arrives late keeps its place; when the source changes, the shift changes, and what the browser sees goes on
without a gap: numbers, the pictures' own numbers, and time by as much as has passed. A picture changes at a keyframe's
first packet alone. What the old source still sends is nothing, so one number never stands for two contents.

The stamp (abs-send-time) is ours, so that the browser measures our leg alone.

Source: RFC 3550 §5.1, RFC 8285 §4.2, draft-alvestrand-rmcat-remb-03 §5 (abs-send-time: 18 of 24 bits are a fraction).
"""

import struct

from gateway.clinic.media.headers import EXTENDED, HEADER, ONE_BYTE, extension
from gateway.clinic.media.payloads import BEGINS, NUMBERS, frame_number, read_numbers, shift_frame, shift_numbers
from gateway.clinic.media.streams import Incoming

STAMP_HZ = 1 << 18
FRAME_S_MIN = 0.02  # two sources' packets lie at least so far apart
_STAMPED = struct.Struct("!BBHLLHHL")  # a header with the stamp as its extension's only element


class Outgoing:
    """A stream the box sends to a browser."""

    __slots__ = (
        "_base_shift",
        "_codec",
        "_descriptor",
        "_first",
        "_frame_shift",
        "_next",
        "_payload",
        "_picture_shift",
        "_run",
        "_sent_s",
        "_shift",
        "_stamp",
        "_stamp_id",
        "_timestamp",
        "_timestamp_shift",
        "clock_rate",
        "descriptor_id",
        "number",
        "packets",
        "payload_bytes",
        "payload_type",
        "ssrc",
    )

    def __init__(
        self,
        *,
        codec: str,
        ssrc: int,
        payload_type: int,
        clock_rate: int,
        sequence: int,
        abs_send_time_id: int = 0,
        descriptor_id: int = 0,
    ) -> None:
        """Begin with `sequence`; `codec` is opus for a voice; an id of 0 leaves its extension out."""
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.clock_rate = clock_rate
        self.descriptor_id = descriptor_id
        self.packets = 0
        self.payload_bytes = 0
        self.number = sequence  # of the packet written last, extended
        self._codec = codec
        self._stamp_id = abs_send_time_id
        self._stamp = (abs_send_time_id << 4 | 2) << 24
        self._run: object = None
        self._first = self._shift = 0
        self._next = sequence
        self._timestamp = self._timestamp_shift = 0
        self._sent_s: float | None = None
        self._payload = self._descriptor = b""
        self._picture_shift = self._base_shift = self._frame_shift = 0

    def follows(self, source: Incoming) -> bool:
        """Whether what it sends is this source's, since it last started anew."""
        return source.run is self._run

    def let_go(self) -> None:
        """Follow nobody; who is followed next, the same source too, goes on where this one ended."""
        self._run = None

    def begins(self, payload: bytes) -> bool:
        """Whether a browser can go on from this packet although nothing before it came."""
        return self._codec == "opus" or BEGINS[self._codec](payload)

    def rewrite(
        self,
        source: Incoming,
        number: int,
        marker: int,
        timestamp: int,
        payload: bytes,
        now_s: float,
        payload_type: int = 0,
        descriptor: bytes = b"",
    ) -> bytes | None:
        """Return a packet of the source as this stream's, and its number in `number`; None where it must not go on.

        `payload_type` stands in for the stream's own (RED), `descriptor` is AV1's.
        """
        if source.run is not self._run:
            if not self.begins(payload):
                return None
            self._follow(source, number, timestamp, payload, descriptor, now_s)
        elif number < self._first:
            return None
        self.number = out = number + self._shift
        copied = (timestamp + self._timestamp_shift) & 0xFFFFFFFF
        if self._picture_shift or self._base_shift:
            payload = shift_numbers(payload, NUMBERS[self._codec](payload), self._picture_shift, self._base_shift)
        if self._frame_shift:
            descriptor = shift_frame(descriptor, self._frame_shift)
        if out >= self._next:
            self._next = out + 1
            self._timestamp = copied
            self._payload, self._descriptor = payload, descriptor
        self._sent_s = now_s
        self.packets += 1
        self.payload_bytes += len(payload)
        second = marker | (payload_type or self.payload_type)
        if descriptor and self.descriptor_id:
            return self._described(out, second, copied, descriptor, now_s) + payload
        if self._stamp_id:
            stamp = self._stamp | int(now_s * STAMP_HZ) & 0xFFFFFF
            return _STAMPED.pack(0x90, second, out & 0xFFFF, copied, self.ssrc, ONE_BYTE, 1, stamp) + payload
        return HEADER.pack(0x80, second, out & 0xFFFF, copied, self.ssrc) + payload

    def timestamp_of(self, source: Incoming, timestamp: int) -> int | None:
        """Return the source's timestamp as this stream's, or None when it does not follow it."""
        return (timestamp + self._timestamp_shift) & 0xFFFFFFFF if source.run is self._run else None

    def _described(self, number: int, second: int, timestamp: int, descriptor: bytes, now_s: float) -> bytes:
        elements = [(self.descriptor_id, descriptor)]
        if self._stamp_id:
            elements.insert(0, (self._stamp_id, (int(now_s * STAMP_HZ) & 0xFFFFFF).to_bytes(3)))
        return HEADER.pack(0x80 | EXTENDED, second, number & 0xFFFF, timestamp, self.ssrc) + extension(elements)

    def _follow(
        self, source: Incoming, number: int, timestamp: int, payload: bytes, descriptor: bytes, now_s: float
    ) -> None:
        if self._sent_s is not None:
            passed_s = max(now_s - self._sent_s, FRAME_S_MIN)
            self._timestamp_shift = (self._timestamp + int(passed_s * self.clock_rate) - timestamp) & 0xFFFFFFFF
            self._renumber(payload, descriptor)
        self._run = source.run
        self._first = number
        self._shift = self._next - number

    def _renumber(self, payload: bytes, descriptor: bytes) -> None:
        """Let the new source's pictures be numbered on from the last one that was sent."""
        numbers = NUMBERS[self._codec]
        picture, base = read_numbers(self._payload, numbers(self._payload))
        new_picture, new_base = read_numbers(payload, numbers(payload))
        self._picture_shift = (picture + 1 - new_picture) & 0x7FFF
        self._base_shift = (base + 1 - new_base) & 0xFF
        self._frame_shift = (frame_number(self._descriptor) + 1 - frame_number(descriptor)) & 0xFFFF
