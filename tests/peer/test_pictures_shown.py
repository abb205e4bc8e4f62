"""A picture that was made smaller stands as the original does in real Chromium, whatever its metadata say."""

import io
from base64 import b64encode

import pytest
from PIL import Image
from playwright.async_api import Browser

from gateway.web.saver.jobs import PictureJob
from gateway.web.saver.render import rendered
from tests.unit.web.saver.images import TURNED_BY_XMP, linear_srgb, photo, saved, sideways

pytestmark = pytest.mark.browser
JOB = PictureJob(400, True, ("webp",), 4_000_000, 20.0)
WIDE = photo((900, 600))
GREY = Image.blend(Image.new("RGB", (900, 600), (128, 128, 128)), WIDE, 0.02)
PICTURES = {
    **{kind: sideways(kind, WIDE) for kind in ("JPEG", "PNG", "PNG, too late", "WEBP", "AVIF")},
    **{f"{kind} by XMP": saved(WIDE, kind, xmp=TURNED_BY_XMP) for kind in ("JPEG", "WEBP", "AVIF")},
    **{f"linear {kind}": saved(GREY, kind, icc_profile=linear_srgb(), quality=90) for kind in ("JPEG", "WEBP", "AVIF")},
    "linear grey": saved(GREY.convert("L"), "JPEG", icc_profile=linear_srgb(), quality=90),
    "linear palette": saved(GREY.quantize(64), "PNG", icc_profile=linear_srgb()),
}
LOOK_JS = """
async (picture) => {
  const image = new Image();
  image.src = picture;
  await image.decode();
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.drawImage(image, 0, 0, 1, 1);
  return [image.naturalWidth, image.naturalHeight, ...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}
"""


async def test_a_rendition_stands_and_shines_as_its_original(browser: Browser) -> None:
    page = await browser.new_page()
    for name, data in PICTURES.items():
        done = rendered(data, JOB)
        assert done.why == "made", name
        width, height, *colour = await page.evaluate(LOOK_JS, _url(data))
        made_width, made_height, *made_colour = await page.evaluate(LOOK_JS, _url(done.data))
        assert (made_width, made_height) == Image.open(io.BytesIO(done.data)).size, name
        assert (made_width > made_height) == (width > height), name
        assert max(abs(one - other) for one, other in zip(colour, made_colour, strict=True)) < 12, name


def _url(data: bytes) -> str:
    kind = Image.open(io.BytesIO(data)).get_format_mimetype()
    return f"data:{kind};base64,{b64encode(data).decode()}"
