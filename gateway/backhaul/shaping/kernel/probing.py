"""What this kernel can do is found by trying it on an interface of our own, and what is others' is told from ours."""

import socket
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from gateway.backhaul.shaping.kernel import wire
from gateway.backhaul.shaping.kernel.plan import HANDLE, IFB, Features
from gateway.errors import N_, CannotStart

INGRESS = 0xFFFFFFF1  # TC_H_INGRESS: where the queue for arriving packets hangs
ARRIVING = 0xFFFF0000  # its handle
PREFERENCE = HANDLE  # of our filters
_ROOTS = ("htb", "cake")


class NoInterface(CannotStart):
    """The link's interface is not there."""

    code = "no-interface"
    what = N_("The link's interface is not there.")
    advice = N_("Name it in [backhaul] interface, or plug the modem in: shaping begins by itself.")


class ForeignQueue(CannotStart):
    """Somebody else shapes this link already."""

    code = "foreign-queue"
    what = N_("Somebody else has put a queue (%(kind)s) on the link's interface; it was left as it is.")
    advice = N_("Remove it (tc qdisc del dev … root, or … ingress), or turn the shaper off.")


class NothingToShapeWith(CannotStart):
    """This kernel has no scheduler that could be used."""

    code = "nothing-to-shape-with"
    what = N_("This kernel has neither CAKE nor HTB with TBF, so traffic of phones cannot be shaped.")
    advice = N_("Use a kernel with sch_cake. Everything else of the box works.")


def index_of(name: str) -> int | None:
    """Return an interface's number, where there is one of this name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


async def link_of(ip: AsyncIPRoute, interface: str) -> tuple[int, int]:
    """Return the link's number and the largest packet it takes, in bytes.

    Raises: NoInterface.
    """
    index = index_of(interface)
    if index is None:
        raise NoInterface
    for each in [each async for each in await ip.link("dump", index=index)]:  # to its end, or the next finds it busy
        return index, each.get_attr("IFLA_MTU") or 1_500
    raise NoInterface


async def refuse_foreign(ip: AsyncIPRoute, index: int) -> None:
    """Return where no queue of somebody else stands on the link; the kernel's own have no handle.

    Raises: ForeignQueue.
    """
    for each in [each async for each in await ip.tc("dump", index=index)]:
        if each["index"] == index and each["parent"] == wire.ROOT and each["handle"]:
            raise ForeignQueue(kind=each.get_attr("TCA_KIND"))


async def remove_ours(ip: AsyncIPRoute) -> None:
    """Take away every queue, filter and interface that one of us made, on whichever interface it is."""
    for each in [each async for each in await ip.tc("dump")]:
        index, kind = each["index"], each.get_attr("TCA_KIND")
        if each["parent"] == wire.ROOT and each["handle"] == HANDLE << 16 and kind in _ROOTS:
            await gone(ip.tc("del", index=index, parent=wire.ROOT))
        elif each["parent"] == INGRESS and kind == "ingress" and await _ours_arrives(ip, index):
            await gone(ip.tc("del", kind="ingress", index=index))
    if (index := index_of(IFB)) is not None and await _kind_of(ip, index) == "ifb":
        await gone(ip.link("del", index=index))


async def gone(removal: Coroutine[None, None, object]) -> None:
    """Return when something is removed, by us or by somebody before us."""
    with suppress(NetlinkError):
        await removal


async def features_of(ip: AsyncIPRoute) -> Features:
    """Return what the kernel has; our own interface stands afterwards, where it can be made."""
    made = await _works(ip.link("add", ifname=IFB, kind="ifb"))
    index = index_of(IFB) if made else None
    if index is None:
        return Features(htb=True, tbf=True)  # nothing to try on: what the link itself refuses is told then
    found = Features(ifb=True)
    for kind, values in (
        ("cake", {"bandwidth": "1mbit"}),
        ("htb", {}),
        ("tbf", {"rate": "1mbit", "burst": 2_000, "latency": "50ms"}),
        ("fq_codel", {}),
    ):
        if await _works(ip.tc("add", kind=kind, index=index, handle=HANDLE << 16, **values)):
            found = replace(found, **{kind: True})
            await gone(ip.tc("del", index=index, parent=wire.ROOT))
    return found


async def _works(attempt: Coroutine[None, None, object]) -> bool:
    try:
        await attempt
    except NetlinkError:
        return False
    return True


async def _kind_of(ip: AsyncIPRoute, index: int) -> str | None:
    for each in [each async for each in await ip.link("dump", index=index)]:
        kind = each.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
        return None if kind is None else str(kind)
    return None


async def _ours_arrives(ip: AsyncIPRoute, index: int) -> bool:
    filters = [each async for each in await ip.tc("dump-filter", index=index, parent=ARRIVING)]
    return any(each["info"] >> 16 == PREFERENCE for each in filters)
