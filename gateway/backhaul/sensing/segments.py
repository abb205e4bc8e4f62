"""What is read of a passing TCP segment: whose it is, and its timestamps; and which ones the kernel hands up. Pure.

Only the layout that practically all systems send is read: two NOPs and the timestamps option first (RFC 7323 Appendix
A), so the kernel's filter is a word's comparison. Whether a segment is looked at is decided by a timestamp's low bits:
the box's own timestamp in what goes out, its echo in what comes in. Thinning so keeps together what belongs together.

Source: RFC 9293 §3.1, RFC 791 §3.1, RFC 8200 §3; Linux Documentation/networking/filter.rst.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

SNAP_BYTES = 128  # headers of IPv4 with options, or IPv6, and of TCP as far as the timestamps
THIN_BITS_MAX = 10

_TIMESTAMPS_FIRST = 0x0101080A
_STAMPS = struct.Struct("!III")
_TCP = 6
_FRAGMENT_OFFSET = 0x1FFF
_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter
_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_OUTGOING = 4  # PACKET_OUTGOING of packet(7)
_LD, _LDH, _LDB, _LDX = 0x20, 0x28, 0x30, 0x01  # of an absolute place; _LDX of a constant
_LD_AT_X, _LDX_HEADER = 0x40, 0xB1  # at X + a constant; four times the low half of a byte
_AND, _IF_EQUAL, _IF_BITS, _RETURN = 0x54, 0x15, 0x45, 0x06


@dataclass(frozen=True, slots=True)
class Segment:
    """What one segment told; `flow` is the two ends, the box's side first, and never leaves this room."""

    at_s: float
    flow: bytes
    outgoing: bool
    stamp: int  # TSval: the sender's clock, in ticks of its own
    echoed: int  # TSecr: the other end's clock, as last heard

    @property
    def far_host(self) -> bytes:
        """The address of the far end: all its flows have one way."""
        half = (len(self.flow) - 4) // 2  # what follows are the ports
        return self.flow[half : 2 * half]


def parse(packet: bytes, *, outgoing: bool, at_s: float) -> Segment | None:
    """Return what a packet tells, from its IP header on; `None` where it is anything else."""
    if len(packet) < 20:
        return None
    version = packet[0] >> 4
    if version == 4:
        tcp = 4 * (packet[0] & 0xF)
        if tcp < 20 or packet[9] != _TCP or int.from_bytes(packet[6:8]) & _FRAGMENT_OFFSET:
            return None
        hosts = packet[12:20]
    elif version == 6 and packet[6] == _TCP:
        tcp, hosts = 40, packet[8:40]
    else:
        return None
    if len(packet) < tcp + 32 or packet[tcp + 12] >> 4 < 8:
        return None
    kind, stamp, echoed = _STAMPS.unpack_from(packet, tcp + 20)
    if kind != _TIMESTAMPS_FIRST:
        return None
    half = len(hosts) // 2
    ports = packet[tcp : tcp + 4]
    flow = hosts + ports if outgoing else hosts[half:] + hosts[:half] + ports[2:] + ports[:2]
    return Segment(at_s, flow, outgoing, stamp, echoed)


def kernel_filter(thin_bits: int) -> bytes:
    """Return the classic BPF program that passes such segments, one in 2^`thin_bits` of the timestamps.

    It runs on packets that begin with their IP header (a cooked packet socket), whatever the interface puts before.
    """
    keep = (1 << min(max(thin_bits, 0), THIN_BITS_MAX)) - 1
    return assembled(
        [
            ("", _LDB, 0, "", ""),
            ("", _AND, 0xF0, "", ""),
            ("", _IF_EQUAL, 0x40, "four", ""),
            ("", _IF_EQUAL, 0x60, "six", "drop"),
            ("four", _LDB, 9, "", ""),
            ("", _IF_EQUAL, _TCP, "", "drop"),
            ("", _LDH, 6, "", ""),
            ("", _IF_BITS, _FRAGMENT_OFFSET, "drop", ""),
            ("", _LDX_HEADER, 0, "", ""),
            ("", _LD_AT_X, 20, "", ""),
            ("", _IF_EQUAL, _TIMESTAMPS_FIRST, "which", "drop"),
            ("six", _LDB, 6, "", ""),
            ("", _IF_EQUAL, _TCP, "", "drop"),
            ("", _LDX, 40, "", ""),
            ("", _LD_AT_X, 20, "", ""),
            ("", _IF_EQUAL, _TIMESTAMPS_FIRST, "which", "drop"),
            ("which", _LDB, _PACKET_TYPE, "", ""),
            ("", _IF_EQUAL, _OUTGOING, "out", ""),
            ("", _LD_AT_X, 28, "", ""),  # the echo, in what comes in;
            ("", _IF_EQUAL, 0, "drop", ""),  # who greets has none, and would pass however much is thinned
            ("", _IF_BITS, keep, "drop", "pass"),
            ("out", _LD_AT_X, 24, "", ""),
            ("", _IF_BITS, keep, "drop", "pass"),
            ("pass", _RETURN, SNAP_BYTES, "", ""),
            ("drop", _RETURN, 0, "", ""),
        ]
    )


def assembled(program: Sequence[tuple[str, int, int, str, str]]) -> bytes:
    """Return instructions as the kernel takes them: label, code, constant, label if true, if not; "" is the next."""
    places = {label: place for place, (label, *_) in enumerate(program) if label}
    return b"".join(
        _INSTRUCTION.pack(
            code,
            places[yes] - place - 1 if yes else 0,
            places[no] - place - 1 if no else 0,
            constant,
        )
        for place, (_, code, constant, yes, no) in enumerate(program)
    )
