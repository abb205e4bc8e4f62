"""The storefront shows the marketplace's catalogue, or the technician's until there is one."""

from pathlib import Path
from random import Random

from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.storefront import CatalogueLimits, Storefront
from tests.clocks import HandClock
from tests.unit.market.memory_catalogue import LOST, Link, MemoryCatalogue, a_catalogue, a_photo, an_article, running
from tests.waiting import wait_until

QUICK = CatalogueLimits(sync_s=3_600.0, again_s=0.001, retry_s_min=0.001, free_bytes_min=0)
FALLBACK = a_catalogue(an_article("de-la-hoja", name="Del técnico"), version="file")


def a_storefront(
    folder: Path, clock: HandClock, marketplace: MemoryCatalogue | None, fallback: Catalogue | None = FALLBACK
) -> Storefront:
    return Storefront(
        folder=folder,
        marketplace=marketplace,
        marketplace_name="shop",
        fallback=fallback,
        backhaul=Link(clock).backhaul,
        clock=clock,
        limits=QUICK,
        random=Random(1),
    )


async def test_without_a_marketplace_the_technicians_file_is_the_shop(tmp_path: Path, clock: HandClock) -> None:
    shop = a_storefront(tmp_path, clock, None)
    await shop.start()
    await shop.run()
    shop.sync_now()
    assert shop.catalogue == FALLBACK
    assert shop.search("tecnico").articles == FALLBACK.articles
    assert (shop.age_s, shop.synced_wall_s, shop.is_syncing, shop.is_renewable) == (None, None, False, False)
    assert await shop.thumbnail("de-la-hoja", 96) is None
    assert shop.statistics().articles == 1
    await shop.stop()


async def test_without_anything_there_is_no_catalogue_and_no_fault(tmp_path: Path, clock: HandClock) -> None:
    shop = a_storefront(tmp_path, clock, None, None)
    await shop.start()
    assert shop.catalogue is None
    assert shop.search("papa").total == 0
    assert shop.categories == ()
    assert shop.picture_name("papa") is None
    assert shop.statistics().version == ""


async def test_the_marketplaces_catalogue_takes_the_place_of_the_file_and_stays(
    tmp_path: Path, clock: HandClock
) -> None:
    marketplace = MemoryCatalogue(a_catalogue(an_article(category="Tubérculos")))
    shop = a_storefront(tmp_path, clock, marketplace)
    await shop.start()
    assert shop.catalogue == FALLBACK
    async with running(shop):
        await wait_until(lambda: shop.catalogue == marketplace.present)
        assert [each.name for each in shop.categories] == ["Tubérculos"]
    await shop.stop()
    clock.pass_s(60)
    assert shop.age_s == 60
    assert shop.synced_wall_s == clock.wall_s() - 60

    again = a_storefront(tmp_path, clock, MemoryCatalogue(failures=[LOST] * 1_000))
    await again.start()
    assert again.catalogue == marketplace.present
    assert again.age_s == 60
    await again.stop()


async def test_a_damaged_catalogue_falls_back_to_the_file_and_is_fetched_anew(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "catalogue.json").write_bytes(b"{}")
    marketplace = MemoryCatalogue()
    shop = a_storefront(tmp_path, clock, marketplace)
    await shop.start()
    assert shop.catalogue == FALLBACK
    async with running(shop):
        await wait_until(lambda: shop.catalogue == marketplace.present)
    assert marketplace.asked[0] == ""
    await shop.stop()


async def test_an_articles_thumbnail_is_had_by_its_sku_and_by_its_name(tmp_path: Path, clock: HandClock) -> None:
    articles = (an_article(picture="/a.jpg"), an_article("oca"))
    marketplace = MemoryCatalogue(a_catalogue(*articles), photos={"/a.jpg": a_photo()})
    shop = a_storefront(tmp_path, clock, marketplace)
    await shop.start()
    async with running(shop):
        await wait_until(lambda: shop.picture_name("papa") is not None)
    name = shop.picture_name("papa")
    assert name is not None
    small, large = await shop.thumbnail("papa", 96), await shop.thumbnail("papa", 320)
    assert small is not None
    assert large is not None
    assert small[8:12] == large[8:12] == b"WEBP"
    assert len(small) < len(large)
    assert await shop.thumbnail_named(name, 96) == small
    assert await shop.thumbnail("papa", 97) is None
    assert await shop.thumbnail("oca", 96) is None
    assert await shop.thumbnail("none", 96) is None
    assert await shop.thumbnail_named("../catalogue.json", 96) is None
    assert shop.statistics().pictures.kept == 1
    await shop.stop()
