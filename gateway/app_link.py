"""The link's part of the composition root: its instruments, its account and what is shown of it, put together.

The backhaul itself works without any of these; each may be missing on a box (no modem, no far end, no right to listen
on the interface, no shaper), and then a sentence says so.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
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
from gateway.backhaul.sensing.overhearing import NO_INTERFACE, Overhearing
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
from gateway.backhaul.ways.modem_view import ModemView
from gateway.clock import Clock
from gateway.errors import N_, CannotStart
from gateway.portal import view
from gateway.portal.usage_desk import UsageDesk
from gateway.settings import Settings, secret
from gateway.settings_link import Allowance as AllowanceSettings
from gateway.settings_link import Probe
from gateway.settings_link import Radius as RadiusSettings
from gateway.web.ahead.warm import local_time
from gateway.web.lasting import lasting

LOOK_S = 1.0
SHAPES_EVERY_S = 0.05
WINDOWED_RATIO = 1.1  # windows hold the rate then, and the kernel's queue is for what has none to lower
UNHEARD_UP_BPS = 1_000_000  # phones' calls and acknowledgements must fit before a queue up was ever heard
SECRET_BYTES_MIN = 16  # RFC 2865 §3
MONTH_S = 2_678_400.0  # 31 days
PROBES_WITH_CALL_HZ = 10.0  # a call is on: its queue is to be known, and nothing else may tell
PROBES_HZ = 2.0  # connections tell for themselves what a round trip takes; this tells the ways apart
NOBODY_ANSWERS = N_("Who is asked how long the link takes does not answer. The connections tell it instead.")
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
        self._overhearing: Overhearing | None = None
        self._listens_on: str | None = None
        self._taken = backhaul.ways.active
        self._carried_by: str | None = self._taken  # the way that carries anything; None: none does
        self._shaper = KernelShaper(settings.box.data / SOCKET, clock)
        self._radius = _radius(settings, clock, backhaul, self.account)
        self._resting_until_s = float("-inf")
        self._heard_up = False
        self._moved = backhaul.moved()

    async def start(self) -> None:
        """Open what is kept, and listen."""
        if self._metered is not None:
            await self._metered.start()
        await self.account.start()
        await self.history.start()
        backhaul = self._backhaul
        backhaul.book = self.account
        backhaul.steering.ceiling_bps = self._ceiling_bps
        backhaul.steering.measuring.ears.append(self._overheard)
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
        """Do what is due, until cancelled; what fails begins anew, and takes nothing else along."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "account": self.account.run,
            "spending": self._spending.run,
            "history": self.history.run,
            "shaper": self._shaper.run,
            "shaper rates": self._shape,
            "link look": self._look,
        }
        for name, part in (("modems", self._modems), ("prober", self._prober), ("radius", self._radius)):
            if part is not None:
                loops[name] = part.run
        async with asyncio.TaskGroup() as tasks:
            for name, loop in loops.items():
                tasks.create_task(lasting(loop, name), name=name)

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

    def ways(self) -> Sequence[view.WayOut]:
        """How each link is, and its modem."""
        used = self._metered.used() if self._metered is not None else {}
        return [
            view.WayOut(
                each.name,
                self._interface(each.name) or each.interface,
                each.active,
                each.spent,
                each.view.state,
                each.view.told_by,
                used.get(each.name),
                self._modem(each.name),
            )
            for each in self._backhaul.ways.status()
        ]

    def watches_modems(self) -> bool:
        """Whether modems are asked for at all."""
        return self._modems is not None

    def cannot(self) -> Iterator[view.Sentence]:
        """What this box cannot do as it stands."""
        shaper = self._shaper.status()
        for words in shaper.cannot:
            yield view.Sentence(words, shaper.values)
        if self._hears and (self._overhearing is None or self._overhearing.statistics().trouble):
            told = self._overhearing.statistics().trouble if self._overhearing is not None else None
            yield view.Sentence(told or NO_INTERFACE)
        probing = self._prober.statistics() if self._prober is not None else None
        if probing is not None and (probing.trouble or probing.reachable is False):
            yield view.Sentence(probing.trouble or NOBODY_ANSWERS)

    def instruments(self) -> Mapping[str, object]:
        """How what measures and shapes is."""
        return {
            "shaper": self._shaper.status(),
            "prober": self._prober.statistics() if self._prober is not None else None,
            "overhearing": self._overhearing.statistics() if self._overhearing is not None else None,
        }

    def bulk_paused_s(self) -> float:
        """For how long the bulk class still rests."""
        return max(0.0, self._resting_until_s - self._clock.now_s())

    def pause_bulk(self, seconds: float) -> None:
        """Let the bulk class rest for so long; 0: no longer."""
        self._resting_until_s = self._clock.now_s() + seconds
        self._hold_bulk()

    # What is done once a second

    def look(self) -> None:
        """Write down the second that is over, and see to what it asks for."""
        moved, before = self._backhaul.moved(), self._moved
        crossed = {each: _crossed(before[each], moved[each]) for each in TrafficClass}
        self._moved = moved
        self.history.add(Sample(self._clock.now_s(), self._backhaul.status().state, self.figures(), crossed))
        for tenant in self._backhaul.steering.congested():
            self.account.congested(tenant)
        self._hold_bulk()
        if self._metered is not None:
            self._metered.tick()
        self._follow_way()
        self._listen(is_moving=any(each.down_bytes or each.up_bytes for each in crossed.values()))

    async def _look(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def _follow_way(self) -> None:
        """Listen where the bytes go by, and ask anew who did not answer, once a link is back or another is taken."""
        ways = self._backhaul.ways
        if ways.active != self._taken:
            self._taken = ways.active
            self._backhaul.steering.measuring.begin_anew()
        carried_by = None if self._backhaul.is_down else ways.active
        if carried_by is not None and carried_by != self._carried_by:
            if self._prober is not None:
                self._prober.retry()
            if self._radius is not None:
                self._radius.wake()
        self._carried_by = carried_by
        interface = self._interface(ways.active)
        if self._hears and interface is not None and interface != self._listens_on:
            self._listen_on(interface)

    @property
    def _hears(self) -> bool:
        """Whether passing timestamps are worth listening to."""
        return self._metered is not None and self._backhaul.steering.told is None

    def _listen_on(self, interface: str) -> None:
        measuring = self._backhaul.steering.measuring

        def known(sees: Sees) -> float | None:
            return measuring.one_way_s(Way.UP if sees is Sees.UP else Way.DOWN)

        if self._overhearing is not None:
            self._overhearing.stop()
        self._overhearing, self._listens_on = Overhearing(interface, self._clock, known=known), interface
        trouble = self._overhearing.start()
        if trouble:
            _log.info("link.not_overheard", reason=trouble)

    def _overheard(self) -> Iterable[DelaySample]:
        return self._overhearing.drain() if self._overhearing is not None else ()

    def _interface(self, way: str) -> str | None:
        return self._metered.interface(way) if self._metered is not None else None

    def _modem(self, way: str) -> ModemView | None:
        interface = self._interface(way)
        return self._modems.of(interface) if self._modems is not None and interface is not None else None

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
                self._shaper.tell(self._kernel_rates(holds_windows=status.flows is not None))
            await asyncio.sleep(SHAPES_EVERY_S if status.shaping else LOOK_S)

    def _kernel_rates(self, *, holds_windows: bool) -> KernelRates:
        steering = self._backhaul.steering
        down_bps, up_bps = steering.whole_bps(Way.DOWN), steering.whole_bps(Way.UP)
        if steering.told is not None:
            return KernelRates(down_bps, up_bps)
        measuring = steering.measuring
        self._heard_up = self._heard_up or (measuring.queueing_s(Way.UP) or 0.0) > measuring.pace(Way.UP).target_s
        return KernelRates(
            int(down_bps * (WINDOWED_RATIO if holds_windows else 1)),
            up_bps if self._heard_up else max(up_bps, UNHEARD_UP_BPS),
            window_bytes=int(measuring.pace(Way.DOWN).window_bytes),
        )

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


def _radius(settings: Settings, clock: Clock, backhaul: Backhaul, account: Account) -> Radius | None:
    told = settings.radius
    if told is None:
        return None
    return Radius(
        account,
        clock,
        box=settings.box.name,
        server=(told.server, told.port),
        secret=shared_secret(told),
        claim=lambda: backhaul.share(TrafficClass.INTERACTIVE),
        limits=RadiusLimits(interim_s=told.interim_s, session_s=told.session_s),
    )


def shared_secret(told: RadiusSettings) -> bytes:
    """Return the secret that is shared with the RADIUS server.

    Raises: CannotStart.
    """
    found = (secret(told.secret, told.secret_file) or "").encode()
    if len(found) < SECRET_BYTES_MIN:
        raise CannotStart(
            N_("The RADIUS secret is too short: %(path)s."),
            N_("Write 16 characters or more into it, the same as on the server."),
            path=told.secret_file,
        )
    return found


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
    running.push_async_callback(parts.stop)  # what was begun is ended, too
    await parts.start()
    task = tasks.create_task(parts.run(), name="link")

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    running.push_async_callback(end)
    return parts
