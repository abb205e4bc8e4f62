"""Netlink messages of the tree, byte by byte: what is sent when a rate moves, and what is read of its counters. Pure.

A rate moves twenty times a second, so these few messages are packed here; everything rarer goes through pyroute2.

Sources: Linux include/uapi/linux/{netlink,rtnetlink,pkt_sched,gen_stats}.h.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.backhaul.shaping.kernel.plan import BELOW, HANDLE, HtbClass

NEW_QDISC, NEW_CLASS, GET_CLASS = 36, 40, 42
ERROR, DONE = 2, 3
REQUEST, ACK, DUMP, EXCLUSIVE, CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
ROOT = 0xFFFFFFFF
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_HTB_PARMS, _HTB_INIT = 1, 2
_TBF_PARMS, _TBF_BURST = 1, 6
_FQ_CODEL_TARGET, _FQ_CODEL_INTERVAL, _FQ_CODEL_QUANTUM = 1, 3, 6
_BASIC, _QUEUE = 1, 3
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: lengths as they are
_TICK_NS = 64  # PSCHED_TICKS2NS
_NO_WAIT_BPS = 10_000_000_000  # of a queue that only holds
_HEADER = struct.Struct("=IHHII")
_TC = struct.Struct("=BxxxiIII")
_RATE = struct.Struct("=BBHhHI")
_ATTRIBUTE = struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class ClassCounters:
    """What one class has done since it was made."""

    number: int
    sent_bytes: int
    drops: int
    backlog_bytes: int


def htb_root(index: int, default: int) -> bytes:
    """Make the root queue; unknown packets go to the class `default`."""
    init = struct.pack("=IIIII", 3, 10, default, 0, 0)  # version, rate to quantum (unused), default, debug, counter
    return _message(NEW_QDISC, CREATE | EXCLUSIVE, index, HANDLE << 16, ROOT, "htb", attribute(_HTB_INIT, init))


def htb_class(index: int, wanted: HtbClass, *, new: bool) -> bytes:
    """Make a class, or give one that stands other rates; what waits in it stays there."""
    parms = (
        _rate(wanted.rate_bps)
        + _rate(wanted.ceil_bps)
        + struct.pack(
            "=IIIII",
            _ticks(wanted.burst_bytes, wanted.rate_bps),
            _ticks(wanted.burst_bytes, wanted.ceil_bps),
            wanted.quantum_bytes,
            0,
            wanted.priority,
        )
    )
    return _message(
        NEW_CLASS,
        CREATE | EXCLUSIVE if new else 0,
        index,
        HANDLE << 16 | wanted.number,
        HANDLE << 16 | wanted.parent,
        "htb",
        attribute(_HTB_PARMS, parms),
    )


def queue(index: int, leaf: int, limit_bytes: int, packet_bytes: int, *, new: bool) -> bytes:
    """Make a leaf's queue or give it another limit: TBF, because it alone cuts joined packets into single ones."""
    parms = _rate(_NO_WAIT_BPS) + bytes(_RATE.size) + struct.pack("=III", limit_bytes, 0, 0)
    options = attribute(_TBF_PARMS, parms) + attribute(_TBF_BURST, struct.pack("=I", packet_bytes))
    flags = CREATE | EXCLUSIVE if new else 0
    return _message(NEW_QDISC, flags, index, (BELOW + leaf) << 16, HANDLE << 16 | leaf, "tbf", options)


def flows(index: int, leaf: int, target_us: int) -> bytes:
    """Part a leaf's queue by flows, where the kernel has fq_codel (RFC 8290)."""
    options = b"".join(
        attribute(kind, struct.pack("=I", value))
        for kind, value in ((_FQ_CODEL_TARGET, target_us), (_FQ_CODEL_INTERVAL, 100_000), (_FQ_CODEL_QUANTUM, 300))
    )
    return _message(NEW_QDISC, CREATE | EXCLUSIVE, index, 0, (BELOW + leaf) << 16 | 1, "fq_codel", options)


def classes_of(index: int) -> bytes:
    """Ask for every class of an interface and its counters."""
    return packed(GET_CLASS, REQUEST | DUMP, _TC.pack(0, index, 0, 0, 0))


def acknowledged(messages: list[bytes], number: int) -> bytes:
    """Return the messages as one, of which the last carries a number and is answered when all are done."""
    *others, last = messages
    return b"".join([*others, numbered(last, number, ACK)])


def numbered(message: bytes, number: int, more_flags: int = 0) -> bytes:
    """Return a message with a number, by which its answer is known."""
    length, kind, flags, _, port = _HEADER.unpack_from(message)
    return _HEADER.pack(length, kind, flags | more_flags, number, port) + message[_HEADER.size :]


def answers(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the kind, number and content of each message in what the kernel sent."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            return
        yield kind, number, data[at + _HEADER.size : at + length]
        at += _aligned(length)


def error_of(content: bytes) -> tuple[int, int]:
    """Return an answer's error number, where 0 is an acknowledgement, and the number of the message it is about."""
    error, _, _, _, number, _ = struct.unpack_from("=iIHHII", content)
    return -error, number


def counters_of(content: bytes) -> ClassCounters:
    """Return the counters in what the kernel says of a class."""
    _, _, handle, _, _ = _TC.unpack_from(content)
    sent = drops = backlog = 0
    for kind, value in attributes(content[_TC.size :]):
        if kind == _STATS2:
            told = dict(attributes(value))
            (sent,) = struct.unpack_from("=Q", told.get(_BASIC, bytes(8)))
            _, backlog, drops = struct.unpack_from("=III", told.get(_QUEUE, bytes(12)))
    return ClassCounters(handle & 0xFFFF, sent, drops, backlog)


def _message(kind: int, flags: int, index: int, handle: int, parent: int, named: str, options: bytes) -> bytes:
    body = _TC.pack(0, index, handle, parent, 0) + attribute(_KIND, named.encode() + b"\0")
    return packed(kind, REQUEST | flags, body + attribute(_OPTIONS, options))


def packed(kind: int, flags: int, body: bytes) -> bytes:
    """Return a message."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute of a message, filled up to the next."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and value of each attribute, as far as they are whole."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            return
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)


def _aligned(length: int) -> int:
    return length + -length % 4


def _rate(rate_bps: int) -> bytes:
    return _RATE.pack(0, _ETHERNET, 0, 0, 0, rate_bps // 8)


def _ticks(size_bytes: int, rate_bps: int) -> int:
    """Return how long so many bytes take at a rate, in the unit of HTB's buckets."""
    return min(size_bytes * 8 * 1_000_000_000 // rate_bps // _TICK_NS, 0xFFFFFFFF)
