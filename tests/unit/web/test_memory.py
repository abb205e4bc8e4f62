"""The memory tier keeps to its bytes, and a growing body to its window."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.faults import BodyBroken
from gateway.web.fetching.body import Spool
from gateway.web.fetching.growing import MEMORY_BYTES, WINDOW_BYTES, GrowingBody
from gateway.web.store.disk import Spooled, digest
from gateway.web.store.memory import MemoryTier

STEPS = st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 9), st.integers(0, 3_000)))


@given(STEPS, st.integers(1_000, 20_000))
def test_the_memory_tier_never_holds_more_than_its_budget(steps: list[tuple[str, int, int]], bytes_max: int) -> None:
    tier: MemoryTier[int] = MemoryTier(bytes_max)
    for what, key, size_bytes in steps:
        if what == "put":
            tier.put(str(key), size_bytes, size_bytes)
        elif what == "get":
            tier.get(str(key))
        else:
            tier.drop(str(key))
        assert 0 <= tier.size_bytes <= bytes_max


def test_the_least_recently_used_goes_first() -> None:
    tier: MemoryTier[str] = MemoryTier(10_000)
    for key in "abcdef":
        tier.put(key, key, 1_000)
    tier.get("a")
    tier.put("g", "g", 1_000)
    assert (tier.get("a"), tier.get("b"), tier.get("g")) == ("a", None, "g")


async def test_a_kept_body_lies_in_a_file_beyond_its_memory(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4_000
    with ThreadPoolExecutor(1) as pool:
        body = GrowingBody(Spool(tmp_path, pool), keep_bytes_max=10_000_000)
        reader = body.reader()
        for at in range(0, len(data), 50_000):
            await body.append(data[at : at + 50_000])
            assert len(body._tail) <= MEMORY_BYTES + 50_000
        await body.finish()
        assert b"".join([piece async for piece in reader.pieces()]) == data
        content = body.content()
        assert isinstance(content, Spooled)
        assert content.path.read_bytes() == data
        assert body.digest() == digest(data)
        body.leave()
        reader.close()
    assert content.path.exists(), "it is the store's now"


async def test_a_body_that_is_not_kept_waits_for_its_slowest_reader(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        body = GrowingBody(Spool(tmp_path, pool), keep_bytes_max=10_000_000)
        slow, quick = body.reader(), body.reader()
        body.stop_keeping()
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(body.append(bytes(WINDOW_BYTES * 2)))
            async for _ in quick.pieces():
                if quick.offset == body.size_bytes:
                    break
            assert not writing.done()
            async for _ in slow.pieces():
                if slow.offset >= WINDOW_BYTES:
                    break
        assert len(body._tail) <= WINDOW_BYTES
        slow.close()
        quick.close()
        with pytest.raises(BodyBroken):
            await body.append(b"for nobody")
        body.leave()
    assert not list(tmp_path.iterdir())
