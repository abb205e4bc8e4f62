"""Photos become small thumbnails, one at a time, and none of them can hold up the others or harm the box."""

import asyncio
import io
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.pair import PAIR_BYTES_MAX, joined, parted
from gateway.market.catalogue.pictures import TRIES_MAX, Pictures
from gateway.market.catalogue.rendering import Rendering
from gateway.market.catalogue.shelf import Shelf, name_of
from gateway.market.catalogue.storefront import CatalogueLimits
from gateway.market.catalogue.thumbnail import PIXELS_MAX, thumbnails
from gateway.market.marketplaces.port import NotDelivered
from tests.clocks import HandClock
from tests.unit.market.memory_catalogue import LOST, Link, MemoryCatalogue, a_catalogue, a_photo, an_article, running
from tests.waiting import wait_until

QUICK = CatalogueLimits(sync_s=0.02, retry_s_min=0.001, picture_bytes_max=100_000)
WEBP = b"RIFF\x10\x00\x00\x00WEBP" + bytes(20)
PAIR = joined(WEBP, WEBP * 3)


class QuickRendering(Rendering):
    """Makes the same thumbnails of whatever is a photo."""

    async def made(self, photo: bytes) -> bytes | None:
        return PAIR if photo.startswith(b"photo") else None


def a_shelf(folder: Path, bytes_max: int = 10_000_000) -> Shelf:
    return Shelf(folder, bytes_max=bytes_max, free_bytes_min=0)


async def pictures_of(
    marketplace: MemoryCatalogue, shelf: Shelf, link: Link, limits: CatalogueLimits = QUICK
) -> Pictures:
    made = QuickRendering(shelf.folder)
    pictures = Pictures(marketplace, shelf, made, backhaul=link.backhaul, limits=limits, random=Random(1))
    await pictures.start()
    pictures.show(marketplace.present)
    return pictures


def shop_with(*addresses: str, version: str = "1") -> Catalogue:
    return a_catalogue(*(an_article(f"a{address}", picture=address) for address in addresses), version=version)


def size_of(webp: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(webp)) as image:
        return image.size


def both(photo: bytes) -> tuple[bytes, bytes]:
    pair = parted(thumbnails(photo))
    assert pair is not None
    return pair


@pytest.mark.parametrize(
    ("photo", "small", "large"),
    [
        (a_photo("JPEG", (640, 400)), (96, 60), (320, 200)),
        (a_photo("PNG", (400, 640), "RGBA"), (60, 96), (200, 320)),
        (a_photo("PNG", (640, 400), "P"), (96, 60), (320, 200)),
        (a_photo("PNG", (640, 400), "I;16"), (96, 60), (320, 200)),
        (a_photo("WEBP", (3_000, 10)), (96, 1), (320, 1)),
        (a_photo("JPEG", (40, 30)), (40, 30), (40, 30)),
        (a_photo("JPEG", (640, 400), "CMYK"), (96, 60), (320, 200)),
    ],
)
def test_thumbnails_fit_their_sizes_and_are_never_made_larger(
    photo: bytes, small: tuple[int, int], large: tuple[int, int]
) -> None:
    made = both(photo)
    assert (size_of(made[0]), size_of(made[1])) == (small, large)


def test_a_photo_lies_upright_and_says_nothing_of_where_it_was_taken() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "a secret place"
    small, large = both(a_photo("JPEG", (640, 400), exif=exif))
    assert size_of(large) == (200, 320)
    assert b"secret" not in small + large
    assert b"EXIF" not in small + large


def test_what_is_transparent_stays_so() -> None:
    with Image.open(io.BytesIO(both(a_photo("PNG", (50, 50), "RGBA"))[0])) as image:
        assert image.mode == "RGBA"


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is a large picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "photo",
    [
        b"",
        b"not a picture",
        a_photo()[:300],
        a_photo("GIF"),
        a_photo("TIFF"),
        bomb(PIXELS_MAX, 1_000),
        bomb(PIXELS_MAX // 1_000 + 1, 1_000),
        bomb(4_000, 5_000),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ],
    ids=["nothing", "text", "cut", "gif", "tiff", "bomb", "just too large", "less than it says", "postscript"],
)
def test_what_is_no_photo_of_ours_raises_and_makes_nothing(photo: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017 - decoders raise whatever they like
        thumbnails(photo)


async def test_a_process_of_its_own_makes_them(tmp_path: Path) -> None:
    made = await Rendering(tmp_path).made(a_photo())
    assert made is not None
    assert made == thumbnails(a_photo())
    assert await Rendering(tmp_path).made(b"not a picture") is None
    assert not list(tmp_path.iterdir()), "and leaves nothing behind"


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(60)",
        "import os; os.abort()",
        "import sys; sys.stdout.write('x' * 10)",
        f"import sys; sys.stdout.write('x' * {PAIR_BYTES_MAX + 10})",
        "import sys; sys.stdout.buffer.write(bytes([0, 0, 0, 9, 0, 0, 0, 9]) + bytes(18))",
        "pass",
    ],
    ids=["silent", "crashing", "nonsense", "too much", "no pictures", "nothing"],
)
async def test_whatever_the_process_does_nothing_is_made_and_it_is_gone(tmp_path: Path, program: str) -> None:
    rendering = Rendering(tmp_path, time_s=0.05 if "sleep" in program else 20.0)
    rendering._command = [sys.executable, "-c", program]
    assert await rendering.made(a_photo()) is None
    assert rendering._process is None


async def test_stopping_ends_what_is_at_work(tmp_path: Path) -> None:
    rendering = Rendering(tmp_path)
    rendering._command = [sys.executable, "-c", "import time; time.sleep(60)"]
    async with asyncio.TaskGroup() as tasks:
        making = tasks.create_task(rendering.made(a_photo()))
        await wait_until(lambda: rendering._process is not None)
        process: subprocess.Popen[bytes] | None = rendering._process
        making.cancel()
    assert process is not None
    await wait_until(lambda: process.returncode is not None)
    assert await rendering.made(a_photo()) is None, "and begins nothing more"


async def test_pictures_come_in_the_catalogues_order_and_each_once(tmp_path: Path, clock: HandClock) -> None:
    photos: dict[str, bytes | Exception] = {f"/{number}": b"photo" for number in range(4)}
    marketplace = MemoryCatalogue(shop_with("/2", "/0", "/3", "/0", "/1"), photos=photos)
    pictures = await pictures_of(marketplace, a_shelf(tmp_path), Link(clock))
    async with running(pictures):
        await wait_until(lambda: pictures.statistics().kept == 4)
        pictures.show(marketplace.present)
        await asyncio.sleep(0.01)
    assert marketplace.fetched == ["/2", "/0", "/3", "/1"]
    name = pictures.name("/3")
    assert name is not None
    assert await pictures.thumbnail(name, 96) == WEBP
    assert await pictures.thumbnail(name, 320) == WEBP * 3
    again = await pictures_of(marketplace, a_shelf(tmp_path), Link(clock))
    assert again.statistics().kept == 4


@pytest.mark.parametrize(
    "fault",
    [b"no picture", NotDelivered(is_silent=False, reason="status 404"), RuntimeError("ours"), b"photo" * 100_000],
    ids=["not a picture", "not there", "a fault", "too large"],
)
async def test_a_picture_that_cannot_be_had_is_left_after_a_few_tries(
    tmp_path: Path, clock: HandClock, fault: bytes | Exception
) -> None:
    marketplace = MemoryCatalogue(shop_with("/bad", "/good"), photos={"/bad": fault, "/good": b"photo"})
    pictures = await pictures_of(marketplace, a_shelf(tmp_path), Link(clock))
    async with running(pictures):
        await wait_until(lambda: len(marketplace.fetched) == 1 + TRIES_MAX)
        await asyncio.sleep(0.03)
        assert marketplace.fetched == ["/bad", "/good"] + ["/bad"] * (TRIES_MAX - 1), "behind the others"
        marketplace.photos["/other"] = b"photo"
        pictures.show(shop_with("/other", "/good", version="2"))
        await wait_until(lambda: pictures.name("/other") is not None)


async def test_a_silent_picture_holds_up_no_other_and_is_never_given_up(tmp_path: Path, clock: HandClock) -> None:
    marketplace = MemoryCatalogue(
        shop_with("/silent", "/a", "/b"), photos={"/silent": LOST, "/a": b"photo", "/b": b"photo"}
    )
    pictures = await pictures_of(marketplace, a_shelf(tmp_path), Link(clock))
    async with running(pictures):
        await wait_until(lambda: marketplace.fetched.count("/silent") > TRIES_MAX + 1)
        assert marketplace.fetched[:3] == ["/silent", "/a", "/b"]
        marketplace.photos["/silent"] = b"photo"
        await wait_until(lambda: pictures.name("/silent") is not None)


async def test_no_picture_is_fetched_while_the_link_is_down(tmp_path: Path, clock: HandClock) -> None:
    marketplace = MemoryCatalogue(shop_with("/a"), photos={"/a": b"photo"})
    link = Link(clock)
    link.set(False)
    pictures = await pictures_of(marketplace, a_shelf(tmp_path), link)
    async with running(pictures):
        await asyncio.sleep(0.02)
        assert not marketplace.fetched
        link.set(True)
        await wait_until(lambda: pictures.name("/a") is not None)


async def test_a_damaged_thumbnail_is_not_given_and_fetched_anew(tmp_path: Path, clock: HandClock) -> None:
    marketplace = MemoryCatalogue(shop_with("/a"), photos={"/a": b"photo"})
    pictures = await pictures_of(marketplace, a_shelf(tmp_path), Link(clock), replace(QUICK, sync_s=3_600.0))
    async with running(pictures):
        await wait_until(lambda: pictures.name("/a") is not None)
        (tmp_path / name_of("/a")).write_bytes(b"damaged")
        assert await pictures.thumbnail(name_of("/a"), 96) is None
        await wait_until(lambda: pictures.name("/a") is not None)
        assert await pictures.thumbnail(name_of("/a"), 96) == WEBP


async def test_the_budget_holds_and_what_no_article_has_any_longer_makes_room(tmp_path: Path, clock: HandClock) -> None:
    photos: dict[str, bytes | Exception] = {f"/{number}": b"photo" for number in range(10)}
    marketplace = MemoryCatalogue(shop_with(*photos), photos=photos)
    kept_bytes = len(PAIR) + 32
    shelf = a_shelf(tmp_path, PAIR_BYTES_MAX + 3 * kept_bytes)
    pictures = await pictures_of(marketplace, shelf, Link(clock))
    async with running(pictures):
        await wait_until(lambda: pictures.statistics().is_full)
        assert pictures.statistics().kept == 4
        assert shelf.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir()) <= shelf._bytes_max
        pictures.show(shop_with("/8", "/9", version="2"))
        await wait_until(lambda: pictures.name("/9") is not None)
    assert pictures.name("/8") is not None
    assert shelf.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir()) <= shelf._bytes_max


def test_a_disk_that_is_nearly_full_takes_no_pictures(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, bytes_max=10_000_000, free_bytes_min=10**18)
    shelf.open()
    assert not shelf.has_room(())


async def test_a_folder_that_cannot_be_used_means_no_pictures_and_no_fault(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "file").write_text("")
    marketplace = MemoryCatalogue(shop_with("/a"), photos={"/a": b"photo"})
    pictures = await pictures_of(marketplace, a_shelf(tmp_path / "file" / "pictures"), Link(clock))
    async with running(pictures):
        await asyncio.sleep(0.02)
    assert not marketplace.fetched
    assert pictures.name("/a") is None


def test_leftovers_of_a_write_that_was_cut_short_go_at_the_start(tmp_path: Path) -> None:
    (tmp_path / f"{name_of('/a')}.new").write_bytes(PAIR)
    shelf = a_shelf(tmp_path)
    shelf.open()
    assert not list(tmp_path.iterdir())
    assert not shelf.holds(name_of("/a"))
