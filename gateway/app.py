"""Composition root of the box: the one place that reads settings, names concrete classes, and starts and stops them.

Started in the order in which they need each other, stopped in reverse: listeners first, so that no request is cut, then
the rooms, and the link last.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy
from aiohttp.typedefs import Middleware

from gateway.app_clinic import ClinicParts, clinic_parts
from gateway.app_link import LinkParts, shared_secret, standing_around
from gateway.app_market import market_room
from gateway.backhaul.dialer import Dialer, OpenDialer, PublicDialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.reach import is_of
from gateway.backhaul.sensing.echo_keys import key_in
from gateway.backhaul.sensing.interface import carrier_of, interface_exists, probe_by
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.policy import Policy as SharingPolicy
from gateway.backhaul.sharing.shares import Capacity
from gateway.backhaul.sharing.tenants import Bounds, Tenant
from gateway.backhaul.ways.metered import Metered
from gateway.backhaul.ways.ways import way_by
from gateway.box_view import ClinicView, Rooms
from gateway.clinic.peer import DirectPath, MediaPath
from gateway.clock import Clock, SystemClock
from gateway.data_folder import FORMS_KEY, DataFolder
from gateway.errors import N_, CannotStart, WrongHost
from gateway.listener import Limits, Listener
from gateway.market.catalogue.file import load_catalogue
from gateway.market.intake import routes as market_routes
from gateway.market.photos.intake import routes as photo_routes
from gateway.market.room import MarketRoom
from gateway.plan import Line, door_url
from gateway.portal.accounts import Accounts
from gateway.portal.admin import admin_application
from gateway.portal.cache_desk import CacheDesk
from gateway.portal.offline_page import Home
from gateway.portal.orders_desk import OrdersDesk
from gateway.portal.origins import host_name
from gateway.portal.portal import Portal, PortalLimits
from gateway.portal.records_desk import RecordsDesk
from gateway.portal.trial import Trial
from gateway.settings import Settings, secret
from gateway.settings_web import Offline, Warm
from gateway.units import Address
from gateway.web.ahead.warm_plan import WarmOrder
from gateway.web.early.workers import Door, Workers
from gateway.web.lasting import lasting
from gateway.web.limits import WebLimits
from gateway.web.offline.kept import KeptLimits
from gateway.web.room import WebRoom
from gateway.web.rules.query import TRACKING, QueryRules
from gateway.web.saver.pictures import Policy
from gateway.web.saver.saver import SaverLimits
from gateway.web.site import Site

PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CALL_BESIDES_PICTURE_BPS = 100_000  # voice at 50 packets a second, and all headers
AIOHTTP_MIN = (3, 14, 5)  # earlier ones have known framing and decompression faults


@dataclass(frozen=True, slots=True)
class World:
    """What lies outside the box: how it dials, what its link says, how media reaches the far side."""

    site_dialer: Dialer
    proxy_dialer: Dialer | None
    media_path: MediaPath
    carrier: Callable[[], bool]
    trial: Callable[[], Trial | None] = lambda: None
    by_interface: bool = True  # the link is this machine's own interface, which counts what crosses


def real_world(settings: Settings) -> World:
    """Return the world as it is."""
    proxy = settings.proxy
    return World(
        site_dialer=OpenDialer(),
        proxy_dialer=PublicDialer(proxy.allow_private, proxy.ports) if proxy else None,
        media_path=DirectPath(),
        carrier=carrier_of(settings.backhaul.interface),
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """The box's keys, one a purpose."""

    forms: bytes

    @classmethod
    def of(cls, folder: DataFolder) -> Self:
        """Return the keys kept in a data folder."""
        return cls(folder.key_for(FORMS_KEY))


class Box:
    """The village box."""

    def __init__(self, settings: Settings, world: World, *, admin_routes: Sequence[web.RouteDef] = ()) -> None:
        self._settings = settings
        self._world = world
        self._admin_routes = admin_routes
        self._clock = SystemClock()
        self._folder = DataFolder(settings.box.data)
        self._metered = _metered(settings, self._clock, self._folder, self._spent) if world.by_interface else None
        self.backhaul = _backhaul(settings, world, self._clock, self._metered)
        self.listeners: list[Listener] = []
        self.setup_code: str | None = None

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Serve until `stop` is set; `on_ready` is called once every listener accepts.

        Raises: CannotStart, alone or in an exception group.
        """
        check_aiohttp()
        async with asyncio.TaskGroup() as tasks, AsyncExitStack() as running:
            await asyncio.to_thread(self._folder.take)
            running.callback(self._folder.release)
            await self._start(tasks, running)
            on_ready()
            await stop.wait()

    def announcement(self) -> Iterator[Line]:
        """Yield one line a listener, and the set-up code where there is one: message ids and their values."""
        for listener in self.listeners:
            yield N_("%(name)s listens on %(address)s"), {"name": listener.name, "address": listener.address}
        if self.setup_code:
            yield (
                N_("Set-up code: %(code)s (works once, at /preparar, to make the technician's account)"),
                {"code": self.setup_code},
            )

    def _spent(self, name: str, spent: bool) -> None:
        self.backhaul.ways.spend(name, spent=spent)

    async def _start(self, tasks: asyncio.TaskGroup, running: AsyncExitStack) -> None:
        """Start everything; `running` stops it in reverse."""
        settings, world, clock, backhaul, folder = self._settings, self._world, self._clock, self.backhaul, self._folder
        keys = await asyncio.to_thread(Keys.of, folder)
        around = await standing_around(
            running, tasks, settings, clock, backhaul, self._metered, folder.path / "backhaul"
        )
        _background(tasks, running, lasting(backhaul.run, "backhaul"), "backhaul")
        pages = await _started(running, _web_room(settings, world, clock, backhaul, folder, around))
        market = await asyncio.to_thread(market_room, settings, world.site_dialer, clock, backhaul, folder)
        if market is not None:
            await _started(running, market)
            _background(tasks, running, lasting(market.run, "market"), "market")
        parts = await self._clinic_parts()
        await _started(running, parts.records)
        _background(tasks, running, lasting(parts.records.run, "records"), "records")
        if parts.handover is not None:
            _background(tasks, running, lasting(parts.handover.run, "handover"), "handover")
        clinic = await _started(running, parts.room)
        _background(tasks, running, clinic.run(), "clinic")
        accounts = await asyncio.to_thread(Accounts, folder.path, clock)
        self.setup_code = await asyncio.to_thread(accounts.setup_code)
        portal = await _started(running, self._portal(accounts, keys, pages, market, parts))
        _background(tasks, running, lasting(portal.run, "portal"), "portal")
        self.listeners = list(self._make_listeners(portal, pages, market, parts, around))
        running.push_async_callback(_stop_together, self.listeners)
        for listener in self.listeners:
            await listener.start()
        workers = self._workers(pages)
        if workers is not None:
            _background(tasks, running, workers.run(), "workers")
            running.push_async_callback(workers.stop)
        # what lasts is ended first, or the listeners would wait for it
        running.push_async_callback(clinic.stop)
        running.callback(pages.close_tunnels)

    async def _clinic_parts(self) -> ClinicParts:
        return await asyncio.to_thread(
            clinic_parts,
            self._settings,
            dialer=self._world.site_dialer,
            media_path=self._world.media_path,
            clock=self._clock,
            backhaul=self.backhaul,
            folder=self._folder,
        )

    def _portal(
        self, accounts: Accounts, keys: Keys, pages: WebRoom, market: MarketRoom | None, clinic: ClinicParts
    ) -> Portal:
        settings, clock = self._settings, self._clock
        return Portal(
            accounts=accounts,
            clock=clock,
            backhaul=self.backhaul,
            web=pages,
            market=market,
            clinic=clinic.room,
            clinic_desk=clinic.desk,
            whip=clinic.whip,
            door_url=door_url(settings),
            secret=keys.forms,
            limits=PortalLimits(
                body_bytes_max=settings.portal.body_bytes_max, session_idle_s=settings.portal.session_idle_s
            ),
            has_https=settings.portal.https is not None,
            trial=self._world.trial,
            kept=pages.kept,
            home=Home(settings.portal.hosts[0], settings.portal.http.port),
            proxy_port=self._proxy_port,
        )

    def _proxy_port(self) -> int | None:
        return next((each.address.port for each in self.listeners if each.name == "proxy"), None)

    def _workers(self, pages: WebRoom) -> Workers | None:
        """Return the processes that accept for the listeners that the village has without TLS."""
        settings = self._settings
        count, proxy = settings.box.workers, settings.proxy
        if count == 1:
            return None
        bytes_max = settings.cache.memory_bytes_max // 4 // count  # all of a door's copies take a quarter more
        by_name = {each.name: each for each in self.listeners}
        doors = [Door(by_name["portal"], pages.site_early, bytes_max)]
        if proxy is not None:
            doors.append(Door(by_name["proxy"], pages.proxy_early, bytes_max, proxy.clients))
        return Workers(doors, count=count, clock=self._clock, access_log=settings.cache.access_log)

    def _make_listeners(
        self, portal: Portal, pages: WebRoom, market: MarketRoom | None, clinic: ClinicParts, around: LinkParts
    ) -> Iterator[Listener]:
        settings = self._settings
        limits = Limits(
            connections_max=settings.portal.connections_max,
            header_bytes_max=settings.portal.header_bytes_max,
            reader_s=settings.cache.reader_s,
        )
        tls = _tls(settings)

        serving = partial(Listener, render_error=portal.render_error, limits=limits)

        def village() -> web.Application:
            app = portal.application()
            if market is not None:
                app.add_routes(market_routes(market, portal.merchant_of))
                app.add_routes(photo_routes(market.photos, portal.merchant_of))
            app.middlewares.insert(0, _by_host(frozenset(settings.portal.hosts), pages))
            return app

        early = pages.site_early.answer
        yield serving("portal", settings.portal.http, village(), early=early)
        if settings.portal.https:
            yield serving("portal (https)", settings.portal.https, village(), tls=tls, early=early)
        if settings.proxy:
            near = partial(is_of, networks=settings.proxy.clients)
            yield serving(
                "proxy", settings.proxy.listen, pages.doors.proxy, early=pages.proxy_early.answer, clients=near
            )
        yield serving("door", settings.clinic.door, portal.door(), tls=tls)
        clinic_view = ClinicView(clinic.room, clinic.records, clinic.handover)
        view = Rooms(self._clock, self.backhaul, pages, market, clinic_view, link_watch=around)
        routes = [*self._admin_routes, *CacheDesk(pages).routes(), *around.routes()]
        routes += RecordsDesk(clinic.records, self._clock, settings.box.name, clinic.recordings).routes()
        if market is not None and settings.market is not None:
            routes += OrdersDesk(market, self._clock, settings.market.bundle_recipient).routes()
        admin = admin_application(view, _admin_hosts(settings.admin.listen), routes)
        yield serving("admin", settings.admin.listen, admin)


def _by_host(portal_hosts: frozenset[str], pages: WebRoom) -> Middleware:
    """Return the fork at the village's listener: the portal's own names go on, a site's to the cache, others 421."""

    @web.middleware
    async def fork(request: web.Request, handler: PageHandler) -> web.StreamResponse:
        host = host_name(request.host)
        if host in portal_hosts:
            return await handler(request)
        if pages.doors.serves(host):
            return await pages.doors.site(request)
        raise WrongHost

    return fork


def check_surroundings(settings: Settings) -> list[CannotStart]:
    """Return what the settings name and this machine does not have: files, keys that fit, the link's interface."""
    faults: list[CannotStart] = []
    needs: tuple[Callable[[Settings], object], ...] = (
        _tls,
        _catalogue,
        _token,
        _interfaces,
        _echo_key,
        _radius_secret,
        _clinic_secrets,
    )
    for needed in needs:
        try:
            needed(settings)
        except CannotStart as exc:
            faults.append(exc)
    return faults


def _catalogue(settings: Settings) -> None:
    if settings.market and settings.market.catalogue:
        load_catalogue(settings.market.catalogue)


def _token(settings: Settings) -> None:
    if settings.market:
        secret(settings.market.token, settings.market.token_file)


def _interfaces(settings: Settings) -> None:
    for name in filter(None, [settings.backhaul.interface, *(each.interface for each in settings.links)]):
        if not interface_exists(name):
            raise CannotStart(
                N_("There is no network interface %(interface)s."),
                N_("See their names with: ip link"),
                interface=name,
            )


def _echo_key(settings: Settings) -> None:
    if settings.probe.key_file:
        key_in(settings.probe.key_file)


def _radius_secret(settings: Settings) -> None:
    if settings.radius:
        shared_secret(settings.radius)


def _clinic_secrets(settings: Settings) -> None:
    for each in (settings.clinic.turn_secret_file, settings.clinic.fhir_token_file):
        secret(None, each)


def check_aiohttp(version: str = aiohttp.__version__, parser: type = HttpRequestParser) -> None:
    """Refuse an aiohttp with known faults, or without its C parser (the pure-Python one had smuggling CVEs).

    Raises: CannotStart.
    """
    found = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if found < AIOHTTP_MIN or parser is HttpRequestParserPy:
        raise CannotStart(
            N_("The HTTP library is not safe to use: aiohttp %(least)s or newer with its C parser is needed."),
            N_("Install what requirements.txt names, on a platform that has wheels for it."),
            least=".".join(map(str, AIOHTTP_MIN)),
        )


def _metered(settings: Settings, clock: Clock, folder: DataFolder, on_spent: Callable[[str, bool], None]) -> Metered:
    """Return what counts the bytes of every link; an interface may come later, as a modem does."""
    links = [(each.name, each.interface, each.month_bytes) for each in settings.links]
    return Metered(
        links or [("", settings.backhaul.interface, None)],
        clock,
        folder.path / "backhaul" / "links.json",
        on_spent=on_spent,
    )


def _backhaul(settings: Settings, world: World, clock: Clock, metered: Metered | None) -> Backhaul:
    link = settings.backhaul
    named = [site.origin for site in settings.sites]
    if settings.market and settings.market.marketplace:
        named.append(settings.market.marketplace)
    if settings.clinic.fhir:
        named.append(settings.clinic.fhir)
    return Backhaul(
        clock,
        capacity=Capacity(link.down_bps, link.up_bps) if link.down_bps and link.up_bps else None,
        carrier=world.carrier,
        probe=probe_by(world.site_dialer),
        peers=tuple(_peer(url) for url in named),
        call_wants_bps=settings.clinic.video_bps_max + CALL_BESIDES_PICTURE_BPS,
        policy=_policy(settings),
        ways=tuple(way_by(each.interface, each.name, world.site_dialer) for each in settings.links),
        measured=True,
        marks=link.marks,
        counters=metered.read if metered else None,
    )


def _policy(settings: Settings) -> SharingPolicy:
    return SharingPolicy(
        tenants=tuple(
            Tenant(
                each.name,
                each.weight,
                each.networks,
                Bounds(each.guaranteed_down_bps, each.ceiling_down_bps),
                Bounds(each.guaranteed_up_bps, each.ceiling_up_bps),
            )
            for each in settings.tenants
        ),
        **settings.sharing.model_dump(),
    )


def _peer(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _web_room(
    settings: Settings, world: World, clock: Clock, backhaul: Backhaul, folder: DataFolder, around: LinkParts
) -> WebRoom:
    return WebRoom(
        folder=folder.path / "web",
        name=settings.box.name,
        sites=[
            Site(
                site.name,
                site.title or site.name,
                site.hosts,
                site.origin,
                TrafficClass(site.traffic_class),
                warm=_warm_order(site.warm),
                banner=site.banner,
                query=QueryRules(
                    site.query.sort,
                    TRACKING if site.query.drop is None else tuple(each.lower() for each in site.query.drop),
                ),
                pictures=Policy(site.images, site.originals),
            )
            for site in settings.sites
        ],
        limits=WebLimits(
            size_bytes_max=settings.cache.size_bytes_max,
            memory_bytes_max=settings.cache.memory_bytes_max,
            object_bytes_max=settings.cache.object_bytes_max,
            slice_bytes=settings.cache.slice_bytes,
            free_bytes_min=settings.cache.free_bytes_min,
            write_every_s=settings.cache.write_every_s,
            upload_bytes_max=settings.cache.upload_bytes_max,
            fetches_max=settings.cache.fetches_max,
            device_requests_max=settings.cache.device_requests_max,
            patience_s=settings.cache.patience_s,
            reader_s=settings.cache.reader_s,
            connect_s=settings.backhaul.connect_s,
            silence_s=settings.backhaul.silence_s,
            head_s=settings.backhaul.head_s,
            tunnels_max=settings.proxy.tunnels_max if settings.proxy else 0,
            tunnel_idle_s=settings.proxy.tunnel_idle_s if settings.proxy else 0.0,
        ),
        clock=clock,
        backhaul=backhaul,
        site_dialer=world.site_dialer,
        proxy_dialer=world.proxy_dialer,
        access_log=folder.path / "web" / "access.log" if settings.cache.access_log else None,
        kept=_kept_limits(settings.offline),
        saver=SaverLimits(**settings.saver.model_dump()),
        served=around.served_locally,
    )


def _kept_limits(offline: Offline) -> KeptLimits:
    return KeptLimits(
        pages_max=offline.pages_max,
        per_device_max=offline.per_device_max,
        url_chars_max=offline.url_chars_max,
        age_s_max=offline.days_max * 86_400.0,
        page_bytes_max=offline.page_bytes_max,
        day_bytes_max=offline.bytes_max,
        parts_max=offline.parts_max,
        tries_max=offline.tries_max,
    )


def _warm_order(warm: Warm | None) -> WarmOrder:
    if warm is None:
        return WarmOrder()  # without hours: by command alone
    return WarmOrder(warm.pages, warm.depth, warm.sitemap, warm.hours, warm.bytes_max, warm.pages_max)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    portal = settings.portal
    if not (portal.https and portal.certificate and portal.key):
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(portal.certificate, portal.key)
    except (OSError, ssl.SSLError) as exc:
        raise CannotStart(
            N_("The certificate or its key cannot be used: %(certificate)s, %(key)s."),
            N_("Both must be PEM files that belong together and that the box may read."),
            certificate=portal.certificate,
            key=portal.key,
        ) from exc
    return context


def _admin_hosts(listen: Address) -> frozenset[str]:
    return frozenset({"localhost", "127.0.0.1", "::1", listen.host})


class _Part(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


_P = TypeVar("_P", bound=_Part)


async def _started(running: AsyncExitStack, part: _P) -> _P:
    """Start a part; `running` stops it."""
    await part.start()
    running.push_async_callback(part.stop)
    return part


async def _stop_together(listeners: Sequence[Listener]) -> None:
    """Stop them at the same time: each may take `stop_s`, and none accepts while another waits."""
    async with asyncio.TaskGroup() as tasks:
        for each in listeners:
            tasks.create_task(each.stop(), name=f"stop {each.name}")


def _background(
    tasks: asyncio.TaskGroup, running: AsyncExitStack, journey: Coroutine[None, None, None], name: str
) -> None:
    """Run a journey beside the others; `running` cancels it and waits for its end."""
    task = tasks.create_task(journey, name=name)

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    running.push_async_callback(end)
