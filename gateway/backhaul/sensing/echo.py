"""The echo of the far end: one datagram there, one back, from which each direction's delay is told apart. Pure.

A request says when it left by the box's clock, its answer when it came by the far end's; neither clock knows the other,
so each direction has a zero of its own and only differences mean something. Both are 24 bytes, 52 with IPv4 and UDP:
the answer is never longer than the request, so the far end amplifies nothing. All numbers are big-endian:

    kind 8 | key 24 | sequence 32 | held 16 | stamp 48 | code 64

`stamp` is the clock of who sends the datagram, in µs (48 bits last nine years); `held` is how long the far end had the
request before it answered, in steps of 16 µs, 0 in a request. `code` is HMAC-SHA256 cut to 64 bits (RFC 2104 §5 would
have 128; nothing lasting is guarded, and a guess costs a datagram). An answer's code covers its request too, so an
answer of yesterday fits no request of today, and who has no key can neither ask nor answer.
"""

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.backhaul.sensing.samples import DelaySample, Sees

ECHO_BYTES = 24
KEY_BYTES_MIN = 16
KEY_ID_MAX = (1 << 24) - 1
HELD_STEP_US = 16

_HEAD = struct.Struct("!IIQ")
_CODE_BYTES = 8
_REQUEST, _ANSWER = 0x10, 0x11  # version 1
_STAMP_MASK = (1 << 48) - 1
_HELD_MAX = (1 << 16) - 1


@dataclass(frozen=True, slots=True)
class EchoKey:
    """What a box and the far end share; `id` says which box asks."""

    id: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the far end said of one request: when it came, by its own clock, and how long it lay there."""

    came_us: int
    held_us: int


def request(key: EchoKey, sequence: int, sent_us: int) -> bytes:
    """Return the request with this number (modulo 2³²), which leaves at `sent_us` of the box's clock."""
    head = _HEAD.pack(_REQUEST << 24 | key.id, sequence & 0xFFFFFFFF, sent_us & _STAMP_MASK)
    return head + _code(key, head)


def asking(datagram: bytes, keys: Mapping[int, EchoKey]) -> EchoKey | None:
    """Return the key of a true request; `None` for everything else."""
    if len(datagram) != ECHO_BYTES or datagram[0] != _REQUEST:
        return None
    key = keys.get(int.from_bytes(datagram[1:4]))
    if key is None or not hmac.compare_digest(_code(key, datagram[: _HEAD.size]), datagram[_HEAD.size :]):
        return None
    return key


def answer(key: EchoKey, asked: bytes, came_us: int, held_us: int) -> bytes:
    """Return the answer to a true request that came at `came_us` of the far end's clock."""
    held = min(max(held_us, 0) // HELD_STEP_US, _HELD_MAX)
    sequence = int.from_bytes(asked[4:8])
    head = _HEAD.pack(_ANSWER << 24 | key.id, sequence, held << 48 | came_us & _STAMP_MASK)
    return head + _code(key, head + asked[: _HEAD.size])


def sequence_of(datagram: bytes) -> int | None:
    """Return the number of the request that this would be the answer to; its code is not looked at."""
    return int.from_bytes(datagram[4:8]) if len(datagram) == ECHO_BYTES and datagram[0] == _ANSWER else None


def read_answer(key: EchoKey, asked: bytes, datagram: bytes) -> Answer | None:
    """Return what a true answer to this request says; `None` for everything else."""
    head = datagram[: _HEAD.size]
    if len(datagram) != ECHO_BYTES or head[:4] != bytes([_ANSWER]) + asked[1:4] or head[4:8] != asked[4:8]:
        return None
    if not hmac.compare_digest(_code(key, head + asked[: _HEAD.size]), datagram[_HEAD.size :]):
        return None
    word = int.from_bytes(head[8:16])
    return Answer(came_us=word & _STAMP_MASK, held_us=(word >> 48) * HELD_STEP_US)


def samples(said: Answer, *, sent_us: int, arrived_us: int, at_s: float, zero: int) -> tuple[DelaySample, ...]:
    """Return both directions' delays and the round trip; `zero` numbers the far clock's beginnings."""
    up_us = said.came_us - sent_us
    trip_us = arrived_us - sent_us - said.held_us
    return (
        DelaySample(at_s, up_us / 1e6, f"echo:up:{zero}", Sees.UP),
        DelaySample(at_s, (trip_us - up_us) / 1e6, f"echo:down:{zero}", Sees.DOWN),
        DelaySample(at_s, trip_us / 1e6, "echo", Sees.BOTH),
    )


def read_keys(text: str) -> dict[int, EchoKey]:
    """Return the keys in a key file: a line each with a number and at least 32 hexadecimal digits; `#` comments.

    Raises: ValueError.

    >>> read_keys("7 000102030405060708090a0b0c0d0e0f  # san-mateo")[7].id
    7
    """
    keys: dict[int, EchoKey] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        number, digits = words
        key = EchoKey(int(number), bytes.fromhex(digits))
        if not 0 <= key.id <= KEY_ID_MAX or len(key.secret) < KEY_BYTES_MIN or key.id in keys:
            raise ValueError("not a key")
        keys[key.id] = key
    if not keys:
        raise ValueError("no key")
    return keys


def _code(key: EchoKey, data: bytes) -> bytes:
    return hmac.digest(key.secret, data, "sha256")[:_CODE_BYTES]
