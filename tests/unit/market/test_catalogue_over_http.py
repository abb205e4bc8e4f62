"""Over HTTP, with a real server, the storefront has the marketplace's articles and photos, and then what changed."""

from pathlib import Path
from random import Random

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.backhaul.dialer import OpenDialer
from gateway.market.catalogue.delta import whole, write_delta
from gateway.market.catalogue.model import Delta
from gateway.market.catalogue.storefront import CatalogueLimits, Storefront
from gateway.market.marketplaces.http import HttpMarketplace
from tests.clocks import HandClock
from tests.unit.market.memory_catalogue import Link, a_catalogue, a_photo, an_article, running
from tests.waiting import wait_until

FIRST = a_catalogue(an_article(picture="/photos/papa.jpg"), an_article("oca", name="Oca"))
SECOND = Delta("2", "1", "PEN", (an_article("oca", name="Oca", unit_price_minor=999),))
QUICK = CatalogueLimits(sync_s=3_600.0, again_s=0.001, retry_s_min=0.001, free_bytes_min=0)


class Far:
    """A server that gives the first catalogue, and then what changed since."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = 0

    async def catalogue(self, request: web.Request) -> web.Response:
        self.asked.append(request.query.get("since", ""))
        if self.broken:
            self.broken -= 1
            return web.json_response({"version": "3", "articles": [{"price": "free"}]})
        return web.json_response(write_delta(SECOND if self.asked[-1] == "1" else whole(FIRST)))

    async def photo(self, request: web.Request) -> web.Response:
        return web.Response(body=a_photo())


async def test_articles_and_photos_come_and_then_what_changed(tmp_path: Path, clock: HandClock) -> None:
    far = Far()
    app = web.Application()
    app.add_routes([web.get("/orders/catalogue", far.catalogue), web.get("/photos/papa.jpg", far.photo)])
    backhaul = Link(clock).backhaul
    async with TestServer(app) as server:
        marketplace = HttpMarketplace(
            str(server.make_url("/orders")), dialer=OpenDialer(), backhaul=backhaul, clock=clock
        )
        shop = Storefront(
            folder=tmp_path,
            marketplace=marketplace,
            marketplace_name="shop",
            fallback=None,
            backhaul=backhaul,
            clock=clock,
            limits=QUICK,
            random=Random(1),
        )
        await marketplace.start()
        await shop.start()
        async with running(shop):
            await wait_until(lambda: shop.catalogue == FIRST)
            await wait_until(lambda: shop.picture_name("papa") is not None)
            far.broken = 2
            shop.sync_now()
            await wait_until(lambda: shop.catalogue is not None and shop.catalogue.version == "2")
        assert [each.unit_price_minor for each in shop.search("oca").articles] == [999]
        assert far.asked == ["", "1", "1", "1"]
        assert shop.statistics().sync.failures == 2
        await shop.stop()
        await marketplace.stop()
