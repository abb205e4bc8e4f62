"""What forwarding reads of an RTP packet's header: where its payload is, and the elements of its extension. Pure.

Everything is ints and offsets: a call is some hundred packets a second a stream, and an object a packet would cost more
than the packet.

Source: RFC 3550 §5.1 (header, padding), RFC 8285 §4.2 (one-byte elements), §4.3 (two-byte elements).
"""

import struct

HEADER_BYTES = 12
HEADER = struct.Struct("!BBHLL")  # version and flags, marker and payload type, sequence, timestamp, SSRC
ONE_BYTE = 0xBEDE  # §4.2
TWO_BYTE = 0x1000  # §4.3: the last four bits are the application's
PADDED = 0x20
EXTENDED = 0x10
MARKER = 0x80


def payload_start(packet: bytes) -> int:
    """Return where the payload begins; 0 when the bytes are no RTP packet."""
    if len(packet) < HEADER_BYTES:
        return 0
    first = packet[0]
    if first >> 6 != 2:
        return 0
    at = HEADER_BYTES + 4 * (first & 0x0F)
    if first & EXTENDED:
        if len(packet) < at + 4:
            return 0
        at += 4 + 4 * (packet[at + 2] << 8 | packet[at + 3])
    return at if at <= len(packet) else 0


def payload_of(packet: bytes, payload_at: int) -> bytes | None:
    """Return the payload without its padding; None when the padding is longer than the payload."""
    if not packet[0] & PADDED:
        return packet[payload_at:]
    end = len(packet) - packet[-1]
    return packet[payload_at:end] if packet[-1] and end >= payload_at else None


def element(packet: bytes, payload_at: int, wanted: int) -> tuple[int, int]:
    """Return where the extension's element with this id begins, and its length; (0, 0) where there is none."""
    if not wanted or not packet[0] & EXTENDED:
        return 0, 0
    at = HEADER_BYTES + 4 * (packet[0] & 0x0F)
    profile = packet[at] << 8 | packet[at + 1]
    at += 4
    if profile == ONE_BYTE:
        return _one_byte_element(packet, at, payload_at, wanted)
    return _two_byte_element(packet, at, payload_at, wanted) if profile & 0xFFF0 == TWO_BYTE else (0, 0)


def extension(elements: list[tuple[int, bytes]]) -> bytes:
    """Return an extension block with these elements, in the one-byte form where it holds them all."""
    short = all(1 <= number <= 14 and 1 <= len(value) <= 16 for number, value in elements)
    body = b"".join(
        (bytes((number << 4 | len(value) - 1,)) if short else bytes((number, len(value)))) + value
        for number, value in elements
    )
    words = (len(body) + 3) // 4
    return struct.pack("!HH", ONE_BYTE if short else TWO_BYTE, words) + body.ljust(4 * words, b"\0")


def distance(extended: int, sequence: int) -> int:
    """How far `sequence` (16 bits) is ahead of an extended number; negative when it is behind (RFC 3550 A.1).

    >>> distance(65_535, 0), distance(65_536, 65_535)
    (1, -1)
    """
    return ((sequence - extended + 0x8000) & 0xFFFF) - 0x8000


def _one_byte_element(packet: bytes, at: int, end: int, wanted: int) -> tuple[int, int]:
    while at < end:
        first = packet[at]
        if not first:  # padding
            at += 1
            continue
        number, length = first >> 4, (first & 0x0F) + 1
        if number == 15:  # §4.2: nothing after it counts
            break
        if number == wanted:
            return (at + 1, length) if at + 1 + length <= end else (0, 0)
        at += 1 + length
    return 0, 0


def _two_byte_element(packet: bytes, at: int, end: int, wanted: int) -> tuple[int, int]:
    while at < end:
        number = packet[at]
        if not number:  # padding
            at += 1
            continue
        if at + 2 > end:
            break
        length = packet[at + 1]
        if number == wanted:
            return (at + 2, length) if at + 2 + length <= end else (0, 0)
        at += 2 + length
    return 0, 0
