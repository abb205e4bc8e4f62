"""The technician reads in words that pages are not stored, and why."""

from types import SimpleNamespace

import pytest

from gateway.box_view import STORE_FAILURES_MAX, Rooms
from gateway.languages import translate


@pytest.mark.parametrize(
    ("is_full", "failures", "works", "told"),
    [
        (False, 0, True, "served from the cache"),
        (False, STORE_FAILURES_MAX - 1, True, "served from the cache"),
        (False, STORE_FAILURES_MAX, False, "cannot be read or written"),
        (True, 0, False, "The disk is full"),
        (True, STORE_FAILURES_MAX, False, "The disk is full"),
    ],
)
def test_a_store_that_takes_nothing_is_told_with_the_reason(
    is_full: bool, failures: int, works: bool, told: str
) -> None:
    statistics = SimpleNamespace(disk_is_full=is_full, failures_in_a_row=failures)
    pages = SimpleNamespace(statistics=lambda: statistics)
    part = Rooms(None, None, pages, None, None)._pages()  # type: ignore[arg-type]  # the pages alone are asked
    assert (part.name, part.ready) == ("pages", works)
    assert told in part.reason


def test_the_warning_is_there_in_spanish() -> None:
    told = translate("es", "The disk is full: pages that come in are not stored. Make room on it.")
    assert told.startswith("El disco está lleno")
