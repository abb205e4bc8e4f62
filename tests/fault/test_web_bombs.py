"""A bomb in any coding, in several, or in a picture, harms nobody; through the real listeners, as miss and as hit."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import brotli
import pytest

from gateway.web.saver.saver import SaverLimits
from tests.conformance.web_world import DOORS, Door, reply, world
from tests.unit.web.saver.images import png
from tests.zstandard import zstd

BYTES = 150_000_000
MEMORY_BYTES_MAX = 60_000_000  # a whole bomb, or two, would be far more
OBJECT_BYTES_MAX = 100_000_000  # so that it is the ratio that speaks, and not the size
SAVING = [("Accept", "image/webp"), ("Save-Data", "on")]


def zeros(coding: str) -> bytes:
    """So many zeros, in a coding."""
    if coding == "gzip":
        return gzip.compress(bytes(BYTES), 9)
    if coding == "br":
        return bytes(brotli.compress(bytes(BYTES), quality=5))
    return bytes(zstd.compress(bytes(BYTES), 3))


CODE: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}
ONE = ("gzip", "br", "zstd")
NESTED = ("gzip, gzip", "zstd, gzip", "br, br", "gzip, br, zstd")


def bomb(codings: str) -> bytes:
    first, *others = codings.split(", ")
    data = zeros(first)
    for each in others:
        data = CODE[each](data)
    return data


def resident_bytes(field: str) -> int:
    """What this process has resident now (`VmRSS`), or had at most since it was last forgotten (`VmHWM`; proc(5))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1_024 for line in lines if line.startswith(field))


@contextmanager
def little_memory() -> Iterator[None]:
    """Fail where what runs inside took much memory, be it for a moment."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak
    before = resident_bytes("VmRSS")
    yield
    assert resident_bytes("VmHWM") - before < MEMORY_BYTES_MAX


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("codings", [*ONE, *NESTED])
async def test_a_bomb_is_cut_and_nobody_gets_any_of_it_later(codings: str, door: Door, tmp_path: Path) -> None:
    data = bomb(codings)
    with little_memory():
        await _bombed(tmp_path, codings, door, data)


async def _bombed(tmp_path: Path, codings: str, door: Door, data: bytes) -> None:
    async with world(tmp_path / "web", object_bytes_max=OBJECT_BYTES_MAX) as w:
        fields = [("Content-Encoding", codings), ("Content-Type", "text/html"), ("Cache-Control", "max-age=60")]
        w.origin.on("/a", reply(data, fields))
        for accept in ("identity", "gzip;q=0, br;q=0, zstd;q=0"):
            got = await w.ask("/a", [("Accept-Encoding", accept)], door=door)
            assert not got.whole or got.status == 502
            assert len(got.body) <= 9_000_000
            await w.quiet()
        as_is = await w.ask("/a", [("Accept-Encoding", "gzip, br, zstd")], door=door)
        assert as_is.body == data, "who wants it as it is may have it"


@pytest.mark.parametrize(("coding", "other"), list(permutations(ONE, 2)))
async def test_a_bomb_is_not_turned_into_another(coding: str, other: str, tmp_path: Path) -> None:
    async with world(tmp_path / "web", object_bytes_max=OBJECT_BYTES_MAX) as w:
        fields = [("Content-Encoding", coding), ("Content-Type", "text/html"), ("Cache-Control", "max-age=60")]
        w.origin.on("/a", reply(bomb(coding), fields))
        for _ in range(2):
            got = await w.ask("/a", [("Accept-Encoding", other)])
            assert not got.whole or got.status == 502
            await w.quiet()


async def test_more_codings_than_anybody_needs_are_not_taken_off(tmp_path: Path) -> None:
    async with world(tmp_path / "web", object_bytes_max=OBJECT_BYTES_MAX) as w:
        data = b"x" * 1_000
        for _ in range(9):
            data = gzip.compress(data)
        w.origin.on("/a", reply(data, [("Content-Encoding", ", ".join(["gzip"] * 9)), ("Content-Type", "text/html")]))
        got = await w.ask("/a")
        assert (got.status, got.body) == (200, data), "it goes to whoever it was made for, as it is"


async def test_a_window_that_no_browser_has_is_broken(tmp_path: Path) -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    stream = zstd.ZstdCompressor(options=options)
    wide = stream.compress(b"x" * 10_000) + stream.flush()
    async with world(tmp_path / "web", object_bytes_max=OBJECT_BYTES_MAX) as w:
        w.origin.on("/a", reply(wide, [("Content-Encoding", "zstd"), ("Content-Type", "text/html")]))
        got = await w.ask("/a")
        assert not got.whole or got.status == 502


PICTURES = {
    "30,000 × 30,000": png(30_000, 30_000, bytes(3_751 * 30_000), bits=1, colour=0),
    "a long strip": png(2_000_000, 9, bytes(250_001 * 9), bits=1, colour=0),
    "pixels that are not there": png(4_000, 3_999, bytes(10)),
}


@pytest.mark.parametrize("kind", PICTURES)
async def test_a_picture_that_is_a_bomb_is_passed_on_as_it_is(kind: str, tmp_path: Path) -> None:
    data = PICTURES[kind] + bytes(2_000)
    with little_memory():
        async with world(tmp_path / "web", saver=SaverLimits(patience_s=10.0)) as w:
            w.origin.on("/a.png", reply(data, [("Content-Type", "image/png"), ("Cache-Control", "max-age=60")]))
            for _ in range(3):
                got = await w.ask("/a.png", SAVING)
                assert (got.whole, got.body) == (True, data)
                await w.stored()
            assert w.room.saver.statistics().in_vain == 1, "once was enough"
