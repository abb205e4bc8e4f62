"""What a style sheet draws in is found, of its own origin and no more than a phone needs; no sheet takes long."""

import pytest

from gateway.web.ahead.css_links import LINKS_MAX, css_links

SHEET = "http://sitio.test/css/hoja.css"


@pytest.mark.parametrize(
    ("css", "found"),
    [
        ("p{background:url(a.png)}", ["/css/a.png"]),
        ("p{background:URL( '../a.png' )}", ["/a.png"]),
        ('p{background:url("/a b.png")}', ["/a%20b.png"]),
        ('@import "b.css" screen;@IMPORT url(c.css);', ["/css/b.css", "/css/c.css"]),
        ("p{background:url(a.png),url(a.png),url(b.png)}", ["/css/a.png", "/css/b.png"]),
        ("/* url(no.png) */p{background:url(a.png)}/* url(no.png)", ["/css/a.png"]),
        ("/***/url(a.png)/**/", ["/css/a.png"]),
        ("p{background:url(data:image/png;base64,AAAA)}", []),
        ("p{filter:url(#f);background:url()}", []),
        ("p{background:url(http://o.test/a.png),url(//o.test/a.png),url(https://sitio.test/a)}", []),
        ("@import url(hoja.css);", []),
        (
            "@font-face{src:url(f.eot);src:url(f.eot?#iefix),url(f.woff2)format('woff2'),url(f.woff),url(f.svg#f)}",
            ["/css/f.woff2"],
        ),
        ("@font-face{src:url(f.woff?v=2)}p{background:url(f.png)}", ["/css/f.woff?v=2", "/css/f.png"]),
        ("p{background:url(dibujo.svg)}", ["/css/dibujo.svg"]),
        ("", []),
    ],
)
def test_what_a_sheet_draws_in_is_found(css: str, found: list[str]) -> None:
    assert list(css_links(SHEET, css.encode())) == [f"http://sitio.test{path}" for path in found]


def test_a_sheet_draws_in_no_more_than_the_limit() -> None:
    css = "".join(f"a{{background:url({each}.png)}}" for each in range(LINKS_MAX * 3))
    assert len(css_links(SHEET, css.encode())) == LINKS_MAX


@pytest.mark.parametrize(
    "piece",
    ["/*", "/**", "url(", "url( ", "url('", '@import "', "url(" + " " * 19, "*/", "\\", "@import\t", "url(a", "url(a)"],
)
def test_a_hostile_sheet_is_read_in_time_that_grows_with_its_length_alone(piece: str) -> None:
    css = piece * (1_000_000 // len(piece))
    assert len(css_links(SHEET, css.encode())) <= 1
