"""Both ends of the failover trial: `far` sends bytes when asked, `box` fetches them piece by piece by whichever way.

The box prints a line each tenth of a second: what it has got so far, by which way, and when.
"""

import asyncio
import json
import socket
import sys
from contextlib import suppress
from pathlib import Path

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.sensing.interface import Handshakes
from gateway.backhaul.ways import order, ways
from gateway.backhaul.ways.ways import Ways, way_by
from gateway.clock import SystemClock

PORT = 8091
PIECE_BYTES = 262_144
STEP_BYTES = 10_000
STEP_S = 0.01
TICK_S = 0.1


async def far() -> None:
    """Send as many bytes as are asked for, at a megabyte a second."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError):
            left = int(await reader.readline())
            while left > 0:
                writer.write(b"x" * min(left, STEP_BYTES))
                left -= STEP_BYTES
                await writer.drain()
                await asyncio.sleep(STEP_S)
        writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", PORT)
    print("ready", flush=True)
    await server.serve_forever()


class Box:
    """Fetches without end, and says how far it is."""

    def __init__(self, host: str, interfaces: list[str]) -> None:
        self._host = host
        self._got_bytes = 0
        self._clock = SystemClock()
        found = [way_by(interface, interface, OpenDialer()) for interface in interfaces]
        assert all(isinstance(way.probe, Handshakes) for way in found)
        self.ways = Ways(self._clock, found, peers=((host, PORT),), on_change=lambda: None)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.ways.run())
            tasks.create_task(self._count())
            while True:
                with suppress(OSError):
                    await self._fetch()
                await asyncio.sleep(0.05)

    async def _fetch(self) -> None:
        sock = socket.socket()
        try:
            sock.setblocking(False)
            self.ways.bind(sock)
            await asyncio.get_running_loop().sock_connect(sock, (self._host, PORT))
            reader, writer = await asyncio.open_connection(sock=sock)
        except OSError:
            sock.close()
            raise
        try:
            writer.write(f"{PIECE_BYTES}\n".encode())
            while piece := await reader.read(16_384):
                self._got_bytes += len(piece)
        finally:
            writer.close()

    async def _count(self) -> None:
        while True:
            interface = self.ways.interface
            counter = Path(f"/sys/class/net/{interface}/statistics/rx_bytes").read_text(encoding="ascii")
            self.ways.watch.counted(int(counter), expected=True)
            told = {
                "at_s": self._clock.now_s(),
                "got_bytes": self._got_bytes,
                "way": interface,
                "state": self.ways.watch.view.state,
            }
            print(json.dumps(told), flush=True)
            await asyncio.sleep(TICK_S)


def main() -> None:
    if sys.argv[1] == "far":
        asyncio.run(far())
    else:
        order.GOOD_FOR_S, ways.CHECK_S = 2.0, 0.5
        box = Box(sys.argv[2], sys.argv[3:])
        box.ways._order = order.Order(sys.argv[3], 0.0, order.GOOD_FOR_S)
        with suppress(KeyboardInterrupt):
            asyncio.run(box.run())


if __name__ == "__main__":
    main()
