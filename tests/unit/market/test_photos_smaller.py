"""A photo made smaller by a process of its own, whatever it is given."""

import io
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from gateway.market.photos.shrinking import Shrinker
from gateway.market.photos.smaller import smaller
from tests.unit.market.photo_world import a_jpeg, a_picture


def opened(content: bytes | None) -> Image.Image:
    assert content is not None
    return Image.open(io.BytesIO(content))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(("size", "becomes"), [((4_000, 3_000), (1_280, 960)), ((900, 3_000), (384, 1_280))])
def test_the_longer_side_is_fitted(size: tuple[int, int], becomes: tuple[int, int]) -> None:
    with opened(smaller(a_picture(*size))) as image:
        assert (image.format, image.size) == ("WEBP", becomes)


def test_a_small_photo_keeps_its_size() -> None:
    with opened(smaller(a_picture(640, 480))) as image:
        assert image.size == (640, 480)


def test_a_clear_drawing_stays_clear_and_a_palette_is_read() -> None:
    clear = Image.effect_noise((400, 400), 60).convert("RGBA")
    clear.putalpha(128)
    with opened(smaller(saved(clear, "PNG"))) as image:
        assert image.mode == "RGBA"
    palette = Image.effect_noise((400, 400), 60).convert("P")
    with opened(smaller(saved(palette, "PNG"))) as image:
        assert image.mode == "RGB"


def test_what_tells_more_than_pixels_is_taken_off_even_where_that_makes_it_no_smaller() -> None:
    tiny = Image.new("RGB", (8, 8))
    exif = Image.Exif()
    exif[0x010E] = "Plaza"
    made = smaller(saved(tiny, "WEBP", quality=1, exif=exif.tobytes()))
    assert made is not None
    assert b"Plaza" not in made
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with opened(smaller(a_picture(800, 600, icc_profile=profile, comment=b"Plaza"))) as image:
        assert not {"icc_profile", "exif", "xmp", "comment"} & image.info.keys()


def test_what_would_not_be_smaller_is_left() -> None:
    assert smaller(saved(Image.new("RGB", (4, 4)), "WEBP", quality=1)) is None


def bomb() -> bytes:
    """A PNG that says it has 40,000 × 40,000 pixels."""
    head = (40_000).to_bytes(4) * 2 + bytes([8, 0, 0, 0, 0])
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + len(head).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)


@pytest.mark.parametrize("content", [b"", b"x", a_jpeg(5_000), bomb(), b"%PDF-1.7", a_picture(300, 200)[:5_000]])
def test_what_is_no_picture_gives_nothing(content: bytes) -> None:
    assert smaller(content) is None


def test_a_moving_picture_is_left() -> None:
    frames = [Image.effect_noise((50, 50), each) for each in (20, 60)]
    assert smaller(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])) is None


async def test_the_process_does_it_within_its_bounds() -> None:
    content = a_picture(4_000, 3_000)
    made = await Shrinker().smaller(content)
    assert made == smaller(content), "twice the same bytes: the smaller one has one hash"
    assert await Shrinker().smaller(bomb()) is None


@pytest.mark.parametrize("does", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)", "print('x'); 1/0"])
async def test_a_process_that_dies_is_no_smaller_photo(tmp_path: Path, does: str) -> None:
    program = tmp_path / "dies.py"
    program.write_text(does)
    assert await Shrinker((str(program),)).smaller(a_picture(300, 200)) is None


async def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.market.photos.shrinking.TIME_S", 0.05)
    program = tmp_path / "hangs.py"
    program.write_text("import time; time.sleep(60)")
    assert await Shrinker((str(program),)).smaller(a_picture(300, 200)) is None
