"""The probe that needs nobody's help: an ICMP echo, which tells the round trip and nothing of each direction. Pure.

The kernel's ping socket sets identifier and checksum, and hands back answers to it alone. Eight bytes that nobody off
the path can guess go with each, so that an answer made up elsewhere is known. Source: RFC 792, RFC 4443 §4, icmp(7).
"""

import hmac
import struct

from gateway.backhaul.sensing.samples import DelaySample, Sees

COOKIE_BYTES = 8
PING_BYTES = 8 + COOKIE_BYTES

_HEAD = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_REQUESTS = {4: 8, 6: 128}
_ANSWERS = frozenset((0, 129))


def request(version: int, sequence: int, cookie: bytes) -> bytes:
    """Return an echo request of ICMP for this version of IP."""
    return _HEAD.pack(_REQUESTS[version], 0, 0, 0, sequence & 0xFFFF) + cookie


def answered(datagram: bytes, cookie: bytes) -> int | None:
    """Return the number (modulo 2¹⁶) of the request that this answers; `None` for everything else."""
    if len(datagram) != PING_BYTES or datagram[0] not in _ANSWERS or datagram[1] != 0:
        return None
    return int.from_bytes(datagram[6:8]) if hmac.compare_digest(datagram[8:], cookie) else None


def samples(sent_us: int, arrived_us: int, at_s: float) -> tuple[DelaySample, ...]:
    """Return the round trip."""
    return (DelaySample(at_s, (arrived_us - sent_us) / 1e6, "ping", Sees.BOTH),)
