"""A picture in fewer bytes, looking the same on a phone; whatever is unsure stays as it is. Runs in a worker.

Photographs become lossy WebP or AVIF, fitted to a width. Charts, screenshots and logos stay lossless at their own size,
since blurred letters save nothing; who saves data gets them in 256 colours. Upright by its EXIF, in sRGB, and without
any other metadata: a photograph's GPS position is nobody's business.

Left alone: what moves, more than eight bits a channel (that is measured, not looked at), and what is too large, by its
header, before a pixel is decoded. Figures: 99 JPEG and 94 PNG, 2026-11.
"""

import io
import time
from typing import cast

from PIL import Image, ImageCms, ImageFile, ImageOps

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
_ROTATED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112
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
    if _moves(source) or source.mode not in _PLAIN_MODES or _deep(source):
        raise _LeaveIt
    compact = source.format == "AVIF" or (source.format == "WEBP" and b"VP8 " in data[:_FIRST_CHUNKS_BYTES])
    photo = source.format in {"JPEG", "MPO"} or compact
    size = _fitted(source, job.width_px)
    if compact and size == source.size:
        raise _LeaveIt  # once more would cost sharpness and save little
    if source.format in {"JPEG", "MPO"}:
        source.draft(None, (size[0] * 2, size[1] * 2))  # decode at a half, a quarter or an eighth of the size
    image = _upright_srgb(source)
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


def _deep(source: Image.Image) -> bool:
    """Say whether a PNG has 16 bits a channel, which the library would quietly halve."""
    tiles = source.tile if isinstance(source, ImageFile.ImageFile) and source.format == "PNG" else []
    return any("16" in str(tile.args) for tile in tiles)


def _fitted(source: Image.Image, width_px: int) -> tuple[int, int]:
    """Return the size, as the picture lies in its file, that makes it so wide when it is upright."""
    rotated = source.getexif().get(_ORIENTATION) in _ROTATED
    across = source.height if rotated else source.width
    scale = min(1.0, width_px / across)
    return max(1, round(source.width * scale)), max(1, round(source.height * scale))


def _resized(image: Image.Image, width_px: int) -> Image.Image:
    if image.width <= width_px:
        return image
    height_px = max(1, round(image.height * width_px / image.width))
    return image.resize((width_px, height_px), Image.Resampling.LANCZOS)


def _upright_srgb(source: Image.Image) -> Image.Image:
    profile = source.info.get("icc_profile")
    image = ImageOps.exif_transpose(source)
    clear = image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info
    if profile and image.mode not in {"1", "P", "PA"}:
        return _converted(image, profile, clear=clear)
    return image.convert("RGBA" if clear else "RGB")


def _converted(image: Image.Image, profile: bytes, *, clear: bool) -> Image.Image:
    """Return an image in sRGB, which is what a picture without a profile is taken for."""
    alpha = image.convert("RGBA").getchannel("A") if clear else None
    flat = image.convert("L" if image.mode == "LA" else "RGB") if clear else image
    found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "sRGB" in ImageCms.getProfileDescription(found):
        plain = flat.convert("RGB")
    else:
        plain = cast(
            "Image.Image", ImageCms.profileToProfile(flat, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
        )
    if alpha is not None:
        plain.putalpha(alpha)
    return plain


def _photographic(image: Image.Image) -> bool:
    """Say whether a picture is a photograph: hardly a pixel of it is like another."""
    sample = image.convert("RGB").resize(
        (min(image.width, SAMPLE_PX), min(image.height, SAMPLE_PX)), Image.Resampling.NEAREST
    )
    colours = sample.getcolors(sample.width * sample.height) or []
    return len(colours) > PHOTO_COLOURS_RATIO * sample.width * sample.height
