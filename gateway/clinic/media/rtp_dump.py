"""A recording's content: what came from each connection, packet by packet, with when it came and what it is. Pure.

    length of the body, 2 bytes | kind, 1 byte | connection, 1 byte | milliseconds since the beginning, 4 bytes | body

Of kind 0 the body is an RTP packet as it came, after SRTP; of kind 1 it says in JSON whose connection this is, and
which payload types stand for what. It is the idea of rtpdump (rtptools), with more than one source.

Source: RFC 3550 §5.1 (the packet).
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass

CONNECTIONS_MAX = 255  # of one recording: each that breaks off and comes back is another
MEDIA_TYPE = "application/x-tambo-recording"
_HEAD = struct.Struct(">HBBI")
_PACKET, _DESCRIPTION = 0, 1
_MS_MAX = 0xFFFF_FFFF  # 49 days


@dataclass(frozen=True, slots=True)
class Streams:
    """Whose connection it is and what its payload types are; 0 for one that is not in use."""

    who: str
    codec: str
    voice: int
    red: int
    picture: int
    again: int


@dataclass(frozen=True, slots=True)
class Described:
    """From now on packets of this connection are these streams'."""

    connection: int
    streams: Streams


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it came."""

    connection: int
    at_ms: int
    content: bytes


def packet(connection: int, at_s: float, content: bytes) -> bytes:
    """Return a packet as it stands in a recording.

    >>> next(read(packet(2, 1.5, b"rtp")))
    Packet(connection=2, at_ms=1500, content=b'rtp')
    """
    return _HEAD.pack(len(content), _PACKET, connection, _ms(at_s)) + content


def description(connection: int, at_s: float, streams: Streams) -> bytes:
    """Return what a connection is, as it stands in a recording."""
    body = json.dumps(asdict(streams)).encode()
    return _HEAD.pack(len(body), _DESCRIPTION, connection, _ms(at_s)) + body


def read(content: bytes) -> Iterator[Described | Packet]:
    """Yield what a stretch of a recording holds; one is never split between two stretches.

    Raises: ValueError.
    """
    at = 0
    while at < len(content):
        if at + _HEAD.size > len(content):
            raise ValueError
        length, kind, connection, at_ms = _HEAD.unpack_from(content, at)
        body = content[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) != length:
            raise ValueError
        at += _HEAD.size + length
        if kind == _PACKET:
            yield Packet(connection, at_ms, body)
        elif kind == _DESCRIPTION:
            yield Described(connection, _streams(body))


def _streams(body: bytes) -> Streams:
    try:
        said = Streams(**json.loads(body))
    except (TypeError, RecursionError) as exc:
        raise ValueError from exc
    texts, numbers = (said.who, said.codec), (said.voice, said.red, said.picture, said.again)
    if not all(isinstance(each, str) for each in texts) or not all(type(each) is int for each in numbers):
        raise ValueError
    return said


def _ms(at_s: float) -> int:
    return min(max(int(at_s * 1_000), 0), _MS_MAX)
