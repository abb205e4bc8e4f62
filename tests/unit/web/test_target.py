"""A request target becomes one URL in one spelling, or a 400 that repeats nothing."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.errors import BadRequest
from gateway.web.rules.target import host_asked_for, of_proxy, of_site, of_tunnel, origin_of, same_origin, url_in


def read(text: str) -> URL:
    """The target as aiohttp hands it over."""
    if text.startswith("/"):
        path, _, query = text.partition("?")
        return URL.build(path=path, query_string=query, encoded=True)
    return URL(text, encoded=True)


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("http://Example.TEST/a", "http://example.test/a"),
        ("http://example.test", "http://example.test/"),
        ("http://example.test:80/a?b=c|d&e=%7e", "http://example.test/a?b=c|d&e=%7e"),
        ("http://example.test:8080/a/../b", "http://example.test:8080/a/../b"),
        ("http://example.test./a#part", "http://example.test/a"),
        ("http://[2001:DB8::1]:80/a", "http://[2001:db8::1]/a"),
        ("http://example.test/ñ", "http://example.test/%C3%B1"),
        ("http://example.test?x=1", "http://example.test/?x=1"),
    ],
)
def test_a_proxy_target_has_one_spelling(target: str, url: str) -> None:
    assert of_proxy(read(target)) == url


@pytest.mark.parametrize(
    "target",
    [
        "/a",
        "https://example.test/",
        "ftp://example.test/",
        "http://user@example.test/",
        "http://user:pass@example.test/",
        "http://ex%61mple.test/",
        "http://example.test:0/",
        "http://-example.test/",
        "http://exa mple.test/",
        "http://exämple.test/",
        "http://" + "a" * 300 + "/",
        "http://[:::]/example",
        "http://[1::2::3]/example",
    ],
)
def test_other_proxy_targets_are_refused(target: str) -> None:
    with pytest.raises(BadRequest) as refused:
        of_proxy(read(target))
    assert "example" not in f"{refused.value.what} {refused.value.advice}"


def test_a_site_target_leads_to_its_origin() -> None:
    assert of_site("http://10.0.0.1:8000", read("/a?b")) == "http://10.0.0.1:8000/a?b"
    assert of_site("https://origin.test", read("//evil.test/a")) == "https://origin.test//evil.test/a"
    assert of_site("http://origin.test", read("http://sitio.test/a")) == "http://origin.test/a"


def test_the_uri_decides_over_the_host_field() -> None:
    assert host_asked_for(read("http://Sitio.test:80/"), "other.test") == "sitio.test"
    assert host_asked_for(read("/"), "Sitio.test:8080") == "sitio.test"
    with pytest.raises(BadRequest):
        host_asked_for(read("/"), None)


def test_a_tunnel_names_host_and_port() -> None:
    assert of_tunnel(URL.build(authority="Example.test:443", encoded=True)) == ("example.test", 443)
    assert of_tunnel(URL.build(authority="[::1]:443", encoded=True)) == ("::1", 443)
    for wrong in ("example.test", "u@example.test:443", "ex ample.test:1"):
        with pytest.raises(BadRequest):
            of_tunnel(URL.build(authority=wrong, encoded=True))


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("/b", "http://a.test/b"),
        ("http://a.test:80/b", "http://a.test/b"),
        ("http://other.test/b", None),
        ("https://a.test/b", None),
        ("http://[", None),
        ("", None),
        (None, None),
    ],
)
def test_only_references_of_the_same_origin_are_followed(reference: str | None, url: str | None) -> None:
    assert same_origin("http://a.test/x/y", reference) == url


PIECES = (
    "http:", "https:", "//", "/", "\\", "[", "]", "@", ":", "::", "::1", "v1.x", "?", "#", "%", "%zz",
    "a.test", "x", "..", ".", "99999", "\u00e9", "xn--", "*", ";", "&",
    "\uff10", "\uff41", "\u2100", "\u0000", "\t", "\ud800",
)  # fmt: skip
REFERENCES = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(PIECES), max_size=10).map("".join))


@given(REFERENCES, st.sampled_from(["http://a.test/x/y", "http://[::1]:81/", "https://a.test"]))
@settings(max_examples=1_000, deadline=None)
def test_whatever_is_written_leads_to_its_own_origin_or_nowhere(reference: str, base: str) -> None:
    found = same_origin(base, reference)
    if found is not None:
        assert found.startswith(f"{origin_of(base)}/")
        assert found.isascii()


@given(REFERENCES)
@settings(max_examples=500, deadline=None)
def test_a_target_is_a_url_or_a_refusal(text: str) -> None:
    target = url_in(text)
    if target is not None:
        with suppress(BadRequest):
            assert of_proxy(target).startswith("http://")
        with suppress(BadRequest):
            assert of_site("http://origin.test", target).startswith("http://origin.test/")


@pytest.mark.parametrize("text", ["http://[x]@", "//[x]@", "http://a.test:0x1/", "http://a.test:99999999/", "http://["])
def test_what_is_no_url_is_none(text: str) -> None:
    assert url_in(text) is None
    assert same_origin("http://a.test/", text) is None
