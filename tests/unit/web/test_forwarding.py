"""What goes to an origin and comes from it: nothing that changes an answer unseen, no link that leads elsewhere."""

import pytest

from gateway.web.rules.fields import values
from gateway.web.rules.forwarding import as_in_village, for_origin


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-Host",
        "x-forwarded-proto",
        "Forwarded",
        "X-Original-URL",
        "X-HTTP-Method-Override",
        "X_Forwarded_Host",
        "x-forwarded_proto",
        "X-Forwarded-Protocol",
        "X-Scheme",
        "X-Url-Scheme",
        "X-Forwarded-Uri",
        "X-Forwarded-Path",
        "A-IM",
    ],
)
def test_fields_that_are_no_part_of_the_key_stay_here(name: str) -> None:
    assert not values(for_origin(((name, "evil.example"), ("Accept", "*/*")), "box"), name)


def test_everything_else_goes_on() -> None:
    sent = for_origin((("Accept", "*/*"), ("X-Own", "1"), ("Cookie", "a=b")), "box")
    assert (values(sent, "accept"), values(sent, "x-own"), values(sent, "cookie")) == (["*/*"], ["1"], ["a=b"])


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("http://a.test/b?c", "/b?c"),
        ("HTTP://A.test/b", "/b"),
        ("http://a.test", "/"),
        ("http://a.test?lang=es", "/?lang=es"),
        ("http://a.test#b", "/#b"),
        ("http://a.test//evil.test/x", "http://a.test//evil.test/x"),
        ("http://a.test/\\evil.test", "http://a.test/\\evil.test"),
        ("http://a.test/\t/evil.test", "http://a.test/\t/evil.test"),
        ("http://a.test.evil.test/", "http://a.test.evil.test/"),
        ("http://a.test@evil.test/", "http://a.test@evil.test/"),
        ("http://a.test\\@evil.test/", "http://a.test\\@evil.test/"),
        ("//a.test/b", "//a.test/b"),
        ("b", "b"),
    ],
)
def test_a_link_to_the_origin_stays_in_the_village_and_leads_nowhere_else(name: str, link: str, shown: str) -> None:
    assert as_in_village(((name, link),), origin="http://a.test") == ((name, shown),)
