"""Sitemaps are read as their protocol says, of the site's own pages only, and no document can do harm."""

import gzip

import pytest

from gateway.web.ahead.sitemap import (
    BYTES_MAX,
    URL_CHARS_MAX,
    URLS_MAX,
    Listed,
    Sitemap,
    changed_s,
    read_sitemap,
    sitemaps_named,
    unpacked,
)

AT = "http://sitio.test/sitemap.xml"
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
HEAD = f'<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="{NAMESPACE}">'


def urlset(*entries: str) -> bytes:
    return (HEAD + "".join(f"<url>{each}</url>" for each in entries) + "</urlset>").encode()


def pages(data: bytes) -> list[str]:
    return [each.url for each in read_sitemap(data, AT).pages]


def test_a_urlset_lists_pages_and_when_they_changed() -> None:
    data = urlset(
        "<loc>http://sitio.test/a</loc><lastmod>2026-11-22</lastmod><priority>0.8</priority>",
        "<loc>\n http://sitio.test/b?x=1&amp;y=2 </loc>",
    )
    assert read_sitemap(data, AT) == Sitemap(
        (Listed("http://sitio.test/a", 1_795_305_600.0), Listed("http://sitio.test/b?x=1&y=2")), ()
    )


def test_an_index_lists_sitemaps() -> None:
    data = f'<sitemapindex xmlns="{NAMESPACE}"><sitemap><loc>/uno.xml.gz</loc></sitemap></sitemapindex>'.encode()
    assert read_sitemap(data, AT) == Sitemap((), ("http://sitio.test/uno.xml.gz",))


def test_a_packed_sitemap_is_unpacked() -> None:
    assert pages(gzip.compress(urlset("<loc>/a</loc>"))) == ["http://sitio.test/a"]


def test_plain_text_is_a_sitemap_too() -> None:
    assert pages(b"\xef\xbb\xbfhttp://sitio.test/a\r\nhttp://otro.test/b\nno\nhttp://sitio.test/c\n") == [
        "http://sitio.test/a",
        "http://sitio.test/c",
    ]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (urlset("<loc>http://otro.test/a</loc>", "<loc>https://sitio.test/a</loc>", "<loc>/b</loc>"), ["/b"]),
        (urlset("<loc>http://user:pw@otro.test/a</loc>", "<loc>javascript:alert(1)</loc>"), []),
        (urlset("<loc>/a</loc>", "<loc>/a</loc>"), ["/a"]),
        (urlset("<lastmod>2026</lastmod>", "<loc/>", "<loc> </loc>"), []),
        (urlset(f"<loc>/{'a' * URL_CHARS_MAX}</loc>", "<loc>/b</loc>"), ["/b"]),
        (urlset("<loc><![CDATA[/a?b&c]]></loc>"), ["/a?b&c"]),
        (
            f'<s:urlset xmlns:s="{NAMESPACE}" xmlns:i="x"><s:url><i:image><i:loc>/p.jpg</i:loc></i:image>'
            "<i:loc>/q.jpg</i:loc><s:loc>/a</s:loc></s:url></s:urlset>".encode(),
            ["/a"],
        ),
        (b"<urlset><url><loc>/a</loc></url></urlset>", ["/a"]),  # without a namespace, as many write it
        (urlset("<loc>/a</loc>", "<loc>/b</loc>")[:-20], ["/a"]),  # broken off
        (urlset("<loc>/a</loc>").decode().replace("UTF-8", "UTF-16").encode("utf-16"), ["/a"]),
        (b'<?xml version="1.0" encoding="x-none"?><urlset><url><loc>/a</loc></url></urlset>', []),
        (b"<html><body><url><loc>/a</loc></url></body></html>", []),
        (b"<urlset>" + b"<a>" * 100_000, []),
        (b"\x1f\x8bnot gzip at all", []),
        (b"\0" * 100, []),
        (b"", []),
    ],
)
def test_only_pages_of_the_site_are_found_in_documents_good_and_bad(data: bytes, found: list[str]) -> None:
    assert pages(data) == [f"http://sitio.test{path}" for path in found]


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE urlset [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        '<!DOCTYPE urlset [<!ENTITY c SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE urlset SYSTEM "http://otro.test/a.dtd">',
    ],
)
def test_a_document_type_is_refused_and_with_it_every_entity(declared: str) -> None:
    data = f"{declared}<urlset><url><loc>/a</loc></url><url><loc>/&c;</loc></url></urlset>"
    assert pages(data.encode()) == []


def test_a_bomb_is_cut_at_the_limit() -> None:
    bomb = gzip.compress(b"<urlset>" + b" " * (BYTES_MAX * 3))
    assert len(bomb) < 100_000
    assert len(unpacked(bomb)) == BYTES_MAX
    assert pages(bomb) == []


def test_a_sitemap_lists_no_more_pages_than_its_protocol_allows() -> None:
    data = urlset(*(f"<loc>/{each}</loc>" for each in range(URLS_MAX + 10)))
    assert len(pages(data)) == URLS_MAX


def test_robots_txt_names_sitemaps_wherever_it_does() -> None:
    text = "\ufeffUser-agent: *\nDisallow: /\nSITEMAP : http://sitio.test/a.xml # here\nsitemap:/b.xml\r\n"
    text += "Sitemap: http://otro.test/c.xml\nSitemap: http://sitio.test/a.xml\nSitemap:\n"
    found = sitemaps_named(text.encode(), "http://sitio.test/robots.txt")
    assert found == ("http://sitio.test/a.xml", "http://sitio.test/b.xml")


@pytest.mark.parametrize(
    ("text", "wall_s"),
    [
        ("1970", 0.0),
        ("1970-02", 2_678_400.0),
        ("1970-01-02", 86_400.0),
        ("1970-01-01T01:00Z", 3_600.0),
        ("1970-01-01T00:00:01.5+00:00", 1.0),
        ("1970-01-01T00:00:00-05:00", 18_000.0),
        ("yesterday", None),
        ("1970-13", None),
        ("1969-12-31", None),
        ("", None),
    ],
)
def test_a_date_is_read_in_every_length_it_is_written_in(text: str, wall_s: float | None) -> None:
    assert changed_s(text) == wall_s
