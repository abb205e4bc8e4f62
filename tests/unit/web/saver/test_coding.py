"""A browser gets a coding it can read, text is compressed, and what changed says so."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.faults import BodyBroken
from gateway.web.rules.fields import Fields, first, values
from gateway.web.saver.codecs import Decoder, chain, encoder
from gateway.web.saver.coding import Coding, Recoding, recoded, recoding
from gateway.web.saver.flow import TooLong, through, unfolded, whole
from tests.zstandard import zstd

HTML: Fields = (("Content-Type", "text/html; charset=utf-8"), ("ETag", '"a"'))
JPEG: Fields = (("Content-Type", "image/jpeg"), ("ETag", '"a"'))
CODINGS: tuple[Coding, ...] = ("br", "zstd", "gzip")
BR: Fields = (*HTML, ("Content-Encoding", "br"))


@pytest.mark.parametrize(
    ("fields", "size", "accept", "done"),
    [
        (HTML, 1000, "gzip, br", Recoding((), "br")),
        (HTML, 1000, "gzip", Recoding((), "gzip")),
        (HTML, 1000, "br;q=0, gzip", Recoding((), "gzip")),
        (HTML, 1000, "br;q=0.1, gzip;q=0.9", Recoding((), "gzip")),
        (HTML, None, "*", Recoding((), "br")),
        (HTML, 1000, None, Recoding()),
        (HTML, 1000, "gzip;q=0", Recoding()),
        (HTML, 255, "gzip, br", Recoding()),
        (JPEG, 1000, "gzip, br", Recoding()),
        ((*HTML, ("Cache-Control", "no-transform")), 1000, "gzip, br", Recoding()),
        ((*HTML, ("Cache-Control", "max-age=9"), ("CDN-Cache-Control", "no-transform")), 1000, "br", Recoding()),
        ((*HTML, ("Tambo-Cache-Control", "max-age=9, no-transform")), 1000, "gzip, br", Recoding()),
        ((*BR, ("Tambo-Cache-Control", "no-transform")), 1000, "gzip", Recoding(("br",), None)),
        (BR, 1000, "gzip, br", Recoding()),
        (BR, 1000, "gzip", Recoding(("br",), "gzip")),
        (BR, 1000, None, Recoding(("br",), None)),
        ((*BR, ("Cache-Control", "no-transform")), 1000, "gzip", Recoding(("br",), None)),
        (HTML, 1000, "gzip, deflate, br, zstd", Recoding((), "br")),
        (HTML, 1000, "gzip, zstd", Recoding((), "zstd")),
        (HTML, 1000, "zstd;q=0.5, gzip", Recoding((), "gzip")),
        (HTML, 1000, "identity, br;q=0.5", Recoding()),
        ((*HTML, ("Content-Encoding", "zstd")), 1000, "gzip", Recoding(("zstd",), "gzip")),
        ((*HTML, ("Content-Encoding", "zstd")), 1000, "gzip, zstd", Recoding()),
        ((*HTML, ("Content-Encoding", "x-gzip")), 1000, "gzip", Recoding()),
        ((*HTML, ("Content-Encoding", "gzip, br")), 1000, "gzip", Recoding(("br", "gzip"), "gzip")),
        ((*HTML, ("Content-Encoding", "gzip, br")), 1000, "gzip, br", Recoding()),
        ((*HTML, ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")), 1000, None, Recoding(("gzip", "gzip"))),
        ((*HTML, ("Content-Encoding", "gzip, br, gzip, br")), 1000, None, Recoding()),
        ((*HTML, ("Content-Encoding", "gzip, dcb")), 1000, None, Recoding()),
        ((*JPEG, ("Content-Encoding", "gzip")), 1000, None, Recoding(("gzip",))),
        ((("Content-Type", "text/event-stream"),), None, "br", Recoding()),
    ],
)
def test_the_coding_follows_what_the_browser_accepts(
    fields: Fields, size: int | None, accept: str | None, done: Recoding
) -> None:
    assert recoding(fields, size, accept) == done


@pytest.mark.parametrize(
    ("fields", "accept", "done"),
    [
        ((*HTML, ("Content-Encoding", "gzip")), "gzip, br", Recoding(("gzip",), "br")),
        ((*HTML, ("Content-Encoding", "gzip")), "gzip", Recoding()),
        ((*HTML, ("Content-Encoding", "gzip"), ("Cache-Control", "no-transform")), "gzip, br", Recoding()),
        ((*JPEG, ("Content-Encoding", "gzip")), "gzip, br", Recoding()),
        (BR, "gzip, br", Recoding()),
    ],
)
def test_before_a_weak_link_gzip_gives_way_to_br(fields: Fields, accept: str, done: Recoding) -> None:
    assert recoding(fields, 1_000, accept, tighter=True) == done


def test_what_speaks_of_the_bytes_goes_with_them() -> None:
    said = [("Repr-Digest", "sha-256=:x:"), ("Content-Digest", "sha-256=:x:"), ("Content-MD5", "x")]
    told = recoded((*HTML, *said), Recoding((), "zstd"))
    assert {name for name, _ in told} == {"Content-Type", "ETag", "Vary", "Content-Encoding"}


def test_vary_is_told_once() -> None:
    assert values(recoded((*HTML, ("Vary", "accept-encoding, Cookie")), Recoding((), "br")), "vary") == [
        "accept-encoding, Cookie"
    ]
    assert values(recoded((*HTML, ("Vary", "*")), Recoding((), "br")), "vary") == ["*"]


def test_a_changed_body_has_a_weak_tag_and_says_that_it_varies() -> None:
    told = recoded((*HTML, ("Content-Length", "9"), ("Accept-Ranges", "bytes")), Recoding((), "br"))
    assert first(told, "etag") == 'W/"a"'
    assert first(told, "vary") == "Accept-Encoding"
    assert first(told, "content-encoding") == "br"
    assert first(told, "content-length") is None
    assert first(told, "accept-ranges") is None


def test_an_unchanged_body_keeps_its_tag() -> None:
    assert first(recoded(HTML, Recoding()), "etag") == '"a"'
    assert first(recoded(HTML, Recoding()), "vary") == "Accept-Encoding", "another browser gets other bytes"
    assert first(recoded(JPEG, Recoding()), "vary") is None


BOMBS: dict[Coding, Callable[[bytes], bytes]] = {
    "br": lambda data: bytes(brotli.compress(data, quality=3)),
    "zstd": lambda data: zstd.compress(data, 3),
    "gzip": gzip.compress,
}


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
    for coding in CODINGS:
        coded = run(Recoding((), coding), data, size, live=live)
        assert run(Recoding((coding,)), coded, size) == data
    assert gzip.decompress(run(Recoding((), "gzip"), data, size)) == data
    assert brotli.decompress(run(Recoding(("gzip",), "br"), gzip.compress(data), size)) == data


def test_large_bodies_go_through_whole() -> None:
    data = b"".join(b"line %d of a long page\n" % n for n in range(100_000))
    assert run(Recoding(("br",), "gzip"), brotli.compress(data, quality=1), 65_536) != data
    assert gzip.decompress(run(Recoding(("br",), "gzip"), brotli.compress(data, quality=1), 65_536)) == data


def test_several_gzip_members_are_one_body() -> None:
    assert run(Recoding(("gzip",), None), gzip.compress(b"a") + gzip.compress(b"b"), 7) == b"ab"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_cut_before_it_goes_off(coding: Coding) -> None:
    bomb = BOMBS[coding](bytes(50_000_000))
    decoder = Decoder(coding, 100_000_000)
    out_bytes = 0
    with suppress(BodyBroken):
        for piece in decoder.feed(bomb, flush=False):
            out_bytes += len(piece)
            assert len(piece) <= 2_000_000, "never much at once"
    assert out_bytes <= max(len(bomb) * 400, 1_048_576) + 2_000_000


def test_a_decoded_body_has_a_limit_of_its_own() -> None:
    with pytest.raises(BodyBroken):
        run(Recoding(("gzip",), None), gzip.compress(bytes(range(256)) * 1_000), limit=100_000)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("spoil", [lambda data: data[:-5], lambda data: b"nonsense" + data])
def test_a_broken_coded_body_is_not_taken_for_a_whole_one(coding: Coding, spoil: object) -> None:
    data = b"".join([*(stream := encoder(coding)).feed(b"x" * 5_000, flush=False), *stream.end()])
    assert callable(spoil)
    with pytest.raises(BodyBroken):
        run(Recoding((coding,), None), spoil(data))


def test_live_text_is_passed_on_at_once() -> None:
    for coding in CODINGS:
        decoder = Decoder(coding, 1_000)
        coded = b"".join(encoder(coding).feed(b"hola", flush=True))
        assert b"".join(decoder.feed(coded, flush=False)) == b"hola"


def test_several_zstd_frames_are_one_body_and_some_are_skipped() -> None:
    skipped = bytes.fromhex("502a4d18") + (5).to_bytes(4, "little") + b"hello"  # RFC 8878 §3.1.2
    body = zstd.compress(b"a" * 70_000) + skipped + zstd.compress(b"b")
    for size in (1, 7, 100_000):
        assert run(Recoding(("zstd",)), body, size) == b"a" * 70_000 + b"b"


def test_a_zstd_window_over_8_megabytes_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 24, zstd.CompressionParameter.content_size_flag: 0}
    stream = zstd.ZstdCompressor(options=options)
    with pytest.raises(BodyBroken):
        run(Recoding(("zstd",)), stream.compress(b"x" * 100) + stream.flush())


def test_our_own_zstd_keeps_to_the_window() -> None:
    stream = encoder("zstd")
    coded = b"".join([*stream.feed(b"x" * 1_000_000, flush=True), *stream.end()])
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 18})
    assert len(decoder.decompress(coded)) == 1_000_000


def test_codings_one_over_the_other_count_against_what_came_in() -> None:
    bomb = gzip.compress(gzip.compress(bytes(200_000_000)))
    out_bytes = 0
    codecs = chain(Recoding(("gzip", "gzip")), 1_000_000_000)
    outer, inner = codecs
    with suppress(BodyBroken):
        for piece in outer.feed(bomb, flush=False):
            for end in inner.feed(piece, flush=False):
                out_bytes += len(end)
    assert out_bytes < 2_000_000, "400 times what came in at the outermost, or a megabyte"


def test_a_dense_body_under_the_ratio_is_no_bomb() -> None:
    data = b"".join(b"<tr><td>%d</td></tr>\n" % (n % 50) for n in range(50_000))
    assert run(Recoding(("br",)), brotli.compress(data, quality=11), 65_536) == data


def test_what_may_be_held_of_a_body_has_a_limit() -> None:
    async def held(limit: int) -> bytes:
        with ThreadPoolExecutor(1) as pool:
            return await whole(chain(Recoding(("gzip",)), 1_000_000), gzip.compress(bytes(50_000)), pool, limit)

    assert asyncio.run(held(50_000)) == bytes(50_000)
    with pytest.raises(TooLong):
        asyncio.run(held(49_999))


def test_a_body_is_unfolded_at_once_where_nothing_waits() -> None:
    assert (
        unfolded(chain(Recoding(("br", "gzip")), 1_000_000), brotli.compress(gzip.compress(b"a" * 9_000)))
        == b"a" * 9_000
    )
    with pytest.raises(BodyBroken):
        unfolded(chain(Recoding(("br",)), 1_000), brotli.compress(bytes(2_000)))
