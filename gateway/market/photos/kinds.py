"""What a photo is told by its first bytes, and by nothing that its sender claims. Pure.

Source: ITU-T T.81 §B.2.1 (JPEG: SOI, then a marker), PNG 3 §5.2, RFC 9649 §2.4 (WebP), ISO 23008-12 §10 (HEIF brands),
ISO 32000-2 §7.5.2 (PDF).
"""

from enum import StrEnum

HEAD_BYTES = 32  # of a photo that are enough to tell
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1"})


class Kind(StrEnum):
    """What is taken, by its media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    HEIC = "image/heic"  # as an iPhone makes it; kept as it is, since nothing here can read its pixels
    PDF = "application/pdf"


def kind_of(head: bytes) -> Kind | None:
    r"""Return what a file is by its first bytes; None when it is nothing that is taken.

    >>> kind_of(b"\xff\xd8\xff\xe0..."), kind_of(b"%PDF-1.7"), kind_of(b"<html>")
    (<Kind.JPEG: 'image/jpeg'>, <Kind.PDF: 'application/pdf'>, None)
    """
    if head.startswith(b"\xff\xd8\xff"):
        return Kind.JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Kind.PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind.WEBP
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return Kind.HEIC
    return Kind.PDF if head.startswith(b"%PDF-") else None
