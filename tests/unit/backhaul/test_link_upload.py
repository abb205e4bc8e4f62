"""An upload that waits for its turn on the link is not taken for a browser or an origin that has fallen silent."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiohttp import web

from gateway.backhaul.link import Share
from gateway.web.fetching.upload import Upload
from tests.unit.demo.virtual_time import in_virtual_time

SILENCE_S = 10.0


class Content:
    """A body in two pieces."""

    def __init__(self) -> None:
        self._left = [b"a" * 1_000, b"b" * 1_000, b""]

    async def read(self, size_bytes: int) -> bytes:
        assert size_bytes > 0
        return self._left.pop(0)


class Request:
    """As much of a request as an upload looks at."""

    raw_headers = ()
    transport = None

    def __init__(self) -> None:
        self.content = Content()


class Crowded:
    """A link on which each turn comes late."""

    async def going_up(self, content: bytes) -> AsyncIterator[bytes]:
        for half in (content[:500], content[500:]):
            await asyncio.sleep(SILENCE_S * 5)
            yield half


async def sent(origin_s: float) -> int:
    upload = Upload(
        cast("web.BaseRequest", Request()), cast("Share", Crowded()), size_bytes_max=10_000, silence_s=SILENCE_S
    )
    size_bytes = 0
    async with asyncio.timeout(SILENCE_S) as upload.deadline:
        async for piece in upload.pieces():
            size_bytes += len(piece)
            await asyncio.sleep(origin_s)
    return size_bytes


def test_an_upload_may_wait_long_for_its_turn() -> None:
    assert in_virtual_time(sent(SILENCE_S / 2)) == 2_000


def test_an_origin_that_takes_nothing_is_still_silent() -> None:
    with pytest.raises(TimeoutError):
        in_virtual_time(sent(SILENCE_S * 2))
