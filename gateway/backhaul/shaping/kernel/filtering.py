"""Where nftables cannot do it, filters of the scheduler itself lead arriving packets and read their marks.

They see no device behind a translated address and no mark an operator's network has washed off: the classes hold for
what is marked, and each class has one queue. Offsets count from the packet's own header, so an interface without
Ethernet is the same to them.

Sources: tc-u32(8), tc-mirred(8); RFC 791 §3.1, RFC 8200 §3 (where the mark stands).
"""

from collections.abc import Iterator

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from gateway.backhaul.shaping.kernel.plan import HANDLE, leaf_of, strangers
from gateway.backhaul.shaping.kernel.probing import ARRIVING, PREFERENCE, ForeignQueue
from gateway.backhaul.shaping.kernel.rules import DSCP

ALL, IPV4, IPV6 = 0x0003, 0x0800, 0x86DD  # ethertypes
_EEXIST = 17


async def lead_arriving(ip: AsyncIPRoute, index: int, to: int) -> bool:
    """Return whether what arrives on one interface now passes the other first.

    Raises: ForeignQueue.
    """
    try:
        await ip.tc("add", kind="ingress", index=index)
    except NetlinkError as exc:
        if exc.code == _EEXIST:
            raise ForeignQueue(kind="ingress") from exc
        return False
    action = {"kind": "mirred", "direction": "egress", "action": "redirect", "ifindex": to}
    try:
        await ip.tc(
            "add-filter", kind="u32", index=index, parent=ARRIVING, prio=PREFERENCE, protocol=ALL,
            target=0x10000, keys=["0x0/0x0+0"], action=action,
        )  # fmt: skip
    except NetlinkError:
        await ip.tc("del", kind="ingress", index=index)
        return False
    return True


async def by_marks(ip: AsyncIPRoute, index: int, devices: int) -> None:
    """Put packets that no rule has classed into the class of their DSCP."""
    for preference, protocol, keys, target in _marks(devices):
        await ip.tc(
            "add-filter", kind="u32", index=index, parent=HANDLE << 16, prio=preference, protocol=protocol,
            target=target, keys=keys,
        )  # fmt: skip


def _marks(devices: int) -> Iterator[tuple[int, int, list[str], int]]:
    for traffic_class, marks in DSCP.items():
        target = HANDLE << 16 | leaf_of(traffic_class, strangers(devices))
        for mark in marks:
            yield 1, IPV4, [f"{mark << 2:#x}/0xfc+1"], target
            yield 2, IPV6, [f"{mark >> 2:#x}/0x0f+0", f"{(mark & 3) << 6:#x}/0xc0+1"], target
