"""A photo from a phone through a box to a marketplace over HTTP, both ways the same protocol, over cut connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

from aiohttp import web

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.errors import GatewayError
from gateway.listener import Limits, Listener
from gateway.market.marketplaces.http import HttpMarketplace
from gateway.market.marketplaces.port import TakesPhotos
from gateway.market.photos.intake import routes
from gateway.market.photos.photos import Photos
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.market.photo_world import LIMITS, MemoryOrders, a_jpeg, answers, named, some_photos

QUICK = replace(LIMITS, retry_s_min=0.001, retry_s_max=0.002)


async def merchant_of(request: web.Request) -> str:
    return request.headers["Authorization"]


def as_sentence(request: web.BaseRequest, error: GatewayError) -> web.Response:
    del request
    return web.Response(text=str(error), status=error.status)


class CuttingRelay:
    """Passes bytes on to an address, and cuts a connection after so many of them, as long as it is told to."""

    def __init__(self, address: Address, random: Random, cuts: int) -> None:
        self._address = address
        self._random = random
        self.cuts = cuts
        self.passed_bytes = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._address)
        left = self._random.randrange(500, 90_000) if self.cuts else None
        with suppress(ConnectionError):
            async with asyncio.TaskGroup() as tasks:
                back = tasks.create_task(self._back(far_reader, writer))
                while piece := await reader.read(4_096):
                    self.passed_bytes += len(piece)
                    far_writer.write(piece)
                    await far_writer.drain()
                    if left is not None and (left := left - len(piece)) < 0:
                        self.cuts -= 1
                        break
                back.cancel()
        far_writer.close()
        writer.transport.abort()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(4_096):
            writer.write(piece)


async def far_side(photos: Photos) -> AsyncIterator[Address]:
    app = web.Application()
    app.add_routes(routes(photos, merchant_of))
    listener = Listener("far", Address("127.0.0.1", 0), app, as_sentence, Limits(stop_s=0.1))
    await photos.start()
    await listener.start()
    yield listener.address
    await listener.stop()
    await photos.stop()


async def test_photos_arrive_whole_over_a_link_that_cuts_them(tmp_path: Path, clock: HandClock) -> None:
    contents = [a_jpeg(size, seed) for seed, size in enumerate((300_000, 2_000, 120_000))]
    far = some_photos(tmp_path / "far", clock)
    async for address in far_side(far):
        relay = CuttingRelay(address, Random(3), cuts=8)
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        backhaul = Backhaul(clock, capacity=None, carrier=lambda: True, probe=answers)
        marketplace = HttpMarketplace(
            f"http://127.0.0.1:{port}/api/v1",
            dialer=OpenDialer(),
            backhaul=backhaul,
            clock=clock,
            token="of the box",
        )
        assert isinstance(marketplace, TakesPhotos)
        orders = MemoryOrders()
        near = some_photos(
            tmp_path / "near", clock, orders=orders, marketplace=marketplace, limits=QUICK, backhaul=backhaul
        )
        await near.start()
        await marketplace.start()
        for content in contents:
            await near.take("ana", content, shrink=False)
            orders.name("ana", named(content))
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(near.run())
            while near.statistics().sent < len(contents):
                clock.pass_s(1)
                await asyncio.sleep(0.005)
            running.cancel()
        for content in contents:
            _, _, pieces = await far.show("Bearer of the box", named(content))
            assert b"".join([piece async for piece in pieces]) == content
        assert relay.cuts == 0
        assert relay.passed_bytes < 2 * sum(map(len, contents)), "what had come over was not sent again"
        await marketplace.stop()
        await near.stop()
        server.close()
