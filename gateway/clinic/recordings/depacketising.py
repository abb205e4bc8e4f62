"""Packets of a recording become frames again: in order, with what was sent again in its place, none of them decoded.

A frame is the packets of one timestamp. One of which a packet is missing is left out, and the picture goes on at the
next keyframe, as it did for those who watched. Times are those of arrival: of each stream the packet that came soonest
says where its clock stands, so that voices and pictures of all people lie on one line. Pure.

Source: RFC 7741 §4.2 (VP8), RFC 9628 §4.2 (VP9), RFC 6184 §5.6 to §5.8 (H264), RFC 7587 §4.2 (Opus), RFC 4588 §4
(resent), RFC 2198 §3 (RED).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.clinic.media.headers import HEADER, MARKER, distance, payload_of, payload_start
from gateway.clinic.media.payloads import BEGINS
from gateway.clinic.media.red import primary_of
from gateway.clinic.media.rtp_dump import Described, Packet, Streams
from gateway.clinic.media.rtx import unwrap

CODECS = frozenset({"vp8", "vp9", "h264"})
CLOCK_HZ = {"opus": 48_000}
PICTURE_HZ = 90_000
PACKETS_MAX = 2_000_000  # of one stream: eight hours of a picture
_START = b"\0\0\0\1"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a track, at a place of the recording."""

    at_s: float
    content: bytes
    is_key: bool


@dataclass(frozen=True, slots=True)
class Track:
    """One stream of one connection."""

    who: str
    codec: str
    frames: Sequence[Frame]


@dataclass(slots=True)
class _Stream:
    """The packets of one SSRC, by their extended numbers; resent ones of another."""

    who: str
    codec: str
    packets: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    highest: int = -1
    ahead_s: float = float("inf")
    time: int = 0

    def take(self, sequence: int, timestamp: int, marker: int, payload: bytes, at_s: float | None) -> None:
        if self.highest < 0:
            self.highest, self.time = sequence + 65_536, timestamp + (1 << 32)
        number = self.highest + distance(self.highest, sequence)
        time = self.time + ((timestamp - self.time + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        if number > self.highest:
            self.highest, self.time = number, time
        if at_s is not None:
            self.ahead_s = min(self.ahead_s, at_s - time / self.clock_hz)
        if len(self.packets) < PACKETS_MAX:
            self.packets.setdefault(number, (time, marker, payload))

    @property
    def clock_hz(self) -> int:
        return CLOCK_HZ.get(self.codec, PICTURE_HZ)


def tracks(heard: Iterable[Described | Packet]) -> list[Track]:
    """Return the tracks of a recording, each voice and each picture; what is no media is left out."""
    known: dict[int, Streams] = {}
    found: dict[tuple[int, str, int], _Stream] = {}
    pictures: dict[int, _Stream] = {}
    for each in heard:
        if isinstance(each, Described):
            known[each.connection] = each.streams
        elif each.connection in known:
            _take(each, known[each.connection], found, pictures)
    made = [Track(each.who, each.codec, list(_frames(each))) for each in found.values()]
    return [each for each in made if each.frames]


def _take(
    packet: Packet, streams: Streams, found: dict[tuple[int, str, int], _Stream], pictures: dict[int, _Stream]
) -> None:
    at = payload_start(packet.content)
    payload = payload_of(packet.content, at) if at else None
    if not payload:
        return
    _, second, sequence, timestamp, ssrc = HEADER.unpack_from(packet.content)
    kind, at_s = second & 0x7F, packet.at_ms / 1_000
    if kind == streams.again and kind:
        resent = unwrap(payload)
        if resent is not None and (picture := pictures.get(packet.connection)):
            picture.take(resent[0], timestamp, second & MARKER, resent[1], None)
        return
    if kind not in {streams.voice, streams.picture, streams.red} or not kind:
        return
    codec = streams.codec if kind == streams.picture else "opus"
    if kind == streams.red:
        payload = primary_of(payload, streams.voice)
    if not payload or (codec != "opus" and codec not in CODECS):
        return
    stream = found.setdefault((packet.connection, codec, ssrc), _Stream(streams.who, codec))
    if kind == streams.picture:
        pictures[packet.connection] = stream
    stream.take(sequence, timestamp, second & MARKER, payload, at_s)


def _frames(stream: _Stream) -> Iterator[Frame]:
    if stream.codec == "opus":
        for time, _, payload in (stream.packets[number] for number in sorted(stream.packets)):
            yield Frame(_at_s(stream, time), payload, is_key=True)
        return
    goes_on = False
    before = -1
    for first, last, time in _stretches(stream):
        payloads = [stream.packets[number][2] for number in range(first, last + 1)]
        is_whole = bool(stream.packets[last][1])
        is_key = BEGINS[stream.codec](payloads[0])
        goes_on = is_whole and (is_key or (goes_on and first == before + 1))
        before = last
        content = _WHOLE[stream.codec](payloads) if goes_on else b""
        if content:
            yield Frame(_at_s(stream, time), content, is_key)


def _stretches(stream: _Stream) -> Iterator[tuple[int, int, int]]:
    """Yield the first and the last number of each run of packets with one timestamp, and that."""
    run: tuple[int, int, int] | None = None
    for number in sorted(stream.packets):
        time = stream.packets[number][0]
        if run is not None and run[2] == time and run[1] == number - 1:
            run = run[0], number, time
            continue
        if run is not None:
            yield run
        run = number, number, time
    if run is not None:
        yield run


def _at_s(stream: _Stream, time: int) -> float:
    return max(time / stream.clock_hz + stream.ahead_s, 0.0)


def _vp8(payloads: Sequence[bytes]) -> bytes:
    return b"".join(each[_vp8_descriptor(each) :] for each in payloads) if payloads[0][0] & 0x17 == 0x10 else b""


def _vp8_descriptor(payload: bytes) -> int:
    if not payload[0] & 0x80 or len(payload) < 2:
        return 1
    flags, at = payload[1], 2
    if flags & 0x80:
        at += 2 if len(payload) > 2 and payload[2] & 0x80 else 1
    return at + (flags >> 6 & 1) + (1 if flags & 0x30 else 0)


def _vp9(payloads: Sequence[bytes]) -> bytes:
    return b"".join(each[_vp9_descriptor(each) :] for each in payloads) if payloads[0][0] & 0x08 else b""


def _vp9_descriptor(payload: bytes) -> int:
    first, at = payload[0], 1
    if first & 0x80:  # I
        at += 2 if len(payload) > at and payload[at] & 0x80 else 1
    if first & 0x20:  # L, and the index of the base layer where the mode is not flexible
        at += 1 if first & 0x10 else 2
    if first & 0x50 == 0x50:  # F and P: up to three differences
        for _ in range(3):
            at += 1
            if at > len(payload) or not payload[at - 1] & 1:
                break
    if first & 0x02 and len(payload) > at:  # V
        at = _vp9_structure(payload, at)
    return at


def _vp9_structure(payload: bytes, at: int) -> int:
    flags = payload[at]
    at += 1 + (4 * ((flags >> 5) + 1) if flags & 0x10 else 0)
    if flags & 0x08 and at < len(payload):
        pictures, at = payload[at], at + 1
        for _ in range(pictures):
            at += 1 + (payload[at] >> 2 & 3 if at < len(payload) else 0)
    return at


def _h264(payloads: Sequence[bytes]) -> bytes:
    made = bytearray()
    for each in payloads:
        kind = each[0] & 0x1F
        if kind == 24:  # STAP-A
            at = 1
            while at + 2 < len(each):
                length = each[at] << 8 | each[at + 1]
                made += _START + each[at + 2 : at + 2 + length]
                at += 2 + length
        elif kind == 28 and len(each) > 2:  # FU-A
            if each[1] & 0x80:
                made += _START + bytes((each[0] & 0xE0 | each[1] & 0x1F,))
            made += each[2:]
        elif 1 <= kind <= 23:
            made += _START + each
    return bytes(made)


_WHOLE = {"vp8": _vp8, "vp9": _vp9, "h264": _h264}
