"""A photo's two thumbnails are one piece of bytes: two lengths, the small one, the large one; both WebP. Pure.

Source: RFC 9649 §2.4 (how a WebP file begins).
"""

import struct

SMALL_PX = 96
LARGE_PX = 320
PAIR_BYTES_MAX = 262_144  # noise at 320 px takes 60 KB

_LENGTHS = struct.Struct("!II")


def joined(small: bytes, large: bytes) -> bytes:
    """Return two thumbnails as one piece."""
    return _LENGTHS.pack(len(small), len(large)) + small + large


def parted(pair: bytes) -> tuple[bytes, bytes] | None:
    """Return the small and the large thumbnail; None where the bytes are no such pair."""
    if not _LENGTHS.size < len(pair) <= PAIR_BYTES_MAX:
        return None
    small_bytes, large_bytes = _LENGTHS.unpack_from(pair)
    if _LENGTHS.size + small_bytes + large_bytes != len(pair):
        return None
    small, large = pair[_LENGTHS.size : _LENGTHS.size + small_bytes], pair[_LENGTHS.size + small_bytes :]
    return (small, large) if _is_webp(small) and _is_webp(large) else None


def _is_webp(content: bytes) -> bool:
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"
