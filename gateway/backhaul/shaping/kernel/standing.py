"""What stands in the kernel is this program's own, whole, and gone when it is removed.

Everything has a name or a number by which it is known again, so what a killed process left is removed by the next one.
A queue somebody else put on the link is left alone: then nothing is shaped, and a sentence says why.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.shaping.kernel import plan, rules, wire
from gateway.backhaul.shaping.kernel.cake import cake_counters, move_cake, raise_cake
from gateway.backhaul.shaping.kernel.filtering import by_marks, lead_arriving
from gateway.backhaul.shaping.kernel.plan import IFB, Features, Parts, Queueing
from gateway.backhaul.shaping.kernel.probing import (
    NothingToShapeWith,
    features_of,
    index_of,
    link_of,
    refuse_foreign,
    remove_ours,
)
from gateway.backhaul.shaping.kernel.route import KernelRefused, Route, nft
from gateway.backhaul.shaping.kernel.windows import Window, window_for
from gateway.backhaul.sharing.classes import TrafficClass

HEADER_BYTES_MAX = 100  # of a link, above the packet: Ethernet, VLAN, PPP
QUIET_US = 5_000  # RFC 8290 §4.2: a standing queue is one that lasts longer …
QUIET_PACKETS = 1.5  # … and at low rates, longer than so many packets take (§5.2.1 of RFC 8289)


@dataclass(frozen=True, slots=True)
class Rates:
    """What all traffic over the link may take each way, how the classes part it, and what routed TCP has under way."""

    down_bps: int
    up_bps: int
    parts: Parts
    window_bytes: int | None = None

    def of(self, way: Way) -> int:
        """Return one way's rate."""
        return self.down_bps if way is Way.DOWN else self.up_bps


@dataclass(frozen=True, slots=True)
class ClassAccount:
    """What one class has carried one way since the tree was made; `routed` is without the box's own traffic."""

    sent_bytes: int = 0
    routed_bytes: int | None = None  # where it cannot be told apart
    drops: int = 0
    backlog_bytes: int = 0


class Standing:
    """The queues of one link."""

    def __init__(self, interface: str, route: Route, devices: int) -> None:
        self._interface = interface
        self._route = route
        self._devices_max = devices
        self.features: Features | None = None  # while something stands
        self._links: dict[Way, int] = {}  # the interfaces' numbers
        self._limits_for: dict[Way, int] = {}  # the rates their queues' limits were last set for
        self._devices = 0
        self._packet_bytes = 0
        self._window_bytes: int | None = None  # of all routed flows
        self._offered: Window | None = None  # of each
        self.flows: int | None = None  # routed ones that were sent something of late, where windows are held

    async def stand(self, rates: Rates) -> None:
        """Shape from now on; what stood before is removed.

        Raises: NoInterface, ForeignQueue, NothingToShapeWith, KernelRefused.
        """
        await self.remove()
        try:
            async with AsyncIPRoute() as ip:
                index, packet_bytes = await link_of(ip, self._interface)
                await refuse_foreign(ip, index)
                self._packet_bytes = max(packet_bytes, plan.PACKET_BYTES) + HEADER_BYTES_MAX
                self._links = {Way.UP: index}
                self.features = await self._raise(ip, rates)
            self._window_bytes = rates.window_bytes
            self.follow()
        except NetlinkError as exc:
            await self.remove()
            raise KernelRefused(number=exc.code) from exc
        except BaseException:
            await self.remove()
            raise

    async def move(self, rates: Rates) -> None:
        """Let both trees carry so much from now on; nothing is rebuilt and no packet is lost.

        Raises: KernelRefused where what stood has gone.
        """
        if self.features is None:
            raise KernelRefused(number=errno.ENOENT)
        self._window_bytes = rates.window_bytes
        self.follow()
        if self.features.queueing is Queueing.CAKE:
            async with AsyncIPRoute() as ip:
                for way, index in self._links.items():
                    await move_cake(ip, index, rates.of(way))
            return
        self._route.change([message for way in self._links for message in self._moves(way, rates)])

    def follow(self) -> None:
        """Give each routed flow its part of the window: there may be more of them now, or fewer.

        Raises: KernelRefused where what stood has gone.
        """
        if self.features is None or not self.features.windows:
            return
        wanted = None
        if self._window_bytes is not None:
            self.flows = self._route.busy_flows()
            wanted = window_for(self._window_bytes, self.flows)
        else:
            self.flows = None
        if wanted != self._offered:
            self._route.offer(wanted)
            self._offered = wanted

    async def remove(self) -> None:
        """Leave the kernel as it would be without us, whoever of us made what stands."""
        self.features = None
        self._offered = self.flows = None
        self._links = {}
        self._limits_for = {}
        await nft(rules.REMOVE)
        async with AsyncIPRoute() as ip:
            await remove_ours(ip)

    def whole(self) -> bool:
        """Say whether the interfaces are still those that were shaped."""
        names = {Way.UP: self._interface, Way.DOWN: IFB}
        return all(index_of(names[way]) == index for way, index in self._links.items())

    async def accounts(self) -> dict[Way, dict[TrafficClass, ClassAccount]]:
        """Return what each class has carried each way.

        Raises: KernelRefused where what stood has gone.
        """
        if self.features is None or self.features.queueing is not Queueing.CAKE:
            return {way: self._account(index) for way, index in self._links.items()}
        async with AsyncIPRoute() as ip:
            return {
                way: {
                    each: ClassAccount(told.sent_bytes, None, told.drops, told.backlog_bytes)
                    for each, told in (await cake_counters(ip, index)).items()
                }
                for way, index in self._links.items()
            }

    async def _raise(self, ip: AsyncIPRoute, rates: Rates) -> Features:
        features = await features_of(ip)
        if features.queueing is None:
            raise NothingToShapeWith
        features = await self._class_packets(ip, features, features.queueing)
        self._devices = self._devices_max if features.rules else 0
        if features.arriving:
            self._links[Way.DOWN] = index_of(IFB) or 0
            await ip.link("set", index=self._links[Way.DOWN], state="up")
        for way, index in self._links.items():
            if features.queueing is Queueing.CAKE:
                await raise_cake(ip, way, index, rates.of(way))
                continue
            self._route.change(list(self._tree(way, rates, features)))
            if not features.answers:
                await by_marks(ip, index, self._devices)
        return features

    async def _class_packets(self, ip: AsyncIPRoute, features: Features, queueing: Queueing) -> Features:
        """Have packets classed, and arriving ones led through the ifb, by the best means there is."""
        for windows in (True, False):
            text = rules.ruleset(self._interface, queueing, self._devices_max, windows=windows)
            if features.ifb and await nft(text + rules.redirection(self._interface)):
                return replace(features, rules=True, answers=True, windows=windows)
        features = replace(features, rules=await nft(text))
        if features.ifb and await lead_arriving(ip, self._links[Way.UP], index_of(IFB) or 0):
            return replace(features, redirect=True)
        return features

    def _tree(self, way: Way, rates: Rates, features: Features) -> Iterator[bytes]:
        index, rate_bps = self._links[way], rates.of(way)
        yield wire.htb_root(index, plan.leaf_of(TrafficClass.WEB, plan.strangers(self._devices)))
        for each in plan.upper(rate_bps, rates.parts):
            yield wire.htb_class(index, each, new=True)
        for each in plan.leaves(self._devices):
            yield wire.htb_class(index, each, new=True)
            yield wire.queue(index, each.number, plan.queue_bytes(rate_bps), self._packet_bytes, new=True)
            if features.fq_codel:
                packets_us = int(QUIET_PACKETS * plan.PACKET_BYTES * 8 * 1_000_000 / plan.within(rate_bps))
                yield wire.flows(index, each.number, max(QUIET_US, packets_us))
        self._limits_for[way] = rate_bps

    def _moves(self, way: Way, rates: Rates) -> Iterator[bytes]:
        index, rate_bps = self._links[way], rates.of(way)
        for each in plan.upper(rate_bps, rates.parts):
            yield wire.htb_class(index, each, new=False)
        if plan.limits_stale(self._limits_for[way], rate_bps):
            self._limits_for[way] = rate_bps
            for each in plan.leaves(self._devices):
                yield wire.queue(index, each.number, plan.queue_bytes(rate_bps), self._packet_bytes, new=False)

    def _account(self, index: int) -> dict[TrafficClass, ClassAccount]:
        accounts = {each: ClassAccount(routed_bytes=0 if self._devices else None) for each in TrafficClass}
        for told in self._route.classes(index):
            each = plan.class_of(told.number)
            if each is None:
                continue
            so_far = accounts[each]
            routed = so_far.routed_bytes
            if routed is not None and told.number & 0xFF:
                routed += told.sent_bytes
            accounts[each] = ClassAccount(
                so_far.sent_bytes + told.sent_bytes,
                routed,
                so_far.drops + told.drops,
                so_far.backlog_bytes + told.backlog_bytes,
            )
        return accounts
