"""A rendered picture is smaller, upright, in sRGB and says nothing of who took it; what is unsure stays as it is."""

import io

import pytest
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

from gateway.web.saver.jobs import Done, PictureJob
from gateway.web.saver.pictures import Format
from gateway.web.saver.render import rendered
from tests.unit.web.saver.images import BROKEN, TURNED_BY_XMP, chunk, linear_srgb, photo, png, saved, sideways


def job(width_px: int = 720, *, saving: bool = True, formats: tuple[Format, ...] = ("webp",)) -> PictureJob:
    return PictureJob(width_px, saving, formats, pixels_max=4_000_000, time_s=20.0)


def drawing(size: tuple[int, int] = (1_000, 600), mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, size, "white")
    pen = ImageDraw.Draw(image)
    for at in range(20):
        pen.line((at * 50, 0, size[0] - at * 20, size[1]), fill=(at * 10, 20, 200), width=3)
        pen.text((at * 40, at * 25), f"Fila {at}", fill="black")
    return image


def opened(done: Done) -> Image.Image:
    assert done.why == "made", done.why
    return Image.open(io.BytesIO(done.data))


def test_a_photograph_is_fitted_to_the_width_and_lossy() -> None:
    data = saved(photo(), "JPEG", quality=90)
    done = rendered(data, job())
    assert (done.media_type, opened(done).size) == ("image/webp", (720, 480))
    assert len(done.data) < len(data) / 2


def test_the_width_counts_and_not_the_height() -> None:
    assert opened(rendered(saved(photo((800, 2_000)), "JPEG"), job())).size == (720, 1_800)
    assert opened(rendered(saved(photo((600, 2_000)), "JPEG", quality=95), job())).size == (600, 2_000)


def test_the_smaller_of_webp_and_avif_is_taken() -> None:
    data = saved(photo(), "JPEG", quality=90)
    webp, avif = (len(rendered(data, job(formats=(each,))).data) for each in ("webp", "avif"))
    assert len(rendered(data, job(formats=("avif", "webp"))).data) == min(webp, avif)


def test_avif_is_not_tried_when_time_is_short() -> None:
    data = saved(photo(), "JPEG", quality=90)
    short = PictureJob(720, saving=True, formats=("avif", "webp"), pixels_max=4_000_000, time_s=0.01)
    assert rendered(data, short).media_type == "image/webp"


def test_a_drawing_stays_sharp_and_at_its_size() -> None:
    image = drawing()
    done = rendered(saved(image, "PNG"), job(saving=False))
    assert opened(done).convert("RGB").tobytes() == image.tobytes()


def test_a_drawing_keeps_what_is_clear() -> None:
    image = drawing(mode="RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    found = opened(rendered(saved(image, "PNG"), job(saving=False)))
    assert found.mode == "RGBA"
    assert found.getchannel("A").tobytes() == image.getchannel("A").tobytes()


def test_clear_colours_of_a_palette_stay_clear() -> None:
    image = Image.effect_noise((300, 300), 80).convert("P")
    image.info["transparency"] = 7
    assert opened(rendered(saved(image, "PNG", transparency=7), job(saving=False))).mode == "RGBA"


def test_who_saves_data_gets_drawings_in_few_colours() -> None:
    image = Image.blend(drawing(), Image.radial_gradient("L").resize((1_000, 600)).convert("RGB"), 0.3)
    found = opened(rendered(saved(image, "PNG"), job()))
    assert found.size == image.size
    colours = found.convert("RGB").getcolors(256)
    assert colours is not None


def test_a_photograph_in_a_png_is_a_photograph() -> None:
    done = rendered(saved(photo(), "PNG"), job(saving=False))
    assert opened(done).size == (720, 480)


def test_upright_by_its_exif_and_without_any_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8825] = {2: (13.0, 9.0, 49.0)}  # where it was taken
    exif[0x010E] = "Juana Mamani, posta"
    data = saved(photo((1_200, 600)), "JPEG", exif=exif, comment=b"Juana")
    done = rendered(data, job(360))
    found = opened(done)
    assert found.size == (360, 720)
    assert not found.getexif()
    assert b"EXIF" not in done.data
    assert b"Juana" not in done.data


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("JPEG", (400, 600)),
        ("PNG", (400, 600)),
        ("AVIF", (400, 600)),
        ("WEBP", (400, 267)),
        ("PNG, too late", (400, 267)),
    ],
)
def test_a_picture_is_turned_where_browsers_turn_it(kind: str, size: tuple[int, int]) -> None:
    assert opened(rendered(sideways(kind, photo((900, 600))), job(400))).size == size


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_no_browser_turns_a_picture_by_its_xmp(kind: str) -> None:
    assert opened(rendered(saved(photo((900, 600)), kind, xmp=TURNED_BY_XMP), job(600))).size == (600, 400)


@pytest.mark.parametrize("formats", [("webp",), ("avif",)])
def test_no_format_carries_metadata_on(formats: tuple[Format, ...]) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Juana Mamani")
    info.add_itxt("XML:com.adobe.xmp", "<x>Juana Mamani</x>")
    done = rendered(saved(photo(), "PNG", pnginfo=info), job(formats=formats))
    assert done.why == "made"
    assert b"Juana" not in done.data


def red_after(profile: bytes) -> tuple[int, ...]:
    """The middle of a red picture with this profile, as it is shown after rendering."""
    data = saved(Image.new("RGB", (900, 500), (200, 30, 30)), "JPEG", icc_profile=profile, quality=95)
    done = rendered(data, job())
    assert b"ICCP" not in done.data
    found = opened(done).convert("RGB").getpixel((300, 100))
    assert isinstance(found, tuple)
    return tuple(int(each) for each in found)


def test_other_colour_spaces_become_srgb() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green, _ = red_after(srgb)
    assert abs(red - 200) < 12
    assert green < 60
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    red, green, _ = red_after(swapped.replace("sRGB".encode("utf-16-be"), "Odd!".encode("utf-16-be")))
    assert red < green, "in this space what is called red is green"


def shown(image: Image.Image, kind: str, **options: object) -> int:
    """How bright an even grey comes out."""
    found = opened(rendered(saved(image, kind, **options), job())).convert("RGB").getpixel((300, 100))
    assert isinstance(found, tuple)
    return int(found[1])


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA")]
)
def test_a_profile_counts_and_not_what_it_calls_itself(kind: str, mode: str) -> None:
    grey = Image.blend(Image.new("L", (900, 500), 128), photo((900, 500)).convert("L"), 0.02)
    image = grey.convert("RGB").quantize(64) if mode == "P" else grey.convert(mode)
    assert abs(shown(image, kind, icc_profile=linear_srgb(), **({"quality": 95} if kind == "JPEG" else {})) - 188) < 5


def test_what_is_in_srgb_already_keeps_every_colour() -> None:
    image, srgb = drawing(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    done = rendered(saved(image, "PNG", icc_profile=srgb), job(saving=False))
    assert opened(done).convert("RGB").tobytes() == image.tobytes()


def test_a_profile_for_other_pixels_leaves_the_original() -> None:
    assert rendered(saved(photo().convert("CMYK"), "JPEG", icc_profile=linear_srgb()), job()).why == "not-for-us"


def test_a_broken_profile_leaves_the_original() -> None:
    assert rendered(saved(photo(), "JPEG", icc_profile=b"nonsense" * 40), job()).why == "broken"


def test_cmyk_becomes_rgb() -> None:
    cyan = Image.new("CMYK", (1_000, 500), (200, 0, 0, 0))
    found = opened(rendered(saved(cyan, "JPEG", quality=95), job())).convert("RGB").getpixel((100, 100))
    assert isinstance(found, tuple)
    assert found[0] < 90 < 200 < found[2]


def frames(kind: str) -> bytes:
    images = [photo((300, 300)).convert("P") if kind == "GIF" else photo((300, 300)) for _ in range(3)]
    return saved(images[0], kind, save_all=True, append_images=images[1:], duration=100)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_what_moves_goes_on_moving(kind: str) -> None:
    assert rendered(frames(kind), job(200)).why == "not-for-us"


def test_a_still_gif_is_made_smaller() -> None:
    data = saved(drawing().quantize(16), "GIF")
    assert opened(rendered(data, job())).size == (1_000, 600)


def test_what_is_measured_rather_than_looked_at_is_left_alone() -> None:
    assert rendered(saved(Image.new("I;16", (400, 400), 40_000), "PNG"), job()).why == "not-for-us"


def test_sixteen_bits_a_channel_are_left_alone_in_colour_too() -> None:
    assert rendered(png(300, 300, bytes(300 * (1 + 300 * 6)), bits=16), job()).why == "not-for-us"


def test_what_shines_on_bright_screens_is_left_alone() -> None:
    ultra = saved(photo(), "JPEG", xmp=b'<rdf:Description hdrgm:Version="1.0"/>')
    assert rendered(ultra, job()).why == "not-for-us"
    plain = saved(photo((300, 300)), "PNG")
    assert rendered(plain[:33] + chunk(b"cICP", b"\x09\x10\0\1") + plain[33:], job(200)).why == "not-for-us"
    avif = saved(photo((300, 300)), "AVIF")
    assert opened(rendered(avif, job(200))).size == (200, 200)
    at = avif.index(b"av1C") + 6
    deep = avif[:at] + bytes([avif[at] | 0x40]) + avif[at + 1 :]  # `high_bitdepth`: ten bits a channel
    deep = deep.replace(b"pixi\0\0\0\0\3\x08\x08\x08", b"pixi\0\0\0\0\3\x0a\x0a\x0a")
    assert rendered(deep, job(200)).why == "not-for-us"


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (4_000_001, 1), (2_001, 2_000)])
def test_too_many_pixels_are_not_decoded(width: int, height: int) -> None:
    assert rendered(png(width, height, bytes(100_000), bits=1, colour=0), job()).why == "too-large"


def test_a_picture_that_is_small_already_is_not_made_anew() -> None:
    data = saved(photo((600, 400)), "WEBP", quality=50)
    assert rendered(data, job()).why == "not-for-us"
    assert rendered(saved(photo((600, 400)), "AVIF", quality=50), job()).why == "not-for-us"
    assert opened(rendered(saved(photo((1_500, 400)), "WEBP", quality=80), job())).size == (720, 192)


def test_what_would_grow_is_not_smaller() -> None:
    assert rendered(saved(photo((760, 400)), "AVIF", quality=1), job()).why == "not-smaller"


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_read_whole_stays_as_it_is(kind: str) -> None:
    done = rendered(BROKEN[kind], job())
    assert (done.why, done.data) == ("broken", b"")
