"""A name that is not answered holds up nobody but those who wait for it.

The machine's resolver blocks for as long as it likes (20 s and more where a name's servers are silent), so each look-up
has a thread of its own, of which there are few, and which neither the rest of the box nor its stop waits for. One name
is looked up once at a time, whoever waits for it; who stops waiting gives up his place in the queue.
"""

import asyncio
import errno
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Thread

LOOKUPS_MAX = 64  # under way at once, of one dialer: 64 kB of stack each, as far as it is used


@dataclass(slots=True, eq=False)
class _Lookup:
    host: str
    found: asyncio.Future[list[str]]
    waiting: int = 0


class Names:
    """Looks names up for one dialer."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Lookup] = {}
        self._queue: dict[str, _Lookup] = {}

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a name, best first; of an address, itself.

        Raises: OSError, UnicodeError.
        """
        if _is_address(host):
            return [host]
        lookup = self._under_way.get(host) or self._queue.get(host)
        if lookup is None:
            lookup = self._queue[host] = _Lookup(host, asyncio.get_running_loop().create_future())
        lookup.waiting += 1
        self._begin()
        try:
            return await asyncio.shield(lookup.found)
        finally:
            lookup.waiting -= 1
            if not lookup.waiting and self._queue.get(host) is lookup:
                del self._queue[host]

    def _begin(self) -> None:
        """Look up what waits, as far as there is room."""
        while self._queue and len(self._under_way) < LOOKUPS_MAX:
            host = next(iter(self._queue))
            lookup = self._under_way[host] = self._queue.pop(host)
            try:
                Thread(target=self._look_up, args=(lookup,), name="name look-up", daemon=True).start()
            except RuntimeError:  # the machine has no room for one more
                self._end(lookup, OSError(errno.EAGAIN, "no thread"))

    def _look_up(self, lookup: _Lookup) -> None:
        found: list[str] | Exception
        try:
            answers = socket.getaddrinfo(lookup.host, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(address[0]) for *_, address in answers))
        except Exception as exc:  # noqa: BLE001 - it is raised where it is waited for
            found = exc
        with suppress(RuntimeError):  # the box has stopped meanwhile
            lookup.found.get_loop().call_soon_threadsafe(self._end, lookup, found)

    def _end(self, lookup: _Lookup, found: list[str] | Exception) -> None:
        del self._under_way[lookup.host]
        if isinstance(found, Exception):
            lookup.found.set_exception(found)
            lookup.found.exception()  # looked at, so that asyncio does not log what nobody waits for
        else:
            lookup.found.set_result(found)
        self._begin()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
