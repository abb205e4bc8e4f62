"""What a page needs and where it leads: what a browser would ask for, and nothing a hostile page can hold up."""

import pytest

from gateway.web.ahead.page_links import LINKS_MAX, page_links, reference_in

PAGE = "http://a.org/salud/uno.html"


@pytest.mark.parametrize(
    ("html", "parts"),
    [
        ('<link rel="stylesheet" href="/s.css">', ["/s.css"]),
        ("<LINK REL=StyleSheet HREF=s.css/>", ["/salud/s.css/"]),
        ('<link rel="alternate stylesheet" href=a.css>', []),
        ('<link rel="shortcut icon" href=i.ico><link rel=manifest href=m.json>', ["/salud/i.ico", "/salud/m.json"]),
        ("<link rel=preload as=font href=f.woff2><link rel=preload as=video href=v.mp4>", ["/salud/f.woff2"]),
        ("<script src=a.js></script><script>var x = '<img src=no.png>'</script>", ["/salud/a.js"]),
        ("<img src=p.png><script src=a.js></script>", ["/salud/a.js", "/salud/p.png"]),
        ("<!-- <img src=no.png> --><img src=yes.png>", ["/salud/yes.png"]),
        ("<body data-x='<img src=no.png>' class=\"a > b\"><img alt='' src='sí.png'>", ["/salud/s%C3%AD.png"]),
        ('<img src=" a b.png\n?x=1&amp;y=2 ">', ["/salud/a%20b.png?x=1&y=2"]),
        ("<img src=c.png><img src=c.png>", ["/salud/c.png"]),
        ("<video src=v.mp4 poster=v.jpg>", ["/salud/v.jpg"]),
        ('<img srcset="a.jpg 480w, b.jpg 720w, c.jpg 1080w,d.jpg 2400w">', ["/salud/c.jpg", "/salud/b.jpg"]),
        ('<img srcset="w_1,h_2.jpg 1x, e.jpg 2x, f.jpg 4x">', ["/salud/e.jpg", "/salud/w_1,h_2.jpg"]),
        ('<base href="/otra/"><img src=c.png>', ["/otra/c.png"]),
        ('<base href="http://cdn.org/"><img src=c.png>', []),
        ("<img src=//b.org/c.png><img src=http://a.org:81/c.png><img src=data:,x><img src=http://u@a.org/x>", []),
        ("<title><img src=no.png></title><textarea><img src=no.png></textarea>", []),
        ("<img src='open.png", []),
    ],
)
def test_the_parts_of_a_page_are_those_a_browser_asks_its_origin_for(html: str, parts: list[str]) -> None:
    assert list(page_links(PAGE, html.encode()).parts) == [f"http://a.org{part}" for part in parts]


def test_links_lead_to_pages_of_the_same_origin_once_and_not_to_themselves() -> None:
    html = b"""<a href="dos.html#x">2<a href=dos.html>2<a href="#arriba">^<a href=mailto:a@b>@<a href="https://a.org/">s
    <a href=f.pdf download>f<a rel="nofollow" href=salir>x<area href=/mapa><link rel=prefetch href=tres.html>"""
    links = page_links(PAGE, html)
    assert links.pages == ("http://a.org/salud/dos.html", "http://a.org/mapa")
    assert links.ahead == ("http://a.org/salud/tres.html",)


def test_a_page_of_many_links_gives_a_bounded_number() -> None:
    html = "".join(f"<a href={at}><img src={at}.png>" for at in range(3 * LINKS_MAX))
    links = page_links(PAGE, html.encode())
    assert (len(links.parts), len(links.pages)) == (LINKS_MAX, LINKS_MAX)


@pytest.mark.parametrize(
    "html",
    [
        b"<div>" * 100_000,
        b"<!--" * 100_000,
        b"<a href='" * 100_000,
        b"<a " + b'"' * 500_000,
        b"<a " + b"=" * 500_000,
        b"<img srcset='" + b"," * 500_000 + b"'>",
        (b"<img srcset='" + b"," * 20_000 + b"'>") * 25,
        b"<script>" * 60_000,
        b"<img src=a>" * 50_000,
        b"\xff\xfe\x00" * 100_000,
    ],
)
def test_a_hostile_page_is_read_in_time_that_grows_with_its_length_alone(html: bytes) -> None:
    links = page_links(PAGE, html)  # the square of these lengths would take minutes
    assert len(links.parts) + len(links.pages) <= 1


def test_a_reference_with_a_line_break_or_a_quote_cannot_leave_the_request_line() -> None:
    assert reference_in(PAGE, "/x\r\nHost: y\"'<>") == "http://a.org/xHost:%20y%22'%3C%3E"


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title>Hola  &amp; m&aacute;s</title><title>no</title>", "Hola & más"),
        ("<TITLE lang=es>Sí\n no</TITLE>", "Sí no"),
        ("<!-- <title>no</title> --><script>'<title>no</title>'</script><title>sí</title>", "sí"),
        ("<title>" + "x" * 1_000, "x" * 300),
        ("<titles>no</titles>", ""),
        ("<title " * 100_000, ""),
    ],
)
def test_the_title_is_that_of_the_first_title_tag(html: str, title: str) -> None:
    assert page_links(PAGE, html.encode()).title == title
