"""A nurse in the village, a doctor and an interpreter beyond a link of 300 kb/s: all voices, and the picture that the
nurse looks at; how soon another one is there after she pins another.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from playwright.async_api import Playwright

from gateway.clinic import invitation
from gateway.clinic.invitation import Invitation, read, sign
from gateway.clock import SystemClock
from gateway.data_folder import INVITATION_KEY, DataFolder
from tests.bench.call import cells
from tests.bench.call.browsers import Camera
from tests.bench.call.cells import HEAD, MACHINE_HEAD, NONE
from tests.bench.call.contenders import DOCTOR, INTERPRETER, NURSE, Call, Tambo, told_rate
from tests.bench.call.options import Options
from tests.bench.call.place import Place
from tests.bench.call.rates import narrow
from tests.bench.call.run import Run, Told
from tests.bench.call.seen import seen
from tests.bench.machine import table

KBPS = 300
WHO = {NURSE: 0, DOCTOR: 1, INTERPRETER: 2}
SWITCHES = ((6.0, INTERPRETER), (13.0, DOCTOR), (20.0, INTERPRETER), (27.0, DOCTOR))
SECONDS = 34.0
NOTE = (
    "300 kb/s and 25 ms each way, a queue of 500 ms; doctor and interpreter share one machine and one browser. A "
    "switch is from the nurse's pin until the first frame of the one she pinned; 0 where that picture was there anyway."
)


@dataclass(frozen=True)
class ThreePeople(Tambo):
    """The box, and three places in one room."""

    name: str = "Tambo, three people"

    def missing(self) -> str | None:
        """Say so where this checkout knows no interpreter."""
        roles = getattr(invitation, "ROLES", ())
        return None if INTERPRETER in roles else "this checkout has no interpreter's place"

    async def call(self, playwright: Playwright, stack: AsyncExitStack, place: Place, camera: Camera) -> Call:
        """Start the box; the nurse joins in the village, the others over the link."""
        pid = await self.start(stack, place)
        links = dict(await self.links(place))
        key = DataFolder(place.folder / "var").make().key_for(INVITATION_KEY)
        door, _, token = links[DOCTOR].rpartition("/")
        known = read(key, token, SystemClock().wall_s())
        links[INTERPRETER] = f"{door}/{sign(key, Invitation(known.consultation, 'interpreter', known.expires_s))}"
        return await self.joined(playwright, stack, place, camera, Call(pid=pid), links)


async def three(options: Options) -> str:
    """Return the tables of a call of three."""
    rows, switches = [], []
    for contender in (ThreePeople(), ThreePeople("Tambo, three people, told the rate", told_rate(KBPS))):
        if not options.wants(contender.name):
            continue
        pinned: list[tuple[float, str]] = []
        events = tuple((at_s, Pin(role, pinned)) for at_s, role in SWITCHES)
        run = Run(contender, narrow(KBPS), SECONDS, options.camera, events=events)
        told = await options.told(f"{KBPS} kb/s", run)
        if isinstance(told, str):
            rows.append([contender.name, told, *[NONE] * (len(HEAD) + len(MACHINE_HEAD) + 2)])
            continue
        rows += [options.done(_row(contender.name, role, told)) for role in told.pages]
        switches += [[contender.name, *_switch(told, at_ms, role)] for at_ms, role in pinned]
    both = table("A call of three people", ["", "at", "voices heard", *HEAD, *MACHINE_HEAD, "the page"], rows)
    return f"{both}\n\n{table('Switches', ['', 'pinned', 'first frame after ms'], switches)}\n\n{NOTE}"


@dataclass(frozen=True)
class Pin:
    """The nurse pins somebody."""

    role: str
    pinned: list[tuple[float, str]]

    async def __call__(self, place: Place, call: Call) -> None:
        """Do it, and note when."""
        del place
        message = {"type": "pin", "who": self.role}
        at_ms = await call.pages[NURSE].evaluate("(message) => window.__bench.say(message)", message)
        self.pinned.append((at_ms, self.role))


def _row(name: str, role: str, told: Told) -> list[str]:
    page = told.pages[role]
    one = {role: seen(page, told.window)}
    return [name, role, str(_voices(told, role)), *cells.ends_cells(one), *cells.machine_cells(told), _said(told, role)]


def _said(told: Told, role: str) -> str:
    return next((each for each in cells.words(told).split("; ") if each.startswith(f"{role}:")), NONE)


def _voices(told: Told, role: str) -> int:
    """Return how many voices a page heard in the window: streams that grew by more than ten packets a second."""
    inside = [each["heard"] for each in told.pages[role]["samples"] if each["at"] in told.window]
    if not inside:
        return 0
    first, last = inside[0], inside[-1]
    grown = [values[0] - (first.get(key) or [0])[0] for key, values in last.items()]
    return sum(each > 10 * told.window.length_s for each in grown)


def _switch(told: Told, at_ms: float, role: str) -> list[str]:
    who = WHO[role]
    frames = [each for each in told.pages[NURSE]["frames"] if each[4] == who]
    was_there = any(at_ms - 500 <= each[0] < at_ms for each in frames)
    after = next((each[0] for each in frames if each[0] >= at_ms), None)
    return [role, "0" if was_there else NONE if after is None else f"{after - at_ms:.0f}"]
