"""A merchant's program: hands in many orders and then their photos, as fast as the box takes them.

python -m tests.bench.call.merchant --portal http://10.78.1.1:8080 --token-file FILE
"""

import argparse
import asyncio
import hashlib
import uuid
from pathlib import Path
from random import Random

import aiohttp

from gateway.market.order import as_fields
from tests.bench.orders_made import made

ORDERS, PHOTOS = 500, 20
PHOTO_BYTES = 150_000
_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


async def hand_in(portal: str, token: str) -> None:
    """Hand in all of them; the first orders name the photos."""
    random = Random(3)
    photos = [_JPEG + random.randbytes(PHOTO_BYTES) for _ in range(PHOTOS)]
    hashes = [hashlib.sha256(each).hexdigest() for each in photos]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for number, each in enumerate(made(ORDERS)):
            fields = {**as_fields(each.order), "id": str(uuid.uuid4())}
            if number < PHOTOS:
                fields["photos"] = [hashes[number]]
            async with session.post(f"{portal}/api/v1/orders", json=fields) as answer:
                await _taken(answer)
        for photo, name in zip(photos, hashes, strict=True):
            async with session.put(f"{portal}/api/v1/photos/{name}", data=photo) as answer:
                await _taken(answer)


async def _taken(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 400:
        raise SystemExit(f"it was refused: {answer.status} {await answer.text()}")


def main() -> None:
    """Hand in what the benchmark wants to wait."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--portal", required=True)
    parser.add_argument("--token-file", type=Path, required=True)
    options = parser.parse_args()
    print("ready", flush=True)
    asyncio.run(hand_in(options.portal, options.token_file.read_text(encoding="ascii")))


if __name__ == "__main__":
    main()
