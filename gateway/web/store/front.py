"""What of the store is in memory, and who is told when that is no longer so.

Shelves, bodies and renditions of a URL belong to it, and go with it. Whoever holds on to answers outside the store is
told of every change of a shelf, on the event loop, before anybody can ask.
"""

from collections.abc import Callable

from gateway.web.rules.stored import Shelf, invalidated, url_key
from gateway.web.store.batch import cost_bytes
from gateway.web.store.memory import MemoryTier

At = tuple[str, str]  # a site and a URL
USED_MAX = 20_000  # URLs noted as used between two writings, of 150 bytes; beyond it nothing much is learned


class Front:
    """Shelves and bodies in memory; owned by the loop."""

    def __init__(self, bytes_max: int) -> None:
        self._memory: MemoryTier[Shelf | bytes] = MemoryTier(bytes_max)
        self.fits = self._memory.fits
        self.used: set[str] = set()  # keys: a URL may be long
        self.on_change: Callable[[str, str], None] | None = None
        self.on_clear: Callable[[str], None] | None = None

    @property
    def size_bytes(self) -> int:
        """Return the bytes held."""
        return self._memory.size_bytes

    def use(self, at: At) -> None:
        """Take note that what is stored of a URL was asked for."""
        if len(self.used) < USED_MAX:
            self.used.add(url_key(*at))

    def shelf(self, at: At) -> Shelf | None:
        """Return the shelf of a URL, if it is in memory."""
        found = self._memory.get(at)
        return found if isinstance(found, tuple) else None

    def hold(self, at: At, shelf: Shelf) -> Shelf:
        """Hold a shelf as it was read."""
        if shelf:
            self._memory.put(at, shelf, cost_bytes(shelf), owner=at)
        else:
            self._memory.drop(at)
        return shelf

    def change(self, at: At, shelf: Shelf) -> None:
        """Hold a shelf that has changed, and say so."""
        self.hold(at, shelf)
        if self.on_change is not None:
            self.on_change(*at)

    def doubt(self, at: At) -> None:
        """Have what is in memory of a URL validated before its next use."""
        self.change(at, invalidated(self.shelf(at) or ()))

    def body(self, name: str) -> bytes | None:
        """Return a body or a rendition, if it is in memory."""
        found = self._memory.get(name)
        return found if isinstance(found, bytes) else None

    def hold_body(self, at: At, name: str, data: bytes) -> None:
        """Hold a body or a rendition."""
        self._memory.put(name, data, len(data), owner=at)

    def drop(self, at: At) -> None:
        """Hold nothing of a URL, and say so."""
        self._memory.drop_of(at)
        if self.on_change is not None:
            self.on_change(*at)

    def drop_site(self, site: str) -> None:
        """Hold nothing of a site, and say so."""
        for owner in self._memory.owners():
            if isinstance(owner, tuple) and owner[0] == site:
                self._memory.drop_of(owner)
        if self.on_clear is not None:
            self.on_clear(site)
