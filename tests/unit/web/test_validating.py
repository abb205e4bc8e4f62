"""What a 304 is about, and what it changes."""

import pytest

from gateway.web.rules.fields import Fields, first
from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import BodyRef, Part, StoredResponse
from gateway.web.rules.validating import freshened, own_conditions, retold, speaks_of
from gateway.web.rules.variants import variant_of

AT = Times(1_800_000_000.0, 1_800_000_000.0)
MODIFIED, LATER = "Fri, 15 Jan 2027 07:00:00 GMT", "Fri, 15 Jan 2027 07:30:00 GMT"


def stored(*fields: tuple[str, str]) -> StoredResponse:
    return StoredResponse("", "http://a.test/", 200, fields, (), AT, 5, (Part(0, BodyRef("b", 5, "")),))


@pytest.mark.parametrize(
    ("held", "told", "speaks"),
    [
        ((("ETag", '"a"'),), (("ETag", '"a"'),), True),
        ((("ETag", '"a"'),), (("ETag", 'W/"a"'),), True),
        ((("ETag", 'W/"a"'),), (("ETag", '"a"'),), True),
        ((("ETag", '"a"'),), (("ETag", '"b"'),), False),
        ((("ETag", '"a"'),), (("ETag", 'W/"b"'),), False),
        ((("Last-Modified", MODIFIED),), (("ETag", '"b"'),), False),
        ((("ETag", '"a"'),), (), True),
        ((("Last-Modified", MODIFIED),), (("Last-Modified", MODIFIED),), True),
        ((("Last-Modified", MODIFIED),), (("Last-Modified", LATER),), False),
        ((("ETag", '"a"'),), (("Last-Modified", LATER),), True),
        ((("ETag", '"a"'), ("Last-Modified", MODIFIED)), (("ETag", '"a"'), ("Last-Modified", LATER)), True),
    ],
)
def test_a_304_is_about_the_answer_with_its_validators(held: Fields, told: Fields, speaks: bool) -> None:
    assert speaks_of(stored(*held), told) is speaks


def test_a_304_says_anew_what_the_answer_depends_on() -> None:
    fresh = freshened(stored(("ETag", '"a"')), (("Vary", "A, B"),), AT, (("A", "1"), ("C", "2")))
    assert fresh.vary == variant_of((("Vary", "A, B"),), (("A", "1"),))


def test_a_304_takes_a_field_out_of_what_others_get() -> None:
    fresh = freshened(stored(("ETag", '"a"'), ("X-A", "1")), (("Cache-Control", 'private="x-a"'),), AT, ())
    assert first(fresh.fields, "x-a") is None


@pytest.mark.parametrize(
    ("told", "holds"),
    [
        ((), True),
        ((("Content-Length", "5"),), True),
        ((("Content-Length", "6"),), False),
        ((("ETag", '"a"'),), True),
        ((("ETag", '"b"'),), False),
        ((("Last-Modified", LATER),), False),
    ],
)
def test_head_confirms_or_doubts(told: Fields, holds: bool) -> None:
    assert retold(stored(("ETag", '"a"')), (*told, ("X-A", "2")), AT, ()).invalid is not holds


def test_only_a_browsers_conditions_for_get_go_on() -> None:
    asked = (("If-None-Match", '"a"'), ("If-Range", '"a"'), ("if-modified-since", MODIFIED), ("Accept", "*/*"))
    assert own_conditions(asked) == (asked[0], asked[2])
