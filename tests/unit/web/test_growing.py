"""A body under way is read from anywhere while it is kept; one that is not kept has no past."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.web.faults import BodyBroken
from gateway.web.fetching.body import FileBody, HeldBody, Spool
from gateway.web.fetching.growing import MEMORY_BYTES, WINDOW_BYTES, GrowingBody
from tests.ranged_origin import made

CONTENT = made(600_000)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, ThreadPoolExecutor(1))


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def fed(body: GrowingBody, data: bytes = CONTENT) -> None:
    for at in range(0, len(data), 16_384):
        await body.append(data[at : at + 16_384])


async def test_spans_of_a_kept_body_are_read_forwards_and_back(spool: Spool) -> None:
    body = GrowingBody(spool, keep_bytes_max=1_000_000)
    reader = body.reader()
    await fed(body)
    for begin, end in ((500_000, 500_010), (0, 300_000), (599_999, 600_000), (7, 7)):
        assert await joined(reader.span(begin, end)) == CONTENT[begin:end]
    await body.finish()
    assert await joined(reader.pieces()) == CONTENT
    with pytest.raises(BodyBroken):
        await joined(reader.span(599_990, 600_001))
    reader.close()
    body.leave()


async def test_a_span_that_lies_ahead_is_waited_for(spool: Spool) -> None:
    body = GrowingBody(spool, keep_bytes_max=1_000_000)
    reader = body.reader()
    async with asyncio.TaskGroup() as tasks:
        ahead = tasks.create_task(joined(reader.span(400_000, 400_100)))
        await fed(body)
    assert ahead.result() == CONTENT[400_000:400_100]
    body.fail()
    with pytest.raises(BodyBroken):
        await joined(reader.span(599_000, 700_000))
    reader.close()
    body.leave()


async def test_a_window_can_be_skipped_into_but_has_no_past(spool: Spool) -> None:
    body = GrowingBody(spool, keep_bytes_max=0)
    body.stop_keeping()
    reader = body.reader()
    feeding = asyncio.get_running_loop().create_task(fed(body))
    assert await joined(reader.span(WINDOW_BYTES + 5_000, WINDOW_BYTES + 5_100)) == CONTENT[267_144:267_244]
    with pytest.raises(BodyBroken):
        await joined(reader.span(0, 10))
    reader.close()
    with pytest.raises(BodyBroken):
        await feeding
    body.leave()


async def test_who_is_slow_holds_up_nobody_when_a_body_outgrows_its_file(spool: Spool) -> None:
    body = GrowingBody(spool, keep_bytes_max=300_000)
    fast, slow = body.reader(), body.reader()
    pieces = slow.pieces()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(joined(fast.pieces()))
        for at in range(0, len(CONTENT), 16_384):
            await body.append(CONTENT[at : at + 16_384])
            assert len(body._tail) <= MEMORY_BYTES + WINDOW_BYTES
            await asyncio.sleep(0)
        await body.finish()
    assert reading.result() == CONTENT
    with pytest.raises(BodyBroken):
        await joined(pieces)
    assert 0 < slow.offset <= 300_000, "it got what there was of it, and was cut where its past is gone"
    fast.close()
    slow.close()
    body.leave()


async def test_bodies_at_rest_have_spans(spool: Spool, tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(CONTENT)
    for source in (HeldBody(CONTENT), FileBody(os.open(path, os.O_RDONLY), len(CONTENT), spool)):
        assert await joined(source.span(65_530, 200_000)) == CONTENT[65_530:200_000]
        assert await joined(source.span(9, 9)) == b""
        assert await joined(source.pieces()) == CONTENT
