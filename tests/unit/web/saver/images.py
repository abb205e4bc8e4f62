"""Pictures that are made for a test."""

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms


def photo(size: tuple[int, int] = (1_200, 800)) -> Image.Image:
    """Noise over a slope: as many colours as a photograph."""
    noise = [Image.effect_noise(size, 40).resize(size) for _ in range(3)]
    return Image.blend(Image.merge("RGB", noise), Image.linear_gradient("L").resize(size).convert("RGB"), 0.5)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def linear_srgb() -> bytes:
    """A profile that calls itself sRGB, and whose tone curve is a straight line."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = data.find(b"para")
    while at >= 0:
        data[at + 8 : at + 10] = struct.pack("!H", 0)  # ICC.1:2022 §10.18: the curve Y = X^g
        data[at + 12 : at + 16] = struct.pack("!i", 1 << 16)
        at = data.find(b"para", at + 1)
    return bytes(data)


def sideways(kind: str, image: Image.Image) -> bytes:
    """A picture whose EXIF says that its right side is up."""
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind != "PNG, too late":
        return saved(image, kind, exif=exif)
    plain = saved(image, "PNG")
    return plain[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + plain[-12:]


TURNED_BY_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


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
