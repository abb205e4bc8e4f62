"""What the machine says of the link's interface, and whether a peer answers: the backhaul's eyes.

Source: Linux Documentation/ABI/testing/sysfs-class-net (`carrier`), proc(5) `/proc/net/route`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

from gateway.backhaul.dialer import Dialer, Endpoint, RefusedError, UnreachableError

_NET = Path("/sys/class/net")
_ROUTES = Path("/proc/net/route")
PROBE_S = 2.0


def default_interface() -> str | None:
    """Return the interface of the default IPv4 route, if there is one."""
    try:
        rows = _ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    return next((name for name, target, *_ in map(str.split, rows) if target == "00000000"), None)


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


def probe_by(dialer: Dialer) -> Callable[[tuple[str, int]], Coroutine[None, None, bool]]:
    """Return a probe: a TCP handshake with a peer within `PROBE_S`; a refusal is an answer too."""

    async def answers(peer: tuple[str, int]) -> bool:
        try:
            async with asyncio.timeout(PROBE_S):
                for end in await dialer.endpoints(*peer):
                    if await _handshake(end):
                        return True
        except (TimeoutError, UnreachableError, RefusedError):
            pass
        return False

    return answers


async def _handshake(end: Endpoint) -> bool:
    try:
        _, writer = await asyncio.open_connection(end.host, end.port)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    writer.close()
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
