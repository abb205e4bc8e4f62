"""What is asked for often is kept in memory, by bytes: the least recently used goes first."""

from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")

ENTRY_BYTES = 512  # what an entry costs beside its value: key, list node, object headers (2026-11)


class MemoryTier(Generic[V]):
    """Values by key, within a budget of bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[str, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Return what is held, entries' own cost included."""
        return self._bytes

    def fits(self, size_bytes: int) -> bool:
        """Say whether one value of this size is worth keeping: it may not push out most of the others."""
        return size_bytes <= self._bytes_max // 8

    def get(self, key: str) -> V | None:
        """Return a value, and take note that it was used."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: str, value: V, size_bytes: int) -> None:
        """Hold a value of this size, if it fits, in place of the least recently used."""
        self.drop(key)
        if not self.fits(size_bytes):
            return
        self._entries[key] = (value, size_bytes + ENTRY_BYTES)
        self._bytes += size_bytes + ENTRY_BYTES
        while self._bytes > self._bytes_max:
            _, (_, gone_bytes) = self._entries.popitem(last=False)
            self._bytes -= gone_bytes

    def drop(self, key: str) -> None:
        """Hold nothing under this key."""
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= found[1]
