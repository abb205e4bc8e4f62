"""What is asked for often is kept in memory, by bytes: the least recently used goes first. Pure."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

V = TypeVar("V")

ENTRY_BYTES = 512  # what an entry costs beside its value: key, list node, object headers (2026-11)


class MemoryTier(Generic[V]):
    """Values by key, within a budget of bytes; each may belong to an owner, with whom it goes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[Hashable, tuple[V, int, Hashable]] = OrderedDict()
        self._owned: dict[Hashable, set[Hashable]] = {}
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Return what is held, entries' own cost included."""
        return self._bytes

    def fits(self, size_bytes: int) -> bool:
        """Say whether one value of this size is worth keeping: it may not push out most of the others."""
        return size_bytes <= self._bytes_max // 8

    def get(self, key: Hashable) -> V | None:
        """Return a value, and take note that it was used."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: V, size_bytes: int, owner: Hashable = None) -> None:
        """Hold a value of this size, if it fits, in place of the least recently used."""
        self.drop(key)
        if not self.fits(size_bytes):
            return
        self._entries[key] = (value, size_bytes + ENTRY_BYTES, owner)
        self._bytes += size_bytes + ENTRY_BYTES
        if owner is not None:
            self._owned.setdefault(owner, set()).add(key)
        while self._bytes > self._bytes_max:
            self.drop(next(iter(self._entries)))

    def drop(self, key: Hashable) -> None:
        """Hold nothing under this key."""
        found = self._entries.pop(key, None)
        if found is None:
            return
        self._bytes -= found[1]
        keys = self._owned.get(found[2])
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._owned[found[2]]

    def drop_of(self, owner: Hashable) -> None:
        """Hold nothing of an owner."""
        for key in list(self._owned.get(owner, ())):
            self.drop(key)

    def owners(self) -> Iterable[Hashable]:
        """Return who owns anything here."""
        return tuple(self._owned)
