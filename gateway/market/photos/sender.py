"""Photos follow their orders to the marketplace: in the bulk class, one at a time, small ones first, gone on with.

A photo is sent once the far side has an order that names it, so that none ever goes before or holds up an order. What
the far side has of it is asked first; a cut costs what was under way and no more. A photo that is refused goes behind
the others, and after some refusals aside: it holds up none. Only `put_photo`'s or `photo_offset`'s word that all of it
is there ends it.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Protocol

import structlog

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.exchange.backoff import pause_s
from gateway.market.marketplaces.port import NotDelivered, TakesPhotos
from gateway.market.photos.keeping import Naming, Photo, PhotoLimits, Standing, Wish, next_to_send, wishes
from gateway.market.photos.store import Store

ASK_MAX = 500  # photos that the journal is asked about at once
PUTS_MAX = 16  # of one photo at once: a far side that takes a byte of each would have them all sent again for ever
_log = structlog.get_logger("market.photos")


class NamesPhotos(Protocol):
    """The journal, as far as photos need it."""

    async def photos_named(self, hashes: Sequence[str]) -> Sequence[Naming]:
        """Return each merchant's orders that name one of these photos (at most 500), as they stand now.

        An order's newest revision counts. Raises: NoCapacity.
        """
        ...


async def wanted(orders: NamesPhotos, photos: Sequence[Photo]) -> dict[tuple[str, str], Wish]:
    """Return what orders want of some photos, by merchant and hash; of one that is not in it, nothing.

    Raises: NoCapacity.
    """
    hashes = sorted({each.sha256 for each in photos if each.sha256})
    namings: list[Naming] = []
    for at in range(0, len(hashes), ASK_MAX):
        namings += await orders.photos_named(hashes[at : at + ASK_MAX])
    return wishes(namings)


class Sender:
    """The one sender of photos."""

    def __init__(
        self,
        store: Store,
        marketplace: TakesPhotos,
        orders: NamesPhotos,
        backhaul: Backhaul,
        clock: Clock,
        limits: PhotoLimits,
        random: Random,
    ) -> None:
        self._store = store
        self._marketplace = marketplace
        self._orders = orders
        self._backhaul = backhaul
        self._clock = clock
        self._limits = limits
        self._random = random
        self._woken = asyncio.Event()
        self._tries: Counter[str] = Counter()  # that failed, by photo
        self._refusals: Counter[str] = Counter()
        self._not_before_s: dict[str, float] = {}
        self._reached: dict[str, int] = {}  # bytes that the far side said it has
        self.failures_in_a_row = 0
        self.sent = 0

    def wake(self) -> None:
        """Look again at once whether something can be sent."""
        self._woken.set()

    async def run(self) -> None:
        """Send what may go, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_link(), name="photos link")
            tasks.create_task(self._send_for_ever(), name="photos sender")

    async def _watch_link(self) -> None:
        was_down = False
        async for status in self._backhaul.changes():
            is_down = status.state is LinkState.DOWN
            if was_down and not is_down:
                self.failures_in_a_row = 0
                self.wake()
            was_down = is_down

    async def _send_for_ever(self) -> None:
        while True:
            try:
                await self._step()
            except Exception as exc:  # noqa: BLE001 - a fault of ours must not stop the photos that come after it
                _log.error("photo.failed", reason=exc.code if isinstance(exc, GatewayError) else type(exc).__name__)
                await self._rest(None)

    async def _step(self) -> None:
        """Send one photo, or wait until there may be one."""
        self._woken.clear()  # from here on a new order is one more reason to look
        photo = None if self._backhaul.is_down else await self._next()
        if photo is None:
            await self._wait(self._idle_s())
            return
        try:
            await self._send(photo)
        except NotDelivered as exc:
            await self._failed(photo, exc)
        else:
            self.failures_in_a_row = 0
            self._forget(photo.name)

    async def _next(self) -> Photo | None:
        now_s = self._clock.now_s()
        photos = [each for each in await self._store.ask(lambda shelf: shelf.all()) if each.standing is Standing.WHOLE]
        known = self._tries.keys() | self._reached.keys() | self._not_before_s.keys()
        for gone in known - {each.name for each in photos}:
            self._forget(gone)
        ready = [each for each in photos if self._not_before_s.get(each.name, 0.0) <= now_s]
        return next_to_send(ready, await wanted(self._orders, ready), self._tries) if ready else None

    async def _send(self, photo: Photo) -> None:
        """Let the far side have all of a photo.

        Raises: NotDelivered.
        """
        name, size_bytes = photo.name, photo.size_bytes
        if not await self._store.ask(lambda shelf: shelf.is_sound(name)):
            return
        offset = await self._marketplace.photo_offset(photo.sha256, size_bytes)
        puts = 0
        while offset != size_bytes:
            if not 0 <= offset < size_bytes:
                raise NotDelivered(is_silent=False, reason="offset impossible", is_refusal=True)
            self._note_reached(name, offset)
            after = await self._marketplace.put_photo(
                photo.sha256, self._store.pieces(name, offset), offset, size_bytes
            )
            puts += 1
            if after <= offset or (puts == PUTS_MAX and after != size_bytes):
                raise NotDelivered(is_silent=False, reason="no progress", is_refusal=True)
            offset = after
        await self._store.ask(lambda shelf: shelf.mark(name, Standing.SENT))
        self.sent += 1
        _log.info("photo.sent", size_bytes=size_bytes)

    def _note_reached(self, name: str, offset: int) -> None:
        if offset > self._reached.get(name, 0):
            self.failures_in_a_row = 0  # a large photo over a weak link takes many tries, and each brings it on
        self._reached[name] = offset

    async def _failed(self, photo: Photo, exc: NotDelivered) -> None:
        name = photo.name
        self._tries[name] += 1
        self._refusals[name] += exc.is_refusal
        _log.info("photo.not_sent", reason=exc.reason, tries=self._tries[name])
        if self._refusals[name] >= self._limits.refusals_max:
            await self._store.ask(lambda shelf: shelf.mark(name, Standing.ASIDE))
            self._forget(name)
        elif exc.is_refusal:
            self._not_before_s[name] = self._clock.now_s() + self._pause_s(self._refusals[name])
        else:
            await self._rest(exc.retry_after_s)

    def _forget(self, name: str) -> None:
        del self._tries[name], self._refusals[name]
        self._not_before_s.pop(name, None)
        self._reached.pop(name, None)

    async def _rest(self, asked_s: float | None) -> None:
        """Pause after a failure: as long as the far end asked, or twice as long as the last time."""
        self.failures_in_a_row += 1
        own_s = self._pause_s(self.failures_in_a_row)
        if asked_s is not None:
            await asyncio.sleep(min(max(asked_s, own_s), self._limits.retry_s_max))
        else:
            await asyncio.sleep(min(self._limits.retry_s_min, own_s))
            self._woken.clear()
            await self._wait(max(own_s - self._limits.retry_s_min, 0.0))

    def _pause_s(self, failures: int) -> float:
        limits = self._limits
        return pause_s(failures, self._random.random(), least_s=limits.retry_s_min, most_s=limits.retry_s_max)

    def _idle_s(self) -> float:
        """Return how long to wait where nothing can be sent: until the next look, or until a photo's pause ends."""
        now_s = self._clock.now_s()
        pauses_s = [until_s - now_s for until_s in self._not_before_s.values()]
        return min([self._limits.look_s, *(max(each, 0.01) for each in pauses_s)])

    async def _wait(self, most_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._woken.wait()
