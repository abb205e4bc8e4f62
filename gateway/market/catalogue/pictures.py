"""Photos of articles come after everything else on the link, and stay here as small thumbnails.

One at a time, in the catalogue's order; one that failed goes behind the others. One that cannot be had or made is tried
again a few times and then left until its address is another one. Silence may be the link's: it costs none of them a
try, only a pause.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog

from gateway.backhaul.link import Backhaul
from gateway.exchange.backoff import pause_s
from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.pair import LARGE_PX, SMALL_PX
from gateway.market.catalogue.rendering import Rendering
from gateway.market.catalogue.shelf import Shelf, name_of
from gateway.market.catalogue.sync import wait_link
from gateway.market.marketplaces.port import NotDelivered, OffersCatalogue

TRIES_MAX = 3  # of one picture, until its address changes or the box starts anew

_log = structlog.get_logger("market.catalogue")


class PictureLimits(Protocol):
    """What photos may take."""

    @property
    def picture_bytes_max(self) -> int: ...
    @property
    def retry_s_min(self) -> float: ...
    @property
    def sync_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class PictureStatistics:
    """What there is of pictures."""

    kept: int = 0
    kept_bytes: int = 0
    wanted: int = 0  # of the catalogue's articles, each picture once
    faulty: int = 0  # tries since the start that gave no thumbnail
    is_full: bool = False


class Pictures:
    """Thumbnails of a catalogue's photos."""

    def __init__(
        self,
        marketplace: OffersCatalogue,
        shelf: Shelf,
        rendering: Rendering,
        *,
        backhaul: Backhaul,
        limits: PictureLimits,
        random: Random,
    ) -> None:
        self._marketplace = marketplace
        self._shelf = shelf
        self._rendering = rendering
        self._backhaul = backhaul
        self._limits = limits
        self._random = random
        self._shown: Catalogue | None = None  # whose pictures are wanted from the next round on
        self._wanted: dict[str, str] = {}  # addresses by name, in the catalogue's order
        self._turns: Counter[str] = Counter()  # how often each failed, for whatever reason
        self._tries: Counter[str] = Counter()  # how often each failed by itself
        self._changed = asyncio.Event()
        self._silences = 0
        self._faulty = 0
        self._is_full = False

    def show(self, catalogue: Catalogue) -> None:
        """Want the pictures of this catalogue from now on."""
        self._shown = catalogue
        self._changed.set()

    async def start(self) -> None:
        """Know what is here; where the folder cannot be used, there are no pictures."""
        try:
            await asyncio.to_thread(self._shelf.open)
        except OSError as exc:
            _log.error("pictures.none", reason=type(exc).__name__)

    async def run(self) -> None:
        """Fetch what is lacking, until cancelled."""
        while True:
            self._changed.clear()
            await self._look()
            name = self._next()
            if name is None or not await self._has_room():
                await self._wait_change()
                continue
            await wait_link(self._backhaul)
            await self._fetch(name, self._wanted[name])

    async def stop(self) -> None:
        """End what is being made."""
        self._rendering.stop()

    def name(self, address: str) -> str | None:
        """Return the name of a picture that is here; the same name is always the same picture."""
        name = name_of(address)
        return name if address and self._shelf.holds(name) else None

    async def thumbnail(self, name: str, size_px: int) -> bytes | None:
        """Return a thumbnail, WebP of at most 96 or 320 pixels each way; None where there is none."""
        if size_px not in {SMALL_PX, LARGE_PX} or not self._shelf.holds(name):
            return None
        found = await asyncio.to_thread(self._shelf.take, name)
        if found is None:
            self._changed.set()  # it was damaged, and is fetched anew
            return None
        return found[0] if size_px == SMALL_PX else found[1]

    def statistics(self) -> PictureStatistics:
        """Return what there is."""
        return PictureStatistics(
            len(self._shelf), self._shelf.size_bytes, len(self._wanted), self._faulty, self._is_full
        )

    async def _look(self) -> None:
        """Know which pictures are wanted, if that has changed."""
        shown, self._shown = self._shown, None
        if shown is not None:
            self._wanted = await asyncio.to_thread(_addresses, shown)
            for counted in (self._turns, self._tries):
                for name in [each for each in counted if each not in self._wanted]:
                    del counted[name]

    def _next(self) -> str | None:
        """Return the name of the next picture to fetch; those that failed come after the others."""
        holds, tries, turns = self._shelf.holds, self._tries.get, self._turns.get
        lacking = (name for name in self._wanted if not holds(name) and tries(name, 0) < TRIES_MAX)
        return min(lacking, key=lambda name: turns(name, 0), default=None)

    async def _wait_change(self) -> None:
        """Return when other pictures may be wanted, or after a while, since there may be room by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.sync_s):
                await self._changed.wait()

    async def _has_room(self) -> bool:
        with suppress(OSError):
            self._is_full = not await asyncio.to_thread(self._shelf.has_room, self._wanted)
            return not self._is_full
        return False

    async def _fetch(self, name: str, address: str) -> None:
        """Have a picture's thumbnails, or one try fewer; pause after silence."""
        try:
            photo = await self._marketplace.picture(address, self._limits.picture_bytes_max)
            pair = await self._rendering.made(photo) if len(photo) <= self._limits.picture_bytes_max else None
            if pair is not None:
                await asyncio.to_thread(self._shelf.put, name, pair)
        except NotDelivered as exc:
            await self._failed(name, exc.reason, is_silent=exc.is_silent, asked_s=exc.retry_after_s)
        except Exception as exc:  # noqa: BLE001 - one picture must not end the others
            await self._failed(name, type(exc).__name__)
        else:
            self._silences = 0
            if pair is None:
                await self._failed(name, "no picture")

    async def _failed(self, name: str, reason: str, *, is_silent: bool = False, asked_s: float | None = None) -> None:
        _log.info("picture.failed", reason=reason)
        self._faulty += 1
        self._turns[name] += 1
        if not is_silent and asked_s is None:
            self._tries[name] += 1
            return
        self._silences += 1
        limits = self._limits
        own_s = pause_s(self._silences, self._random.random(), least_s=limits.retry_s_min, most_s=limits.sync_s)
        await asyncio.sleep(min(max(asked_s or 0.0, own_s), limits.sync_s))


def _addresses(catalogue: Catalogue) -> dict[str, str]:
    return {name_of(each.picture): each.picture for each in catalogue.articles if each.picture}
