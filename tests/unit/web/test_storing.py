"""What may be one person's page is never kept for the village."""

import pytest

from gateway.web.fields import Fields
from gateway.web.storing import may_store

DATE = ("Date", "Fri, 15 Jan 2027 08:00:00 GMT")
LATER = "Fri, 15 Jan 2027 09:00:00 GMT"
COOKIE: Fields = (("Cookie", "u=ana"),)
CREDENTIALS: Fields = (("Authorization", "Bearer secret"),)


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
        ((), (("Cache-Control", "max-age=0"),), True),
        ((), (("Cache-Control", "private, max-age=60"),), False),
        ((), (("Cache-Control", "no-store"),), False),
        ((), (("Set-Cookie", "a=b"), ("Cache-Control", "max-age=60")), False),
    ],
)
def test_only_what_its_origin_gives_to_all_is_kept(asked: Fields, said: Fields, kept: bool) -> None:
    assert may_store("GET", asked, 200, (DATE, *said), "") is kept
