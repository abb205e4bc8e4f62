"""What becomes of a request, for what is stored, what is wished, and whether the link is down."""

from dataclasses import replace

import pytest

from gateway.web.rules.asking import Ask
from gateway.web.rules.decision import Fetch, Refuse, Serve, Validate, decide, stale_instead
from gateway.web.rules.freshness import Times
from gateway.web.rules.status import Forwarded
from gateway.web.rules.stored import BodyRef, Part, StoredResponse
from gateway.web.rules.variants import Selection

NOW_S = 1_800_000_000.0
URL = "http://a.test/"
GET = Ask("GET", URL, ())


def stored(control: str = "max-age=100", *, age_s: float = 0, **fields: str) -> StoredResponse:
    came_s = NOW_S - age_s
    held = (("Cache-Control", control), *fields.items())
    return StoredResponse("", URL, 200, held, (), Times(came_s, came_s), 1, (Part(0, BodyRef("b", 1, "")),))


def become(found: StoredResponse | None, ask: Ask = GET, *, down: bool = False) -> object:
    return decide(ask, Selection(found, others=False), now_s=NOW_S, link_down=down)


def test_fresh_is_served_with_and_without_the_link() -> None:
    found = stored()
    assert become(found) == become(found, down=True) == Serve(found)


@pytest.mark.parametrize(
    "control", ["max-age=1", "max-age=1, must-revalidate", "no-cache", "max-age=1, proxy-revalidate"]
)
def test_with_the_link_down_everything_stored_is_served_and_marked(control: str) -> None:
    found = stored(control, age_s=1_000_000)
    assert become(found, down=True) == Serve(found, detail="link-down")


def test_a_reload_with_the_link_down_gets_the_page_too() -> None:
    found = stored(age_s=1)
    for wish in ("no-cache", "max-age=0"):
        assert become(found, Ask("GET", URL, (("Cache-Control", wish),)), down=True) == Serve(found, detail="link-down")


def test_nothing_stored_and_no_link_is_refused_at_once() -> None:
    assert become(None, down=True) == Refuse(link_down=True)
    assert become(None, Ask("POST", URL, ()), down=True) == Refuse(link_down=True)


def test_stale_is_validated_where_it_can_be() -> None:
    found = stored(age_s=200, ETag='"a"')
    assert become(found) == Validate(found, Forwarded.STALE)
    bare = stored(age_s=200)
    assert become(bare) == Fetch(Forwarded.STALE, bare)


def test_a_clock_that_fell_back_makes_nothing_fresh() -> None:
    found = stored(age_s=-86_400)
    assert become(found) == Fetch(Forwarded.STALE, found)


def test_what_an_unsafe_request_touched_is_validated() -> None:
    found = replace(stored(ETag='"a"'), invalid=True)
    assert become(found) == Validate(found, Forwarded.STALE)


def test_conditions_that_only_the_origin_can_judge_pass_by() -> None:
    assert become(stored(), Ask("GET", URL, (("If-Match", '"a"'),))) == Fetch(Forwarded.BYPASS)


@pytest.mark.parametrize(
    ("control", "status", "allowed"),
    [
        ("max-age=1", None, True),
        ("max-age=1", 503, True),
        ("max-age=1", 500, False),
        ("max-age=1, stale-if-error=1000", 500, True),
        ("max-age=1, stale-if-error=10", 500, False),
        ("max-age=1, must-revalidate", None, False),
        ("s-maxage=1", None, False),
        ("s-maxage=1, stale-if-error=1000", None, True),
        ("no-cache", 503, False),
    ],
)
def test_stale_instead_of_an_error(control: str, status: int | None, allowed: bool) -> None:
    found = stored(control, age_s=100)
    assert stale_instead(found, GET, now_s=NOW_S, link_down=False, status=status) is allowed
    assert stale_instead(found, GET, now_s=NOW_S, link_down=True, status=status)
