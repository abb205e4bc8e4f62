"""What the village keeps of the web: memory in front of the disk, and nothing on the event loop that could wait.

The index has one thread, so its changes come one after another; bodies are read and written on a few others. What is in
memory is answered without a thread. What changes is gathered, and written every few seconds (`tend`).
"""

import asyncio
import shutil
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from gateway.clock import Clock
from gateway.errors import N_, CannotStart
from gateway.web.fetching.body import HeldBody, SpanSource, Spool
from gateway.web.rules.stored import BodyRef, Part, Shelf, StoredResponse, put_on, url_key
from gateway.web.store.bodies import Bodies, size_of, trimmed
from gateway.web.store.disk import DiskTier, Spooled
from gateway.web.store.front import Front
from gateway.web.store.parts import like
from gateway.web.store.removal import Removal
from gateway.web.store.space import Kept, Removed
from gateway.web.store.tending import tended

__all__ = ["Kept", "Removed", "Store", "body_key"]

THREADS = 4  # for bodies; more than a card reader serves at once
BATCH_BYTES_MAX = 1_048_576  # gathered in memory; then it is written at once: 60 ms for 250 pages (2026-11)
# How long a change waits: ext4 itself writes every 5 s, so a power cut takes hardly more, and one visit is one write.
WRITE_EVERY_S = 5.0


class Store(Removal):
    """Stored answers, by site and URL."""

    def __init__(
        self,
        folder: Path,
        *,
        size_bytes_max: int,
        memory_bytes_max: int,
        free_bytes_min: int = 0,
        write_every_s: float = WRITE_EVERY_S,
        clock: Clock | None = None,
    ) -> None:
        disk = DiskTier(
            folder, size_bytes_max, free_bytes_min=free_bytes_min, batch_bytes_max=BATCH_BYTES_MAX, clock=clock
        )
        super().__init__(disk, Front(memory_bytes_max), ThreadPoolExecutor(1, "web-index"))
        self._write_every_s = write_every_s
        bodies = ThreadPoolExecutor(THREADS, "web-bodies")
        self.spool = Spool(folder / "spool", bodies, free_bytes_min=free_bytes_min)
        self._bodies = Bodies(self.spool)
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by body

    async def start(self) -> None:
        """Open what is on disk; bodies that were under way when the box went down are gone.

        Raises: CannotStart when the folder cannot be used.
        """
        try:
            await self.run(self._open)
        except OSError as exc:
            raise CannotStart(
                N_("The folder of stored pages cannot be used: %(path)s."),
                N_("Check its rights and the space on its disk."),
                path=self.spool.folder.parent,
            ) from exc

    def _open(self) -> None:
        shutil.rmtree(self.spool.folder, ignore_errors=True)
        self.disk.open()
        self.spool.folder.mkdir(mode=0o700, exist_ok=True)

    async def tend(self, sites: Collection[str] | None = None) -> None:
        """Write what is gathered, make room, and remove what nobody can ask for, until cancelled.

        `sites` are those that there are, "" for the forward proxy; what is stored of others goes. None: nothing does.
        """
        await tended(self, self._write_every_s, sites)

    async def stop(self) -> None:
        """Write what waits, close what is on disk, and end the threads."""
        await self.write_uses()
        await self.run(self.disk.close)
        loop = asyncio.get_running_loop()
        for pool in (self.pool, self.spool.pool):
            await loop.run_in_executor(None, pool.shutdown)

    async def sync(self) -> None:
        """Have what is written outlast a power cut."""
        with suppress(OSError):
            await self.spool.run(self.disk.sync)

    @property
    def objects(self) -> int:
        """How many answers are stored."""
        return self.disk.rows.answers

    @property
    def size_bytes(self) -> int:
        """What they take on disk."""
        return self.disk.rows.size_bytes

    @property
    def memory_bytes(self) -> int:
        """Return the bytes held in memory."""
        return self.front.size_bytes

    @property
    def failures_in_a_row(self) -> int:
        """How often the disk has failed since it last did not."""
        return self.disk.failures_in_a_row + self.late

    @property
    def is_full(self) -> bool:
        """Whether the disk has no room for more."""
        return self.disk.rows.is_full

    @property
    def on_change(self) -> Callable[[str, str], None] | None:
        """Who is told, on the loop, of every change of a shelf, by site and URL."""
        return self.front.on_change

    @on_change.setter
    def on_change(self, told: Callable[[str, str], None] | None) -> None:
        self.front.on_change = told

    @property
    def on_clear(self) -> Callable[[str], None] | None:
        """Who is told when all of a site goes."""
        return self.front.on_clear

    @on_clear.setter
    def on_clear(self, told: Callable[[str], None] | None) -> None:
        self.front.on_clear = told

    def use(self, site: str, url: str) -> None:
        """Take note that a stored answer was used without being asked for here."""
        self.front.use((site, url))

    async def write_uses(self) -> None:
        """Have what was used since the last time written down, with the next writing."""
        used, self.front.used = self.front.used, set()
        if used:
            await self.run(partial(self.disk.use, used))

    async def shelf(self, site: str, url: str) -> Shelf:
        """Return all stored answers of a URL, the newest first; none where the disk does not say so in time."""
        at = (site, url)
        held = self.front.shelf(at)
        if held is None:
            found = await self.soon(partial(self.disk.shelf, url_key(*at)))
            held = () if found is None else self.front.hold(at, found)
        if held:
            self.front.use(at)
        return held

    async def open(self, stored: StoredResponse) -> SpanSource | None:
        """Return the body of a stored answer, or None where it is gone or damaged; then so is the answer."""
        return await self.open_part(stored, stored.parts[0])

    async def open_part(self, stored: StoredResponse, part: Part) -> SpanSource | None:
        """Return the body of a part, or None where it is gone or damaged; then that part is forgotten, not the rest.

        None too where the disk hangs: what is stored stays, and is not known of until the disk is there again.
        """
        held = self.front.body(part.body.key)
        if held is not None:
            return HeldBody(held)
        async with self._opening.setdefault(part.body.key, asyncio.Lock()):  # many who wait for one body hold it once
            held = self.front.body(part.body.key)
            return HeldBody(held) if held is not None else await self._read_part(stored, part)

    async def _read_part(self, stored: StoredResponse, part: Part) -> SpanSource | None:
        at, mark = (stored.site, stored.url), self.marks.now()
        found = await self.soon(lambda: (self.disk.body(part.body),))
        if found is None:
            self.front.drop(at)
            return None
        source = await self._source(found[0], part.body, whole=stored.whole)
        if source is None:
            self.front.change(at, await self.run(partial(self.disk.drop_part, url_key(*at), part)))
        elif isinstance(source, HeldBody) and stored.whole and not self.taken_since(mark, stored):
            self.front.hold_body(at, part.body.key, source.data)  # but no slice of a film: it would push out pages
        return source

    async def _source(self, found: bytes | BinaryIO | None, ref: BodyRef, *, whole: bool) -> SpanSource | None:
        if found is None or isinstance(found, bytes):
            return HeldBody(found) if found is not None else None
        with found:
            return await self._bodies.open(found, ref, hold=whole and self.front.fits(ref.size_bytes))

    def recoded(self, stored: StoredResponse, coding: str) -> bytes | None:
        """Return a body as it was coded for an earlier browser, if that is still in memory."""
        return self.front.body(f"{stored.body.key} {coding}")

    def hold_recoded(self, stored: StoredResponse, coding: str, data: bytes) -> None:
        """Hold a body as it was coded, for the next browser."""
        self.front.hold_body((stored.site, stored.url), f"{stored.body.key} {coding}", data)

    async def rendition(self, stored: StoredResponse, name: str) -> bytes | None:
        """Return a stored answer's body in another form, if that is stored."""
        row, mark = f"{stored.body.key} {name}", self.marks.now()
        held = self.front.body(row)
        if held is not None:
            return held
        found = await self.soon(partial(self.disk.rendition, row))
        if found is not None and not self.taken_since(mark, stored):
            self.front.hold_body((stored.site, stored.url), row, found)
        return found

    async def keep_rendition(self, stored: StoredResponse, name: str, data: bytes) -> None:
        """Store another form of a stored answer's body, for as long as that is stored."""
        at, mark = (stored.site, stored.url), self.marks.now()
        kept = await self.run(partial(self.disk.keep_rendition, url_key(*at), stored.body.key, name, data))
        if kept and not self.taken_since(mark, stored):
            self.front.hold_body(at, f"{stored.body.key} {name}", data)

    async def keep(
        self, stored: StoredResponse, content: bytes | Spooled, *, cost_s: float = 0.0, since: int | None = None
    ) -> bool:
        """Store an answer and its body; says whether the disk took it.

        `cost_s` is for how long the link was busy with it; `since`: the `mark` of when its fetch began.
        """
        at = (stored.site, stored.url)

        def work(answer: StoredResponse) -> Shelf | None:
            return self.disk.keep(url_key(*at), answer, content, cost_s=cost_s)

        shelf = await self._stored(work, stored, content, since)
        if shelf is None:
            return False
        self._bodies.sure(stored.body.key)
        if isinstance(content, bytes):
            self.front.hold_body(at, stored.body.key, content)
        self.front.change(at, shelf)
        return True

    async def add_part(
        self,
        stored: StoredResponse,
        at: int,
        content: bytes | Spooled,
        *,
        cost_s: float = 0.0,
        since: int | None = None,
    ) -> StoredResponse | None:
        """Add a stretch of content to the stored answer with the same validator, or begin one with it.

        What other parts hold of it is cut off. Returns the answer as it is stored now; None where the disk would not.
        """
        key = url_key(stored.site, stored.url)
        place = await self.run(partial(self.disk.place, key, stored, at, size_of(content)))
        try:
            at, content, found = await self.spool.run(partial(trimmed, content, at, place))
        except OSError:
            if isinstance(content, Spooled):
                self.spool.pool.submit(content.path.unlink, missing_ok=True)
            return None

        def work(answer: StoredResponse) -> Shelf | None:
            return self.disk.add_part(key, answer, at, content, found, cost_s=cost_s)

        shelf = await self._stored(work, stored, content, since)
        if shelf is None:
            return None
        self.front.change((stored.site, stored.url), shelf)
        return like(shelf, stored)

    async def _stored(
        self,
        work: Callable[[StoredResponse], Shelf | None],
        stored: StoredResponse,
        content: bytes | Spooled,
        since: int | None,
    ) -> Shelf | None:
        """Have something stored, as often as room was made for it; its file, if it has one, is the store's or gone."""
        shelf, tries_on = None, True
        try:
            while shelf is None and tries_on and not self.taken_since(since, stored):
                shelf = await self.run(partial(work, self.as_of(since, stored)))
                tries_on = self.tell_evicted()
            return shelf
        finally:
            if isinstance(content, Spooled):
                self.spool.pool.submit(content.path.unlink, missing_ok=True)

    async def freshen(self, stored: StoredResponse, *, since: int | None = None) -> None:
        """Store what a 304 changed of an answer that is there still, in memory even where the disk would not."""
        at = (stored.site, stored.url)
        if self.taken_since(since, stored):
            return
        work = partial(self.disk.freshen, url_key(*at), self.as_of(since, stored))
        shelf = await self.soon(work, goes_on=True)
        held = self.front.shelf(at) or ()
        if shelf is None and any(each.parts == stored.parts for each in held):
            shelf = put_on(held, stored)
        self.front.change(at, shelf or ())


def body_key(site: str, url: str, digest: str) -> str:
    """Return where a body lies: the same content of the same URL in the same place."""
    return f"body {url_key(site, url)} {digest}"
