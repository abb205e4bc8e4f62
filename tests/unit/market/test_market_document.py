"""JSON is read strictly, and written in one way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.document import DEPTH_MAX, canonical, read_document
from gateway.errors import BadRequest, TooLarge

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.text(st.characters(codec="ascii"), max_size=8)
VALUE = st.recursive(
    TEXT | st.integers(-(2**53), 2**53) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAME, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"nul",
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":' + b"9" * 5_000 + b"}",
        b'{"a":1e' + b"9" * 5_000 + b"}",
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\x00"}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":1}x',
        b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1),
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
def test_what_two_readers_could_understand_differently_is_refused(document: bytes) -> None:
    with pytest.raises(BadRequest):
        read_document(document, 1_000_000)


def test_a_document_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        read_document(b"[" * 101, 100)


def test_brackets_in_text_are_no_depth() -> None:
    assert read_document(b'["[[[[[[[[[[[[[[\\"[[[[[[[["]', 1_000) == ['[[[[[[[[[[[[[["[[[[[[[[']


@given(VALUE)
def test_what_is_written_canonically_is_read_as_it_was(value: object) -> None:
    document = canonical(value)
    try:
        assert read_document(document, 1_000_000) == value
    except BadRequest:
        assert document.count(b"[") + document.count(b"{") > DEPTH_MAX


@given(st.dictionaries(NAME, TEXT, min_size=2, max_size=6))
def test_the_canonical_way_does_not_depend_on_the_order_of_names(value: dict[str, str]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))
