"""What the machine says of the link's interface, and whether a peer answers: the backhaul's eyes.

Source: Linux Documentation/ABI/testing/sysfs-class-net (`carrier`), proc(5) `/proc/net/route`.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from gateway.backhaul.dialer import Dialer, Endpoint, RefusedError, UnreachableError

_NET = Path("/sys/class/net")
_ROUTES = Path("/proc/net/route")
_RTF_UP, _RTF_REJECT = 0x0001, 0x0200  # linux/route.h
PROBE_S = 3.0  # longer than a wave (`watch`): a late answer is an answer
FIND_S = 20.0
ENDPOINTS_MAX = 2  # of one peer: both address families, or two of its servers
KNOWN_MAX = 16  # peers
_RESET = struct.pack("ii", 1, 0)  # close with RST: one packet instead of four (socket(7), SO_LINGER)

Peer = tuple[str, int]
Bind = Callable[[socket.socket], None]


def leave_unbound(made: socket.socket) -> None:
    """Let the machine's routes decide which way a socket goes."""


def default_interface() -> str | None:
    """Return the interface of the default IPv4 route, if there is one."""
    try:
        rows = _ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    return next((row[0] for row in map(str.split, rows) if row[1] == row[7] == "00000000" and _leads(row[3])), None)


def _leads(flags: str) -> bool:
    """Say whether a route is up, and no refusal (`unreachable default`), which has no interface."""
    return int(flags, 16) & (_RTF_UP | _RTF_REJECT) == _RTF_UP


def interface_exists(name: str) -> bool:
    """Say whether this machine has a network interface of this name."""
    return (_NET / name).exists()


def carrier_of(interface: str | None) -> Callable[[], bool]:
    """Return a function that says whether the interface has its carrier; where nothing can be known, it has."""
    named = interface or default_interface()
    if named is None:
        return lambda: True
    carrier, state = _NET / named / "carrier", _NET / named / "operstate"

    def has_carrier() -> bool:
        try:
            return carrier.read_text(encoding="ascii").strip() == "1"
        except FileNotFoundError:
            return (
                not (_NET / named).exists() and interface is None
            )  # a named interface that is gone is a modem unplugged
        except OSError:  # EINVAL: the interface is administratively down
            return _read(state) not in {"down", "lowerlayerdown", "notpresent"}

    return has_carrier


class Handshakes:
    """Probes: a TCP handshake with a peer within `PROBE_S`; a refusal is an answer too.

    Addresses once found are kept, for a name cannot be looked up over a link that is down.
    """

    def __init__(self, dialer: Dialer, bind: Bind) -> None:
        self._dialer = dialer
        self._bind = bind
        self._known: dict[Peer, list[Endpoint]] = {}

    async def __call__(self, peer: Peer) -> bool:
        """Say whether a peer answers."""
        try:
            async with asyncio.timeout(PROBE_S):
                for end in self._known.get(peer) or await self._look_up(peer):
                    if await _handshake(end, self._bind):
                        return True
        except (TimeoutError, UnreachableError, RefusedError):
            pass
        return False

    async def find(self, peer: Peer) -> bool:
        """Know the addresses of a peer from now on; say whether they could be known."""
        try:
            async with asyncio.timeout(FIND_S):
                await self._look_up(peer)
        except (TimeoutError, UnreachableError, RefusedError):
            return False
        return True

    async def _look_up(self, peer: Peer) -> list[Endpoint]:
        found = list(await self._dialer.endpoints(*peer))[:ENDPOINTS_MAX]
        self._known.pop(peer, None)
        self._known[peer] = found
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return found


def probe_by(dialer: Dialer, bind: Bind = leave_unbound) -> Handshakes:
    """Return a probe that asks through this dialer, over the way that `bind` gives its sockets."""
    return Handshakes(dialer, bind)


async def _handshake(end: Endpoint, bind: Bind) -> bool:
    family = socket.AF_INET6 if ":" in end.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as knock:
        knock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        knock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        try:
            bind(knock)
            await asyncio.get_running_loop().sock_connect(knock, (end.host, end.port))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
