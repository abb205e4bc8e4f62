"""No field value, however broken, makes a reader raise or gives a negative figure."""

import doctest
import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.rules.asking import wishes_of
from gateway.web.rules.fields import (
    DELTA_S_MAX,
    Fields,
    accepted_codings,
    delta_seconds,
    directives,
    etags,
    from_wire,
    http_date,
    members,
)
from gateway.web.rules.forwarding import end_to_end, for_origin
from gateway.web.rules.freshness import Times, age_s, lifetime_s
from gateway.web.rules.storing import may_store
from gateway.web.rules.variants import variant_of
from gateway.web.saver.coding import recoded, recoding

NAMES = st.sampled_from(
    ["Cache-Control", "Expires", "Date", "Age", "Last-Modified", "Vary", "ETag", "Pragma", "Connection", "Content-Type",
     "Content-Encoding", "Set-Cookie", "Via", "Max-Forwards"]
)  # fmt: skip
LIKELY = st.sampled_from(
    ["max-age=", "s-maxage", "no-store", "private", chr(34), "\\", ",", "=", "-1", "9" * 20, "*", "gzip;q=0.5",
     "Fri, 31 Feb 2027 25:61:61 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "W/", '"a"', "²", "\x00", "é"]
)  # fmt: skip
VALUES = st.one_of(st.text(max_size=60), st.lists(LIKELY, max_size=8).map("".join))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8).map(tuple)


@given(VALUES)
def test_readers_of_values_never_raise(value: str) -> None:
    assert all(members(value)), "an empty member is none"
    assert all(0 <= weight <= 1 for weight in accepted_codings(value).values())
    assert all(each.opaque.startswith('"') for each in etags(value))
    seconds, date_s = delta_seconds(value), http_date(value)
    assert seconds is None or 0 <= seconds <= DELTA_S_MAX
    assert date_s is None or date_s >= 0


@given(FIELDS, FIELDS, st.floats(0, 4e9), st.floats(-1e6, 1e6), st.integers(100, 999), st.sampled_from(["", "sitio"]))
def test_rules_never_raise_and_no_duration_is_negative(
    asked: Fields, fields: Fields, received_s: float, passed_s: float, status: int, site: str
) -> None:
    times = Times(received_s, received_s)
    assert lifetime_s(status, fields, times, site) >= 0
    assert age_s(fields, times, received_s + passed_s) >= 0
    assert may_store("GET", asked, status, fields, site) in {True, False}
    wishes = wishes_of(asked)
    assert min(each or 0 for each in (wishes.max_age_s, wishes.min_fresh_s, wishes.max_stale_s)) >= 0
    variant_of(fields, asked)
    recoded(fields, recoding(fields, None, asked[0][1] if asked else None))
    assert for_origin(end_to_end(asked), "prueba")


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=5))
def test_bytes_from_the_wire_become_text_that_can_be_sent_on(raw: list[tuple[bytes, bytes]]) -> None:
    for _, value in from_wire(raw):
        value.encode("utf-8")
        assert not any(char in value for char in "\r\n\x00")


def test_latin_1_keeps_its_meaning() -> None:
    assert from_wire([(b"X", "canción".encode("latin-1"))]) == (("X", "canción"),)


@pytest.mark.parametrize(
    "date",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms_of_a_date_are_read(date: str) -> None:
    assert http_date(date) == 784_111_777.0


@pytest.mark.parametrize(
    "date",
    ["", "0", "-1", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 PST", "Sun, 6 Nov 1994 08:49:37 GMT",
     "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", " Sun, 06 Nov 1994 08:49:37 GMT",
     "Sun, ٠٦ Nov 1994 08:49:37 GMT", "Tue, 31 Feb 2027 08:49:37 GMT", "Mon, 29 Feb 2027 08:49:37 GMT"],
)  # fmt: skip
def test_what_is_no_date_is_none(date: str) -> None:
    assert http_date(date) is None


def test_of_a_double_directive_the_first_counts() -> None:
    assert directives((("Cache-Control", "max-age=5"), ("cache-control", "max-age=9, max-age=1"))) == {"max-age": "5"}


@pytest.mark.parametrize("name", ["alike", "fields", "groups", "policy", "query", "status", "target", "variants"])
def test_docstring_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.web.rules.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
