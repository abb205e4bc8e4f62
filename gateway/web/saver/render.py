"""A picture in fewer bytes, looking the same on a phone; whatever is unsure stays as it is. Runs in a worker.

Photographs become lossy WebP or AVIF, fitted to a width. Charts, screenshots and logos stay lossless at their own size,
since blurred letters save nothing; who saves data gets them in 256 colours. As upright as browsers show it, in sRGB,
and without any other metadata: a photograph's GPS position is nobody's business.

Left alone: what moves, more than eight bits a channel (that is measured, not looked at), what has a gain map for bright
screens, and what is too large, by its header, before a pixel is decoded. Figures: 99 JPEG and 94 PNG, 2026-11.
"""

import io
import re
import time
from typing import cast

from PIL import Image, ImageChops, ImageCms, ImageFile

from gateway.web.saver.jobs import Done, PictureJob

SOURCES = ("JPEG", "PNG", "WEBP", "AVIF", "GIF")  # no other decoder of the library is reached
PHOTO_QUALITY = 50  # of WebP and of AVIF: SSIM .960 and .960; WebP at 30 is visibly worse
WEBP_METHOD = 4
AVIF_SPEED = 8  # 3 times a WebP's time for 18 % fewer bytes; 6 takes 9 times
AVIF_WORTH_BYTES = 6_144  # of a WebP; of a smaller one it would take off less than a kilobyte
AVIF_TIMES = 8  # what AVIF may take, in times of what was spent so far; more than is left: it is not tried
COLOURS = 256  # 68 % saved at SSIM .996
DRAWN_BITS_PER_PIXEL_MAX = 1.0  # in 256 colours, screenshots of our corpus take 0.1 to 0.5, a photograph 3 and more
SAMPLE_PX = 192  # a picture is judged by so many rows and columns
PHOTO_COLOURS_RATIO = 0.25  # of a sample's pixels that differ from all others
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ACROSS = frozenset({5, 6, 7, 8})  # orientations that swap width and height
# Whose EXIF browsers turn a picture by (an AVIF's `irot` and `imir` come as its EXIF): not a WebP's, and never by XMP
_TURNED = frozenset({"JPEG", "MPO", "PNG", "AVIF"})
# For the colours of a profile, the mode they are read in and the modes that can be brought to it
_COLOURS = {
    "GRAY": ("L", frozenset({"1", "L", "LA"})),
    "RGB": ("RGB", frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})),
    "CMYK": ("CMYK", frozenset({"CMYK"})),
}
_SRGB_STEPS_MAX = 2  # of 255 that a colour may move by in a profile that is as good as sRGB
_HEAD_BYTES = 65_536  # of an AVIF or PNG: where it says how its pixels are meant
_AVIF_DEEP = re.compile(rb"av1C..[\x40-\x7f\xc0-\xff]|tmap", re.DOTALL)  # AV1-ISOBMFF §2.3.3, high_bitdepth; a gain map
_GAIN_MAPS = (b"hdrgm:", b"urn:iso:std:iso:ts:21496", b"hdrgainmap")  # Ultra HDR 1.0 and 1.1, Apple's
_FIRST_CHUNKS_BYTES = 64  # of a WebP without a profile: where its pixels' chunk is named
_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


class _LeaveIt(Exception):
    """This picture stays as it is."""


def rendered(data: bytes, job: PictureJob) -> Done:
    """Return a picture as the job wants it, or why not."""
    began_s = time.monotonic()
    try:
        with Image.open(io.BytesIO(data), formats=SOURCES) as source:
            if source.width * source.height > job.pixels_max:
                return Done("too-large")
            made = _smallest(source, data, job, began_s)
    except Image.DecompressionBombError:  # the library's own limit comes first for the largest
        return Done("too-large")
    except _LeaveIt:
        return Done("not-for-us")
    except Exception:  # noqa: BLE001 - decoders of hostile bytes raise whatever they like; the original is there
        return Done("broken")
    if made is None or len(made.data) >= len(data):
        return Done("not-smaller")
    return made


def _smallest(source: Image.Image, data: bytes, job: PictureJob, began_s: float) -> Done | None:
    if _moves(source) or source.mode not in _PLAIN_MODES or _deep(source, data):
        raise _LeaveIt
    compact = source.format == "AVIF" or (source.format == "WEBP" and b"VP8 " in data[:_FIRST_CHUNKS_BYTES])
    photo = source.format in {"JPEG", "MPO"} or compact
    orientation = _orientation(source)
    size = _fitted(source, job.width_px, across=orientation in _ACROSS)
    if compact and size == source.size:
        raise _LeaveIt  # once more would cost sharpness and save little
    if source.format in {"JPEG", "MPO"}:
        source.draft(None, (size[0] * 2, size[1] * 2))  # decode at a half, a quarter or an eighth of the size
    image = _upright_srgb(source, orientation)
    drawn = None if photo or _photographic(image) else _as_drawing(image, job)
    return drawn or _as_photo(_resized(image, job.width_px), job, began_s)


def _as_photo(image: Image.Image, job: PictureJob, began_s: float) -> Done | None:
    made = _saved(image, "webp", quality=PHOTO_QUALITY, method=WEBP_METHOD) if "webp" in job.formats else None
    spent_s = time.monotonic() - began_s
    worth = made is None or len(made.data) > AVIF_WORTH_BYTES
    if "avif" in job.formats and worth and spent_s * (1 + AVIF_TIMES) < job.time_s:
        avif = _saved(image, "avif", quality=PHOTO_QUALITY, speed=AVIF_SPEED, max_threads=1)
        return avif if made is None or len(avif.data) < len(made.data) else made
    return made


def _as_drawing(image: Image.Image, job: PictureJob) -> Done | None:
    """Return a lossless picture, or None for one that may lose something and is none that was drawn after all."""
    if "webp" not in job.formats:
        raise _LeaveIt  # AVIF has no lossless form worth its time
    many = job.saving and image.getcolors(COLOURS) is None
    made = _saved(_in_few_colours(image) if many else image, "webp", lossless=True, method=WEBP_METHOD)
    if job.saving and len(made.data) * 8 > DRAWN_BITS_PER_PIXEL_MAX * image.width * image.height:
        return None
    return made


def _in_few_colours(image: Image.Image) -> Image.Image:
    method = Image.Quantize.FASTOCTREE if image.mode == "RGBA" else Image.Quantize.MEDIANCUT
    return image.quantize(COLOURS, method, dither=Image.Dither.NONE).convert(image.mode)


def _saved(image: Image.Image, kind: str, **options: object) -> Done:
    out = io.BytesIO()
    image.save(out, kind.upper(), exif=b"", icc_profile=b"", xmp=b"", **options)
    return Done("made", f"image/{kind}", out.getvalue())


def _moves(source: Image.Image) -> bool:
    return source.format != "MPO" and bool(getattr(source, "is_animated", False))


def _deep(source: Image.Image, data: bytes) -> bool:
    """Say whether a picture holds more than eight bits a channel show, which the library would quietly drop."""
    match source.format:
        case "PNG":  # 16 bits, or a `cICP` that says what its eight stand for (PNG 3 §11.3.2.6)
            tiles = source.tile if isinstance(source, ImageFile.ImageFile) else []
            return b"cICP" in data[:_HEAD_BYTES] or any("16" in str(tile.args) for tile in tiles)
        case "AVIF":
            return _AVIF_DEEP.search(data, 0, _HEAD_BYTES) is not None
        case "JPEG" | "MPO":
            return any(mark in data for mark in _GAIN_MAPS)
    return False


def _orientation(source: Image.Image) -> int:
    """Return how browsers turn a picture; what a PNG says after its pixels, before which this is asked, is too late."""
    exif = Image.Exif()
    if source.format in _TURNED and (raw := source.info.get("exif")):
        exif.load(raw)
    return int(exif.get(_ORIENTATION, 1))


def _fitted(source: Image.Image, width_px: int, *, across: bool) -> tuple[int, int]:
    """Return the size, as the picture lies in its file, that makes it so wide when it is upright."""
    scale = min(1.0, width_px / (source.height if across else source.width))
    return max(1, round(source.width * scale)), max(1, round(source.height * scale))


def _resized(image: Image.Image, width_px: int) -> Image.Image:
    if image.width <= width_px:
        return image
    height_px = max(1, round(image.height * width_px / image.width))
    return image.resize((width_px, height_px), Image.Resampling.LANCZOS)


def _upright_srgb(source: Image.Image, orientation: int) -> Image.Image:
    source.load()
    turn, profile = _TURNS.get(orientation), source.info.get("icc_profile")
    image = source if turn is None else source.transpose(turn)
    clear = image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info
    return _converted(image, profile, clear=clear) if profile else image.convert("RGBA" if clear else "RGB")


def _converted(image: Image.Image, profile: bytes, *, clear: bool) -> Image.Image:
    """Return an image in sRGB, which is what a picture without a profile is taken for."""
    found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode, modes = _COLOURS.get(found.profile.xcolor_space.strip(), ("", frozenset()))
    if image.mode not in modes:
        raise _LeaveIt
    alpha = image.convert("RGBA").getchannel("A") if clear else None
    flat = image.convert(mode)
    plain = flat if mode == "RGB" and _is_srgb(found) else _in_srgb(flat, found)
    if alpha is not None:
        plain.putalpha(alpha)
    return plain


def _in_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    return cast("Image.Image", ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB"))


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Say whether a profile leaves colours as they are, whatever it calls itself: 729 of them, and all greys."""
    levels = [*range(0, 256, 32), 255]
    colours = [(r, g, b) for r in levels for g in levels for b in levels] + [(v, v, v) for v in range(256)]
    image = Image.frombytes("RGB", (len(colours), 1), bytes(v for colour in colours for v in colour))
    moved = ImageChops.difference(image, _in_srgb(image, profile)).convert("RGB").getextrema()
    return all(most <= _SRGB_STEPS_MAX for _, most in cast("tuple[tuple[int, int], ...]", moved))


def _photographic(image: Image.Image) -> bool:
    """Say whether a picture is a photograph: hardly a pixel of it is like another."""
    sample = image.convert("RGB").resize(
        (min(image.width, SAMPLE_PX), min(image.height, SAMPLE_PX)), Image.Resampling.NEAREST
    )
    colours = sample.getcolors(sample.width * sample.height) or []
    return len(colours) > PHOTO_COLOURS_RATIO * sample.width * sample.height
