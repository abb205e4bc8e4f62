"""The demo's marketplace on the far side of the emulated link.

python -m tests.bench.orders.far_marketplace --listen 10.77.0.2:80 --folder marketplace
"""

import argparse
import asyncio
import signal
from pathlib import Path

import uvloop

from gateway.demo.marketplace import DemoMarketplace


async def serve(folder: Path, host: str, port: int) -> None:
    """Take orders until stopped."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    marketplace = DemoMarketplace(folder)
    await marketplace.start(host, port)
    print("ready", flush=True)
    await stop.wait()
    await marketplace.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    uvloop.run(serve(options.folder, host, int(port)))
