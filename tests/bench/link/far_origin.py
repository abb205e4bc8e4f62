"""The far side of downloads and uploads: a body without end for each GET, a sink for what is sent.

python -m tests.bench.link.far_origin --listen 10.77.0.2:80
"""

import argparse
import asyncio
import json
import re
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import uvloop

from tests.bench.link.devices import BIN_S

PIECE = bytes(65_536)
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nCache-Control: no-store\r\n"
    b"Content-Length: 1000000000000\r\n\r\n"
)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_taken: Counter[int] = Counter()
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection's requests."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET "):
                await _endless(writer)
            await _sink(reader, head)
            writer.write(TAKEN)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(PIECE)
        await writer.drain()


async def _sink(reader: asyncio.StreamReader, head: bytes) -> None:
    if _CHUNKED.search(head):
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
            _count(size)
        await reader.readline()
        return
    found = _LENGTH.search(head)
    left = int(found[1]) if found else 0
    while left and (data := await reader.read(min(left, 65_536))):
        left -= len(data)
        _count(len(data))


def _count(size_bytes: int) -> None:
    _taken[int(time.monotonic() / BIN_S)] += size_bytes


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    server = await asyncio.start_server(serve, host, int(port), backlog=256)
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    print("ready", flush=True)
    with suppress(asyncio.CancelledError):
        await server.serve_forever()
    told = {"bin_s": BIN_S, "moved": {"sent": _taken}}
    Path(options.out).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    uvloop.run(_main())
