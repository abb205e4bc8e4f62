"""What the village keeps of the web: memory in front of the disk, and nothing on the event loop that could wait.

The index has one thread, so its changes come one after another; bodies are read and written on a few others. What is in
memory is answered without a thread.
"""

import asyncio
import hashlib
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from gateway.errors import N_, CannotStart
from gateway.web.body import FileBody, HeldBody, Source, Spool
from gateway.web.disk import DiskTier, Spooled, digest, verified
from gateway.web.memory import MemoryTier
from gateway.web.stored import BodyRef, Shelf, StoredResponse, put_on

T = TypeVar("T")

VERIFIED_MAX = 20_000  # large bodies known to be whole
THREADS = 4  # for bodies; more than a card reader serves at once


class Store:
    """Stored answers, by URL."""

    def __init__(self, folder: Path, *, size_bytes_max: int, memory_bytes_max: int) -> None:
        self._folder = folder
        self._disk = DiskTier(folder, size_bytes_max)
        self._memory: MemoryTier[Shelf | bytes] = MemoryTier(memory_bytes_max)
        self._index = ThreadPoolExecutor(1, "web-index")
        self.spool = Spool(folder / "spool", ThreadPoolExecutor(THREADS, "web-bodies"))
        self._verified: OrderedDict[str, None] = OrderedDict()
        self.objects = 0
        self.size_bytes = 0

    async def start(self) -> None:
        """Open what is on disk; bodies that were under way when the box went down are gone.

        Raises: CannotStart when the folder cannot be used.
        """
        try:
            await self._on_index(self._open)
        except OSError as exc:
            raise CannotStart(
                N_("The folder of stored pages cannot be used: %(path)s."),
                N_("Check its rights and the space on its disk."),
                path=self._folder,
            ) from exc

    async def stop(self) -> None:
        """Close what is on disk, and end the threads."""
        await self._on_index(self._disk.close)
        loop = asyncio.get_running_loop()
        for pool in (self._index, self.spool.pool):
            await loop.run_in_executor(None, pool.shutdown)

    @property
    def memory_bytes(self) -> int:
        """Return the bytes held in memory."""
        return self._memory.size_bytes

    @property
    def failures_in_a_row(self) -> int:
        """How often the disk has failed since it last did not."""
        return self._disk.failures_in_a_row

    async def shelf(self, site: str, url: str) -> Shelf:
        """Return all stored answers of a URL, the newest first."""
        key = _key(site, url)
        held = self._memory.get(f"shelf {key}")
        if isinstance(held, tuple):
            return held
        return self._hold(key, await self._on_index(partial(self._disk.shelf, key)))

    async def open(self, stored: StoredResponse) -> Source | None:
        """Return the body of a stored answer, or None where it is gone or damaged; then so is the answer."""
        ref = stored.body
        held = self._memory.get(ref.key)
        if isinstance(held, bytes):
            return HeldBody(held)
        found = await self._on_index(partial(self._disk.body, ref))
        if found is None:
            await self.forget(stored.site, stored.url)
            return None
        if isinstance(found, bytes):
            self._memory.put(ref.key, found, len(found))
            return HeldBody(found)
        with found:
            source = await self._opened(found, ref)
        if source is None:
            await self.forget(stored.site, stored.url)
        return source

    async def _opened(self, file: BinaryIO, ref: BodyRef) -> Source | None:
        """A body is hashed once a run, and whenever it is read into memory."""
        if self._memory.fits(ref.size_bytes):
            data = await self.spool.run(file.read)
            if await self.spool.run(partial(digest, data)) != ref.digest:
                return None
            self._memory.put(ref.key, data, len(data))
            return HeldBody(data)
        if ref.key not in self._verified:
            if not await self.spool.run(partial(verified, file, ref)):
                return None
            self._sure(ref.key)
        return FileBody(os.dup(file.fileno()), ref.size_bytes, self.spool)

    def _sure(self, key: str) -> None:
        self._verified[key] = None
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)

    def recoded(self, stored: StoredResponse, coding: str) -> bytes | None:
        """Return a body as it was coded for an earlier browser, if that is still in memory."""
        held = self._memory.get(f"{stored.body.key} {coding}")
        return held if isinstance(held, bytes) else None

    def hold_recoded(self, stored: StoredResponse, coding: str, data: bytes) -> None:
        """Hold a body as it was coded, for the next browser."""
        self._memory.put(f"{stored.body.key} {coding}", data, len(data))

    async def keep(self, stored: StoredResponse, content: bytes | Spooled) -> bool:
        """Store an answer and its body; says whether the disk took it."""
        key = _key(stored.site, stored.url)
        shelf = await self._on_index(partial(self._disk.keep, key, stored, content))
        if shelf is None:
            return False
        self._hold(key, shelf)
        self._sure(stored.body.key)
        if isinstance(content, bytes):
            self._memory.put(stored.body.key, content, len(content))
        await self._count()
        return True

    async def freshen(self, stored: StoredResponse) -> None:
        """Store what a 304 changed of an answer, in memory even where the disk would not."""
        key = _key(stored.site, stored.url)
        shelf = await self._on_index(partial(self._disk.keep, key, stored, None))
        held = self._memory.get(f"shelf {key}")
        self._hold(key, shelf or put_on(held if isinstance(held, tuple) else (), stored))

    async def invalidate(self, site: str, url: str) -> None:
        """Have every answer of a URL validated before its next use (RFC 9111 §4.4)."""
        key = _key(site, url)
        self._hold(key, await self._on_index(partial(self._disk.invalidate, key)))

    async def forget(self, site: str, url: str) -> None:
        """Store nothing of a URL."""
        key = _key(site, url)
        self._memory.drop(f"shelf {key}")
        await self._on_index(partial(self._disk.drop, key))
        await self._count()

    def _hold(self, key: str, shelf: Shelf) -> Shelf:
        if shelf:
            size_bytes = sum(len(name) + len(value) for each in shelf for name, value in each.fields)
            self._memory.put(f"shelf {key}", shelf, size_bytes + 1_024 * len(shelf))
        else:
            self._memory.drop(f"shelf {key}")
        return shelf

    async def _count(self) -> None:
        rows, self.size_bytes = await self._on_index(self._disk.count)
        self.objects = rows // 2  # a shelf and a body; URLs with several answers make it a little more

    def _open(self) -> None:
        self._disk.open()
        shutil.rmtree(self.spool.folder, ignore_errors=True)
        self.spool.folder.mkdir(mode=0o700)
        rows, self.size_bytes = self._disk.count()
        self.objects = rows // 2

    async def _on_index(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._index, work)


def body_key(site: str, url: str, digest: str) -> str:
    """Return where a body lies: the same content of the same URL in the same place."""
    return f"body {_key(site, url)} {digest}"


def _key(site: str, url: str) -> str:
    return hashlib.sha256(f"{site} {url}".encode()).hexdigest()
