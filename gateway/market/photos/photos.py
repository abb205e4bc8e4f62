"""The photos of a village: they come from phones in pieces, are kept sealed, follow their orders, and go in time.

A photo belongs to the merchant that sent it: the same bytes from two merchants are two photos, and neither learns of
the other's. An order names photos by hash and never waits for one; it may be recorded before the photo comes.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256 as sha256_of
from pathlib import Path
from random import Random

import structlog

from gateway.backhaul.link import Backhaul
from gateway.clock import Clock
from gateway.errors import BadRequest, GatewayError
from gateway.market.marketplaces.port import TakesPhotos
from gateway.market.photos.keeping import Photo, PhotoLimits, Standing, Wish, may_go
from gateway.market.photos.kinds import Kind
from gateway.market.photos.refusals import Gap, NoPhoto, OtherContent, Superseded, WrongKind, too_busy, too_large
from gateway.market.photos.sender import NamesPhotos, Sender, wanted
from gateway.market.photos.shelf import Shelf
from gateway.market.photos.shrinking import Shrinker
from gateway.market.photos.store import Store
from gateway.market.photos.stretch import Stretch

_log = structlog.get_logger("market.photos")


@dataclass(frozen=True, slots=True)
class PhotoStatistics:
    """How the photos are."""

    parts: int = 0
    waiting: int = 0  # whole, and not sent
    waiting_bytes: int = 0
    kept: int = 0  # sent, and still here
    aside: int = 0  # refused too often: a technician or the merchant must look
    damaged: int = 0
    size_bytes: int = 0  # of all
    sent: int = 0  # since the start
    failures_in_a_row: int = 0


class Photos:
    """Takes, keeps, shows and sends photos."""

    def __init__(
        self,
        *,
        folder: Path,
        key: bytes,
        clock: Clock,
        backhaul: Backhaul,
        orders: NamesPhotos,
        marketplace: TakesPhotos | None,
        limits: PhotoLimits,
        random: Random,
        shrinker: Shrinker | None = None,
    ) -> None:
        """Make it; `key` is 32 bytes that stay the same, `marketplace` None where it takes no photos."""
        self.limits = limits
        self._clock = clock
        self._orders = orders
        self._store = Store(folder, key, clock, limits)
        self._sender = (
            None if marketplace is None else Sender(self._store, marketplace, orders, backhaul, clock, limits, random)
        )
        self._shrinker = shrinker or Shrinker()
        self._uploads: dict[str, object] = {}  # who writes a photo now: the newest
        self._arriving_of: Counter[str] = Counter()  # uploads by merchant
        self._shrinking: Counter[str] = Counter()  # photos by merchant that are made smaller, or wait for it
        self._shrinks = asyncio.Lock()

    async def start(self) -> None:
        """Know again what is there; from now on photos are taken.

        Raises: CannotStart.
        """
        await self._store.start()

    async def run(self) -> None:
        """Send what may go and remove what nobody needs, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tidy_for_ever(), name="photos tidying")
            if self._sender is not None:
                tasks.create_task(self._sender.run(), name="photos sender")

    async def stop(self) -> None:
        """Finish what is being written."""
        await self._store.stop()

    def wake(self) -> None:
        """Look at once whether a photo can be sent: an order has arrived."""
        if self._sender is not None:
            self._sender.wake()

    def statistics(self) -> PhotoStatistics:
        """Return how the photos are."""
        photos = self._store.photos
        by_standing = {each: [photo for photo in photos if photo.standing is each] for each in Standing}
        return PhotoStatistics(
            parts=len(by_standing[Standing.PART]),
            waiting=len(by_standing[Standing.WHOLE]),
            waiting_bytes=sum(each.size_bytes for each in by_standing[Standing.WHOLE]),
            kept=len(by_standing[Standing.SENT]),
            aside=len(by_standing[Standing.ASIDE]),
            damaged=len(by_standing[Standing.DAMAGED]),
            size_bytes=sum(each.size_bytes for each in photos),
            sent=self._sender.sent if self._sender else 0,
            failures_in_a_row=self._sender.failures_in_a_row if self._sender else 0,
        )

    @property
    def _arriving(self) -> int:
        return self._arriving_of.total()

    async def find(self, merchant: str, sha256: str) -> Photo | None:
        """Return a merchant's photo, or what there is of it."""

        def found(shelf: Shelf) -> Photo | None:
            photo = shelf.find(merchant, sha256)
            if photo is None or photo.is_whole or photo.offset_bytes < photo.size_bytes:
                return photo
            try:
                return shelf.settle(photo.name)  # a failing disk came between its last byte and the check
            except (OtherContent, WrongKind):
                return None

        return await self._store.ask(found)

    async def kind(self, photo: Photo) -> Kind | None:
        """Return what kind of photo it is."""
        return await self._store.ask(lambda shelf: shelf.kind(photo.name))

    async def receive(
        self, merchant: str, sha256: str, stretch: Stretch, pieces: AsyncIterator[bytes]
    ) -> tuple[Photo, bool]:
        """Return a photo with what these pieces brought, on disk, and whether they made it whole.

        Raises: Gap, Superseded, OtherContent, WrongKind, BadRequest, TooLarge, NoCapacity, what `pieces` raises.
        """
        photo = await self._store.ask(lambda shelf: _begun(shelf, merchant, sha256, stretch))
        if photo.is_whole:
            return photo, False
        if not _has_place(self._arriving_of, merchant, self.limits.merchant_uploads_max, self.limits.uploads_max):
            raise too_busy()
        self._arriving_of[merchant] += 1
        turn = self._uploads[photo.name] = object()
        try:
            await self._write(photo.name, turn, stretch, pieces)
            settled = await self._store.ask(lambda shelf: shelf.settle(photo.name))
        except Exception:
            with suppress(GatewayError):  # what came before a cut is kept
                await self._store.ask(lambda shelf: shelf.settle(photo.name))
            raise
        finally:
            _leave(self._arriving_of, merchant)
            if self._uploads.get(photo.name) is turn:
                del self._uploads[photo.name]
        if settled.is_whole:
            self.wake()
        return settled, settled.is_whole

    async def take(self, merchant: str, content: bytes, *, shrink: bool = True) -> Photo:
        """Return a photo that a page of ours was given whole, made smaller where that can be done; it is on disk.

        Its `sha256` is what an order names. Raises: WrongKind, TooLarge, NoCapacity.
        """
        if len(content) > self.limits.photo_bytes_max:
            raise too_large(self.limits.photo_bytes_max)
        made = await self._shrinker.smaller(content) if shrink else None
        return await self._store.ask(lambda shelf: _taken(shelf, merchant, made or content))

    async def shrink(self, merchant: str, sha256: str) -> Photo | None:
        """Return the smaller one of a merchant's photo, on disk beside it; None where there can be none."""
        photos = await self._store.ask(lambda shelf: shelf.all())
        for each in photos:
            if each.merchant == merchant and each.made_from == sha256 and each.is_whole:
                return each
        photo = next((each for each in photos if (each.merchant, each.sha256) == (merchant, sha256)), None)
        if photo is None or not photo.is_whole:
            return None
        made = await self._made_smaller(merchant, photo.name)
        if made is None:
            return None
        try:
            return await self._store.ask(lambda shelf: _taken(shelf, merchant, made, made_from=sha256))
        except GatewayError:  # no room for it: the photo itself is there
            return None

    async def show(self, merchant: str, sha256: str) -> tuple[Photo, Kind, AsyncIterator[bytes]]:
        """Return a merchant's whole photo, checked, what kind it is, and its bytes.

        Raises: NoPhoto, NoCapacity.
        """

        def found(shelf: Shelf) -> tuple[Photo, Kind]:
            photo = shelf.find(merchant, sha256)
            if photo is None or not photo.is_whole or not shelf.is_sound(photo.name):
                raise NoPhoto
            kind = shelf.kind(photo.name)
            if kind is None:
                raise NoPhoto
            return photo, kind

        photo, kind = await self._store.ask(found)
        return photo, kind, self._store.pieces(photo.name)

    async def requeue(self) -> int:
        """Let photos that were set aside be sent once more; return how many."""

        def back(shelf: Shelf) -> int:
            aside = [each.name for each in shelf.all() if each.standing is Standing.ASIDE]
            for name in aside:
                shelf.mark(name, Standing.WHOLE)
            return len(aside)

        count = await self._store.ask(back)
        self.wake()
        return count

    async def tidy(self) -> int:
        """Remove what nobody needs any more; return how many.

        Raises: NoCapacity.
        """
        photos = await self._store.ask(lambda shelf: shelf.all())
        wishes = await wanted(self._orders, [each for each in photos if each.standing is Standing.WHOLE])
        wall_s, busy = self._clock.wall_s(), frozenset(self._uploads)
        is_sent_on = self._sender is not None

        def removed(shelf: Shelf) -> int:
            shelf.restamp()
            going = [
                each.name
                for each in shelf.all()
                if each.name not in busy
                and each in photos  # the same as when the orders were asked
                and may_go(
                    each,
                    wishes.get((each.merchant, each.sha256), Wish.NOTHING),
                    wall_s,
                    self.limits,
                    is_sent_on=is_sent_on,
                )
            ]
            for name in going:
                shelf.remove(name)
            return len(going)

        return await self._store.ask(removed)

    async def _tidy_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.limits.tidy_s)  # first: a clock that is wrong at the start has been set by then
            try:
                _log.info("photos.tidied", removed=await self.tidy())
            except Exception as exc:  # noqa: BLE001 - what could not be removed now is removed later
                _log.warning("photos.not_tidied", error=type(exc).__name__)

    async def _made_smaller(self, merchant: str, name: str) -> bytes | None:
        """Return a photo made smaller; None where it cannot be, or too many wait. Who waits holds none in memory."""
        limits = self.limits
        if not _has_place(self._shrinking, merchant, limits.merchant_shrinks_max, limits.shrinks_max):
            return None
        self._shrinking[merchant] += 1
        try:
            async with self._shrinks:
                content = b"".join([piece async for piece in self._store.pieces(name)])
                return await self._shrinker.smaller(content)
        finally:
            _leave(self._shrinking, merchant)

    async def _write(self, name: str, turn: object, stretch: Stretch, pieces: AsyncIterator[bytes]) -> None:
        at, end = stretch.first, stretch.first + stretch.length_bytes
        async for piece in pieces:
            if self._uploads.get(name) is not turn:
                raise Superseded
            if at + len(piece) > end:
                raise BadRequest
            await self._store.ask(partial(Shelf.write, name=name, at=at, content=piece))
            at += len(piece)


def _has_place(busy: Counter[str], merchant: str, own_max: int, all_max: int) -> bool:
    """Say whether one more of a merchant may begin: none takes the places of all."""
    return busy[merchant] < own_max and busy.total() < all_max


def _leave(busy: Counter[str], merchant: str) -> None:
    busy[merchant] -= 1
    if not busy[merchant]:
        del busy[merchant]


def _begun(shelf: Shelf, merchant: str, sha256: str, stretch: Stretch) -> Photo:
    """Return the photo that a stretch goes on with; one of another size begins anew."""
    photo = shelf.find(merchant, sha256)
    if photo is not None and photo.is_whole:
        return photo
    fits = photo is not None and photo.size_bytes == stretch.size_bytes
    offset_bytes = photo.offset_bytes if photo is not None and fits else 0
    if stretch.first > offset_bytes:
        raise Gap(offset_bytes)
    return photo if photo is not None and fits else shelf.begin(merchant, sha256, stretch.size_bytes)


def _taken(shelf: Shelf, merchant: str, content: bytes, made_from: str = "") -> Photo:
    digest = sha256_of(content).hexdigest()
    photo = shelf.find(merchant, digest)
    if photo is None or not photo.is_whole:
        photo = shelf.begin(merchant, digest, len(content), made_from)
        shelf.write(photo.name, 0, content)
        photo = shelf.settle(photo.name)
    if not photo.is_whole:
        raise OtherContent
    return photo
