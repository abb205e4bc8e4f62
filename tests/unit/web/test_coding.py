"""A browser gets a coding it can read, text is compressed, and what changed says so."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.codecs import Decoder, Encoder, chain, through
from gateway.web.coding import Coding, Recoding, recoded, recoding
from gateway.web.faults import BodyBroken
from gateway.web.fields import Fields, first

HTML: Fields = (("Content-Type", "text/html; charset=utf-8"), ("ETag", '"a"'))
JPEG: Fields = (("Content-Type", "image/jpeg"), ("ETag", '"a"'))
BR: Fields = (*HTML, ("Content-Encoding", "br"))


@pytest.mark.parametrize(
    ("fields", "size", "accept", "done"),
    [
        (HTML, 1000, "gzip, br", Recoding(None, "br")),
        (HTML, 1000, "gzip", Recoding(None, "gzip")),
        (HTML, 1000, "br;q=0, gzip", Recoding(None, "gzip")),
        (HTML, 1000, "br;q=0.1, gzip;q=0.9", Recoding(None, "gzip")),
        (HTML, None, "*", Recoding(None, "br")),
        (HTML, 1000, None, Recoding()),
        (HTML, 1000, "gzip;q=0", Recoding()),
        (HTML, 255, "gzip, br", Recoding()),
        (JPEG, 1000, "gzip, br", Recoding()),
        ((*HTML, ("Cache-Control", "no-transform")), 1000, "gzip, br", Recoding()),
        (BR, 1000, "gzip, br", Recoding()),
        (BR, 1000, "gzip", Recoding("br", "gzip")),
        (BR, 1000, None, Recoding("br", None)),
        ((*BR, ("Cache-Control", "no-transform")), 1000, "gzip", Recoding("br", None)),
        ((*HTML, ("Content-Encoding", "zstd")), 1000, "gzip", Recoding()),
        ((*HTML, ("Content-Encoding", "gzip, br")), 1000, "gzip", Recoding()),
        ((("Content-Type", "text/event-stream"),), None, "br", Recoding()),
    ],
)
def test_the_coding_follows_what_the_browser_accepts(
    fields: Fields, size: int | None, accept: str | None, done: Recoding
) -> None:
    assert recoding(fields, size, accept) == done


def test_a_changed_body_has_a_weak_tag_and_says_that_it_varies() -> None:
    told = recoded((*HTML, ("Content-Length", "9"), ("Accept-Ranges", "bytes")), Recoding(None, "br"))
    assert first(told, "etag") == 'W/"a"'
    assert first(told, "vary") == "Accept-Encoding"
    assert first(told, "content-encoding") == "br"
    assert first(told, "content-length") is None
    assert first(told, "accept-ranges") is None


def test_an_unchanged_body_keeps_its_tag() -> None:
    assert first(recoded(HTML, Recoding()), "etag") == '"a"'
    assert first(recoded(HTML, Recoding()), "vary") == "Accept-Encoding", "another browser gets other bytes"
    assert first(recoded(JPEG, Recoding()), "vary") is None


async def pieces_of(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def run(done: Recoding, data: bytes, size: int = 1_000, *, live: bool = False, limit: int = 100_000_000) -> bytes:
    async def all_of() -> bytes:
        with ThreadPoolExecutor(1) as pool:
            return b"".join([out async for out in through(chain(done, limit), pieces_of(data, size), pool, live=live)])

    return asyncio.run(all_of())


@given(st.binary(max_size=4_000), st.integers(1, 5_000), st.booleans())
def test_coding_and_decoding_gives_the_same(data: bytes, size: int, live: bool) -> None:
    for coding in ("br", "gzip"):
        coded = run(Recoding(None, coding), data, size, live=live)
        assert run(Recoding(coding, None), coded, size) == data
    assert gzip.decompress(run(Recoding(None, "gzip"), data, size)) == data
    assert brotli.decompress(run(Recoding("gzip", "br"), gzip.compress(data), size)) == data


def test_large_bodies_go_through_whole() -> None:
    data = b"".join(b"line %d of a long page\n" % n for n in range(100_000))
    assert run(Recoding("br", "gzip"), brotli.compress(data, quality=1), 65_536) != data
    assert gzip.decompress(run(Recoding("br", "gzip"), brotli.compress(data, quality=1), 65_536)) == data


def test_several_gzip_members_are_one_body() -> None:
    assert run(Recoding("gzip", None), gzip.compress(b"a") + gzip.compress(b"b"), 7) == b"ab"


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_a_bomb_is_cut_before_it_goes_off(coding: Coding) -> None:
    bomb = gzip.compress(bytes(50_000_000)) if coding == "gzip" else brotli.compress(bytes(50_000_000), quality=3)
    decoder = Decoder(coding, 100_000_000)
    out_bytes = 0
    with suppress(BodyBroken):
        for piece in decoder.feed(bomb, flush=False):
            out_bytes += len(piece)
            assert len(piece) <= 2_000_000, "never much at once"
    assert out_bytes <= max(len(bomb) * 400, 1_048_576) + 2_000_000


def test_a_decoded_body_has_a_limit_of_its_own() -> None:
    with pytest.raises(BodyBroken):
        run(Recoding("gzip", None), gzip.compress(bytes(range(256)) * 1_000), limit=100_000)


@pytest.mark.parametrize("coding", ["br", "gzip"])
@pytest.mark.parametrize("spoil", [lambda data: data[:-5], lambda data: b"nonsense" + data])
def test_a_broken_coded_body_is_not_taken_for_a_whole_one(coding: Coding, spoil: object) -> None:
    data = b"".join(Encoder(coding).feed(b"x" * 5_000, flush=True))
    assert callable(spoil)
    with pytest.raises(BodyBroken):
        run(Recoding(coding, None), spoil(data))


def test_live_text_is_passed_on_at_once() -> None:
    for coding in ("br", "gzip"):
        encoder, decoder = Encoder(coding), Decoder(coding, 1_000)
        coded = b"".join(encoder.feed(b"hola", flush=True))
        assert b"".join(decoder.feed(coded, flush=False)) == b"hola"
