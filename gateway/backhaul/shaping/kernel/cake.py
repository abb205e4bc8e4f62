"""CAKE does the tree's work by itself where the kernel has it: four tins, fair by host and by flow, one rate.

It looks through translated addresses (`nat`), and splits joined packets. Its tins' shares are its own: only the rate is
moved. Sources: tc-cake(8); Høiland-Jørgensen et al., Piece of CAKE (2018).
"""

from pyroute2 import AsyncIPRoute

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.shaping.kernel.plan import CAKE_TINS, HANDLE, within
from gateway.backhaul.shaping.kernel.wire import ROOT, ClassCounters
from gateway.backhaul.sharing.classes import TrafficClass

_TINS = (TrafficClass.BULK, TrafficClass.WEB, TrafficClass.INTERACTIVE, TrafficClass.REALTIME)  # as it lists them


async def raise_cake(ip: AsyncIPRoute, way: Way, index: int, rate_bps: int) -> None:
    """Shape one interface."""
    await ip.tc(
        "add", kind="cake", index=index, handle=HANDLE << 16, bandwidth=within(rate_bps), diffserv_mode="diffserv4",
        flow_mode="dual-srchost" if way is Way.UP else "dual-dsthost", nat=True, ingress=way is Way.DOWN,
    )  # fmt: skip


async def move_cake(ip: AsyncIPRoute, index: int, rate_bps: int) -> None:
    """Give one interface another rate; its queues stay."""
    await ip.tc("change", kind="cake", index=index, handle=HANDLE << 16, bandwidth=within(rate_bps))


async def cake_counters(ip: AsyncIPRoute, index: int) -> dict[TrafficClass, ClassCounters]:
    """Return what each class has done since the queue was made."""
    for each in [each async for each in await ip.tc("dump", index=index)]:
        if each["index"] == index and each["parent"] == ROOT:
            tins = each.get_nested("TCA_STATS2", "TCA_STATS_APP", "TCA_CAKE_STATS_TIN_STATS")
            return {named: _counters(tins, place, CAKE_TINS[named]) for place, named in enumerate(_TINS)}
    return {}


def _counters(tins: object, place: int, number: int) -> ClassCounters:
    tin = tins.get_attr(f"TCA_CAKE_TIN_STATS_{place + 1}") if tins is not None else None  # type: ignore[attr-defined]
    if tin is None:
        return ClassCounters(number, 0, 0, 0)
    sent, drops, backlog = (
        tin.get_attr(f"TCA_CAKE_TIN_STATS_{name}") or 0 for name in ("SENT_BYTES64", "DROPPED_PACKETS", "BACKLOG_BYTES")
    )
    return ClassCounters(number, sent, drops, backlog)
