"""Pictures that are made for a test."""

import io
import struct
import zlib
from typing import Any

from PIL import Image


def photo(size: tuple[int, int] = (1_200, 800)) -> Image.Image:
    """Noise over a slope: as many colours as a photograph."""
    noise = [Image.effect_noise(size, 40).resize(size) for _ in range(3)]
    return Image.blend(Image.merge("RGB", noise), Image.linear_gradient("L").resize(size).convert("RGB"), 0.5)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 2) -> bytes:
    head = struct.pack("!IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


BROKEN = {
    "truncated JPEG": saved(photo(), "JPEG")[:20_000],
    "truncated PNG": saved(photo(), "PNG")[:20_000],
    "only a head": saved(photo(), "JPEG")[:30],
    "nothing": b"",
    "text": b"<html>" * 1_000,
    "TIFF": saved(photo((300, 200)), "TIFF"),
    "BMP": saved(photo((300, 200)), "BMP"),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n",
    "PPM": saved(photo((300, 200)), "PPM"),
}
