"""What is decided about photos, apart from what is done."""

import doctest
import importlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, TooLarge
from gateway.market.photos.keeping import (
    Naming,
    Photo,
    PhotoLimits,
    Standing,
    Wish,
    may_go,
    next_to_send,
    room_for,
    wish_of,
    wishes,
)
from gateway.market.photos.kinds import Kind, kind_of
from gateway.market.photos.refusals import LengthNeeded
from gateway.market.photos.stretch import Stretch, stretch_of
from gateway.market.states import State

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0
LIMITS = PhotoLimits()


def a_photo(
    name: str = "a", *, merchant: str = "ana", size: int = 100, standing: Standing = Standing.WHOLE, age_s: float = 0.0
) -> Photo:
    return Photo(name, merchant, f"hash of {name}", size, standing, size, NOW_S - age_s)


@pytest.mark.parametrize("name", ["keeping", "kinds", "stretch"])
def test_docstring_examples_of_photos_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.market.photos.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe1\x00\x10Exif", Kind.JPEG),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", Kind.PNG),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", Kind.WEBP),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", Kind.HEIC),
        (b"%PDF-1.7\n", Kind.PDF),
        (b"<html><script>", None),
        (b"GIF89a", None),
        (b"PK\x03\x04", None),
        (b"\x00\x00\x00\x18ftypmp42", None),
        (b"MZ", None),
        (b"", None),
    ],
)
def test_a_photo_is_told_by_its_first_bytes(head: bytes, kind: Kind | None) -> None:
    assert kind_of(head) is kind


@pytest.mark.parametrize(
    ("content_range", "length"),
    [
        ("bytes 5-4/10", 0),
        ("bytes 0-10/10", 11),
        ("bytes 0-4/10", 4),
        ("bytes */10", 4),
        ("bytes 0-4/*", 5),
        ("items 0-4/10", 5),
        ("bytes -4/10", 5),
        ("bytes 0-4/10, 5-9/10", 5),
        ("bytes ٠-4/10", 5),
        ("", 5),
        (None, 0),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(content_range: str | None, length: int | None) -> None:
    with pytest.raises(BadRequest):
        stretch_of(content_range, length, 1_000)


def test_a_size_must_be_told_and_is_bounded() -> None:
    with pytest.raises(LengthNeeded):
        stretch_of(None, None, 1_000)
    with pytest.raises(TooLarge):
        stretch_of(None, 1_001, 1_000)
    with pytest.raises(TooLarge):
        stretch_of("bytes 0-9/1001", 10, 1_000)
    assert stretch_of("bytes 0-9/1000", None, 1_000) == Stretch(0, 10, 1_000), "a chunked body may bring a part"


def test_a_photo_goes_only_once_an_order_that_names_it_has_arrived() -> None:
    for state in State:
        expected = {
            State.AT_HUB: Wish.SEND,
            State.ACCEPTED: Wish.SEND,
            State.FULFILLED: Wish.SEND,
            State.REJECTED: Wish.NOTHING,
            State.CANCELLED: Wish.NOTHING,
        }.get(state, Wish.WAIT)
        assert wish_of([state]) is expected
        assert wish_of([State.CANCELLED, state]) is expected
        assert wish_of([State.ACCEPTED, state]) is Wish.SEND


def test_what_one_merchants_order_names_says_nothing_of_anothers_photo() -> None:
    found = wishes([Naming("ana", "h", State.ACCEPTED), Naming("luis", "h", State.QUEUED)])
    assert found == {("ana", "h"): Wish.SEND, ("luis", "h"): Wish.WAIT}


def test_small_ones_go_first_and_those_that_failed_last() -> None:
    photos = [a_photo("big", size=300), a_photo("small", size=10), a_photo("part", size=1, standing=Standing.PART)]
    wanted = {(each.merchant, each.sha256): Wish.SEND for each in photos}
    chosen = next_to_send(photos, wanted, {})
    assert chosen is not None
    assert chosen.name == "small"
    chosen = next_to_send(photos, wanted, {"small": 1})
    assert chosen is not None
    assert chosen.name == "big"
    assert next_to_send(photos, {}, {}) is None


@given(
    st.sampled_from(Standing),
    st.sampled_from(Wish),
    st.floats(-1e9, 3e9),
    st.floats(0, 3e9),
    st.booleans(),
)
def test_what_an_order_waits_for_is_never_removed_because_of_its_age(
    standing: Standing, wish: Wish, stamp_s: float, wall_s: float, is_sent_on: bool
) -> None:
    photo = replace(a_photo(standing=standing), stamp_wall_s=stamp_s)
    goes = may_go(photo, wish, wall_s, LIMITS, is_sent_on=is_sent_on)
    if standing is Standing.WHOLE and (wish is Wish.WAIT or (wish is Wish.SEND and is_sent_on)):
        assert not goes
    if stamp_s > wall_s or stamp_s < 1_700_000_000:
        assert not goes, "an age that cannot be believed"


def test_each_standing_has_its_time() -> None:
    for standing, limit_s in (
        (Standing.PART, LIMITS.part_s),
        (Standing.SENT, LIMITS.kept_s),
        (Standing.WHOLE, LIMITS.unnamed_s),
        (Standing.ASIDE, LIMITS.unnamed_s),
        (Standing.DAMAGED, LIMITS.unnamed_s),
    ):
        for age_s, goes in ((limit_s - 1, False), (limit_s + 1, True)):
            photo = a_photo(standing=standing, age_s=age_s)
            assert may_go(photo, Wish.NOTHING, NOW_S, LIMITS, is_sent_on=True) is goes


_sizes = st.lists(
    st.tuples(st.sampled_from(["ana", "luis"]), st.integers(1, 60), st.sampled_from(Standing)), max_size=12
)


@given(_sizes, st.integers(1, 100))
def test_room_is_made_of_sent_photos_alone_and_no_budget_is_ever_exceeded(
    there: list[tuple[str, int, Standing]], size: int
) -> None:
    limits = PhotoLimits(merchant_bytes_max=150, total_bytes_max=250, merchant_photos_max=5)
    photos = [
        a_photo(str(at), merchant=merchant, size=size, standing=standing)
        for at, (merchant, size, standing) in enumerate(there)
    ]
    going = room_for(photos, "ana", size, limits)
    if going is None:
        least = [each for each in photos if each.standing is not Standing.SENT]
        own = [each.size_bytes for each in least if each.merchant == "ana"]
        all_bytes = sum(each.size_bytes for each in least) + size
        assert len(own) >= 5 or sum(own) + size > 150 or all_bytes > 250, "refused only where it cannot be"
        return
    assert all(each.standing is Standing.SENT for each in going)
    left = [each for each in photos if each not in going]
    own = [each.size_bytes for each in left if each.merchant == "ana"]
    assert len(own) < 5
    assert sum(own) + size <= 150
    assert sum(each.size_bytes for each in left) + size <= 250
