"""The village's devices under load: each fetches a body without end, or sends photos one after another.

A device is a source address of its own. One that is cut off asks again, as a browser's user does. What each moved is
written down in half seconds.

    python -m tests.bench.link.devices --plan plan.json --out moved.json
"""

import argparse
import asyncio
import json
import signal
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

AGAIN_S = 0.3
BIN_S = 0.5
READ_BYTES = 262_144
PHOTO_BYTES = 3_000_000


class Devices:
    """All of them."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self.moved: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.cut: dict[str, int] = defaultdict(int)

    async def run(self) -> None:
        """Let every device do its work until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number, device in enumerate(self._plan["devices"]):
                tasks.create_task(self._device(number, device))

    async def _device(self, number: int, device: dict[str, Any]) -> None:
        await asyncio.sleep(max(0.0, device["start_s"] - time.monotonic()))
        work = self._upload if device["kind"] == "up" else self._download
        with suppress(TimeoutError):
            async with asyncio.timeout(device["stop_s"] - time.monotonic()):
                for attempt in range(1_000_000):
                    with suppress(OSError, asyncio.IncompleteReadError):
                        await work(device, f"{number}-{attempt}")
                    self.cut[device["name"]] += 1
                    await asyncio.sleep(AGAIN_S)

    async def _connect(self, device: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        source = (device["source"], 0) if device.get("source") else None
        host, port = self._plan["connect"]
        return await asyncio.open_connection(host, port, local_addr=source, limit=READ_BYTES)

    async def _download(self, device: dict[str, Any], path: str) -> None:
        reader, writer = await self._connect(device)
        try:
            writer.write(self._head("GET", path))
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
                raise OSError(head.partition(b"\r\n")[0])
            while data := await reader.read(READ_BYTES):
                self._count(device, len(data))
        finally:
            writer.close()

    async def _upload(self, device: dict[str, Any], path: str) -> None:
        reader, writer = await self._connect(device)
        writer.transport.set_write_buffer_limits(high=16_384)
        try:
            while True:
                writer.write(self._head("POST", path, PHOTO_BYTES))
                for _ in range(PHOTO_BYTES // 10_000):
                    writer.write(bytes(10_000))
                    await writer.drain()
                    self._count(device, 10_000)
                await reader.readuntil(b"\r\n\r\nok")
        finally:
            writer.close()

    def _head(self, method: str, path: str, size_bytes: int | None = None) -> bytes:
        target = f"http://{self._plan['origin']}/{path}" if self._plan["by_proxy"] else f"/{path}"
        fields = f"Host: {self._plan['origin']}\r\n"
        if size_bytes is not None:
            fields += f"Content-Type: image/jpeg\r\nContent-Length: {size_bytes}\r\n"
        return f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode()

    def _count(self, device: dict[str, Any], size_bytes: int) -> None:
        self.moved[device["name"]][int(time.monotonic() / BIN_S)] += size_bytes


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--plan", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    devices = Devices(json.loads(Path(options.plan).read_text(encoding="utf-8")))
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    print("ready", flush=True)
    with suppress(asyncio.CancelledError):
        await devices.run()
    told = {"bin_s": BIN_S, "moved": devices.moved, "cut": devices.cut}
    Path(options.out).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    uvloop.run(_main())
