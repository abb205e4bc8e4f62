"""The link's part of the composition root: its instruments, its account and what is shown of it, put together.

The backhaul itself works without any of these; each may be missing on a box (no modem, no far end, no right to listen
on the interface, no shaper), and then a sentence says so.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from aiohttp import web

from gateway.backhaul.account.account import Account, AccountLimits
from gateway.backhaul.account.history import History
from gateway.backhaul.account.history_cells import Crossed, Sample
from gateway.backhaul.account.radius import Radius, RadiusLimits
from gateway.backhaul.account.spending import Spending, SpendingPolicy
from gateway.backhaul.account.usage import Figures
from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul, Budget, Moved
from gateway.backhaul.sensing.echo_keys import key_in
from gateway.backhaul.sensing.figures import LinkFigures
from gateway.backhaul.sensing.interface import default_interface
from gateway.backhaul.sensing.overhearing import Overhearing
from gateway.backhaul.sensing.probe_ledger import ProbeLedger
from gateway.backhaul.sensing.prober import Prober
from gateway.backhaul.sensing.samples import DelaySample, Sees, Way
from gateway.backhaul.sensing.wires import EchoWire, PingWire, Wire
from gateway.backhaul.shaping.kernel.talk import SOCKET
from gateway.backhaul.shaping.kernel_client import KernelRates, KernelShaper
from gateway.backhaul.sharing.allowance import Allowance, Every, Steps, tightest
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.ways.metered import Metered
from gateway.backhaul.ways.modem import Modems
from gateway.clock import Clock
from gateway.portal import view
from gateway.portal.usage_desk import UsageDesk
from gateway.settings import Settings, secret
from gateway.settings_link import Allowance as AllowanceSettings
from gateway.settings_link import Probe
from gateway.web.ahead.warm import local_time

LOOK_S = 1.0
SHAPES_EVERY_S = 0.1
MONTH_S = 2_678_400.0  # 31 days
PROBES_WITH_CALL_HZ = 10.0  # a call is on: its queue is to be known, and nothing else may tell
PROBES_HZ = 2.0  # connections tell for themselves what a round trip takes; this tells the ways apart
_log = structlog.get_logger("backhaul")


class LinkParts:
    """What stands around the backhaul; also what the link's page asks of it (`view.LinkWatch`)."""

    def __init__(
        self, settings: Settings, clock: Clock, backhaul: Backhaul, metered: Metered | None, folder: Path
    ) -> None:
        self._clock = clock
        self._backhaul = backhaul
        self._metered = metered
        self.history = History(clock, folder / "history")
        self.account = Account(
            folder / "account",
            clock,
            box=settings.box.name,
            token=lambda: secrets.token_hex(8),
            limits=AccountLimits(settings.account.keep_months * MONTH_S, float(settings.account.write_every_s)),
        )
        self._spending = Spending(self.account, clock, _agreed(settings.allowance), local=local_time)
        self._modems = Modems(clock, backhaul.ways.hear_modems) if settings.modem.watch else None
        self._ledger = ProbeLedger(folder / "probes.json", settings.probe.month_bytes, clock)
        self._prober = _prober(settings.probe, self._ledger, clock, backhaul)
        self._overhearing = _overhearing(settings, clock, backhaul)
        self._shaper = KernelShaper(settings.box.data / SOCKET, clock)
        self._radius = _radius(settings, clock, backhaul, self.account)
        self._resting_until_s = float("-inf")

    async def start(self) -> None:
        """Open what is kept, and listen."""
        if self._metered is not None:
            await self._metered.start()
        await self.account.start()
        await self.history.start()
        await self._spending.refresh()
        backhaul = self._backhaul
        backhaul.book = self.account
        backhaul.steering.ceiling_bps = self._ceiling_bps
        if self._overhearing is not None:
            trouble = self._overhearing.start()
            if trouble:
                _log.info("link.not_overheard", reason=trouble)
            backhaul.steering.measuring.ears.append(self._overhearing.drain)
        if self._prober is not None:
            backhaul.steering.measuring.ears.append(_ticking(self._prober))

    async def stop(self) -> None:
        """Write down what is kept."""
        self._backhaul.book = None
        if self._overhearing is not None:
            self._overhearing.stop()
        await self.history.stop()
        await self.account.stop()
        if self._metered is not None:
            await self._metered.stop()

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.account.run(), name="account")
            tasks.create_task(self._spending.run(), name="spending")
            tasks.create_task(self.history.run(), name="history")
            tasks.create_task(self._shaper.run(), name="shaper")
            tasks.create_task(self._shape(), name="shaper rates")
            tasks.create_task(self._look(), name="link look")
            if self._modems is not None:
                tasks.create_task(self._modems.run(), name="modems")
            if self._prober is not None:
                tasks.create_task(self._prober.run(), name="prober")
            if self._radius is not None:
                tasks.create_task(self._radius.run(), name="radius")

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the technician's routes to the account."""
        radius = self._radius
        return UsageDesk(self.account, lambda: radius.statistics() if radius else None).routes()

    def served_locally(self, device: str, size_bytes: int) -> None:
        """Count what the village got without the link."""
        tenant = self._backhaul.tenant_of(device)
        self.account.count(tenant, TrafficClass.WEB, local_bytes=size_bytes, device=device)

    # What the page asks

    def figures(self) -> LinkFigures:
        """What is known of the link."""
        return self._backhaul.figures()

    def calls(self) -> int:
        """How many consultations are open."""
        return self._backhaul.open_shares()[TrafficClass.REALTIME]

    def call_budget(self) -> Budget:
        """What each call has, or the next would get."""
        return self._backhaul.call_budget()

    def tenants(self) -> Sequence[Figures]:
        """What each tenant moved in this period."""
        return self._spending.tenants()

    def allowance(self) -> view.Allowance | None:
        """How much data is left."""
        told = self._spending.forecast()
        if told is None:
            return None
        return view.Allowance(told.left_bytes, told.allowed_bytes, told.ends_wall_s, told.renews_wall_s)

    def saved(self) -> view.Saved | None:
        """What was served here without the link."""
        savings = self._spending.savings()
        return view.Saved(savings.size_bytes, savings.price_minor, savings.currency)

    def probes_bytes(self) -> int:
        """What measuring has cost since the start."""
        asked = self._prober.statistics().spent_bytes if self._prober is not None else 0
        return asked + sum(each.probing.probe_bytes for each in self._backhaul.ways.status())

    def bulk_paused_s(self) -> float:
        """For how long the bulk class still rests."""
        return max(0.0, self._resting_until_s - self._clock.now_s())

    def pause_bulk(self, seconds: float) -> None:
        """Let the bulk class rest for so long; 0: no longer."""
        self._resting_until_s = self._clock.now_s() + seconds
        self._hold_bulk()

    # What is done once a second

    async def _look(self) -> None:
        before = self._backhaul.moved()
        while True:
            moved = self._backhaul.moved()
            crossed = {each: _crossed(before[each], moved[each]) for each in TrafficClass}
            before = moved
            self.history.add(Sample(self._clock.now_s(), self._backhaul.status().state, self.figures(), crossed))
            for tenant in self._backhaul.steering.congested():
                self.account.congested(tenant)
            self._hold_bulk()
            if self._metered is not None:
                self._metered.tick()
            self._listen(is_moving=any(each.down_bytes or each.up_bytes for each in crossed.values()))
            await asyncio.sleep(LOOK_S)

    def _hold_bulk(self) -> None:
        resting = self.bulk_paused_s() > 0 or self._spending.slowing().bulk_ratio <= 0
        self._backhaul.hold(TrafficClass.BULK, held=resting)

    def _listen(self, *, is_moving: bool) -> None:
        if self._prober is not None:
            self._prober.listen((PROBES_WITH_CALL_HZ if self.calls() else PROBES_HZ) if is_moving else 0.0)

    async def _shape(self) -> None:
        """Tell the kernel's shaper what there is to share; it does not run on every box."""
        steering = self._backhaul.steering
        while True:
            status = self._shaper.status()
            steering.shape(shapes=status.shaping)
            if status.reached:
                self._shaper.tell(KernelRates(steering.whole_bps(Way.DOWN), steering.whole_bps(Way.UP)))
            await asyncio.sleep(SHAPES_EVERY_S if status.shaping else LOOK_S)

    def _ceiling_bps(self, tenant: str, traffic_class: TrafficClass, whole_bps: int) -> int | None:
        slowing = tightest([self._spending.slowing(), self._spending.slowing(tenant)])
        return slowing.ceiling_bps(traffic_class, whole_bps)


def _ticking(prober: Prober) -> Callable[[], Iterable[DelaySample]]:
    def tick() -> Iterable[DelaySample]:
        prober.tick()
        return ()

    return tick


def _crossed(before: Moved, now: Moved) -> Crossed:
    return Crossed(now.down_bytes - before.down_bytes, now.up_bytes - before.up_bytes)


def _agreed(told: AllowanceSettings) -> SpendingPolicy:
    def of(size_bytes: int) -> Allowance:
        return Allowance(size_bytes, Every(told.every), told.day, told.hour)

    return SpendingPolicy(
        of(told.size_bytes) if told.size_bytes else None,
        {name: of(size_bytes) for name, size_bytes in told.tenants.items()},
        Steps(told.bulk_slows_ratio, told.web_slows_ratio, told.web_floor_bps),
        told.bulk_hours,
        told.gigabyte_minor,
        told.currency,
    )


def _prober(probe: Probe, ledger: ProbeLedger, clock: Clock, backhaul: Backhaul) -> Prober | None:
    wire: Wire
    if probe.reflector and probe.key_file:
        wire = EchoWire(OpenDialer(), *probe.reflector, key_in(probe.key_file))
    elif probe.ping:
        address = str(probe.ping)

        async def pinged() -> str:
            return address

        wire = PingWire(pinged, secrets.token_bytes(8))
    else:
        return None
    return Prober(
        wire, ledger, clock, lambda sample: backhaul.steering.measuring.hear([sample]), configure=backhaul.ways.bind
    )


def _overhearing(settings: Settings, clock: Clock, backhaul: Backhaul) -> Overhearing | None:
    interface = settings.backhaul.interface or default_interface()
    if interface is None or backhaul.steering.told is not None:
        return None

    def known(sees: Sees) -> float | None:
        return backhaul.steering.measuring.one_way_s(Way.UP if sees is Sees.UP else Way.DOWN)

    return Overhearing(interface, clock, known=known)


def _radius(settings: Settings, clock: Clock, backhaul: Backhaul, account: Account) -> Radius | None:
    told = settings.radius
    if told is None:
        return None
    return Radius(
        account,
        clock,
        box=settings.box.name,
        server=(told.server, told.port),
        secret=(secret(told.secret, told.secret_file) or "").encode(),
        claim=lambda: backhaul.share(TrafficClass.INTERACTIVE),
        limits=RadiusLimits(interim_s=told.interim_s, session_s=told.session_s),
    )


async def standing_around(
    running: AsyncExitStack,
    tasks: asyncio.TaskGroup,
    settings: Settings,
    clock: Clock,
    backhaul: Backhaul,
    metered: Metered | None,
    folder: Path,
) -> LinkParts:
    """Start all of it; `running` stops it."""
    parts = await asyncio.to_thread(LinkParts, settings, clock, backhaul, metered, folder)
    await parts.start()
    running.push_async_callback(parts.stop)
    task = tasks.create_task(parts.run(), name="link")

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    running.push_async_callback(end)
    return parts
