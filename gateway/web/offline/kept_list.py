"""The list of requests kept for later: bounded, in memory, and written to disk in batches.

A file beside the store is replaced as a whole, at most every `WRITE_PAUSE_S`, without waiting for the disk: an SD card
lives longer, and a power cut loses the last seconds of the list. What cannot be read is a fresh list.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.web.offline.kept import (
    KeptLimits,
    KeptPage,
    KeptState,
    hash_of,
    kept_fields,
    may_keep,
    network_of,
    read_pages,
    swept,
    token_of,
    wanted_too,
    write_pages,
)
from gateway.web.rules.asking import Ask

WRITE_PAUSE_S = 5.0
FILE_BYTES_MAX = 32_000_000  # 5,000 pages of 2,000 characters that 50 people want each, and some room
DEVICES_MAX = 2_000  # whose requests are counted; the least recent is forgotten
_network_of = lru_cache(maxsize=2 * DEVICES_MAX)(network_of)
_log = structlog.get_logger("web")


class KeptList:
    """What waits for the link, and what has arrived."""

    def __init__(
        self, path: Path, limits: KeptLimits, clock: Clock, belongs: Callable[[str, str], bool], key: bytes
    ) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock
        self._belongs = belongs  # whether a URL is one that a realm may be asked for
        self._key = key
        self._pages: OrderedDict[tuple[str, str], KeptPage] = OrderedDict()  # the oldest first
        self._of_device: OrderedDict[str, set[tuple[str, str]]] = OrderedDict()  # never written down
        self._due_s: dict[tuple[str, str], float] = {}  # when a page that failed is tried again
        self._seen_s = clock.now_s(), clock.wall_s()  # at the last sweep
        self._is_failing = False  # the disk
        self.is_written = True

    def load(self) -> None:
        """Read the list from disk; it blocks."""
        try:
            with self._path.open("rb") as file:
                found = file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return
        except OSError as exc:
            _log.warning("kept.unread", error=type(exc).__name__)
            return
        pages = [page for page in read_pages(found, self._limits) if self._belongs(*page.at)]
        self._pages = OrderedDict((page.at, page) for page in pages)

    def written(self) -> bytes:
        """Return the list for `write`; from here on it counts as written."""
        self.is_written = True
        return write_pages(self._pages.values())

    def write(self, data: bytes) -> bool:
        """Replace the list on disk, and say whether that went well; it blocks."""
        fresh = self._path.with_suffix(".new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
            fresh.replace(self._path)
        except OSError as exc:  # a full disk: the list goes on in memory
            if not self._is_failing:
                _log.warning("kept.unwritten", error=type(exc).__name__)
            self._is_failing = True
            return False
        self._is_failing = False
        return True

    def keep(self, ask: Ask, device: str) -> str | None:
        """Keep a request, and return the token that shows it; None where it is not one to keep, or there is no room."""
        at = (ask.site, ask.url)
        if not may_keep(ask, self._limits.url_chars_max) or not self._belongs(*at):
            return None
        theirs = self._counted(device)
        page, now_s = self._pages.get(at), self._clock.wall_s()
        waiting = sum(self._pages[each].state is KeptState.WAITING for each in theirs)
        if at not in theirs and waiting >= self._limits.per_device_max:
            return None
        if page is None and not (self._has_share(device) and self._has_room()):
            return None
        theirs.add(at)
        token = token_of(self._key, device, *at)
        if page is None:
            page = KeptPage(ask.site, ask.url, kept_fields(ask.fields), (hash_of(token),), now_s)
            self.put(page)
        elif (more := wanted_too(page, hash_of(token), now_s)) != page:
            self.put(more)
        return token

    def put(self, page: KeptPage) -> None:
        """Take a page as it stands now."""
        self._pages[page.at] = page
        self.is_written = False

    def put_off(self, at: tuple[str, str], duration_s: float) -> None:
        """Leave a page alone for a while."""
        if at in self._pages:
            self._due_s[at] = self._clock.now_s() + duration_s

    def get(self, at: tuple[str, str]) -> KeptPage | None:
        """Return a page, if it is on the list still."""
        return self._pages.get(at)

    def next(self) -> KeptPage | None:
        """Return the page that is to be fetched now: the one that waits longest, of those that are due."""
        now_s = self._clock.now_s()
        waiting = (page for page in self._pages.values() if page.state is KeptState.WAITING)
        return next((page for page in waiting if self._due_s.get(page.at, now_s) <= now_s), None)

    def shown_by(self, tokens: Iterable[str]) -> list[tuple[str, KeptPage]]:
        """Return the pages that these tokens show, each with its token, the latest first."""
        by_hash = {hash_of(token): token for token in tokens}
        found = [
            (by_hash[token_hash], page)
            for page in self._pages.values()
            for token_hash in page.tokens
            if token_hash in by_hash
        ]
        return found[::-1]

    def take_back(self, token: str) -> None:
        """Keep a request no longer for whoever holds this token; what nobody wants is not fetched."""
        for _, page in self.shown_by([token]):
            left = tuple(each for each in page.tokens if each != hash_of(token))
            if left:
                self.put(replace(page, tokens=left))
            else:
                self._drop(page.at)

    def sweep(self) -> None:
        """Forget what is too old."""
        (was_s, was_wall_s), self._seen_s = self._seen_s, (self._clock.now_s(), self._clock.wall_s())
        now_s, wall_s = self._seen_s
        leapt_s = (wall_s - was_wall_s) - (now_s - was_s)
        left = {page.at: page for page in swept(self._pages.values(), wall_s, self._limits.age_s_max, leapt_s)}
        for at in [at for at in self._pages if at not in left]:
            self._drop(at)
        for at, page in left.items():
            if self._pages[at] != page:
                self.put(page)

    def count(self, *states: KeptState, site: str | None = None) -> int:
        """Return how many pages stand so, of one site or of all."""
        return sum(page.state in states and site in {None, page.site} for page in self._pages.values())

    def _drop(self, at: tuple[str, str]) -> None:
        del self._pages[at]
        self._due_s.pop(at, None)
        for theirs in self._of_device.values():
            theirs.discard(at)
        self.is_written = False

    def _has_share(self, device: str) -> bool:
        """Say whether a network of IPv6 leaves others half of the list: one phone may have any number of addresses.

        All of a village may be in one such network, so it is not counted as one device.
        """
        network = _network_of(device)
        if network is None:
            return True
        waiting = {
            at
            for each, theirs in self._of_device.items()
            if _network_of(each) == network
            for at in theirs
            if self._pages[at].state is KeptState.WAITING
        }
        return len(waiting) < self._limits.pages_max // 2

    def _has_room(self) -> bool:
        """Make room where the list is full: what has arrived, or never will, gives way to what is waited for."""
        if len(self._pages) < self._limits.pages_max:
            return True
        settled = next((page for page in self._pages.values() if page.state is not KeptState.WAITING), None)
        if settled is None or not self._limits.pages_max:
            return False
        self._drop(settled.at)
        return True

    def _counted(self, device: str) -> set[tuple[str, str]]:
        """Return what a device has on the list, as far as this run knows."""
        theirs = self._of_device.setdefault(device, set())
        self._of_device.move_to_end(device)
        if len(self._of_device) > DEVICES_MAX:
            self._of_device.popitem(last=False)
        return theirs
