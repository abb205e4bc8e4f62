"""What is gathered is read as if it were written, and the last word counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.rules.freshness import Times
from gateway.web.rules.stored import Shelf, StoredResponse
from gateway.web.store.batch import Batch, Filed, Row
from gateway.web.store.marks import REMEMBERED_MAX, Marks

SHELF: Shelf = (StoredResponse("", "http://a.test/", 200, (("A", "b"),), (), Times(1.0, 1.0), 0, ()),)
FILED = Filed("aa/bb/cc.val", 100)


def test_what_has_not_changed_is_not_known() -> None:
    batch = Batch()
    assert (batch.shelf("k"), batch.knows("body k d"), bool(batch)) == (None, False, False)


@pytest.mark.parametrize("row", [b"body", FILED])
def test_a_row_is_read_before_it_is_written(row: Row) -> None:
    batch = Batch()
    batch.put_row("body k d", row)
    assert batch.knows("body k d")
    assert batch.row("body k d") == row
    assert not batch.knows("body k other")
    assert not batch.knows("body k d br"), "what was stored of a rendition still is"


def test_a_body_that_goes_takes_its_renditions_and_its_file() -> None:
    batch = Batch()
    batch.put_row("body k d", FILED)
    batch.put_row("body k d br", b"coded")
    batch.put_row("body k dd", b"another")
    batch.drop_row("body k d")
    for name in ("body k d", "body k d br", "body k d webp"):
        assert batch.knows(name)
        assert batch.row(name) is None
    assert batch.row("body k dd") == b"another"
    assert (batch.orphans, batch.filed_bytes, batch.size_bytes) == ([FILED], 0, len(b"another"))


def test_a_url_that_goes_takes_all_and_may_come_again() -> None:
    batch = Batch()
    batch.put_row("body k d", b"body")
    batch.put_shelf("k", SHELF)
    batch.drop("k")
    assert batch.shelf("k") == ()
    assert batch.knows("body k anything")
    assert batch.row("body k d") is None
    batch.put_shelf("k", SHELF)
    batch.put_row("body k e", b"new")
    assert batch.shelf("k") == SHELF
    assert batch.row("body k e") == b"new"
    assert batch.changes["k"].emptied, "what was written before goes all the same"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "file", "drop_row", "drop", "shelf"]), st.sampled_from("ab"), st.sampled_from("de")
    )
)


@given(STEPS)
def test_its_bytes_are_those_it_holds(steps: list[tuple[str, str, str]]) -> None:
    batch = Batch()
    for what, key, digest in steps:
        name = f"body {key} {digest}"
        if what == "put":
            batch.put_row(name, b"x" * 10)
        elif what == "file":
            batch.put_row(name, FILED)
        elif what == "drop_row":
            batch.drop_row(name)
        elif what == "drop":
            batch.drop(key)
        else:
            batch.put_shelf(key, SHELF)
    fresh = Batch()
    for key, change in batch.changes.items():
        if change.shelf is not None:
            fresh.put_shelf(key, change.shelf)
        for name, row in change.rows.items():
            if row is not None:
                fresh.put_row(name, row)
    assert (batch.size_bytes, batch.filed_bytes) == (fresh.size_bytes, fresh.filed_bytes)


def test_what_began_before_a_taking_is_known() -> None:
    marks = Marks()
    before = marks.now()
    marks.take(("a",))
    after = marks.now()
    assert marks.taken_since(before, [("a",), ("b",)])
    assert not marks.taken_since(after, [("a",)])
    assert not marks.taken_since(before, [("b",)])


def test_of_takings_long_ago_nothing_begun_before_is_kept() -> None:
    marks = Marks()
    before = marks.now()
    for n in range(REMEMBERED_MAX + 1):
        marks.take(("a", str(n)))
    assert marks.taken_since(before, [("never",)])
    assert not marks.taken_since(marks.now(), [("a", "1")])
