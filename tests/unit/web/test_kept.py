"""What is kept for later while the link is down, what becomes of it, and what is kept of those who asked."""

import hashlib
from dataclasses import replace

import pytest

from gateway.web.offline.kept import (
    KeptLimits,
    KeptPage,
    KeptState,
    after,
    belongs,
    hash_of,
    kept_fields,
    may_keep,
    network_of,
    read_pages,
    swept,
    token_of,
    wanted_too,
    write_pages,
)
from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields

HTML: Fields = (("Accept", "text/html,*/*;q=0.8"), ("Accept-Language", "es"))
NOW_S = 1_800_000_000.0
PAGE = KeptPage("sitio", "http://o.test/a?b=1", HTML, ("h1",), NOW_S)


def ask(*more: tuple[str, str], url: str = "http://o.test/a", method: str = "GET", fields: Fields = HTML) -> Ask:
    return Ask(method, url, (*fields, *more), site="sitio")


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (ask(), True),
        (ask(("Cookie", "sesion=1")), True),
        (ask(url="http://o.test/?q=papa"), True),
        (ask(("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")), True),
        (ask(("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")), False),
        (ask(("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")), False),
        (ask(("Sec-Fetch-Mode", "no-cors")), False),
        (ask(fields=(("Accept", "image/avif,image/webp,*/*"),)), False),
        (ask(fields=()), False),
        (ask(method="HEAD"), False),
        (ask(method="POST"), False),
        (ask(("Authorization", "Basic x")), False),
        (ask(("Range", "bytes=0-1")), False),
        (ask(("If-Match", '"1"')), False),
        (ask(("Sec-Purpose", "prefetch;prerender")), False),
        (ask(("Purpose", "prefetch")), False),
        (ask(url="http://o.test/" + "a" * 1_000), False),
    ],
)
def test_only_a_page_that_a_person_opened_is_kept(asked: Ask, kept: bool) -> None:
    assert may_keep(asked, 1_000) is kept


def test_of_a_request_its_cookies_and_long_fields_are_dropped() -> None:
    fields = (*HTML, ("Cookie", "a=1"), ("User-Agent", "x"), ("Referer", "http://o.test/"))
    assert kept_fields(fields) == HTML
    assert kept_fields((("Accept", "x" * 500),)) == ()


def test_a_token_is_the_same_for_a_device_and_a_url_and_for_nothing_else() -> None:
    tokens = {
        token_of(key, device, site, url)
        for key in (b"k" * 32, b"l" * 32)
        for device in ("10.0.0.1", "10.0.0.2")
        for site in ("", "sitio")
        for url in ("http://o.test/", "http://o.test/a")
    }
    assert len(tokens) == 16
    assert {len(token) for token in tokens} == {22}
    assert token_of(b"k" * 32, "10.0.0.1", "", "http://o.test/") in tokens


def tried(page: KeptPage, status: int | None = None, *, stored: bool = False, error: str | None = None) -> KeptPage:
    return after(page, status=status, stored=stored, error=error, title="", now_s=NOW_S, tries_max=3)


@pytest.mark.parametrize(
    ("status", "stored", "error", "state"),
    [
        (200, True, None, KeptState.ARRIVED),
        (200, False, None, KeptState.PERSONAL),
        (302, True, None, KeptState.PERSONAL),
        (403, False, None, KeptState.PERSONAL),
        (404, True, None, KeptState.GIVEN_UP),
        (410, False, None, KeptState.GIVEN_UP),
        (429, False, None, KeptState.WAITING),
        (503, False, None, KeptState.WAITING),
        (None, False, "origin-silent", KeptState.WAITING),
        (None, False, "too-large", KeptState.PERSONAL),
    ],
)
def test_an_answer_settles_a_page_and_a_failure_is_tried_again(
    status: int | None, stored: bool, error: str | None, state: KeptState
) -> None:
    assert tried(PAGE, status, stored=stored, error=error).state is state


def test_a_page_is_given_up_after_so_many_failures_and_a_link_that_is_down_is_none() -> None:
    page = PAGE
    for _ in range(10):
        page = tried(page, error="link-down")
    assert page == PAGE
    states = []
    for _ in range(3):
        page = tried(page, error="origin-fault")
        states.append(page.state)
    assert states == [KeptState.WAITING, KeptState.WAITING, KeptState.GIVEN_UP]


def test_who_wants_a_page_is_counted_once_and_wakes_one_that_had_arrived() -> None:
    assert wanted_too(PAGE, "h1", NOW_S) == PAGE
    assert wanted_too(PAGE, "h2", NOW_S).tokens == ("h1", "h2")
    gone = wanted_too(replace(PAGE, state=KeptState.ARRIVED, tries=2), "h1", NOW_S + 5)
    assert (gone.state, gone.tries, gone.since_s) == (KeptState.WAITING, 0, NOW_S + 5)


def test_an_old_page_is_forgotten_but_not_by_a_clock_that_was_wrong() -> None:
    old, before_the_clock = replace(PAGE, since_s=NOW_S - 100), replace(PAGE, since_s=50.0)
    ahead = replace(PAGE, since_s=NOW_S + 10_000)
    assert swept([old, PAGE], NOW_S, 50) == [PAGE]
    assert swept([before_the_clock, ahead], NOW_S, 50) == [PAGE, PAGE]
    assert swept([old], 10.0, 50) == [old], "a box that does not know the date forgets nothing"


def test_the_list_comes_back_from_disk_as_it_was() -> None:
    pages = [PAGE, replace(PAGE, url="http://o.test/ñ", state=KeptState.GIVEN_UP, status=404, title="Año «x»")]
    assert read_pages(write_pages(pages), KeptLimits()) == pages
    assert read_pages(write_pages(pages), KeptLimits(pages_max=1)) == pages[:1]


@pytest.mark.parametrize("at", range(0, 260, 13))
def test_a_list_with_a_flipped_bit_is_a_fresh_list(at: int) -> None:
    written = bytearray(write_pages([PAGE]))
    written[at % len(written)] ^= 1
    assert read_pages(bytes(written), KeptLimits()) == []


@pytest.mark.parametrize(
    "rows",
    [
        "[[]]",
        '[["s","u",[],[],0,"nonsense",0,null,""]]',
        '[["s","u",[["a"]],[],0,"waiting",0,null,""]]',
        '[["s","u",[],[],1e999,"waiting",1e999,null,""]]',
        "[" * 100_000,
        "{}",
        "7",
    ],
)
def test_a_list_with_a_true_seal_and_a_false_content_is_a_fresh_list(rows: str) -> None:
    written = f'{{"format":1,"pages":{rows}}}'.encode()
    assert read_pages(hashlib.blake2b(written, digest_size=16).digest() + written, KeptLimits()) == []


@pytest.mark.parametrize(
    ("url", "origin", "theirs"),
    [
        ("http://o.test/a", "http://o.test", True),
        ("http://o.test/a", "http://O.test:80", True),
        ("http://o.test.evil/a", "http://o.test", False),
        ("http://o.test@evil/", "http://o.test", False),
        ("http://127.0.0.1/admin", "http://o.test", False),
        ("http://o.test/a b", "http://o.test", False),
        ("http://o.test/a\r\nX: y", "http://o.test", False),
        ("http://any.test/a", None, True),
        ("https://any.test/a", None, False),
        ("file:///etc/passwd", None, False),
        ("http://u:p@any.test/", None, False),
    ],
)
def test_a_url_is_fetched_only_for_whom_it_belongs_to(url: str, origin: str | None, theirs: bool) -> None:
    assert belongs(url, origin) is theirs


def test_what_is_kept_of_a_token_is_not_the_token() -> None:
    token = token_of(b"k" * 32, "10.0.0.1", "sitio", "http://o.test/")
    assert token not in write_pages([replace(PAGE, tokens=(hash_of(token),))]).decode("latin-1")


def test_nobody_grows_older_by_a_clock_that_leapt() -> None:
    year_s = 365 * 86_400.0
    [kept] = swept([PAGE], NOW_S + 10 * year_s, 50, leapt_s=10 * year_s)
    assert kept.since_s == NOW_S + 10 * year_s
    assert swept([kept], NOW_S, 50, leapt_s=-10 * year_s) == [PAGE]
    assert swept([PAGE], NOW_S + 60, 50, leapt_s=60) == [], "a clock that is slewed is the date"


def test_addresses_of_one_ipv6_network_are_known_as_such() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8:0:0:ffff::9") != network_of("2001:db8:0:1::1")
    assert network_of("fe80::1%wlan0") == "fe80::/64"
    assert [network_of(each) for each in ("10.0.0.1", "::ffff:10.0.0.1", "", "nonsense")] == [None] * 4
