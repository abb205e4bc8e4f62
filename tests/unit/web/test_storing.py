"""What may be one person's page is never kept for the village."""

import pytest

from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields
from gateway.web.rules.storing import may_store, to_store

DATE = ("Date", "Fri, 15 Jan 2027 08:00:00 GMT")
LATER = "Fri, 15 Jan 2027 09:00:00 GMT"
COOKIE: Fields = (("Cookie", "u=ana"),)
CREDENTIALS: Fields = (("Authorization", "Bearer secret"),)
TOKEN: Fields = (("X-Auth-Token", "secret"),)
UNKNOWN: Fields = (("X-Own", "1"),)
OF_BROWSERS: Fields = tuple(
    (name, "x")
    for name in ("Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Referer", "Origin", "DNT",
                 "Sec-Fetch-User", "Sec-CH-UA", "Sec-GPC", "Save-Data", "Upgrade-Insecure-Requests", "Priority",
                 "X-Requested-With", "If-None-Match", "Cache-Control", "Range", "Via", "X-Forwarded-For")
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said", "kept"),
    [
        (COOKIE, (), False),
        (COOKIE, (("Cache-Control", "max-age=0"),), False),
        (COOKIE, (("Cache-Control", "max-age=0, must-revalidate"),), False),
        (COOKIE, (("Cache-Control", "s-maxage=0, max-age=60"),), False),
        (COOKIE, (("Expires", "0"),), False),
        (COOKIE, (("Expires", DATE[1]),), False),
        (COOKIE, (("Cache-Control", "max-age=60, no-cache"),), False),
        (COOKIE, (("Cache-Control", "max-age=60"),), True),
        (COOKIE, (("Expires", LATER),), True),
        (COOKIE, (("Cache-Control", "public"),), True),
        (COOKIE, (("Cache-Control", "max-age=60"), ("Set-Cookie", "a=b")), False),
        (CREDENTIALS, (("Cache-Control", "max-age=60"),), False),
        (CREDENTIALS, (("Cache-Control", "max-age=60, must-revalidate"),), False),
        (CREDENTIALS, (("Cache-Control", "s-maxage=0"),), False),
        (CREDENTIALS, (("Cache-Control", "s-maxage=60"),), True),
        (CREDENTIALS, (("Cache-Control", "public, max-age=60"),), True),
        (TOKEN, (), False),
        (TOKEN, (("Cache-Control", "max-age=60"),), False),
        (TOKEN, (("Cache-Control", "max-age=60"), ("Vary", "X-Auth-Token")), False),
        (TOKEN, (("Cache-Control", "s-maxage=60"),), True),
        (UNKNOWN, (), False),
        (UNKNOWN, (("Last-Modified", DATE[1]),), False),
        (UNKNOWN, (("Cache-Control", "max-age=60, no-cache"),), False),
        (UNKNOWN, (("Cache-Control", "max-age=60"),), True),
        (UNKNOWN, (("Vary", "x-own"),), True),
        (OF_BROWSERS, (), True),
        ((), (("Cache-Control", "max-age=0"),), True),
        ((), (("Cache-Control", "private, max-age=60"),), False),
        ((), (("Cache-Control", "no-store"),), False),
        ((), (("Set-Cookie", "a=b"), ("Cache-Control", "max-age=60")), False),
    ],
)
def test_only_what_its_origin_gives_to_all_is_kept(asked: Fields, said: Fields, kept: bool) -> None:
    assert may_store("GET", asked, 200, (DATE, *said), "") is kept


@pytest.mark.parametrize(
    "name",
    ["X-Auth-Token", "X-API-Key", "ApiKey", "X-Session", "X-Amz-Security-Token", "X-JWT", "X-User-Id", "X-User",
     "Authentication", "X-Client-Secret", "X_Access_Token", "X-CSRF-Token", "Api-Key", "Private-Token", "Key"],
)  # fmt: skip
def test_a_field_that_lets_somebody_in_counts_as_credentials_and_nobody_waits_with_it(name: str) -> None:
    asked = ((name, "x"),)
    assert not may_store("GET", asked, 200, (DATE, ("Cache-Control", "max-age=60")), "")
    assert not Ask("GET", "http://a.test/", asked).joins


def test_who_says_nothing_of_herself_waits_with_others() -> None:
    assert Ask("GET", "http://a.test/", OF_BROWSERS[:8]).joins


def test_a_cookie_that_is_set_is_for_who_asked_even_if_the_answer_is_public() -> None:
    said = (("Cache-Control", "public, max-age=60"), ("Set-Cookie", "a=b"))
    assert may_store("GET", (), 200, said, "")
    assert to_store(said, "") == said[:1]
