r"""What a record's file is, by its first bytes, and by nothing that its sender claims. Pure.

Source: ITU-T T.81 §B.2.1 (JPEG), PNG 3 §5.2, RFC 9649 §2.4 (WebP), RFC 8794 §11.2.1 (EBML, of WebM), RFC 3533 §6 (Ogg),
ISO 14496-12 §4.3 (MP4).
"""

from typing import Final

IMAGES: Final = "image/jpeg,image/png,image/webp"
SOUNDS: Final = "audio/webm,audio/ogg,audio/mp4,.m4a,.ogg,.opus,.webm"
_SPEECH_BYTES_S: Final = 4_000  # 32 kbit/s: what phones record speech at
_HEIF: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif"})


def media_type(head: bytes) -> str | None:
    r"""Return the media type of a file by its first bytes; None when it is none that a record takes.

    >>> media_type(b"\xff\xd8\xff\xe0"), media_type(b"OggS\0"), media_type(b"<html>")
    ('image/jpeg', 'audio/ogg', None)
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "audio/webm"
    if head.startswith(b"OggS"):
        return "audio/ogg"
    return "audio/mp4" if head[4:8] == b"ftyp" and head[8:12] not in _HEIF else None


def seconds_about(size_bytes: int, typed: str) -> float:
    """Return how long a voice note lasts: as its page measured it, else as long as speech of this size does.

    >>> seconds_about(40_000, ""), seconds_about(40_000, "7.5"), seconds_about(40_000, "nan")
    (10.0, 7.5, 10.0)
    """
    try:
        told = float(typed[:12])
    except ValueError:
        told = 0.0
    return told if 0 < told <= 600 else min(max(size_bytes / _SPEECH_BYTES_S, 0.1), 600.0)
