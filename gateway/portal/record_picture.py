"""A smaller picture of a photo, to look at: pixels and nothing else, no EXIF and no position.

Made on a worker thread, two at once, of a photo with at most 40 million pixels: what is larger is shown as it is, by
the browser. 40 million pixels of three bytes are 120 MB for a moment; JPEG is read at a part of its size.
"""

import asyncio
import io

from gateway.errors import N_, NotFound, TooLarge

PIXELS_MAX = 40_000_000
SIDE_PX_MIN, SIDE_PX_MAX = 64, 2_048
AT_ONCE = 2
_QUALITY = 82
_FORMATS = ("JPEG", "PNG", "WEBP")


class Previews:
    """Makes smaller pictures, a few at once."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def smaller(self, photo: bytes, side_px: int) -> bytes:
        """Return a JPEG whose longer side is at most `side_px`.

        Raises: NotFound when it is no picture, TooLarge.
        """
        async with self._turn:
            return await asyncio.to_thread(smaller, photo, min(max(side_px, SIDE_PX_MIN), SIDE_PX_MAX))


def smaller(photo: bytes, side_px: int) -> bytes:
    """Return a JPEG whose longer side is at most `side_px`, turned as it was held.

    Raises: NotFound when it is no picture, TooLarge when it has too many pixels.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(photo), formats=_FORMATS) as opened:
            if opened.width * opened.height > PIXELS_MAX:
                raise TooLarge(N_("This picture has too many pixels to be made smaller."))
            opened.draft("RGB", (side_px, side_px))
            turned = ImageOps.exif_transpose(opened)
            turned.thumbnail((side_px, side_px))
            made = io.BytesIO()
            turned.convert("RGB").save(made, "JPEG", quality=_QUALITY, exif=b"")
            return made.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise NotFound(N_("This file is no picture that can be shown.")) from exc
