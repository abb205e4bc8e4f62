"""A photo in fewer bytes and with nothing in it but what can be seen. Runs as a process of its own, for one photo.

Upright, in sRGB, at most 1,280 pixels on its longer side, as WebP: some 100 KB, enough to read a label or a receipt.
Whatever else the file held is gone: EXIF with the place where it was taken, XMP, thumbnails, comments.

`python -m gateway.market.photos.smaller` reads the photo from its input and writes the smaller one; nothing, if it
cannot be made. What it decodes is hostile by assumption: the kernel bounds its memory and its time, and it writes no
files.
"""

import io
import os
import resource
import sys
from typing import cast

from PIL import Image, ImageCms, ImageOps

SIDE_PX = 1_280
QUALITY = 60
METHOD = 4
PIXELS_MAX = 60_000_000  # a phone's largest usual photo has 50 million
MEMORY_BYTES_MAX = 1_000_000_000  # of addresses; a PNG of so many pixels is 240 MB while it is decoded
CPU_S = 30  # a photo of 12 million pixels takes 1 s on a small ARM board
NICE = 5
SOURCES = ("JPEG", "PNG", "WEBP")  # no other decoder of the library is reached
_TELLING = frozenset({"exif", "xmp", "comment", "photoshop"})  # what a photo must not carry further


def smaller(content: bytes) -> bytes | None:
    """Return a photo made smaller; None where that cannot be done, or makes nothing better."""
    try:
        with Image.open(io.BytesIO(content), formats=SOURCES) as source:
            if source.width * source.height > PIXELS_MAX or (source.format != "MPO" and _moves(source)):
                return None
            tells = bool(_TELLING & source.info.keys())
            made = _made(source)
    except Exception:  # noqa: BLE001 - decoders of hostile bytes raise whatever they like; the original is there
        return None
    return made if tells or len(made) < len(content) else None


def _made(source: Image.Image) -> bytes:
    profile = source.info.get("icc_profile")
    if source.format in {"JPEG", "MPO"}:
        source.draft(None, (SIDE_PX * 2, SIDE_PX * 2))  # decoded at a half, a quarter or an eighth of the size
    source.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    image = ImageOps.exif_transpose(source)
    plain = _srgb(image, profile) if profile and image.mode in {"RGB", "CMYK", "L"} else image
    has_alpha = plain.mode in {"LA", "PA", "RGBA"} or "transparency" in plain.info
    out = io.BytesIO()
    plain.convert("RGBA" if has_alpha else "RGB").save(
        out, "WEBP", quality=QUALITY, method=METHOD, exif=b"", icc_profile=b"", xmp=b""
    )
    return out.getvalue()


def _srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return an image in the colours that one without a profile is taken for; as it is, where its profile is broken."""
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        made = ImageCms.profileToProfile(image, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return cast("Image.Image", made)


def _moves(source: Image.Image) -> bool:
    return bool(getattr(source, "is_animated", False))


def main() -> None:
    """Make one photo smaller."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    made = smaller(sys.stdin.buffer.read())
    if made is not None:
        sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()
