"""What forwarding reads of a picture's payload: where a keyframe begins, and the numbers a switch must not make leap.

A receiver that is handed another picture in the same stream can show it from a keyframe on and from nowhere else.
VP8 and VP9 number their pictures beside RTP, and AV1 its frames in the dependency descriptor; a decoder takes a leap
of those for a loss, so they are shifted like the sequence numbers. Pure.

Source: RFC 7741 §4.2, §4.3 (VP8), RFC 9628 §4.2 (VP9), RFC 6184 §5.3, §5.7, §5.8 (H264), AV1 RTP payload 1.0 §4.4 and
its appendix A (dependency descriptor).
"""

from collections.abc import Callable

_H264_SINGLE = range(1, 24)
_H264_STAP_A = 24
_H264_FU_A = 28
_H264_KEYS = frozenset((5, 7))  # a slice of an IDR picture, a sequence parameter set
H264_UNITS_MAX = 32  # of one aggregate that are looked at

Numbers = tuple[int, int, int]
"""Where a picture's number is, how many bytes it has, and where the index of its base layer is; 0 for none."""


def _vp8_begins(payload: bytes) -> bool:
    # S is set and PID is 0: a frame's first partition begins here; its header's P bit is 0 in a keyframe
    if not payload or payload[0] & 0x1F & ~0x08 != 0x10:
        return False
    at = 1
    if payload[0] & 0x80:
        if len(payload) < 2:
            return False
        flags = payload[1]
        at = 2
        if flags & 0x80:
            at += 2 if len(payload) > 2 and payload[2] & 0x80 else 1
        at += (flags >> 6 & 1) + (1 if flags & 0x30 else 0)
    return len(payload) > at and not payload[at] & 0x01


def _vp9_begins(payload: bytes) -> bool:
    # no inter-picture prediction, and a frame begins; of spatial layers the lowest
    if not payload or payload[0] & 0x48 != 0x08:
        return False
    if not payload[0] & 0x20:
        return True
    at = 1 + _vp9_number_bytes(payload)
    return len(payload) > at and not payload[at] & 0x0E


def _h264_begins(payload: bytes) -> bool:
    if not payload:
        return False
    kind = payload[0] & 0x1F
    if kind == _H264_FU_A:
        return len(payload) > 1 and bool(payload[1] & 0x80) and payload[1] & 0x1F in _H264_KEYS
    if kind != _H264_STAP_A:
        return kind in _H264_SINGLE and kind in _H264_KEYS
    at = 1
    for _ in range(H264_UNITS_MAX):
        if at + 3 > len(payload):
            break
        if payload[at + 2] & 0x1F in _H264_KEYS:
            return True
        at += 2 + (payload[at] << 8 | payload[at + 1])
    return False


def _av1_begins(payload: bytes) -> bool:
    # N: the first packet of a coded video sequence; Z: it continues an element of the packet before
    return len(payload) > 1 and payload[0] & 0x88 == 0x08


BEGINS: dict[str, Callable[[bytes], bool]] = {
    "vp8": _vp8_begins,
    "vp9": _vp9_begins,
    "h264": _h264_begins,
    "av1": _av1_begins,
}
"""Whether a keyframe's first packet has this payload, by codec."""


def _vp8_numbers(payload: bytes) -> Numbers:
    if len(payload) < 3 or not payload[0] & 0x80:
        return 0, 0, 0
    flags, at, bytes_ = payload[1], 2, 0
    if flags & 0x80:
        bytes_ = 2 if payload[2] & 0x80 else 1
    base_at = at + bytes_ if flags & 0x40 else 0
    if len(payload) < max(at + bytes_, base_at + 1):
        return 0, 0, 0
    return at if bytes_ else 0, bytes_, base_at


def _vp9_numbers(payload: bytes) -> Numbers:
    if not payload:
        return 0, 0, 0
    bytes_ = _vp9_number_bytes(payload)
    layered = payload[0] & 0x30 == 0x20  # layer indices, and not the flexible mode
    base_at = 2 + bytes_ if layered else 0
    if len(payload) < max(1 + bytes_, base_at + 1):
        return 0, 0, 0
    return 1 if bytes_ else 0, bytes_, base_at


def _vp9_number_bytes(payload: bytes) -> int:
    if not payload[0] & 0x80 or len(payload) < 2:
        return 0
    return 2 if payload[1] & 0x80 else 1


def _no_numbers(payload: bytes) -> Numbers:  # a codec without numbers of its own
    return 0, 0, 0


NUMBERS: dict[str, Callable[[bytes], Numbers]] = {
    "vp8": _vp8_numbers,
    "vp9": _vp9_numbers,
    "h264": _no_numbers,
    "av1": _no_numbers,
    "opus": _no_numbers,
}
"""Where the numbers in a payload are, by codec."""


def read_numbers(payload: bytes, found: Numbers) -> tuple[int, int]:
    """Return the picture's number and its base layer's index; 0 for what is not there."""
    at, bytes_, base_at = found
    picture = 0
    if bytes_ == 1:
        picture = payload[at] & 0x7F
    elif bytes_ == 2:
        picture = (payload[at] & 0x7F) << 8 | payload[at + 1]
    return picture, payload[base_at] if base_at else 0


def shift_numbers(payload: bytes, found: Numbers, picture: int, base: int) -> bytes:
    """Return the payload with its numbers moved on by so much, each in the bits it has."""
    at, bytes_, base_at = found
    if not bytes_ and not base_at:
        return payload
    old_picture, old_base = read_numbers(payload, found)
    changed = bytearray(payload)
    if bytes_ == 1:
        changed[at] = (old_picture + picture) & 0x7F
    elif bytes_ == 2:
        number = (old_picture + picture) & 0x7FFF
        changed[at], changed[at + 1] = 0x80 | number >> 8, number & 0xFF
    if base_at:
        changed[base_at] = (old_base + base) & 0xFF
    return bytes(changed)


def frame_number(descriptor: bytes) -> int:
    """Return the frame's number in a dependency descriptor (its second and third byte)."""
    return int.from_bytes(descriptor[1:3])


def shift_frame(descriptor: bytes, by: int) -> bytes:
    """Return the descriptor with its frame's number moved on."""
    if len(descriptor) < 3:
        return descriptor
    return descriptor[:1] + ((frame_number(descriptor) + by) & 0xFFFF).to_bytes(2) + descriptor[3:]
