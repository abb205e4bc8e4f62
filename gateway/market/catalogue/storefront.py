"""What a merchant sees of the shop: the catalogue of the marketplace, or where there was never one, the technician's.

All of it is here: looking, searching and ordering need no link. Articles, what finds them and what they are called by
change together, from one version to the next.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gateway.backhaul.link import Backhaul
from gateway.clock import Clock
from gateway.market.catalogue.kept import KeptCatalogue
from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.pictures import Pictures, PictureStatistics
from gateway.market.catalogue.rendering import Rendering
from gateway.market.catalogue.search import Category, Found, Index
from gateway.market.catalogue.shelf import Shelf
from gateway.market.catalogue.sync import CatalogueSync, SyncStatistics
from gateway.market.marketplaces.port import OffersCatalogue


@dataclass(frozen=True, slots=True)
class CatalogueLimits:
    """How fresh the catalogue is kept, and what its pictures may take."""

    sync_s: float = 900.0  # what field sales are used to (2026-11)
    again_s: float = 5.0  # between two questions, however often somebody asks
    retry_s_min: float = 10.0
    picture_bytes_max: int = 500_000  # of one photo on the link; 5 s at 800 kbit/s
    pictures_bytes_max: int = 100_000_000  # on disk; a pair takes 5 to 15 KB
    free_bytes_min: int = 64_000_000  # of the disk, below which no more pictures are kept: orders come first


@dataclass(frozen=True, slots=True)
class StorefrontStatistics:
    """How the storefront is."""

    version: str
    articles: int
    age_s: float | None
    is_syncing: bool
    sync: SyncStatistics
    pictures: PictureStatistics


class Storefront:
    """The catalogue as it is shown, kept and kept fresh."""

    def __init__(
        self,
        *,
        folder: Path,
        marketplace: OffersCatalogue | None,
        marketplace_name: str,
        fallback: Catalogue | None,
        backhaul: Backhaul,
        clock: Clock,
        limits: CatalogueLimits,
        random: Random,
    ) -> None:
        self._clock = clock
        self._fallback = fallback
        self._index: Index | None = None
        self._sync: CatalogueSync | None = None
        self._pictures: Pictures | None = None
        if marketplace is None:
            return
        kept = KeptCatalogue(folder, marketplace_name)
        self._sync = CatalogueSync(
            marketplace,
            kept,
            backhaul=backhaul,
            clock=clock,
            limits=limits,
            random=random,
            changed=self._take_news,
        )
        shelf = Shelf(folder / "pictures", bytes_max=limits.pictures_bytes_max, free_bytes_min=limits.free_bytes_min)
        rendering = Rendering(shelf.folder)
        self._pictures = Pictures(marketplace, shelf, rendering, backhaul=backhaul, limits=limits, random=random)

    async def start(self) -> None:
        """Have a catalogue: the one kept, or the technician's, or none."""
        if self._sync is not None and self._pictures is not None:
            await self._sync.load()
            await self._pictures.start()
            self._take_news()
        if self._index is None and self._fallback is not None:
            self._index = await asyncio.to_thread(Index, self._fallback)

    async def run(self) -> None:
        """Keep it fresh, until cancelled; without a marketplace that offers one there is nothing to do."""
        if self._sync is None or self._pictures is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sync.run(), name="catalogue")
            tasks.create_task(self._pictures.run(), name="pictures")

    async def stop(self) -> None:
        """End what is being made."""
        if self._pictures is not None:
            await self._pictures.stop()

    @property
    def catalogue(self) -> Catalogue | None:
        """What there is to order; None where nobody said."""
        return self._index.catalogue if self._index is not None else None

    @property
    def categories(self) -> Sequence[Category]:
        """The catalogue's categories, by name."""
        return self._index.categories if self._index is not None else ()

    @property
    def is_renewable(self) -> bool:
        """Whether the marketplace offers a catalogue at all."""
        return self._sync is not None

    @property
    def is_syncing(self) -> bool:
        """Whether the marketplace is being asked now."""
        return self._sync is not None and self._sync.is_syncing

    @property
    def age_s(self) -> float | None:
        """How long ago the marketplace confirmed the catalogue; None: never, or no clock can tell."""
        return self._sync.age_s if self._sync is not None else None

    @property
    def synced_wall_s(self) -> float | None:
        """When the marketplace confirmed the catalogue, by the clock as it is now; None as for `age_s`."""
        age_s = self.age_s
        return None if age_s is None else self._clock.wall_s() - age_s

    def search(self, typed: str = "", *, category: str = "", offset: int = 0, limit: int = 50) -> Found:
        """Return a page of what was found, best first; nothing typed: all there is, as the catalogue has it."""
        if self._index is None:
            return Found((), 0)
        return self._index.search(typed, category=category, offset=offset, limit=limit)

    def sync_now(self) -> None:
        """Ask the marketplace as soon as the link carries."""
        if self._sync is not None:
            self._sync.sync_now()

    def picture_name(self, sku: str) -> str | None:
        """Return the name of an article's picture; None where there is no thumbnail. Another picture, another name."""
        article = self.catalogue.article(sku) if self.catalogue is not None else None
        if article is None or self._pictures is None:
            return None
        return self._pictures.name(article.picture)

    async def thumbnail(self, sku: str, size_px: int) -> bytes | None:
        """Return an article's thumbnail, WebP of at most 96 or 320 pixels each way; None where there is none."""
        name = self.picture_name(sku)
        return None if name is None else await self.thumbnail_named(name, size_px)

    async def thumbnail_named(self, name: str, size_px: int) -> bytes | None:
        """Return the thumbnail of a picture by its name; None where there is none."""
        return None if self._pictures is None else await self._pictures.thumbnail(name, size_px)

    def statistics(self) -> StorefrontStatistics:
        """Return how the storefront is."""
        catalogue = self.catalogue
        return StorefrontStatistics(
            catalogue.version if catalogue is not None else "",
            len(catalogue.articles) if catalogue is not None else 0,
            self.age_s,
            self.is_syncing,
            self._sync.statistics() if self._sync is not None else SyncStatistics(),
            self._pictures.statistics() if self._pictures is not None else PictureStatistics(),
        )

    def _take_news(self) -> None:
        if self._sync is not None and self._pictures is not None and self._sync.index is not None:
            self._index = self._sync.index
            self._pictures.show(self._index.catalogue)
