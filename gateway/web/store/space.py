"""The store keeps within its bytes and leaves the disk what others need; what is worth least goes first.

What is asked of many URLs at once is here too: what a site has, what belongs to a group, what is pinned. It goes in
steps of a few URLs, so that nobody waits long for the one thread.
"""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.errors import N_, LocalError
from gateway.web.rules.stored import url_key
from gateway.web.store.eviction import PINNED_S, Room, victims
from gateway.web.store.gathered import GatheredIndex
from gateway.web.store.ledger import Entry
from gateway.web.store.pins import Pins

AT_ONCE = 32  # URLs in a step: some milliseconds
REMOVAL_BYTES = 1_048_576  # what SQLite's log may take while some rows are deleted
SHRINKS_AT_ONCE = 8  # times a megabyte
SPARE_RATIO = 0.01  # of its size that a store at rest has room for, so that an answer that comes need not wait

At = tuple[str, str]  # a site and a URL


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken out of the store."""

    answers: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored of a site; `pinned` counts its URLs that stay."""

    answers: int = 0
    size_bytes: int = 0
    pinned: int = 0


class Space:
    """What there is room for, on the one thread that owns the index."""

    def __init__(self, folder: Path, rows: GatheredIndex, *, size_bytes_max: int, free_bytes_min: int) -> None:
        self._folder = folder
        self._rows = rows
        self._size_bytes_max = size_bytes_max
        self._free_bytes_min = free_bytes_min
        self._pins = Pins(folder / "pins.json")
        self.evicted: deque[At] = deque()  # by site and URL, for the loop to take

    def load_pins(self) -> None:
        """Know what is pinned."""
        self._pins.load()
        self._rows.index.pinned = {url_key(*each) for each in self._pins.all}

    def make(self, wanted_bytes: int, *, is_there: bool = False) -> bool:
        """Have room for so much, as far as one step goes; says whether there is enough.

        `is_there`: it lies on the disk already, in a file that is only to be renamed.
        """
        return bool(self._rows.guarded(partial(self._make, wanted_bytes, is_there=is_there)))

    def rest(self) -> bool:
        """Have a little room to spare, as far as one step goes, and take note where a disk is full no more."""
        enough = self.make(int(self._size_bytes_max * SPARE_RATIO))
        if self._rows.is_full and self._rows.guarded(lambda: self._room().excess_bytes(0) <= 0):
            self._rows.is_full = False
        self._rows.guarded(lambda: self._rows.index.shrink(at_once=False))
        return enough

    def remove(self, keys: Sequence[str]) -> Removed:
        """Forget URLs, on disk when this returns.

        Raises: LocalError where the disk would not. They are not served all the same, and each writing tries again.
        """
        if self._rows.is_full:
            self._clear(keys)
        removed = self._rows.guarded(partial(self._remove, keys), writes=True)
        if removed is None and self._rows.is_full:
            self._clear(keys)
            self.make(REMOVAL_BYTES)
            removed = self._rows.guarded(partial(self._remove, keys), writes=True)
        if removed is None:
            raise LocalError(
                N_("The disk is full or broken: what is stored there could not be removed."),
                N_("Make room on the disk of the box, then do this once more."),
            )
        return removed

    def remove_of_site(self, site: str) -> Removed:
        """Forget some URLs of a site; nothing where there are no more."""
        self._rows.write()
        keys = self._rows.guarded(lambda: self._rows.index.ledger.of_site(site, AT_ONCE)) or []
        return self.remove(keys)

    def of_group(self, site: str, group: str, after: str = "") -> tuple[list[At], str | None]:
        """Return some URLs of a site with an answer in a group, and after which key there may be more."""
        self._rows.write()
        keys = self._rows.guarded(lambda: self._rows.index.ledger.of_group(site, group, after, AT_ONCE)) or []
        shelves = [self._rows.guarded(partial(self._rows.shelf, key)) for key in keys]
        return [(shelf[0].site, shelf[0].url) for shelf in shelves if shelf], keys[-1] if keys else None

    def pin(self, site: str, url: str, *, on: bool) -> bool:
        """Have a stored URL stay, or let go of it; says whether it is so now."""

        def work() -> bool:
            key = url_key(site, url)
            self._rows.write()
            if on and not self._rows.shelf(key):
                return False
            if not self._pins.put(site, url, on=on):
                return False
            index = self._rows.index
            index.pinned = {url_key(*each) for each in self._pins.all}
            index.ledger.rank(key, PINNED_S if on else self._rows.used_s() + index.ledger.entry(key).bonus_s)
            return True

        return bool(self._rows.guarded(work, writes=True))

    def pinned(self) -> tuple[tuple[str, str], ...]:
        """Return what is pinned, by site and URL, the first pinned first."""
        return tuple(self._pins.all)

    def by_site(self) -> dict[str, Kept]:
        """Return what is stored of each site."""
        self._rows.write()
        found = self._rows.guarded(self._by_site) or {}
        pinned = [site for site, _ in self._pins.all]
        return {
            site: Kept(entry.answers, entry.size_bytes, pinned.count(site)) for site, entry in sorted(found.items())
        }

    def _by_site(self) -> dict[str, Entry]:
        return self._rows.index.ledger.by_site()

    def _make(self, wanted_bytes: int, *, is_there: bool) -> bool:
        excess_bytes = self._room().excess_bytes(wanted_bytes, is_there=is_there)
        if excess_bytes <= 0:
            return True
        rows, index = self._rows, self._rows.index
        rows.write()
        keys = victims(index.ledger.by_rank(AT_ONCE), excess_bytes)
        if rows.is_full:
            self._clear(keys)
        self.evicted.extend((shelf[0].site, shelf[0].url) for key in keys if (shelf := rows.shelf(key)))
        self._remove(keys)
        for _ in range(SHRINKS_AT_ONCE):
            if self._room().short_bytes(wanted_bytes) <= 0 or not index.shrink(at_once=True):
                break
        return self._room().excess_bytes(wanted_bytes, is_there=is_there) <= 0

    def _clear(self, keys: Sequence[str]) -> None:
        """Have no files of URLs that are to go: even deleting rows takes room."""
        index = self._rows.index
        self._rows.guarded(lambda: index.disk.unlink(index.files_of(keys)))

    def _remove(self, keys: Sequence[str]) -> Removed:
        answers = size_bytes = 0
        for key in keys:
            before, entry = self._rows.shelf(key), self._rows.index.ledger.entry(key)
            bodies = sum(part.body.size_bytes for each in before for part in each.parts)
            answers += len(before) or entry.answers
            size_bytes += max(bodies, entry.size_bytes)
            self._rows.drop(key, before)
        self._rows.write_now(keys)
        return Removed(answers, size_bytes)

    def _room(self) -> Room:
        disk = os.statvfs(self._folder)
        return Room(self._rows.size_bytes, self._size_bytes_max, disk.f_bavail * disk.f_frsize, self._free_bytes_min)
