"""What was under way when something was taken away is not put back. Pure.

Whoever begins to fetch takes a mark; whoever stores says which. What was taken away since stays away.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

REMEMBERED_MAX = 10_000  # takings; of older ones it is only known that they were before, so nothing begun then is kept

What = tuple[str, ...]  # a site; a site and a URL; a site, "group" and its name


class Marks:
    """Numbers that grow with each taking."""

    def __init__(self) -> None:
        self._last = 0
        self._forgotten = 0  # the newest of the takings that are not remembered one by one
        self._taken: OrderedDict[bytes, int] = OrderedDict()  # by hash: a URL may be long

    def now(self) -> int:
        """Return the mark of this moment."""
        return self._last

    def take(self, what: What) -> None:
        """State that something is taken away now."""
        self._last += 1
        name = _hash(what)
        self._taken[name] = self._last
        self._taken.move_to_end(name)
        if len(self._taken) > REMEMBERED_MAX:
            self._forgotten = self._taken.popitem(last=False)[1]

    def taken_since(self, mark: int, whats: Iterable[What]) -> bool:
        """Say whether any of these was taken away after a mark."""
        if mark >= self._last:
            return False
        return mark < self._forgotten or any(self._taken.get(_hash(what), 0) > mark for what in whats)


def _hash(what: What) -> bytes:
    return hashlib.blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).digest()
