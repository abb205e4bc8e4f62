"""Coded bodies are decoded within a limit."""

import gzip
from contextlib import suppress

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, GatewayError, TooLarge
from gateway.exchange.coding import DEAR_BYTES_MAX, DENSE, DENSE_BYTES_MAX, QUICK, compress, decode, quality


@given(st.binary(max_size=5_000))
def test_what_is_coded_is_decoded_as_it_was(body: bytes) -> None:
    assert decode(compress(body), "br", 5_000) == body
    assert decode(gzip.compress(body), "gzip", 5_000) == body
    assert decode(body, "", 5_000) == decode(body, " Identity", 5_000) == body


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_a_bomb_is_refused_without_being_unpacked(coding: str) -> None:
    plain = b"\0" * 50_000_000
    coded = brotli.compress(plain, quality=1) if coding == "br" else gzip.compress(plain, 1)
    with pytest.raises(TooLarge):
        decode(coded, coding, 1_000_000)


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_a_body_that_is_cut_or_broken_is_refused(coding: str) -> None:
    coded = compress(b"hello " * 100) if coding == "br" else gzip.compress(b"hello " * 100)
    for broken in (coded[:-3], b"", b"\xff" * 20):
        with pytest.raises(BadRequest):
            decode(broken, coding, 10_000)


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(BadRequest):
        decode(b"", "zstd", 10)


@given(st.binary(max_size=300), st.sampled_from(["br", "gzip"]))
def test_any_bytes_are_decoded_or_refused(body: bytes, coding: str) -> None:
    with suppress(GatewayError):
        assert len(decode(body, coding, 1_000)) <= 1_000


def test_small_bodies_are_dense_and_larger_ones_where_the_link_is_dear() -> None:
    assert [quality(size) for size in (0, DENSE_BYTES_MAX, DENSE_BYTES_MAX + 1)] == [DENSE, DENSE, QUICK]
    dear = [quality(size, is_dear=True) for size in (DENSE_BYTES_MAX + 1, DEAR_BYTES_MAX, DEAR_BYTES_MAX + 1)]
    assert dear == [DENSE, DENSE, QUICK]
