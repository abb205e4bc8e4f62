"""A segment is read as its header says, in both directions and versions of IP, and the kernel's filter agrees."""

import struct
from ipaddress import ip_address

import pytest

from gateway.backhaul.sensing.segments import kernel_filter, parse

OPTIONS = b"\x01\x01\x08\x0a" + struct.pack("!II", 1_234, 5_678)
NEAR, FAR = "10.0.0.7", "192.0.2.9"
NEAR6, FAR6 = "2001:db8::7", "2001:db8:9::9"


@pytest.mark.parametrize(("near", "far"), [(NEAR, FAR), (NEAR6, FAR6)])
def test_both_directions_of_a_flow_are_one_flow(near: str, far: str) -> None:
    out = parse(packet(near, 40_000, far, 443), outgoing=True, at_s=1.0)
    back = parse(packet(far, 443, near, 40_000), outgoing=False, at_s=2.0)
    assert out is not None
    assert back is not None
    assert out.flow == back.flow
    assert (out.stamp, out.echoed, out.outgoing) == (1_234, 5_678, True)
    other = parse(packet(far, 443, near, 40_001), outgoing=False, at_s=2.0)
    assert other is not None
    assert other.flow != back.flow


def test_options_of_ipv4_are_skipped() -> None:
    with_options = packet(NEAR, 1, FAR, 2, ip_options=b"\x94\x04\x00\x00")
    plain = packet(NEAR, 1, FAR, 2)
    assert parse(with_options, outgoing=True, at_s=0.0) == parse(plain, outgoing=True, at_s=0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        "no packet",
        "a fragment",
        "udp",
        "no timestamps",
        "cut",
        "version 5",
        "short header",
    ],
)
def test_what_is_no_such_segment_is_nothing(wrong: str) -> None:
    whole = bytearray(packet(NEAR, 1, FAR, 2))
    match wrong:
        case "no packet":
            whole = bytearray()
        case "a fragment":
            whole[7] = 1
        case "udp":
            whole[9] = 17
        case "no timestamps":
            whole = bytearray(packet(NEAR, 1, FAR, 2, options=b"\x02\x04\x05\xb4" + b"\x01" * 8))
        case "cut":
            del whole[51:]
        case "version 5":
            whole[0] = 0x55
        case _:
            whole[32] = 0x50  # says that it has no options
    assert parse(bytes(whole), outgoing=False, at_s=0.0) is None


@pytest.mark.parametrize("bits", range(12))
def test_the_filter_is_a_program_that_ends(bits: int) -> None:
    program = [struct.unpack_from("=HBBI", kernel_filter(bits), at) for at in range(0, len(kernel_filter(bits)), 8)]
    returns = [place for place, (code, *_) in enumerate(program) if code == 0x06]
    assert returns == [len(program) - 2, len(program) - 1]
    for place, (code, yes, no, _) in enumerate(program):
        if code in (0x15, 0x45):
            assert place + 1 + max(yes, no) < len(program)


def packet(
    source: str, source_port: int, to: str, to_port: int, *, options: bytes = OPTIONS, ip_options: bytes = b""
) -> bytes:
    tcp = struct.pack("!HHIIBBHHH", source_port, to_port, 1, 2, (20 + len(options)) * 4, 0x10, 500, 0, 0) + options
    ends = ip_address(source).packed + ip_address(to).packed
    if len(ends) == 8:
        length = 20 + len(ip_options)
        head = struct.pack("!BBHHHBBH", 0x40 | length // 4, 0, length + len(tcp), 0, 0, 64, 6, 0)
        return head + ends + ip_options + tcp
    return struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + ends + tcp
