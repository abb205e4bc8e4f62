"""A name that is not answered holds up nobody but those who wait for it.

The machine's resolver blocks for as long as it likes (20 s and more where a name's servers are silent), so each look-up
has a thread of its own, of which there are few, and which neither the rest of the box nor its stop waits for. One name
is looked up once at a time, whoever waits for it; who stops waiting gives up his place in the queue.

A name that was found before does not wait for a resolver that is slow or out of reach: its last addresses serve, while
the look-up goes on. So a link that is cut does not hold up what another one could carry. A name that is said not to be
there any more is not served.

Source: RFC 8767 §4, §5 (stale data, the client's response timer, the failure's recheck timer).
"""

import asyncio
import errno
import socket
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Thread

from gateway.clock import Clock, SystemClock

PATIENCE_S = 1.0  # for a fresh answer where there is an old one (§5: 1.8 s, for stubs that are not on this machine)
RECHECK_S = 30.0  # §5: after a failure nobody waits for so long; each asks again all the same
STALE_S_MAX = 6 * 3_600.0  # since it was found; an address that moved meanwhile fails in its handshake
KNOWN_MAX = 1_024
LOOKUPS_MAX = 64  # under way at once, of one dialer: 64 kB of stack each, as far as it is used


@dataclass(slots=True, eq=False)
class _Lookup:
    host: str
    found: asyncio.Future[list[str]]
    waiting: int = 0


@dataclass(slots=True)
class _Known:
    addresses: list[str]
    found_s: float
    failed_s: float = float("-inf")


class Names:
    """Looks names up for one dialer."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._known: OrderedDict[str, _Known] = OrderedDict()  # the one found longest ago first
        self._under_way: dict[str, _Lookup] = {}
        self._queue: dict[str, _Lookup] = {}

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a name, best first; of an address, itself.

        Raises: OSError, UnicodeError.
        """
        if _is_address(host):
            return [host]
        known = self._known.get(host)
        now_s = self._clock.now_s()
        if known is None or now_s - known.found_s > STALE_S_MAX:
            return await self._fresh(host)
        patience_s = PATIENCE_S if now_s - known.failed_s > RECHECK_S else 0.0
        try:
            async with asyncio.timeout(patience_s):
                return await self._fresh(host)
        except OSError as exc:  # a timeout is one, too
            if _is_gone(exc):
                raise
            known.failed_s = self._clock.now_s()
            return known.addresses

    async def _fresh(self, host: str) -> list[str]:
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
            if _is_gone(found):
                self._known.pop(lookup.host, None)
            lookup.found.set_exception(found)
            lookup.found.exception()  # looked at, so that asyncio does not log what nobody waits for
        else:
            self._keep(lookup.host, found)
            lookup.found.set_result(found)
        self._begin()

    def _keep(self, host: str, addresses: list[str]) -> None:
        self._known[host] = _Known(addresses, self._clock.now_s())
        self._known.move_to_end(host)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)


def _is_gone(error: Exception) -> bool:
    """Whether a resolver has answered that there is no such name, or no address to it."""
    return isinstance(error, socket.gaierror) and error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
