"""Who carries the call: the box, a Janus VideoRoom in its place, or nobody between two browsers.

Each is started where the box stands, and brings the pages into one call. Every page measures itself in the same way.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from playwright.async_api import Page, Playwright

from tests.bench.call.browsers import PEER_PAGE, Camera, browser, opened
from tests.bench.call.place import BOX_FAR, BOX_NEAR, Place
from tests.bench.link import near_box
from tests.bench.link.running import running

JANUS_FOLDERS = ("/usr/lib/x86_64-linux-gnu/janus", "/usr/lib/aarch64-linux-gnu/janus", "/usr/lib/janus")
JANUS_PORT = 8088
NURSE, DOCTOR, INTERPRETER = "nurse", "doctor", "interpreter"


@dataclass
class Call:
    """A call whose pages are open; `pid` is what carries it."""

    pages: dict[str, Page] = field(default_factory=dict)
    pid: int | None = None


class Contender(Protocol):
    """One way to carry a call."""

    @property
    def name(self) -> str:
        """How it is called in tables."""
        ...

    def missing(self) -> str | None:
        """Return, in words, what is not here; None where all is."""
        ...

    async def call(self, playwright: Playwright, stack: AsyncExitStack, place: Place, camera: Camera) -> Call:
        """Open the pages and let them join; they may not hear each other yet."""
        ...


@dataclass(frozen=True)
class Tambo:
    """The box, with the settings of a run; `doctor_door` is where the doctor's page finds it."""

    name: str = "Tambo"
    settings: Mapping[str, str] = field(default_factory=dict)
    doctor_door: str = f"{BOX_FAR}:8444"

    def missing(self) -> str | None:
        """Nothing is."""
        return None

    async def call(self, playwright: Playwright, stack: AsyncExitStack, place: Place, camera: Camera) -> Call:
        """Start the box; the nurse joins in the village, the doctor over the link."""
        pid = await self.start(stack, place)
        links = await self.links(place)
        return await self.joined(playwright, stack, place, camera, Call(pid=pid), links)

    async def start(self, stack: AsyncExitStack, place: Place) -> int:
        """Start the box and return its process."""
        settings = {
            "portal.http": '"0.0.0.0:8080"',
            "portal.hosts": json.dumps([BOX_NEAR, BOX_FAR, "localhost"]),
            "clinic.door": '"0.0.0.0:8444"',
            "clinic.door_url": f'"http://{self.doctor_door}"',
            **self.settings,
        }
        command = place.link.inside(place.box, *near_box.command(place.folder, settings))
        box = await stack.enter_async_context(running(command, place.folder / "box.log"))
        await box.first_line(near_box.START_S)
        files = ("--url", f"{near_box.ADMIN}/status.json", "--out", place.folder / "watch.jsonl")
        watch = place.link.module(place.box, "tests.bench.link.watch", *files)
        await stack.enter_async_context(running(watch, place.folder / "watch.log"))
        return box.process.pid

    async def links(self, place: Place) -> Mapping[str, str]:
        """Return a consultation's links by role."""
        config = place.folder / near_box.CONFIG
        said = await place.told(
            place.box, sys.executable, "-m", "gateway", "clinic", "open", "--json", "--config", str(config)
        )
        links: dict[str, str] = json.loads(said[said.index("{") :])
        links["nurse"] = links["nurse"].replace(links["nurse"].partition("/consulta/")[0], f"http://{BOX_NEAR}:8080")
        return links

    async def joined(
        self,
        playwright: Playwright,
        stack: AsyncExitStack,
        place: Place,
        camera: Camera,
        call: Call,
        links: Mapping[str, str],
    ) -> Call:
        """Let those who have a link join: the nurse in the village, all others over the link."""
        origins = [f"http://{BOX_NEAR}:8080", f"http://{self.doctor_door}"]
        near = await stack.enter_async_context(browser(playwright, place, place.village, origins))
        far = await stack.enter_async_context(browser(playwright, place, place.far, origins))
        for number, (role, url) in enumerate(links.items()):
            place_of = near if role == NURSE else far
            shown = Camera(number, camera.width, camera.height, camera.fps)
            page = call.pages[role] = await opened(place_of, url, shown)
            await page.locator("[data-action=join]").click()
        return call


@dataclass(frozen=True)
class Janus:
    """Debian's Janus as it comes, with one VideoRoom that has no cap."""

    name: str = "Janus VideoRoom"

    def missing(self) -> str | None:
        """Say so where it is not installed."""
        return None if _janus_folder() else "Janus is not here: apt-get install janus"

    async def call(self, playwright: Playwright, stack: AsyncExitStack, place: Place, camera: Camera) -> Call:
        """Start Janus; both publish, and subscribe to each other."""
        command = place.link.inside(place.box, "janus", "-F", _janus_settings(place.folder), "-o")
        janus = await stack.enter_async_context(running(command, place.folder / "janus.log"))
        await _listens(place, JANUS_PORT)
        call = await _two_pages(playwright, stack, place, camera)
        call.pid = janus.process.pid
        for role, address in ((NURSE, BOX_NEAR), (DOCTOR, BOX_FAR)):
            await call.pages[role].evaluate(
                "([base, name]) => janus(base, name)", [f"http://{address}:{JANUS_PORT}/janus", role]
            )
        return call


@dataclass(frozen=True)
class Alone:
    """Two browsers, each with its own congestion control, and nothing between them but the link."""

    name: str = "two browsers alone"

    def missing(self) -> str | None:
        """Nothing is."""
        return None

    async def call(self, playwright: Playwright, stack: AsyncExitStack, place: Place, camera: Camera) -> Call:
        """Carry the offer and the answer by hand."""
        call = await _two_pages(playwright, stack, place, camera)
        nurse, doctor = call.pages[NURSE], call.pages[DOCTOR]
        answered = await doctor.evaluate("(sdp) => answer(sdp)", await nurse.evaluate("() => offer()"))
        await nurse.evaluate("(sdp) => accept(sdp)", answered)
        return call


async def _two_pages(playwright: Playwright, stack: AsyncExitStack, place: Place, camera: Camera) -> Call:
    call = Call()
    for number, (role, namespace) in enumerate(((NURSE, place.village), (DOCTOR, place.far))):
        started = await stack.enter_async_context(browser(playwright, place, namespace, ()))
        shown = Camera(number, camera.width, camera.height, camera.fps)
        call.pages[role] = await opened(started, PEER_PAGE, shown)
    return call


def _janus_folder() -> Path | None:
    return next((Path(each) for each in JANUS_FOLDERS if Path(each, "plugins").is_dir()), None)


def _janus_settings(folder: Path) -> Path:
    """Write what Janus needs to be told; return the folder."""
    found = _janus_folder()
    made = folder / "janus"
    made.mkdir()
    general = (
        f'configs_folder = "{made}"\nplugins_folder = "{found}/plugins"\ntransports_folder = "{found}/transports"\n'
    )
    general += f'events_folder = "{found}/events"\nloggers_folder = "{found}/loggers"\ndebug_level = 2\n'
    files = {
        "janus.jcfg": f"general: {{\n{general}}}\n",
        "janus.transport.http.jcfg": f'general: {{\nbase_path = "/janus"\nhttp = true\nport = {JANUS_PORT}\n}}\n',
        "janus.plugin.videoroom.jcfg": 'room-1: {\ndescription = "bench"\npublishers = 6\nbitrate = 0\n}\n',
    }
    for name, text in files.items():
        (made / name).write_text(text, encoding="utf-8")
    return made


async def _listens(place: Place, port: int) -> None:
    """Return once something listens on a port of the box's namespace."""
    script = (
        "import socket, time\n"
        "for _ in range(200):\n"
        f"    try: socket.create_connection(('127.0.0.1', {port}), 1); break\n"
        "    except OSError: time.sleep(0.05)\n"
        "else: raise SystemExit('nothing listens')\n"
    )
    await place.told(place.box, sys.executable, "-c", script)


def told_rate(kbps: float) -> Mapping[str, str]:
    """Return the settings of a box that knows what the link carries."""
    return {"backhaul.down_bps": f"{kbps * 1000:.0f}", "backhaul.up_bps": f"{kbps * 1000:.0f}"}


CONTENDERS: Sequence[Contender] = (Tambo(), Janus(), Alone())
