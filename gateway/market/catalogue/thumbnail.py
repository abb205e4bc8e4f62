"""A photo becomes two small pictures in a process of its own: bytes on its input, bytes on its output, and it ends.

What it decodes is hostile by assumption: the process was started anew, holds none of the box's sockets and keys, and
the kernel ends it when it takes more memory or time or writes more than it may. Three decoders of the library are
reached, and no picture is decoded that is too large by its header. Nothing but pixels is kept: where a photo was taken
is nobody's business.
"""

import io
import os
import resource
import sys
import warnings

from PIL import Image, ImageOps

from gateway.market.catalogue.pair import LARGE_PX, PAIR_BYTES_MAX, SMALL_PX, joined

SOURCES = ("JPEG", "PNG", "WEBP")
PIXELS_MAX = 16_000_000  # of a WebP, the thirstiest, they take 350 MB of address space (2026-11)
QUALITY = 60  # of WebP

MEMORY_BYTES_MAX = 402_653_184  # address space
CPU_S = 8
NICE = 10  # after everything else that the box does

_TRANSPARENT = frozenset({"LA", "PA", "RGBA", "RGBa", "La"})


def thumbnails(photo: bytes) -> bytes:
    """Return a photo's pair of thumbnails, upright.

    Raises: ValueError when it is too large by its header; whatever else the library raises when it is no picture.
    """
    Image.MAX_IMAGE_PIXELS = PIXELS_MAX
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with Image.open(io.BytesIO(photo), formats=SOURCES) as source:
        if source.width * source.height > PIXELS_MAX:
            raise ValueError("too many pixels")
        source.draft(None, (LARGE_PX * 2, LARGE_PX * 2))  # a JPEG is decoded at a half, a quarter or an eighth
        source.load()
        has_alpha = source.mode in _TRANSPARENT or "transparency" in source.info
        plain = ImageOps.exif_transpose(source).convert("RGBA" if has_alpha else "RGB")
    plain.thumbnail((LARGE_PX, LARGE_PX), Image.Resampling.LANCZOS)
    large = _written(plain)
    plain.thumbnail((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS)
    return joined(_written(plain), large)


def _written(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=4, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()


def _confine() -> None:
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, PAIR_BYTES_MAX),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    os.nice(NICE)


def main() -> None:
    """Make thumbnails of the photo on the standard input; without any, exit with 1."""
    _confine()
    try:
        pair = thumbnails(sys.stdin.buffer.read())
    except Exception:  # noqa: BLE001 - decoders of hostile bytes raise whatever they like
        sys.exit(1)
    sys.stdout.buffer.write(pair)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
