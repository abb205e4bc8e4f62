"""Photos to test with, and who names them."""

import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from PIL import Image

from gateway.backhaul.link import Backhaul
from gateway.market.marketplaces.port import NotDelivered, TakesPhotos
from gateway.market.photos.keeping import Naming, PhotoLimits, Standing
from gateway.market.photos.photos import Photos
from gateway.market.photos.shelf import Shelf
from gateway.market.states import State
from tests.clocks import HandClock

KEY = bytes(range(32))
LIMITS = PhotoLimits(free_bytes_min=0, photo_bytes_max=3_000_000, retry_s_min=0.001, retry_s_max=0.004, look_s=0.01)


def named(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_jpeg(size_bytes: int = 1_000, seed: int = 1) -> bytes:
    """Bytes that begin as a JPEG does."""
    return b"\xff\xd8\xff\xe0" + Random(seed).randbytes(size_bytes - 4)


def a_picture(width: int = 2_000, height: int = 1_000, **options: object) -> bytes:
    """A real photo of that size, its left half red."""
    image = Image.effect_noise((width, height), 40).convert("RGB")
    image.paste((200, 30, 30), (0, 0, width // 2, height))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, **options)
    return out.getvalue()


def mark_sent(shelf: Shelf, sha256: str) -> None:
    for each in shelf.all():
        if each.sha256 == sha256:
            shelf.mark(each.name, Standing.SENT)


@dataclass
class MemoryOrders:
    """The journal, as far as photos need it."""

    namings: list[Naming] = field(default_factory=list)
    asked: int = 0

    def name(self, merchant: str, sha256: str, state: State = State.ACCEPTED) -> None:
        self.namings = [each for each in self.namings if (each.merchant, each.sha256) != (merchant, sha256)]
        self.namings.append(Naming(merchant, sha256, state))

    async def photos_named(self, hashes: Sequence[str]) -> Sequence[Naming]:
        self.asked += 1
        return [each for each in self.namings if each.sha256 in hashes]


@dataclass
class MemoryPhotos:
    """A marketplace that takes photos: cuts, refuses and lies as it is told."""

    there: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)  # in which they became whole
    cut_after: list[int] = field(default_factory=list)  # bytes of each next put, then silence
    refuse: set[str] = field(default_factory=set)
    fail: int = 0
    offsets: dict[str, int] = field(default_factory=dict)  # to claim, come what may
    puts: list[tuple[str, int]] = field(default_factory=list)
    at_once: int = 0

    async def photo_offset(self, sha256: str, size_bytes: int) -> int:
        if self.fail:
            self.fail -= 1
            raise NotDelivered(is_silent=False, reason="told to fail")
        if sha256 in self.refuse:
            raise NotDelivered(is_silent=False, reason="told to refuse", is_refusal=True)
        return self.offsets.get(sha256, len(self.there.get(sha256, b"")))

    async def put_photo(self, sha256: str, content: AsyncIterator[bytes], offset: int, size_bytes: int) -> int:
        assert self.at_once == 0, "one at a time"
        self.at_once += 1
        self.puts.append((sha256, offset))
        cut = self.cut_after.pop(0) if self.cut_after else None
        try:
            assert offset == len(self.there.get(sha256, b""))
            async for piece in content:
                room = piece if cut is None else piece[:cut]
                self.there[sha256] = self.there.get(sha256, b"") + room
                if cut is not None and (cut := cut - len(room)) == 0:
                    raise NotDelivered(is_silent=True, reason="told to cut")
        finally:
            self.at_once -= 1
        assert named(self.there[sha256]) == sha256
        assert len(self.there[sha256]) == size_bytes
        self.order.append(sha256)
        return size_bytes


async def answers(peer: tuple[str, int]) -> bool:
    return True


def some_photos(
    folder: Path,
    clock: HandClock,
    *,
    orders: MemoryOrders | None = None,
    marketplace: TakesPhotos | None = None,
    limits: PhotoLimits = LIMITS,
    backhaul: Backhaul | None = None,
    key: bytes = KEY,
) -> Photos:
    return Photos(
        folder=folder,
        key=key,
        clock=clock,
        backhaul=backhaul or Backhaul(clock, capacity=None, carrier=lambda: True, probe=answers),
        orders=orders or MemoryOrders(),
        marketplace=marketplace,
        limits=limits,
        random=Random(1),
    )
