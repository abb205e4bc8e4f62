"""A `tambo run` with one site, in a process of its own, that can be killed and whose memory is looked at."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.units import Address
from tests.conformance.web_world import Got, Origin, Pairs, read_answer
from tests.village import CHECKOUT, started, stopped

HOST = "sitio.test"
DEADLINE_S = 20.0
CONNECTIONS_MAX = 3_000


class WebBox:
    """A box before an origin; its store is `folder/var/web`."""

    def __init__(self, folder: Path, origin: Address, settings: str = "", data: Path | None = None) -> None:
        self.log = folder / "log"
        self.data = data or folder / "var"
        self.port = 0
        self._config = folder / "tambo.toml"
        self._config.write_text(
            f"""
[box]
name = "san-mateo"
data = "{self.data}"
[portal]
http = "127.0.0.1:0"
connections_max = {CONNECTIONS_MAX}
[clinic]
door = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[[sites]]
name = "sitio"
hosts = ["{HOST}"]
origin = "http://{origin}"
{settings}
""",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        """Run it; whoever called before must have killed or stopped it."""
        self._process, line = await asyncio.to_thread(started, [*CHECKOUT, "run", "--config", self._config], self.log)
        name, _, address = line.strip().partition(" listens on ")
        assert name == "portal", line
        self.port = int(address.rpartition(":")[2])

    async def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)
        assert process.stdout is not None
        process.stdout.close()

    async def stop(self) -> None:
        """End it as its technician does, cleanly."""
        assert self._process is not None
        process, self._process = self._process, None
        await asyncio.to_thread(stopped, process, self.log)

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended by us."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        return self._process.pid

    def rss_bytes(self) -> int:
        """Return the resident memory of the process and of its children."""
        return _rss_bytes(self.pid)

    def files(self) -> int:
        """Return how many files and connections the process has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def connect(
        self, source: str | None = None, limit: int = 65_536
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection, from an address of its own if that is given: one device's share is not another's."""
        local = (source, 0) if source else None
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=local, limit=limit)

    async def ask(self, path: str, fields: Pairs = (), *, source: str | None = None) -> Got:
        """Send one request and read its answer, whole or cut."""
        reader, writer = await self.connect(source)
        try:
            async with asyncio.timeout(DEADLINE_S):
                writer.write(request(path, fields))
                return await read_answer(reader)
        finally:
            writer.transport.abort()


def request(path: str, fields: Pairs = ()) -> bytes:
    """A browser's request, in bytes."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _rss_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return own + sum(_rss_bytes(int(child)) for child in children)


@asynccontextmanager
async def web_box(folder: Path, origin: Origin, settings: str = "", data: Path | None = None) -> AsyncIterator[WebBox]:
    """Run a box before an origin, and stop it cleanly."""
    box = WebBox(folder, origin.address, settings, data)
    await box.start()
    try:
        yield box
    except BaseException:
        if box.runs:
            await box.kill()
        raise
    if box.runs:
        await box.stop()


@asynccontextmanager
async def serving() -> AsyncIterator[Origin]:
    """Run an origin."""
    origin = Origin()
    await origin.start()
    try:
        yield origin
    finally:
        await origin.stop()
