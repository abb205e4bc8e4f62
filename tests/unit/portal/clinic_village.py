"""A portal with a clinic: its nurse, its doctors, links that are really signed, and records in memory."""

from asyncio import to_thread as aside
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic.invitation import Invitation, read, sign
from gateway.clinic.whip import Whip
from gateway.errors import NotAllowed
from gateway.hours import parse_hours
from gateway.listener import Listener
from gateway.portal.accounts import Accounts
from gateway.portal.clinic_doctors import Doctor
from gateway.portal.clinic_frame import ClinicDesk
from gateway.portal.portal import Portal, PortalLimits
from gateway.units import Address
from tests.clocks import HandClock
from tests.unit.portal.fake_records import FakeRecords
from tests.unit.portal.small_portal import PASSWORD, FakeWeb, Page, SmallBrowser, never

KEY = b"i" * 32
DOOR = "https://puerta.example:8444"
DOCTORS = (
    Doctor("Dra. Huamán", "Pediatría", (parse_hours("00:00-24:00"),), "+51 987 654 321"),
    Doctor("Dr. Salas", "Dermatología", (), ""),
)
JPEG_HEAD = b"\xff\xd8\xff\xe0"


class SignedClinic:
    """Reads links as the real room does, and answers its sockets with a word."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.over: set[str] = set()
        self.sent_now = 0

    def read(self, token: str) -> Invitation:
        found = self.read_link(token)
        if found.consultation in self.over:
            raise NotAllowed
        return found

    def read_link(self, token: str) -> Invitation:
        return read(KEY, token, self.clock.wall_s())

    def end(self, consultation: str) -> None:
        self.over.add(consultation)

    def reopen(self, consultation: str) -> None:
        self.over.discard(consultation)

    def send_now(self) -> None:
        self.sent_now += 1

    def token(self, consultation: str, role: str, valid_s: float = 3_600.0) -> str:
        return sign(KEY, Invitation(consultation, role, int(self.clock.wall_s() + valid_s)))  # type: ignore[arg-type]

    async def serve_socket(self, request: web.Request, token: str, far: bool) -> web.StreamResponse:
        del request, far
        return web.Response(text=f"socket of {self.read(token).role}")

    async def check_link(self, request: web.Request, token: str) -> web.StreamResponse:
        del request
        return web.Response(text=f"link of {self.read(token).role}")


@dataclass
class CountedLink:
    """A link on which every turn comes at once, and is counted."""

    up_bytes: int = 0
    down_bytes: int = 0

    @contextmanager
    def share(self) -> Iterator["CountedLink"]:
        yield self

    async def take_up(self, size_bytes: int) -> None:
        self.up_bytes += size_bytes

    async def take_down(self, size_bytes: int) -> None:
        self.down_bytes += size_bytes


@dataclass
class Clinic:
    """What runs, and how to reach it."""

    clock: HandClock
    accounts: Accounts
    records: FakeRecords
    room: SignedClinic
    link: CountedLink
    base: str
    door: str

    async def add(self, name: str, role: str) -> None:
        """Make an account."""
        await aside(self.accounts.add, name, role, PASSWORD)


@asynccontextmanager
async def clinic_village(
    folder: Path,
    clock: HandClock,
    *,
    idle_lock_s: float = 300.0,
    whip: Whip | None = None,
    ice_servers: Callable[[], Sequence[Mapping[str, str]]] = tuple,
) -> AsyncIterator[Clinic]:
    accounts, records, room, link = Accounts(folder, clock), FakeRecords(clock), SignedClinic(clock), CountedLink()
    backhaul = Backhaul(clock, capacity=Capacity(4_000_000, 1_000_000), carrier=lambda: True, probe=never)
    portal = Portal(
        accounts=accounts,
        clock=clock,
        backhaul=backhaul,
        web=FakeWeb(),
        market=None,
        clinic=room,
        door_url=DOOR,
        secret=b"k" * 32,
        limits=PortalLimits(body_bytes_max=200_000, session_idle_s=36_000.0),
        has_https=False,
        clinic_desk=ClinicDesk(
            records=records,
            calls=room,
            sign=room.token,
            read=room.read_link,
            send_now=room.send_now,
            far=link.share,
            doctors=DOCTORS,
            idle_lock_s=idle_lock_s,
            file_bytes_max=400_000,
            ice_servers=ice_servers,
        ),
        whip=whip,
    )
    await portal.start()
    village = Listener("portal", Address("127.0.0.1", 0), portal.application(), portal.render_error)
    door = Listener("door", Address("127.0.0.1", 0), portal.door(), portal.render_error)
    await village.start()
    await door.start()
    await aside(accounts.add, "nelly", "nurse", PASSWORD)
    bases = [f"http://127.0.0.1:{each.address.port}" for each in (village, door)]
    try:
        yield Clinic(clock, accounts, records, room, link, *bases)
    finally:
        await door.stop()
        await village.stop()
        await portal.stop()


async def nurse(browser: SmallBrowser) -> Page:
    """Sign in as the nurse."""
    return await browser.sign_in("nelly", path="/entrar?sigue=/clinica")


def visit_fields(page: Page, **more: str) -> dict[str, str]:
    """What a nurse types for a patient."""
    return {
        "token": page.field("token"),
        "form": page.field("form"),
        "name": "Julia Mamani",
        "birth_date": "1990-04-02",
        "sex": "female",
        "identity": "known",
        "reason": "Tos y fiebre",
        "consent-consultation": "yes",
        "consent-how": "spoken",
        **more,
    }


async def registered(browser: SmallBrowser, way: str = "llegada", **more: str) -> str:
    """Register a patient, and return the record's path."""
    form = await browser.get(f"/clinica/nuevo/{way}")
    made = await browser.post(f"/clinica/nuevo/{way}", visit_fields(form, **more))
    assert made.status == 200, made.text
    assert made.path.startswith("/clinica/registro/")
    return made.path
