"""A case with five photos, made while the link is down, arrives whole however the box dies, and its answer comes back.

Every field and every photo carries a marker; afterwards none is found where the box writes, or tells a technician.
"""

import asyncio
import hashlib
import io
import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from gateway.clock import SystemClock
from gateway.demo.fhir import check
from gateway.durable.recipient import new_pair
from gateway.portal.accounts import Accounts
from tests.bench.machine import free_port
from tests.fhir_server import FhirServerFake
from tests.unit.portal.small_portal import PASSWORD, SmallBrowser
from tests.village import CHECKOUT, started, stopped

MARK = "zqmarkerzq"
PHOTOS = 5
DEADLINE_S = 60.0
LOOK_S = 0.05
FIELDS = {
    "name": f"Ana {MARK}1",
    "birth_date": "1971-03-09",
    "document": f"D{MARK}2",
    "phone": "+51 900 111 777",
    "language": f"Q{MARK}3",
    "identity": "document",
    "reason": f"Herida {MARK}4",
    "question": f"¿Hace falta coser? {MARK}5",
    "urgency": "urgent",
    "vital-temperature": "38.7",
    "consent-photos": "yes",
    "consent-handover": "yes",
    "consent-how": "spoken",
    "consent-person": f"Madre {MARK}6",
    "subject": "wound",
    "photo-note": f"Mano {MARK}7",
}
ANSWER, MEDICINE = f"Dos puntos {MARK}8", f"Amoxicilina {MARK}9"
PLANTED = [MARK, "1971-03-09", "900 111 777", "900111777"]


class Cable:
    """The way to the hospital: while it is cut, nobody listens there."""

    def __init__(self, port: int, far_port: int) -> None:
        self.port = port
        self._far_port = far_port
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in self._ends:
            each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far_port)
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far_writer))
                both.create_task(_pump(far_reader, writer))
        finally:
            self._ends -= ends
            for each in ends:
                each.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(16_384):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


@dataclass
class Village:
    """A box that can be killed, the hospital beyond, and what is between them."""

    folder: Path
    port: int
    admin: int
    far: FhirServerFake
    cable: Cable
    log: Path = field(init=False)
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self.log = self.folder / "log"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        command: list[str | Path] = [*CHECKOUT, "run", "--config", self.folder / "tambo.toml"]
        self.process, _ = await asyncio.to_thread(started, command, self.log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@asynccontextmanager
async def a_village(folder: Path) -> AsyncIterator[Village]:
    far = FhirServerFake()
    far.wall_s = SystemClock().wall_s()
    far_port = int((await far.start()).rsplit(":", 1)[1].split("/")[0])
    made = Village(folder, free_port(), free_port(), far, Cable(free_port(), far_port))
    _, public = new_pair()
    (folder / "tambo.toml").write_text(
        f'[box]\nname = "prueba"\ndata = "data"\n[portal]\nhttp = "127.0.0.1:{made.port}"\nhosts = ["127.0.0.1"]\n'
        f'[admin]\nlisten = "127.0.0.1:{made.admin}"\n[clinic]\ndoor = "127.0.0.1:0"\nanswers_s = 10\n'
        f'fhir = "http://127.0.0.1:{made.cable.port}/r4"\nrecipient = "{public}"\n'
    )
    (folder / "data").mkdir(mode=0o700)
    await asyncio.to_thread(_nurse, folder / "data")
    await made.start()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            await asyncio.to_thread(stopped, made.process, made.log)
        await made.cable.cut()
        await far.stop()


def _nurse(data: Path) -> None:
    Accounts(data, SystemClock()).add("nelly", "nurse", PASSWORD)


def photos() -> list[bytes]:
    """Five pictures, each with a marker in it that a byte for byte copy carries along."""
    made = []
    for number in range(PHOTOS):
        content = io.BytesIO()
        picture = Image.effect_noise((900, 700), 60 + number).convert("RGB")
        picture.save(content, "JPEG", quality=70, comment=f"{MARK}-photo-{number}".encode())
        made.append(content.getvalue())
    return made


async def make_case(browser: SmallBrowser, pictures: list[bytes]) -> str:
    """Type a case with its photos, as the page's form sends it; return the record's path."""
    page = await browser.get("/clinica/nuevo/caso")
    assert page.status == 200, page.text
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in {"token": page.field("token"), "form": page.field("form"), **FIELDS}.items():
        form.add_field(name, value)
    for number, content in enumerate(pictures):
        form.add_field("photos", content, filename=f"{MARK}{number}.jpg", content_type="image/jpeg")
    url = f"{browser.base}/clinica/nuevo/caso"
    async with browser.session.post(url, data=form, headers={"Origin": browser.base}) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        assert answer.url.path.startswith("/clinica/registro/"), text
        return answer.url.path


async def shown(browser: SmallBrowser, path: str, *wanted: str) -> str:
    """The nurse's page of a record, once it says all that is wanted."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            page = await browser.get(path)
            if page.status == 200 and all(each in page.text for each in wanted):
                return page.text
            await asyncio.sleep(LOOK_S)


def files_under(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (each for each in folder.rglob("*") if each.is_file())


def files_of(pid: int) -> Iterator[Path]:
    """What a process has open, and what lies under its memory, but for programs and libraries."""
    for place in ("fd", "map_files"):
        with suppress(OSError):
            for each in Path(f"/proc/{pid}/{place}").iterdir():
                with suppress(OSError):
                    if Path(os.readlink(each)).suffix not in {".so", ".py", ".pyc"} and each.is_file():
                        yield each


def in_clear(paths: Iterator[Path]) -> dict[str, str]:
    """The files that hold what was planted, and what they hold."""
    found = {}
    for path in paths:
        with suppress(OSError):
            content = path.read_bytes()
            for each in PLANTED:
                for coded in (each.encode(), each.encode("utf-16-le"), each.encode().hex().encode()):
                    if coded in content:
                        found[str(path)] = each
    return found


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
async def test_a_case_made_without_a_link_arrives_whole_and_leaves_nothing_in_the_clear(tmp_path: Path) -> None:
    pictures = photos()
    hashes = {hashlib.sha256(each).hexdigest(): each for each in pictures}
    async with a_village(tmp_path) as village, SmallBrowser(village.base, "en") as browser:
        await browser.sign_in("nelly", path="/entrar?sigue=/clinica")
        path = await make_case(browser, pictures)
        record = path.rpartition("/")[2]
        page = await browser.get(path)
        typed = (*(f"{MARK}{number}" for number in range(1, 8)), "38.7 °C")
        assert [each for each in typed if each not in page.text] == []
        sent = await browser.post(f"{path}/entregar", {"token": page.field("token")})
        assert "Is being sent" in sent.text or "Waits for the link" in sent.text

        village.kill()  # nothing was sent yet
        await village.start()
        await shown(browser, path, f"{MARK}5", "Waits for the link")
        await village.cable.mend()
        async with asyncio.timeout(DEADLINE_S):
            while not village.far.binaries:
                await asyncio.sleep(LOOK_S)
        village.kill()  # some of it is there, and the box does not know
        await village.cable.cut()
        await village.start()
        await village.cable.mend()
        await shown(browser, path, "Handed over")

        assert {name: content for name, (_, content) in village.far.binaries.items()} == hashes
        assert set(village.far.identified().values()) == {1}
        for those in village.far.kept.values():
            for resource in those.values():
                check(resource)
        arrived = json.dumps(village.far.kept, ensure_ascii=False)
        assert all(f"{MARK}{number}" in arrived for number in (1, 2, 4, 5, 7))
        village.far.answer(record, ANSWER)
        village.far.prescribe(record, MEDICINE)
        page_text = await shown(browser, path, ANSWER, MEDICINE)
        assert "New answer" in page_text

        assert village.process is not None
        for pid in (village.process.pid, *children(village.process.pid)):
            assert in_clear(files_of(pid)) == {}
            assert re.search(r"VmSwap:\s+0 kB", Path(f"/proc/{pid}/status").read_text())
        async with aiohttp.ClientSession() as technician:
            for each in (
                "",
                "metrics",
                "status.json",
                "readyz",
                "link",
                "clinic/stat",
                "clinic/records",
                "clinic/audit",
            ):
                async with technician.get(f"http://127.0.0.1:{village.admin}/{each}") as answer:
                    assert answer.status == 200, each
                    text = await answer.text()
                assert not [planted for planted in PLANTED if planted in text], each
    assert in_clear(files_under(tmp_path)) == {}, "not while it ran, and not after"
    control = tmp_path / "control"
    control.write_bytes(pictures[0])
    assert in_clear(files_under(tmp_path)) == {str(control): MARK}, "the search finds what is there"
