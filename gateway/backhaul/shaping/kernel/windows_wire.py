"""Netlink messages that move the windows of routed flows and count these flows, byte by byte. Pure.

Each scale of windows (RFC 7323) has a chain of its own; all are given new rules in one step, which the kernel takes
whole or not at all.

Sources: Linux include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h; RFC 9293 §3.1 (where the window stands).
"""

import struct
from collections.abc import Iterator

from gateway.backhaul.shaping.kernel import wire
from gateway.backhaul.shaping.kernel.rules import BUSY, TABLE, chain_of
from gateway.backhaul.shaping.kernel.windows import PARTS, SCALES, Window, field_of

_TABLES = 10 << 8  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEW_RULE, _DEL_RULE, NEW_ELEMENTS, _GET_ELEMENTS = _TABLES | 6, _TABLES | 8, _TABLES | 12, _TABLES | 13
_APPEND = 0x800
_INET, _UNSPECIFIED = 1, 0
_NESTED = 0x8000
_REGISTER = 1  # the first of 16 bytes
_LESS, _GREATER = 2, 4  # NFT_CMP_LT, NFT_CMP_GT
_TO_NETWORK = 1  # NFT_BYTEORDER_HTON
_TRANSPORT = 2  # NFT_PAYLOAD_TRANSPORT_HEADER
_RANDOM = 1  # NFT_NG_RANDOM
_INTERNET_SUM = 1  # NFT_PAYLOAD_CSUM_INET
_WINDOW_AT, _WINDOW_BYTES, _SUM_AT = 14, 2, 16  # in the header of TCP
_FAMILY_BYTES = 4
_ELEMENTS, _ELEMENT = 3, 1


def begun() -> bytes:
    """Return what stands before changes that are made together."""
    return _subsystem(_BATCH_BEGIN)


def done() -> bytes:
    """Return what stands behind them."""
    return _subsystem(_BATCH_END)


def moves(window: Window | None) -> list[bytes]:
    """Return what gives every routed flow this window from its next packet on; None: none is touched."""
    messages = []
    for scale in SCALES:
        place = _text(1, TABLE) + _text(2, chain_of(scale))
        messages.append(_message(_DEL_RULE, 0, place))
        if window is not None:
            messages += [
                _message(_NEW_RULE, wire.CREATE | _APPEND, place + _nest(4, *rule)) for rule in _rules(window, scale)
            ]
    return messages


def busy() -> bytes:
    """Ask for the flows that were sent something of late."""
    return _message(_GET_ELEMENTS, wire.DUMP, _text(1, TABLE) + _text(2, BUSY))


def elements_in(content: bytes) -> int:
    """Return how many elements one answer lists."""
    told = dict(wire.attributes(content[_FAMILY_BYTES:]))
    return sum(1 for kind, _ in wire.attributes(told.get(_ELEMENTS, b"")) if kind == _ELEMENT)


def _rules(window: Window, scale: int) -> Iterator[list[bytes]]:
    most = field_of(window.segments + (window.more > 0), scale)
    yield _at_most(most)
    if window.more:
        least = field_of(window.segments, scale)
        if least < most:
            yield [*_in_some(PARTS - window.more), *_at_most(least)]


def _at_most(field: int) -> list[bytes]:
    value = struct.pack(">H", field)
    window = _number(3, _WINDOW_AT) + _number(4, _WINDOW_BYTES)
    return [
        _expression("payload", _number(1, _REGISTER) + _number(2, _TRANSPORT) + window),
        _expression("cmp", _number(1, _REGISTER) + _number(2, _GREATER) + _nest(3, wire.attribute(1, value))),
        _expression("immediate", _number(1, _REGISTER) + _nest(2, wire.attribute(1, value))),
        _expression(
            "payload",
            _number(2, _TRANSPORT) + window + _number(5, _REGISTER) + _number(6, _INTERNET_SUM) + _number(7, _SUM_AT),
        ),
    ]


def _in_some(parts: int) -> list[bytes]:
    """Go on in so many of `PARTS` packets."""
    return [
        _expression("numgen", _number(1, _REGISTER) + _number(2, PARTS) + _number(3, _RANDOM)),
        _expression(
            "byteorder",
            _number(1, _REGISTER) + _number(2, _REGISTER) + _number(3, _TO_NETWORK) + _number(4, 4) + _number(5, 4),
        ),
        _expression(
            "cmp", _number(1, _REGISTER) + _number(2, _LESS) + _nest(3, wire.attribute(1, struct.pack(">I", parts)))
        ),
    ]


def _expression(name: str, data: bytes) -> bytes:
    return _nest(1, _text(1, name), _nest(2, data))


def _message(kind: int, flags: int, attributes: bytes) -> bytes:
    return wire.packed(kind, wire.REQUEST | flags, struct.pack(">BBH", _INET, 0, 0) + attributes)


def _subsystem(kind: int) -> bytes:
    return wire.packed(kind, wire.REQUEST, struct.pack(">BBH", _UNSPECIFIED, 0, _TABLES >> 8))


def _number(kind: int, value: int) -> bytes:
    return wire.attribute(kind, struct.pack(">I", value))


def _text(kind: int, text: str) -> bytes:
    return wire.attribute(kind, text.encode() + b"\0")


def _nest(kind: int, *parts: bytes) -> bytes:
    return wire.attribute(_NESTED | kind, b"".join(parts))
