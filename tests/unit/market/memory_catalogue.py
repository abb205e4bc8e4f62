"""A marketplace's catalogue in memory, with its deltas, its photos, and ways to fail."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import CarrierChanged
from gateway.market.catalogue.delta import whole
from gateway.market.catalogue.model import Article, Catalogue, Delta
from gateway.market.marketplaces.port import NotDelivered
from tests.clocks import HandClock

LOST = NotDelivered(is_silent=True, reason="told to lose")


def an_article(sku: str = "papa", **fields: Any) -> Article:
    said: dict[str, Any] = {"name": "Papa", "unit": "kg", "unit_price_minor": 350, "currency": "PEN", **fields}
    return Article(sku, **said)


def a_catalogue(*articles: Article, version: str = "1", **fields: Any) -> Catalogue:
    return Catalogue(version, "PEN", articles, **fields)


def a_photo(kind: str = "JPEG", size: tuple[int, int] = (640, 400), mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "red" if mode in {"RGB", "P"} else 0).save(out, kind, **options)
    return out.getvalue()


class Link:
    """A link whose carrier is set by hand."""

    def __init__(self, clock: HandClock) -> None:
        self.carrier = True
        self.backhaul = Backhaul(clock, capacity=None, carrier=lambda: self.carrier, probe=self._answers)

    async def _answers(self, peer: tuple[str, int]) -> bool:
        return self.carrier

    def set(self, carrier: bool) -> None:
        self.carrier = carrier
        self.backhaul.ways.watch.learn(CarrierChanged(carrier))


@dataclass
class MemoryCatalogue:
    """Gives its catalogue whole, or the deltas it was told; photos by address."""

    present: Catalogue = field(default_factory=lambda: a_catalogue(an_article()))
    deltas: dict[str, Delta] = field(default_factory=dict)  # by the version they were asked with
    failures: list[Exception] = field(default_factory=list)  # one for each of the next questions
    photos: dict[str, bytes | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None  # an answer waits for it

    async def catalogue(self, version: str) -> Delta:
        self.asked.append(version)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        return self.deltas.get(version, whole(self.present))

    async def picture(self, address: str, bytes_max: int) -> bytes:
        self.fetched.append(address)
        found = self.photos.get(address, NotDelivered(is_silent=False, reason="status 404"))
        if isinstance(found, Exception):
            raise found
        return found


class Runs(Protocol):
    async def run(self) -> None: ...


@asynccontextmanager
async def running(room: Runs) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(room.run())
        yield
        task.cancel()
