"""A plan takes the important first, whole pages before more pages, and never more than it may."""

from unittest.mock import patch

from gateway.web.ahead.sitemap import Listed
from gateway.web.ahead.warm_plan import LISTS_MAX, PIECES_MAX, Found, Kind, Plan, Step, WarmOrder

ORIGIN = "http://sitio.test"


def url(path: str) -> str:
    return f"{ORIGIN}{path}"


def taken(plan: Plan, site: dict[str, Found]) -> list[str]:
    """Take every step, given what each URL brings; return the paths in order."""
    paths: list[str] = []
    while (step := plan.next()) is not None:
        path = step.url.removeprefix(ORIGIN)
        paths.append(path)
        plan.did(step, site.get(path))
    return paths


def test_a_page_comes_with_its_pieces_before_the_next_page() -> None:
    site = {
        "/": Found(pages=[url("/c")], pieces=[url("/a.css"), url("/a.png")]),
        "/b": Found(pieces=[url("/a.css"), url("/b.png")]),
        "/c": Found(pages=[url("/d")], pieces=[url("/c.png")]),
    }
    order = taken(Plan(WarmOrder(pages=("/", "/b")), url), site)
    assert order == ["/", "/a.css", "/a.png", "/b", "/b.png", "/c", "/c.png"]


def test_links_are_followed_as_deep_as_the_order_says() -> None:
    site = {f"/{each}": Found(pages=[url(f"/{each + 1}")]) for each in range(9)}
    assert [len(taken(Plan(WarmOrder(("/0",), depth), url), site)) for depth in range(4)] == [1, 2, 3, 4]


def test_what_a_sheet_draws_in_comes_with_its_page_and_a_chain_of_sheets_ends() -> None:
    site = {"/": Found(pieces=[url("/0.css")])}
    site |= {f"/{each}.css": Found(pieces=[url(f"/{each + 1}.css")]) for each in range(9)}
    assert taken(Plan(WarmOrder(pages=("/", "/b")), url), site) == ["/", "/0.css", "/1.css", "/2.css", "/b"]


def test_a_page_that_is_linked_in_circles_is_taken_once() -> None:
    site = {"/": Found(pages=[url("/"), url("/a")]), "/a": Found(pages=[url("/")], pieces=[url("/"), url("/a")])}
    assert taken(Plan(WarmOrder(depth=5), url), site) == ["/", "/a"]


def test_no_more_pages_are_taken_than_the_order_allows() -> None:
    site = {"/": Found(pages=[url(f"/{each}") for each in range(1_000)], pieces=[url("/a.css")])}
    assert len(taken(Plan(WarmOrder(pages_max=10), url), site)) == 11  # the pages, and one piece


def test_a_page_brings_no_more_pieces_than_the_limit() -> None:
    site = {"/": Found(pieces=[url(f"/{each}.png") for each in range(10_000)])}
    assert len(taken(Plan(WarmOrder(), url), site)) == 1 + PIECES_MAX


def test_what_is_pinned_comes_with_what_was_named_and_its_links_are_not_followed() -> None:
    site = {"/": Found(pages=[url("/a")]), "/p": Found(pages=[url("/q")], pieces=[url("/p.png")])}
    assert taken(Plan(WarmOrder(), url, [url("/p"), url("/")]), site) == ["/", "/p", "/p.png", "/a"]


def test_listed_pages_come_after_linked_ones_the_latest_changed_first() -> None:
    site = {
        "/": Found(pages=[url("/linked")]),
        "/robots.txt": Found(lists=[url("/index.xml")]),
        "/index.xml": Found(lists=[url("/one.xml")]),
        "/one.xml": Found(listed=[Listed(url("/never")), Listed(url("/old"), 1.0), Listed(url("/new"), 2.0)]),
        "/new": Found(pages=[url("/not-followed")]),
    }
    order = taken(Plan(WarmOrder(sitemap=True), url), site)
    assert order[:4] == ["/", "/robots.txt", "/sitemap.xml", "/linked"]
    assert order[4:] == ["/index.xml", "/one.xml", "/new", "/old", "/never"]


def test_lists_that_name_lists_without_end_come_to_one() -> None:
    site = {"/robots.txt": Found(lists=[url(f"/{each}.xml") for each in range(1_000)])}
    assert len(taken(Plan(WarmOrder(pages=(), sitemap=True), url), site)) == LISTS_MAX
    deep = {"/robots.txt": Found(lists=[url("/0.xml")])}
    deep |= {f"/{each}.xml": Found(lists=[url(f"/{each + 1}.xml")]) for each in range(100)}
    assert taken(Plan(WarmOrder(pages=(), sitemap=True), url), deep)[-1] == "/1.xml"


def test_a_step_that_could_not_be_taken_is_the_next_one() -> None:
    plan = Plan(WarmOrder(pages=("/", "/b")), url)
    step = plan.next()
    assert step == Step(Kind.PAGE, url("/"), 0, True)
    plan.put_back(step)
    assert plan.next() == step


def test_progress_tells_pages_bytes_and_the_time_left_at_the_rate_so_far() -> None:
    plan = Plan(WarmOrder(pages=("/", "/b", "/c")), url)
    assert plan.progress(active_s=0.0, moved_bytes=0, allowed_bytes=100).left_s is None
    for brought in (Found(pieces=[url("/a.css")]), Found()):
        step = plan.next()
        assert step is not None
        plan.did(step, brought)
    told = plan.progress(active_s=10.0, moved_bytes=50, allowed_bytes=1_000_000)
    assert (told.pages_done, told.pages_known, told.pieces_done, told.failed) == (1, 3, 1, 0)
    assert told.left_s == 20.0


def test_the_time_left_ends_with_the_budget() -> None:
    plan = Plan(WarmOrder(pages=("/", "/b", "/c")), url)
    step = plan.next()
    assert step is not None
    plan.did(step, Found())
    assert plan.progress(active_s=10.0, moved_bytes=50, allowed_bytes=60).left_s == 2.0


def test_a_failed_page_is_counted_and_a_missing_sitemap_is_not() -> None:
    plan = Plan(WarmOrder(sitemap=True), url)
    taken(plan, {})
    assert plan.progress(active_s=1.0, moved_bytes=0, allowed_bytes=1).failed == 1


def test_a_run_knows_no_more_pieces_than_its_limit() -> None:
    with patch("gateway.web.ahead.warm_plan.PIECES_RUN_MAX", 300):
        site = {f"/{page}": Found(pieces=[url(f"/{page}/{each}.png") for each in range(100)]) for page in range(5)}
        plan = Plan(WarmOrder(pages=tuple(site)), url)
        assert len(taken(plan, site)) == 5 + 300
