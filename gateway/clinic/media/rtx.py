"""A packet sent again in a stream of its own, and one that came so. Pure.

The stream has its own SSRC, payload type and sequence, and the first two bytes of its payload are the number the packet
had first. So the losses of the first sending can still be told, and nothing is said twice under one number.

Source: RFC 4588 §4.
"""

from gateway.clinic.media.headers import HEADER, HEADER_BYTES, MARKER, PADDED, element, payload_start


def unwrap(payload: bytes) -> tuple[int, bytes] | None:
    """Return the first sending's number and payload; None for padding, with which browsers try the way."""
    return (payload[0] << 8 | payload[1], payload[2:]) if len(payload) > 2 else None


class Rtx:
    """The stream in which packets of one picture go out again."""

    def __init__(self, *, ssrc: int, payload_type: int, sequence: int, abs_send_time_id: int) -> None:
        self.ssrc = ssrc
        self._payload_type = payload_type
        self._next = sequence
        self._abs_send_time_id = abs_send_time_id

    def wrap(self, packet: bytes, now_s: float) -> bytes:
        """Return one of our own packets as the next of this stream, stamped anew."""
        payload_at = payload_start(packet)
        first, second, _, timestamp, _ = HEADER.unpack_from(packet)
        head = bytearray(packet[:payload_at])
        HEADER.pack_into(
            head, 0, first & ~PADDED, second & MARKER | self._payload_type, self._next & 0xFFFF, timestamp, self.ssrc
        )
        self._next += 1
        at, length = element(packet, payload_at, self._abs_send_time_id)
        if length == 3 and at > HEADER_BYTES:
            head[at : at + 3] = (int(now_s * 262_144) & 0xFFFFFF).to_bytes(3)
        return b"".join((head, packet[2:4], packet[payload_at:]))
