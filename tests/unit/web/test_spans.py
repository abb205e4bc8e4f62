"""Ranges are read, put together and measured as RFC 9110 §14 says, whatever a browser or an origin writes."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields
from gateway.web.rules.freshness import Times
from gateway.web.rules.resuming import as_it_was_asked, as_slice, may_slice, resumable, slice_sent, spec_for
from gateway.web.rules.spans import (
    POSITION_MAX,
    RANGES_MAX,
    Span,
    Spec,
    Stretch,
    asked,
    first_slice,
    gap_at,
    gaps,
    lacking,
    slice_at,
    spans_of,
    stretch_of,
    strong_validator,
    wanted,
)
from gateway.web.rules.stored import BodyRef, Part, StoredResponse

URL = "http://sitio.test/video"
DAY_S = 86_400.0


def date(at_s: float) -> str:
    return formatdate(1_800_000_000 + at_s, usegmt=True)


def ask(*fields: tuple[str, str], method: str = "GET") -> Ask:
    return Ask(method, URL, fields)


def parts(*spans: tuple[int, int]) -> tuple[Part, ...]:
    return tuple(Part(at, BodyRef(f"b{at}", end - at, "")) for at, end in spans)


def stored(
    size: int, *spans: tuple[int, int], fields: Fields = (("ETag", '"a"'),), status: int = 200
) -> StoredResponse:
    return StoredResponse("", URL, status, fields, (), Times(0.0, 0.0), size, parts(*spans))


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("bytes=0-9", [(0, 9)]),
        ("bytes=0-", [(0, None)]),
        ("bytes=-5", [(None, 5)]),
        ("bytes=-0", [(None, 0)]),
        ("BYTES=1-2", [(1, 2)]),
        ("bytes=0-0,2-3", [(0, 0), (2, 3)]),
        ("bytes= 0-0 ,\t2-3 ", [(0, 0), (2, 3)]),
        ("bytes=0-0,,2-3,", [(0, 0), (2, 3)]),
        ("bytes=007-010", [(7, 10)]),
        ("bytes=5-" + "9" * 5_000, [(5, POSITION_MAX)]),
        ("bytes=" + "9" * 30 + "-", [(POSITION_MAX, None)]),
        ("bytes=" + ",".join(["0-0"] * RANGES_MAX), [(0, 0)] * RANGES_MAX),
        ("bytes=" + ",".join(["0-0"] * (RANGES_MAX + 1)), None),
        ("bytes=" + "0-0," * 5_000, None),
        ("bytes=9-0", None),
        ("bytes=0-9,9-0", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("bytes 0-9", None),
        ("bytes=0--9", None),
        ("bytes=+0-9", None),
        ("bytes=0-9-12", None),
        ("bytes=a-b", None),
        ("bytes=٠-٩", None),
        ("bytes=0 - 9", None),
        ("bytes=1.5-3", None),
        ("bytes=0-9;x", None),
        ("lines=0-9", None),
        ("bytes=0-9, lines=0-9", None),
        ("", None),
    ],
)
def test_a_range_is_read_whole_or_not_at_all(text: str, specs: list[tuple[int | None, int | None]] | None) -> None:
    found = asked((("Range", text),))
    assert found == (None if specs is None else tuple(Spec(*each) for each in specs))


def test_two_range_fields_are_none() -> None:
    assert asked((("Range", "bytes=0-1"), ("range", "bytes=2-3"))) is None
    assert asked(()) is None


@given(st.text(max_size=60))
def test_no_text_breaks_the_readers(text: str) -> None:
    for each in (text, f"bytes={text}", f"bytes {text}/10"):
        specs, stretch = asked((("Range", each),)), stretch_of((("Content-Range", each),))
        assert specs is None or specs, "what cannot be read is no range, never none of them"
        assert stretch is None or 0 <= stretch.span.at < stretch.span.end <= stretch.size_bytes
        assert wanted(ask(("Range", "bytes=0-1"), ("If-Range", each)), 200, (), 10) is None, "it has no such validator"


@pytest.mark.parametrize(
    ("text", "size", "spans"),
    [
        ("bytes=0-9", 100, [(0, 10)]),
        ("bytes=90-", 100, [(90, 100)]),
        ("bytes=90-200", 100, [(90, 100)]),
        ("bytes=-10", 100, [(90, 100)]),
        ("bytes=-200", 100, [(0, 100)]),
        ("bytes=100-", 100, []),
        ("bytes=100-,0-0", 100, [(0, 1)]),
        ("bytes=-0", 100, []),
        ("bytes=0-", 0, []),
        ("bytes=-1", 0, None),
        ("bytes=0-9,5-14", 100, [(0, 15)]),
        ("bytes=0-9,10-19", 100, [(0, 20)]),
        ("bytes=0-0,99-99", 1000, [(0, 100)]),
        ("bytes=0-0,500-500", 1000, [(0, 1), (500, 501)]),
        ("bytes=500-500,0-0", 1000, [(500, 501), (0, 1)]),
        ("bytes=900-,0-0,905-910", 1000, [(900, 1000), (0, 1)]),
        ("bytes=600-600,0-0,610-620,5-9", 1000, [(600, 621), (0, 10)]),
        ("bytes=" + ",".join(["0-"] * RANGES_MAX), 1000, [(0, 1000)]),
    ],
)
def test_ranges_become_spans_that_do_not_touch(text: str, size: int, spans: list[tuple[int, int]] | None) -> None:
    found = wanted(ask(("Range", text)), 200, (), size)
    assert found == (None if spans is None else tuple(Span(*each) for each in spans))


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 2_000)), min_size=1, max_size=RANGES_MAX))
def test_no_set_of_ranges_makes_an_answer_larger_than_the_whole(ranges: list[tuple[int, int]]) -> None:
    text = ",".join(f"{min(each)}-{max(each)}" for each in ranges)
    spans = wanted(ask(("Range", f"bytes={text}")), 200, (), 1_500) or ()
    assert sum(span.size_bytes for span in spans) <= 1_500
    want = {at for each in ranges for at in range(min(each), min(max(each) + 1, 1_500))}
    assert want <= {at for span in spans for at in range(span.at, span.end)}


MODIFIED = (("Last-Modified", date(0)),)
STRONG = (*MODIFIED, ("Date", date(1)))


@pytest.mark.parametrize(
    ("condition", "fields", "holds"),
    [
        ('"a"', (("ETag", '"a"'),), True),
        ('"a"', (("ETag", '"b"'),), False),
        ('W/"a"', (("ETag", 'W/"a"'),), False),
        ('"a"', (("ETag", 'W/"a"'),), False),
        ('W/"a"', (("ETag", '"a"'),), False),
        ('"a", "b"', (("ETag", '"a"'),), False),
        ("a", (("ETag", '"a"'),), False),
        ('"a"', (), False),
        (date(0), STRONG, True),
        (date(0), MODIFIED, False),
        (date(0), (*MODIFIED, ("Date", date(0))), False),
        (date(5), STRONG, False),
        (date(-5), STRONG, False),
        (date(0), (("Date", date(1)),), False),
        ("yesterday", STRONG, False),
        ("", STRONG, False),
    ],
)
def test_if_range_holds_by_strong_validators_alone(condition: str, fields: Fields, holds: bool) -> None:
    found = wanted(ask(("Range", "bytes=0-0"), ("If-Range", condition)), 200, fields, 10)
    assert found == ((Span(0, 1),) if holds else None)


def test_only_a_200_to_get_has_ranges() -> None:
    ranged = ("Range", "bytes=0-0")
    assert wanted(ask(ranged, method="HEAD"), 200, (), 10) is None
    assert wanted(ask(ranged), 404, (), 10) is None
    assert wanted(ask(ranged), 200, (), 10) == (Span(0, 1),)


@pytest.mark.parametrize(
    ("fields", "validator"),
    [
        ((("ETag", '"a"'),), '"a"'),
        ((("ETag", 'W/"a"'), *STRONG), None),
        ((("ETag", "a"), *STRONG), None),
        (STRONG, "1800000000"),
        (MODIFIED, None),
        ((), None),
    ],
)
def test_only_a_strong_validator_joins_parts(fields: Fields, validator: str | None) -> None:
    assert strong_validator(fields) == validator


@pytest.mark.parametrize(
    ("text", "stretch"),
    [
        ("bytes 0-9/20", Stretch(Span(0, 10), 20)),
        ("Bytes 5-19/20", Stretch(Span(5, 20), 20)),
        ("bytes 0-20/20", None),
        ("bytes 9-0/20", None),
        ("bytes 0-9/*", None),
        ("bytes */20", None),
        ("bytes -1-9/20", None),
        ("bytes 0-9/-20", None),
        ("bytes=0-9/20", None),
        ("lines 0-9/20", None),
        ("bytes 0-9/" + "9" * 19, None),
        ("", None),
    ],
)
def test_a_content_range_that_cannot_be_is_none(text: str, stretch: Stretch | None) -> None:
    assert stretch_of((("Content-Range", text),)) == stretch
    assert stretch_of((("Content-Range", text), ("Content-Range", text))) is None


TAGGED = (("ETag", '"a"'),)


@pytest.mark.parametrize(
    ("spec", "fields", "length", "taken"),
    [
        (Spec(0, 9), (*TAGGED, ("Content-Range", "bytes 0-9/20")), 10, True),
        (Spec(0, 9), (*TAGGED, ("Content-Range", "bytes 0-9/20")), None, True),
        (Spec(0, 9), (*TAGGED, ("Content-Range", "bytes 0-9/20")), 11, False),
        (Spec(0, 9), (*TAGGED, ("Content-Range", "bytes 0-3/20")), 4, True),
        (Spec(5, 9), (*TAGGED, ("Content-Range", "bytes 0-19/20")), 20, True),
        (Spec(5, 9), (*TAGGED, ("Content-Range", "bytes 0-4/20")), 5, False),
        (Spec(5, 9), (*TAGGED, ("Content-Range", "bytes 6-9/20")), 4, False),
        (Spec(30, 39), (*TAGGED, ("Content-Range", "bytes 0-19/20")), 20, False),
        (Spec(None, 5), (*TAGGED, ("Content-Range", "bytes 15-19/20")), 5, True),
        (Spec(None, 5), (*TAGGED, ("Content-Range", "bytes 0-4/20")), 5, False),
        (Spec(0, 9), (("Content-Range", "bytes 0-9/20"),), 10, False),
        (Spec(0, 9), (("ETag", 'W/"a"'), ("Content-Range", "bytes 0-9/20")), 10, False),
        (Spec(0, 9), (*TAGGED, ("Content-Encoding", "gzip"), ("Content-Range", "bytes 0-9/20")), 10, False),
        (Spec(0, 9), TAGGED, 10, False),
    ],
)
def test_a_slice_counts_where_it_answers_and_can_be_combined(
    spec: Spec, fields: Fields, length: int | None, taken: bool
) -> None:
    assert (slice_sent(spec, fields, length) is not None) is taken


@pytest.mark.parametrize(
    ("fields", "can"),
    [
        (TAGGED, True),
        ((*TAGGED, ("Accept-Ranges", "bytes")), True),
        ((*TAGGED, ("Accept-Ranges", "none")), False),
        ((*TAGGED, ("Content-Encoding", "identity")), True),
        ((*TAGGED, ("Content-Encoding", "br")), False),
        ((), False),
    ],
)
def test_what_breaks_off_can_be_completed_under_these_conditions(fields: Fields, can: bool) -> None:
    assert resumable(fields) is can


@pytest.mark.parametrize(
    ("span", "there", "missing"),
    [
        ((0, 100), [], [(0, 100)]),
        ((0, 100), [(0, 100)], []),
        ((0, 100), [(0, 50)], [(50, 100)]),
        ((0, 100), [(50, 100)], [(0, 50)]),
        ((0, 100), [(20, 30), (30, 40), (60, 70)], [(0, 20), (40, 60), (70, 100)]),
        ((25, 65), [(20, 30), (30, 40), (60, 70)], [(40, 60)]),
        ((20, 40), [(20, 30), (30, 40)], []),
        ((10, 15), [(20, 30)], [(10, 15)]),
        ((80, 90), [(20, 30)], [(80, 90)]),
    ],
)
def test_gaps_are_what_no_part_holds(
    span: tuple[int, int], there: list[tuple[int, int]], missing: list[tuple[int, int]]
) -> None:
    assert gaps(Span(*span), parts(*there)) == tuple(Span(*each) for each in missing)


@given(st.sets(st.integers(0, 199)), st.integers(0, 199), st.integers(1, 200))
def test_gaps_and_the_gap_at_a_byte_agree_with_counting(held: set[int], begin: int, width: int) -> None:
    end = min(begin + width, 200)
    there = parts(*((at, at + 1) for at in sorted(held)))
    missing = {at for gap in gaps(Span(begin, end), there) for at in range(gap.at, gap.end)}
    assert missing == set(range(begin, end)) - held
    around = gap_at(begin, 200, there)
    assert (around is None) is (begin in held)
    if around is not None:
        assert not held & set(range(around.at, around.end))
        assert around.at - 1 in held | {-1}
        assert around.end in held | {200}


@pytest.mark.parametrize(
    ("at", "gap", "spec"),
    [
        (0, (0, 1_000), (0, 99)),
        (150, (0, 1_000), (100, 199)),
        (150, (120, 1_000), (120, 199)),
        (150, (0, 170), (100, 169)),
        (199, (199, 200), (199, 199)),
        (950, (0, 980), (900, 979)),
    ],
)
def test_a_slice_is_aligned_and_fetches_nothing_that_is_there(
    at: int, gap: tuple[int, int], spec: tuple[int, int]
) -> None:
    assert slice_at(at, Span(*gap), 100) == Spec(*spec)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("bytes=0-", "bytes=0-99"),
        ("bytes=0-1", "bytes=0-99"),
        ("bytes=250-260", "bytes=200-299"),
        ("bytes=250-, 0-0", "bytes=200-299"),
        ("bytes=-50", "bytes=-50"),
        ("bytes=-500", "bytes=0-99"),
        ("bytes=-0", "bytes=0-99"),
    ],
)
def test_the_first_slice_of_the_unknown_holds_the_first_byte_asked_for(text: str, spec: str) -> None:
    specs = asked((("Range", text),))
    assert specs is not None
    assert str(first_slice(specs, 100)) == spec
    assert str(spec_for(ask(("Range", text)), None, 100, validate=False)) == spec


WHOLE = stored(1_000, (0, 1_000))
BEGUN = stored(1_000, (0, 250))
RANGE = ("Range", "bytes=300-310")


@pytest.mark.parametrize(
    ("asking", "known", "validate", "spec"),
    [
        (ask(), None, False, "None"),
        (ask(), WHOLE, True, "None"),
        (ask(RANGE), WHOLE, True, "bytes=300-399"),
        (ask(RANGE), WHOLE, False, "None"),
        (ask(RANGE), stored(1_000, (0, 1_000), fields=()), True, "None"),
        (ask(), BEGUN, True, "None"),
        (ask(), BEGUN, False, "bytes=250-299"),
        (ask(RANGE), BEGUN, False, "bytes=300-399"),
        (ask(RANGE), BEGUN, True, "bytes=300-399"),
        (ask(("Range", "bytes=0-299")), BEGUN, False, "bytes=250-299"),
        (ask(("Range", "bytes=10-20")), BEGUN, True, "bytes=0-99"),
        (ask(("Range", "bytes=5000-")), BEGUN, True, "bytes=0-99"),
    ],
)
def test_the_slice_asked_for_depends_on_what_is_there(
    asking: Ask, known: StoredResponse | None, validate: bool, spec: str
) -> None:
    assert str(spec_for(asking, known, 100, validate=validate)) == spec


@pytest.mark.parametrize(
    ("asking", "missing"),
    [
        (ask(), [(250, 1_000)]),
        (ask(method="HEAD"), []),
        (ask(("Range", "bytes=0-249")), []),
        (ask(("Range", "bytes=0-250")), [(250, 251)]),
        (ask(("Range", "bytes=900-910, 0-10")), [(900, 911)]),
        (ask(("Range", "bytes=0-10, 900-910")), [(900, 911)]),
        (ask(("Range", "bytes=5000-")), []),
        (ask(("If-None-Match", '"a"')), []),
        (ask(("If-None-Match", '"b"')), [(250, 1_000)]),
        (ask(("Range", "bytes=0-9"), ("If-Range", '"b"')), [(250, 1_000)]),
    ],
)
def test_what_a_request_lacks_is_what_it_would_be_sent(asking: Ask, missing: list[tuple[int, int]]) -> None:
    assert lacking(asking, BEGUN) == tuple(Span(*each) for each in missing)
    assert lacking(asking, WHOLE) == ()


def test_what_a_request_is_sent_is_its_spans_or_all() -> None:
    assert spans_of(ask(), BEGUN) == (Span(0, 1_000),)
    assert spans_of(ask(("Range", "bytes=-10")), BEGUN) == (Span(990, 1_000),)
    assert spans_of(ask(("Range", "bytes=5000-")), BEGUN) == ()


@pytest.mark.parametrize(
    ("asking", "may"),
    [
        (ask(RANGE), True),
        (ask(), False),
        (ask(RANGE, method="HEAD"), False),
        (ask(RANGE, ("Cache-Control", "no-store")), False),
        (ask(RANGE, ("Cache-Control", "no-cache")), True),
        (ask(RANGE, ("Authorization", "Basic eA==")), False),
    ],
)
def test_slices_are_for_requests_whose_answers_others_may_get(asking: Ask, may: bool) -> None:
    assert may_slice(asking) is may


def test_a_slice_is_asked_for_without_coding_and_a_range_of_ones_own_as_it_came() -> None:
    to_origin = (("Accept", "*/*"), ("Accept-Encoding", "br, gzip"), ("Via", "1.1 tambo-x"))
    sliced = dict(as_slice(to_origin, Spec(0, 99)))
    assert (sliced["Range"], sliced["Accept-Encoding"]) == ("bytes=0-99", "identity")
    own = dict(as_it_was_asked(to_origin, (("Range", "bytes=3-4"), ("accept-encoding", "gzip"), ("Accept", "x"))))
    assert own == {"Accept": "*/*", "Via": "1.1 tambo-x", "Range": "bytes=3-4", "accept-encoding": "gzip"}
