"""`tambo demo`: the box between an emulated 4G link and a small world, all on one machine and without root.

The box is the same as `tambo run` starts, with the same settings file (written into the demo's folder to look at); only
what lies outside is different: names like `salud.example` lead through the emulated link to the demo's own servers, the
modem's carrier is the link's, and the doctor's browser comes in over the link too.
"""

import asyncio
import json
import random
import secrets
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Self

from aiohttp import web

from gateway.app import Box, World
from gateway.backhaul.dialer import Endpoint, PublicDialer
from gateway.clinic.invitation import Invitations, invite
from gateway.clock import SystemClock
from gateway.data_folder import INVITATION_KEY, DataFolder
from gateway.demo.hospital import ANSWER_S, DemoHospital
from gateway.demo.internet import DemoInternet
from gateway.demo.link import EmulatedLink, LinkSettings, parse_change
from gateway.demo.marketplace import DemoMarketplace
from gateway.demo.origin import DemoOrigin
from gateway.errors import N_, BadRequest, CannotStart
from gateway.market.catalogue.file import load_catalogue
from gateway.plan import Line, portal_url, site_url
from gateway.portal.accounts import Accounts
from gateway.portal.trial import Trial
from gateway.resources import content
from gateway.settings import Settings
from gateway.settings_file import load
from gateway.units import Address, in_bits

LOOPBACK = "127.0.0.1"
VILLAGE_4G = LinkSettings(down_bps=4_000_000, up_bps=1_000_000, delay_s=0.04)
PORTS = {"portal": 8080, "proxy": 3128, "door": 8444, "far door": 18444, "admin": 9090}
MERCHANT, CASHIER, NURSE, DOCTOR, TECHNICIAN = "ana", "luis", "rosa", "elena", "julia"
PEOPLE = (
    (MERCHANT, "merchant", ""),
    (CASHIER, "cashier", MERCHANT),
    (NURSE, "nurse", ""),
    (DOCTOR, "doctor", ""),
    (TECHNICIAN, "technician", ""),
)
CHANGE_BYTES_MAX = 4_096
CHANGE_S_MAX = 10.0
LINK_S = 86_400
SITE, MARKETPLACE, HOSPITAL = "salud.example", "mercado.example", "hospital.example"

_SETTINGS = """\
# Written by `tambo demo` at each start; the names under [[sites]], [market] and [clinic] exist in its world only.
[box]
name = "san-mateo"
data = "box"

[portal]
http = "127.0.0.1:{portal}"
hosts = ["localhost", "127.0.0.1"]

[[sites]]
name = "salud"
title = "Posta y escuela de San Mateo"
hosts = ["salud.localhost"]
origin = "http://salud.example"
banner = true

[proxy]
listen = "127.0.0.1:{proxy}"

[backhaul]
down_bps = {down_bps}
up_bps = {up_bps}

[market]
marketplace = "http://mercado.example/orders"
catalogue = {catalogue}

[clinic]
door = "127.0.0.1:{door}"
door_url = "http://localhost:{far_door}"
link_s = {link_s}
fhir = "http://hospital.example/r4"
answers_s = 10

[[clinic.doctors]]
name = "Dra. Elena Huamán"
speciality = "Medicina general"
hours = ["00:00-24:00"]
phone = "+51 987 654 321"

[admin]
listen = "127.0.0.1:{admin}"
"""


class DemoWorld:
    """The box, its link, and what lies beyond, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = SystemClock()
        self._ports = {name: _free(preferred) for name, preferred in PORTS.items()}
        self._link = EmulatedLink(self._clock, VILLAGE_4G, random.Random())  # noqa: S311 - which packets the link loses
        self._settings = self._write_settings()
        self._box: Box | None = None
        self._credentials: dict[str, str] = {}
        self._invitations: Invitations | None = None
        self._beyond: dict[str, Address] = {}

    @classmethod
    @contextmanager
    def in_folder(cls, folder: Path | None) -> Iterator[Self]:
        """Yield a world in `folder`, or in a temporary one that goes away with it."""
        if folder is not None:
            with DataFolder(folder) as held:  # before anything in it is written
                yield cls(held.path)
            return
        with tempfile.TemporaryDirectory(prefix="tambo-demo-") as temporary:
            yield cls(Path(temporary))

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Run everything until `stop` is set; `on_ready` is called once all is up."""
        async with asyncio.TaskGroup() as tasks:
            linking = tasks.create_task(self._link.run(), name="demo link")
            async with AsyncExitStack() as beyond:
                hosts = await self._start_beyond(beyond, tasks)
                await self._link.expose(LOOPBACK, self._ports["door"], self._ports["far door"])
                beyond_sites = DemoInternet(self._link, hosts, PublicDialer())
                beyond_proxy = DemoInternet(self._link, {SITE: hosts[SITE]}, PublicDialer())
                world = World(
                    beyond_sites, beyond_proxy, self._link, self._link.carrier, self._trial, by_interface=False
                )
                self._box = Box(self._settings, world, admin_routes=[web.post("/demo/link", self._change_link)])
                await self._make_people()
                await self._box.run(stop, on_ready)
            linking.cancel()

    def where(self) -> dict[str, object]:
        """Return where everything is, for programs."""
        portal, nurse, doctor = self._urls()
        return {
            "portal": f"{portal}/",
            "site": site_url(self._settings, "salud.localhost"),
            "proxy": f"http://{LOOPBACK}:{self._ports['proxy']}",
            "admin": f"http://{LOOPBACK}:{self._ports['admin']}/",
            "door": f"http://localhost:{self._ports['far door']}/",
            "merchant": {key: self._credentials[key] for key in ("token", "name", "password")},
            "cashier": {"name": CASHIER, "password": self._credentials["password"]},
            "nurse": {"name": NURSE, "password": self._credentials["password"]},
            "doctor": {"name": DOCTOR, "password": self._credentials["password"]},
            "consultation": {"nurse": nurse, "doctor": doctor},
            "origin": f"http://{self._beyond[SITE]}/",
            "marketplace": f"http://{self._beyond[MARKETPLACE]}/orders",
            "hospital": f"http://{self._beyond[HOSPITAL]}/",
        }

    def greeting(self) -> Iterator[Line]:
        """Yield what a person is told: three things to try, and how to cut the link."""
        portal, nurse, doctor = self._urls()
        site = site_url(self._settings, "salud.localhost")
        link = self._link.settings
        yield (
            N_("A village runs on this machine, behind an emulated 4G link of %(down)s. Start page: %(url)s"),
            {
                "down": in_bits(link.down_bps),
                "url": f"{portal}/",
            },
        )
        yield "", {}
        yield N_("Three things to try:"), {}
        yield N_("  1. Read a page       %(url)s"), {"url": site}
        yield (
            N_("  2. Place an order    %(url)s  (as %(name)s; password %(password)s)"),
            {
                "url": f"{portal}/entrar/{self._credentials['link']}",
                "name": MERCHANT,
                "password": self._credentials["password"],
            },
        )
        yield N_("  3. Make a call       %(nurse)s  (the nurse)"), {"nurse": nurse}
        yield N_("                       %(doctor)s  (the doctor, in a second window)"), {"doctor": doctor}
        yield "", {}
        yield (
            N_("And a day in the clinic: %(url)s  (as %(name)s; the same password)"),
            {"url": f"{portal}/entrar?sigue=/clinica", "name": NURSE},
        )
        said = N_("A case that is sent is answered by the demo's hospital %(seconds)d seconds later.")
        yield said, {"seconds": int(ANSWER_S)}
        yield "", {}
        yield N_("Cut the link for a minute, and try again:"), {}
        yield "  %(command)s", {"command": self._cut_command()}
        yield (
            N_("The technician's page: %(url)s   Everything stops with Ctrl-C."),
            {"url": f"http://{LOOPBACK}:{self._ports['admin']}/"},
        )

    def _trial(self) -> Trial | None:
        """Return what the start page invites to, once everybody is known."""
        if self._invitations is None:
            return None
        portal, nurse, doctor = self._urls()
        return Trial(
            page_url=site_url(self._settings, "salud.localhost"),
            order_url=f"{portal}/entrar/{self._credentials['link']}",
            nurse_url=nurse,
            doctor_url=doctor,
            cut_command=self._cut_command(),
        )

    def _cut_command(self) -> str:
        body = "-H 'Content-Type: application/json' -d '{\"outage_s\": 60}'"
        return f"curl {body} http://{LOOPBACK}:{self._ports['admin']}/demo/link"

    def _urls(self) -> tuple[str, str, str]:
        """Return the portal's address, the nurse's link and the doctor's."""
        if self._invitations is None:
            raise CannotStart
        portal = portal_url(self._settings)
        door = f"http://localhost:{self._ports['far door']}"
        return portal, f"{portal}/consulta/{self._invitations.nurse}", f"{door}/consulta/{self._invitations.doctor}"

    def _write_settings(self) -> Settings:
        path = self._folder / "tambo.toml"
        catalogue = json.dumps(str(content() / "demo" / "catalogue.json"))  # a JSON string is a TOML one
        path.write_text(
            _SETTINGS.format(
                **{name.replace(" ", "_"): port for name, port in self._ports.items()},
                down_bps=VILLAGE_4G.down_bps,
                up_bps=VILLAGE_4G.up_bps,
                catalogue=catalogue,
                link_s=LINK_S,
            ),
            encoding="utf-8",
        )
        settings = load(path)
        if not isinstance(settings, Settings):
            raise CannotStart(
                N_("The demo's own settings are wrong: %(keys)s."), keys=[fault.key for fault in settings]
            )
        return settings

    async def _start_beyond(self, beyond: AsyncExitStack, tasks: asyncio.TaskGroup) -> dict[str, Endpoint]:
        """Start what lies on the far side of the link; return its names."""
        origin = DemoOrigin(content() / "demo" / "site")
        catalogue = await asyncio.to_thread(load_catalogue, content() / "demo" / "catalogue.json")
        marketplace = DemoMarketplace(self._folder / "marketplace", catalogue=catalogue)
        hospital = DemoHospital(self._clock)
        for name, server in ((SITE, origin), (MARKETPLACE, marketplace), (HOSPITAL, hospital)):
            self._beyond[name] = Address(*await server.start(LOOPBACK, 0))
            beyond.push_async_callback(server.stop)
        answering = tasks.create_task(hospital.run(), name="demo hospital")
        beyond.callback(answering.cancel)
        return {name: Endpoint(*address) for name, address in self._beyond.items()}

    async def _make_people(self) -> None:
        await asyncio.to_thread(self._make_accounts)

    def _make_accounts(self) -> None:
        folder = DataFolder(self._settings.box.data).make()
        accounts = Accounts(folder.path, self._clock)
        known = {account.name for account in accounts.list()}
        password = secrets.token_urlsafe(9)
        for name, role, shop in PEOPLE:
            if name in known:
                accounts.set_password(name, password)
            else:
                accounts.add(name, role, password, shop=shop)
        accounts.revoke_tokens(MERCHANT)
        self._credentials = {
            "name": MERCHANT,
            "password": password,
            "token": accounts.new_token(MERCHANT),
            "link": accounts.new_link(MERCHANT, LINK_S, reusable=True),
        }
        self._invitations = invite(
            folder.key_for(INVITATION_KEY),
            wall_s=self._clock.wall_s(),
            link_s=LINK_S,
            consultation=str(uuid.uuid4()),
        )

    async def _change_link(self, request: web.Request) -> web.Response:
        """`POST /demo/link`: change the emulated link while it runs, and tell the box what it now carries."""
        if (request.content_length or 0) > CHANGE_BYTES_MAX:
            raise BadRequest
        try:
            async with asyncio.timeout(CHANGE_S_MAX):
                document = json.loads(await request.read())
        except (ValueError, RecursionError, TimeoutError) as exc:
            raise BadRequest(N_("This is not JSON."), N_('Send, for example, {"outage_s": 60}.')) from exc
        self._link.apply(parse_change(document))
        if self._box is not None:
            self._box.backhaul.tell_capacity(self._link.capacity())
        settings = self._link.settings
        return web.json_response(
            {
                "down_bps": settings.down_bps,
                "up_bps": settings.up_bps,
                "delay_s": settings.delay_s,
                "in_outage": self._link.in_outage(),
            }
        )


def _free(preferred: int) -> int:
    """Return `preferred` where it is free on loopback, else any port that is."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(Address(*probe.getsockname()).port)
    raise CannotStart(N_("No port is free on this machine."))
