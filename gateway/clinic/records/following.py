"""Whoever follows hears each entry once it is kept; one that falls behind is let go, and asks for what it missed."""

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakSet

from gateway.clinic.records.views import Entry
from gateway.errors import NoCapacity

BEHIND_MAX = 1_000

_Kept = tuple[str, Entry]


class _Heard:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[_Kept | None] = asyncio.Queue(BEHIND_MAX + 1)


class Followers:
    """Those who follow; owned by the event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heard: WeakSet[_Heard] = WeakSet()

    def follow(self) -> AsyncIterator[_Kept]:
        """Return what yields entries from now on; it ends when it is too far behind, or nothing more comes.

        Raises: NoCapacity.
        """
        if len(self._heard) >= self._most:
            raise NoCapacity
        heard = _Heard()
        self._heard.add(heard)
        return self._hear(heard)

    def tell(self, kept: list[_Kept]) -> None:
        """Let all hear what was kept."""
        for heard in list(self._heard):
            for each in kept:
                if heard.queue.qsize() >= BEHIND_MAX:
                    self._heard.discard(heard)
                    heard.queue.put_nowait(None)
                    break
                heard.queue.put_nowait(each)

    def end(self) -> None:
        """Let nothing more come."""
        for heard in list(self._heard):
            heard.queue.put_nowait(None)
        self._heard.clear()

    async def _hear(self, heard: _Heard) -> AsyncIterator[_Kept]:
        try:
            while (kept := await heard.queue.get()) is not None:
                yield kept
        finally:
            self._heard.discard(heard)
