"""The far side's way to a box whose address changes: a relay that asks where the box is for each new connection.

python -m tests.bench.call.relay --listen 127.0.0.1:8444 --where FILE
"""

import argparse
import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from tests.bench.call.contenders import Contender
from tests.bench.call.place import BOX_FAR, Place
from tests.bench.link.running import running

DOOR = "localhost:8444"
PORT = 8444
PIECE_BYTES = 65_536
START_S = 20.0


async def relayed(stack: AsyncExitStack, place: Place, contender: Contender) -> None:
    """Start the relay on the far side, towards the box's address as it is."""
    del contender
    repoint(place, BOX_FAR)
    listen = ("--listen", f"127.0.0.1:{PORT}", "--where", _where(place))
    command = place.link.module(place.far, "tests.bench.call.relay", *listen)
    relay = await stack.enter_async_context(running(command, place.folder / "relay.log"))
    await relay.first_line(START_S)


def repoint(place: Place, address: str) -> None:
    """Let new connections go to another address."""
    _where(place).write_text(address, encoding="ascii")


def _where(place: Place) -> Path:
    return place.folder / "door-address"


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--where", type=Path, required=True)
    options = parser.parse_args()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side ends; the other then does."""
        with suppress(OSError):
            address = options.where.read_text(encoding="ascii")
            beyond = await asyncio.wait_for(asyncio.open_connection(address, PORT), 10)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_pump(reader, beyond[1]))
                    tasks.create_task(_pump(beyond[0], writer))
            finally:
                beyond[1].close()
        writer.close()

    host, _, port = options.listen.rpartition(":")
    server = await asyncio.start_server(carry, host, int(port))
    print("ready", flush=True)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(PIECE_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(_main())
